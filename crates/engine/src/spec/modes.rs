//! Pure: namespace modes (`--network`, `--ipc`, `--pid`, …), taken apart.

use naru_errdefs::Fault;

/// Where a container's network is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Network {
    /// A namespace of its own with a loopback device.
    None,
    /// A namespace of its own in networks; the name or ID of the first of them.
    Networks(String),
    /// The host's.
    Host,
    /// Another container's.
    Container(String),
}

/// Whose namespace it is, for kinds that others can share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Its own.
    Private,
    /// Its own, and others may join.
    Shareable,
    /// The host's.
    Host,
    /// Another container's.
    Container(String),
}

/// Reads a network mode.
pub(crate) fn network(mode: &str) -> Result<Network, Fault> {
    match mode {
        "none" => Ok(Network::None),
        "" | "default" => Ok(Network::Networks("bridge".to_owned())),
        "host" => Ok(Network::Host),
        mode => match mode.split_once(':') {
            Some(("container", "")) => {
                Err(Fault::invalid("invalid container format container:<name|id>"))
            }
            Some(("container", name)) => Ok(Network::Container(name.to_owned())),
            _ => Ok(Network::Networks(mode.to_owned())),
        },
    }
}

/// Reads an IPC mode.
pub(crate) fn ipc(mode: &str) -> Result<Sharing, Fault> {
    match mode {
        "" | "private" => Ok(Sharing::Private),
        "shareable" => Ok(Sharing::Shareable),
        "host" => Ok(Sharing::Host),
        "none" => Err(Fault::unsupported("IPC mode `none` is not supported")
            .with_hint("use `private`, which shares nothing either")),
        mode => container(mode, "IPC"),
    }
}

/// Reads a PID mode.
pub(crate) fn pid(mode: &str) -> Result<Sharing, Fault> {
    match mode {
        "" => Ok(Sharing::Private),
        "host" => Ok(Sharing::Host),
        mode => container(mode, "PID"),
    }
}

/// Reads a mode that is the host's or the container's own. The answer says whether it is the host's.
pub(crate) fn host_or_own(mode: &str, what: &str) -> Result<bool, Fault> {
    match mode {
        "" | "private" => Ok(false),
        "host" => Ok(true),
        mode => Err(Fault::invalid(format!("invalid {what} mode: {mode}"))
            .with_hint(format!("use `host`, or leave out the {what} mode"))),
    }
}

fn container(mode: &str, what: &str) -> Result<Sharing, Fault> {
    match mode.split_once(':') {
        Some(("container", name)) if !name.is_empty() => Ok(Sharing::Container(name.to_owned())),
        _ => Err(Fault::invalid(format!("invalid {what} mode: {mode}"))),
    }
}
