//! The text of a container's `/etc/hosts`, and how it is changed while the container runs.
//!
//! Pure. There are no marks in the file: lines of ours are known by what we wrote before, so that what a container adds
//! stays, wherever it is.

use std::net::IpAddr;

const LOOPBACK: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// An address and the names that stand behind it, one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The address.
    pub address: IpAddr,
    /// Its names, the first being the proper one.
    pub names: Vec<String>,
}

impl Entry {
    /// The line of one of a container's own addresses: the full name, and its first label. The host name may be a full
    /// one itself.
    pub fn own(address: IpAddr, hostname: &str, domainname: &str) -> Entry {
        let full = match domainname {
            "" => hostname.to_owned(),
            domainname => format!("{hostname}.{domainname}"),
        };
        let short = full.split_once('.').map(|(short, _)| short.to_owned());
        Entry { address, names: std::iter::once(full).chain(short).collect() }
    }

    /// The line of a linked container: its alias, its ID or host name, its name, each once.
    pub fn link(address: IpAddr, alias: &str, id: &str, name: &str) -> Entry {
        let mut names: Vec<String> = Vec::new();
        for word in [alias, id, name] {
            if !word.is_empty() && !names.iter().any(|known| known == word) {
                names.push(word.to_owned());
            }
        }
        Entry { address, names }
    }
}

/// Why an entry of `--add-host` is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadExtra {
    /// Without a name, or with one that would break the line.
    #[error("bad format for add-host: \"{0}\"")]
    Format(String),
    /// With something else than an address.
    #[error("invalid IP address in add-host: \"{0}\"")]
    Address(String),
    /// The host has no address that containers could reach.
    #[error("unable to derive the IP value for host-gateway")]
    NoGateway,
}

/// Reads `name:address` or `name=address` of `--add-host`; `host-gateway` stands for the addresses in `gateways`.
pub fn extra(entry: &str, gateways: &[IpAddr]) -> Result<Vec<Entry>, BadExtra> {
    let format = || BadExtra::Format(entry.to_owned());
    let (name, address) = entry.split_once(['=', ':']).ok_or_else(format)?;
    if name.is_empty()
        || name
            .contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '#')
    {
        return Err(format());
    }
    let line = |address| Entry { address, names: vec![name.to_owned()] };
    if address == "host-gateway" {
        return match gateways {
            [] => Err(BadExtra::NoGateway),
            gateways => Ok(gateways.iter().copied().map(line).collect()),
        };
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address = bare.parse().ok().ok_or_else(|| BadExtra::Address(address.to_owned()))?;
    Ok(vec![line(address)])
}

/// The file of a container: the loopback's names, then these entries: extra hosts, links, its own addresses.
pub fn text(entries: &[Entry]) -> String {
    below(LOOPBACK, entries)
}

/// The file of a container on the host's network: the host's `own`, then these entries.
pub fn below(own: &str, entries: &[Entry]) -> String {
    let mut text = own.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for entry in entries {
        text.push_str(&format!("{}\t{}\n", entry.address, entry.names.join(" ")));
    }
    text
}

/// The `current` text with the lines that were ours `before` replaced by those that are ours `after`, behind the last of
/// ours that is still there, or at the end. Lines that are in both, and all others, stay where they are.
pub fn update(current: &str, before: &[Entry], after: &[Entry]) -> String {
    let lines = |entries: &[Entry]| -> Vec<String> {
        entries.iter().map(|entry| below("", std::slice::from_ref(entry))).collect()
    };
    let (mut ours, mut new) = (lines(before), lines(after));
    // What stays is neither removed nor added.
    let mut gone = ours.clone();
    gone.retain(|line| !take(&mut new, line));
    let mut text = String::with_capacity(current.len());
    let mut place = None;
    for line in current.split_inclusive('\n') {
        let is_ours = take(&mut ours, line);
        if !(is_ours && take(&mut gone, line)) {
            text.push_str(line);
        }
        if is_ours {
            place = Some(text.len());
        }
    }
    let (head, tail) = place.and_then(|place| text.split_at_checked(place)).unwrap_or((&text, ""));
    let joint = if new.is_empty() || head.is_empty() || head.ends_with('\n') { "" } else { "\n" };
    [head, joint, &new.concat(), tail].concat()
}

/// Takes a line out of a list; whether it was there.
fn take(lines: &mut Vec<String>, line: &str) -> bool {
    let at = lines.iter().position(|own| own.trim_end() == line.trim_end());
    if let Some(at) = at {
        lines.remove(at);
    }
    at.is_some()
}

#[cfg(test)]
mod tests;
