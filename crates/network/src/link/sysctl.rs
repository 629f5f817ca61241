//! Acts: the kernel's settings of networks, as files under `/proc/sys/net`. They are those of this thread's network
//! namespace.

use super::{LinkError, valid_name};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The protocol that a setting of an interface belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Whether this host has IPv6 at all: a kernel without it, or one started with `ipv6.disable=1`, has no settings for it.
pub fn ipv6_available() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

/// Writes a setting by its path under `/proc/sys/net`, such as `ipv4/ip_forward`. The path is not a user's text.
pub fn write(path: &str, value: &str) -> Result<(), LinkError> {
    put(&Path::new("/proc/sys/net").join(path), value).map_err(|error| {
        LinkError::new(format!("write `{value}` to `/proc/sys/net/{path}`"), error)
    })
}

/// Reads a setting by its path under `/proc/sys/net`.
pub fn read(path: &str) -> Result<String, LinkError> {
    std::fs::read_to_string(Path::new("/proc/sys/net").join(path))
        .map(|text| text.trim_end().to_owned())
        .map_err(|error| LinkError::new(format!("read `/proc/sys/net/{path}`"), error))
}

/// Writes a setting of an interface (or of `all`, `default`), such as `route_localnet`, `disable_ipv6`, `accept_ra`,
/// `forwarding`.
pub fn write_interface(
    name: &str,
    protocol: Protocol,
    key: &str,
    value: &str,
) -> Result<(), LinkError> {
    let path = interface_path(name, protocol, key)?;
    put(&path, value)
        .map_err(|error| LinkError::new(format!("write `{value}` to `{}`", path.display()), error))
}

/// Reads a setting of an interface.
pub fn read_interface(name: &str, protocol: Protocol, key: &str) -> Result<String, LinkError> {
    let path = interface_path(name, protocol, key)?;
    std::fs::read_to_string(&path)
        .map(|text| text.trim_end().to_owned())
        .map_err(|error| LinkError::new(format!("read `{}`", path.display()), error))
}

fn interface_path(name: &str, protocol: Protocol, key: &str) -> Result<PathBuf, LinkError> {
    if !valid_name(name) || key.contains('/') {
        return Err(LinkError::invalid_name(name));
    }
    let family = match protocol {
        Protocol::V4 => "ipv4",
        Protocol::V6 => "ipv6",
    };
    Ok(Path::new("/proc/sys/net").join(family).join("conf").join(name).join(key))
}

/// One write, never a new file: a setting that does not exist is an error.
fn put(path: &Path, value: &str) -> io::Result<()> {
    File::options().write(true).open(path)?.write_all(value.as_bytes())
}
