//! Acts: asks the old packet filter (`iptables-legacy`), which netlink does not know, what becomes of forwarded packets
//! that no rule of it is about. Changes nothing, and asks nothing of a host that does not use it: the question alone
//! would make its tables.

use std::io;
use std::os::fd::AsRawFd;

/// One of the two families of tables, whose structures differ in the size of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `iptables`.
    V4,
    /// `ip6tables`.
    V6,
}

const INFO_LENGTH: usize = 84;
const ENTRIES_HEADER: usize = 40;
const FORWARD: usize = 2;

/// Whether the chain `FORWARD` of the table `filter` drops what no rule is about; false where there is no such table.
pub fn forward_drops(family: Family) -> io::Result<bool> {
    let names = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    match std::fs::read_to_string(names) {
        Ok(names) if names.lines().any(|name| name == "filter") => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    let (domain, level) = match family {
        Family::V4 => (rustix::net::AddressFamily::INET, libc::IPPROTO_IP),
        Family::V6 => (rustix::net::AddressFamily::INET6, libc::IPPROTO_IPV6),
    };
    let socket = rustix::net::socket_with(
        domain,
        rustix::net::SocketType::RAW,
        rustix::net::SocketFlags::CLOEXEC,
        Some(rustix::net::ipproto::RAW),
    )?;
    const GET_INFO: i32 = 64;
    const GET_ENTRIES: i32 = 65;
    let mut info = vec![0; INFO_LENGTH];
    name_table(&mut info);
    get(socket.as_raw_fd(), level, GET_INFO, &mut info)?;
    let odd =
        || io::Error::new(io::ErrorKind::InvalidData, "the packet filter's tables make no sense");
    // Name, valid hooks, then five beginnings and five ends of chains, the number of rules and their size.
    let policy_at = read_u32(&info, 32 + 4 + 20 + 4 * FORWARD).ok_or_else(odd)?;
    let size = read_u32(&info, 32 + 4 + 20 + 20 + 4).ok_or_else(odd)?;
    let length = usize::try_from(size).map_err(io::Error::other)?;
    let mut entries = vec![0; ENTRIES_HEADER + length];
    name_table(&mut entries);
    if let Some(field) = entries.get_mut(32..36) {
        field.copy_from_slice(&size.to_ne_bytes());
    }
    get(socket.as_raw_fd(), level, GET_ENTRIES, &mut entries)?;
    let rules = entries.get(ENTRIES_HEADER..).unwrap_or_default();
    let policy_at = usize::try_from(policy_at).map_err(io::Error::other)?;
    policy_drops(family, rules, policy_at).ok_or_else(odd)
}

/// The rule that is a chain's policy: match, offset of the target, …; the target's head, then the verdict.
fn policy_drops(family: Family, rules: &[u8], at: usize) -> Option<bool> {
    const TARGET_HEAD: usize = 32;
    const DROP: i32 = -1;
    let match_length = match family {
        Family::V4 => 84,
        Family::V6 => 136,
    };
    let offset_at = at.checked_add(match_length + 4)?;
    let target: [u8; 2] = rules.get(offset_at..offset_at + 2)?.try_into().ok()?;
    let verdict_at = at + usize::from(u16::from_ne_bytes(target)) + TARGET_HEAD;
    let verdict: [u8; 4] = rules.get(verdict_at..verdict_at + 4)?.try_into().ok()?;
    Some(i32::from_ne_bytes(verdict) == DROP)
}

fn name_table(buffer: &mut [u8]) {
    for (to, from) in buffer.iter_mut().zip(b"filter") {
        *to = *from;
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn get(socket: i32, level: i32, option: i32, buffer: &mut [u8]) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(buffer.len()).map_err(io::Error::other)?;
    // SAFETY: the buffer is writable for the length that is given, and lives through the call; the kernel writes no more
    // than that.
    let done = unsafe {
        libc::getsockopt(socket, level, option, buffer.as_mut_ptr().cast(), &raw mut length)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_no_policy() {
        assert_eq!(policy_drops(Family::V4, &[0; 100], 0), Some(false));
        assert_eq!(policy_drops(Family::V4, &[0xff; 100], 0), None);
        assert_eq!(policy_drops(Family::V6, &[0; 100], 0), None);
        assert_eq!(policy_drops(Family::V6, &[0; 100], usize::MAX - 8), None);
    }
}
