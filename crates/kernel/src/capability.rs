//! Acts: the capability sets of this process.

use std::io;

/// How many capabilities there can be: the sets are 64 bits wide.
pub const MAXIMUM: u32 = 64;

const PR_CAPBSET_READ: libc::c_int = 23;
const PR_CAPBSET_DROP: libc::c_int = 24;
const PR_CAP_AMBIENT: libc::c_int = 47;
const PR_CAP_AMBIENT_RAISE: libc::c_ulong = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: libc::c_ulong = 4;

fn prctl(
    option: libc::c_int,
    second: libc::c_ulong,
    third: libc::c_ulong,
) -> io::Result<libc::c_int> {
    let zero: libc::c_ulong = 0;
    // SAFETY: the options of this file take numbers only.
    let value = unsafe { libc::prctl(option, second, third, zero, zero) };
    if value == -1 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// What this process and its children can ever gain, one bit a capability.
pub fn bounding() -> u64 {
    (0..MAXIMUM)
        .map_while(|bit| Some((bit, prctl(PR_CAPBSET_READ, libc::c_ulong::from(bit), 0).ok()?)))
        .filter(|(_, has)| *has == 1)
        .fold(0, |all, (bit, _)| all | 1 << bit)
}

/// Drops everything but `keep` from the bounding set.
pub fn limit_bounding(keep: u64) -> io::Result<()> {
    for bit in (0..MAXIMUM).filter(|bit| keep >> bit & 1 == 0) {
        match prctl(PR_CAPBSET_DROP, libc::c_ulong::from(bit), 0) {
            // The kernel knows no more.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            result => result?,
        };
    }
    Ok(())
}

/// Sets the effective, permitted and inheritable sets.
pub fn set(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let low = |set: u64| u32::try_from(set & 0xffff_ffff).unwrap_or_default();
    let high = |set: u64| u32::try_from(set >> 32).unwrap_or_default();
    let sets: [u32; 6] = [
        low(effective),
        low(permitted),
        low(inheritable),
        high(effective),
        high(permitted),
        high(inheritable),
    ];
    // SAFETY: version 3 of the header is followed by two triples of 32 bits, which is what the array has.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The effective, permitted and inheritable sets.
pub fn current() -> io::Result<(u64, u64, u64)> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: version 3 of the header makes the kernel write two triples of 32 bits, for which the array has room.
    let done = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let [effective, permitted, inheritable, effective_high, permitted_high, inheritable_high] =
        sets;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok((
        join(effective, effective_high),
        join(permitted, permitted_high),
        join(inheritable, inheritable_high),
    ))
}

/// Makes the ambient set exactly this; each must be permitted and inheritable.
pub fn set_ambient(set: u64) -> io::Result<()> {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0)?;
    for bit in (0..MAXIMUM).filter(|bit| set >> bit & 1 == 1) {
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, libc::c_ulong::from(bit))?;
    }
    Ok(())
}
