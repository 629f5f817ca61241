//! The resolver that containers ask at 127.0.0.11: names of their networks, and the upstream servers for the rest.
//!
//! Acts: one thread serves all containers, over UDP and TCP sockets that live inside their network namespaces; upstream
//! servers are asked from the host's. At rest it sleeps without any timer. What an answer is, is decided in `answer`
//! over plain bytes (`wire`); what is ours and who is upstream, the engine says through [`Names`].
//!
//! A name that is ours is never forwarded, whatever is asked about it, and needs no upstream server. Nothing that a
//! container sends makes memory grow: forwarded questions and connections are bounded, over all and for each container
//! by what is still free, so that a flood from one leaves room for the others.

mod answer;
mod connection;
mod flight;
mod resolver;
mod server;
mod share;
mod wire;

pub use resolver::Resolver;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Where containers find their resolver.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// What the resolver has to be told by the engine.
///
/// It is called on the resolver's thread for every question of every container, so it must not wait for anything that
/// takes long: a read lock over tables that are changed in memory is right, a disk or another task is not.
pub trait Names: Send + Sync {
    /// What `name` means to the container `asker`. The name is in lower case and without a dot at its end, so tables of
    /// names are kept in lower case: `web`, an alias, a short ID, `web.network`.
    fn lookup(&self, asker: &str, name: &str) -> Lookup;

    /// The name of the container that has `address` on a network which `asker` is on, for example `web.network`.
    fn reverse(&self, asker: &str, address: IpAddr) -> Option<String>;

    /// Who is asked about all that is not ours. No servers for a container that must not reach outside, as one that is
    /// only on internal networks: questions could carry its data out.
    fn upstreams(&self, asker: &str) -> Arc<Upstreams>;
}

/// What a name means to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// It is ours and has these addresses, perhaps none. Nobody else is asked.
    Ours(Addresses),
    /// Others may know it.
    NotOurs,
}

/// Addresses of a name; those of several containers are given out in turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Of IPv4.
    pub v4: Vec<Ipv4Addr>,
    /// Of IPv6.
    pub v6: Vec<Ipv6Addr>,
}

/// Upstream servers and how to ask them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upstreams {
    /// In the order in which they are asked; those beyond the eighth are not.
    pub servers: Vec<SocketAddr>,
    /// How to ask.
    pub options: Options,
}

/// What of the `options` of a `resolv.conf` concerns a forwarder. The rest is the client's job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long one server has before the next is asked.
    pub timeout: Duration,
    /// Begin with another server for each question.
    pub rotate: bool,
    /// Ask over TCP only.
    pub tcp: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { timeout: Duration::from_secs(2), rotate: false, tcp: false }
    }
}

impl Options {
    /// Reads options as they stand in a `resolv.conf` or in `--dns-option`; those that do not concern a forwarder are
    /// left alone. The timeout is never beyond the 5 seconds that a question has in all.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Options {
        let mut options = Options::default();
        for word in words {
            match word {
                "rotate" => options.rotate = true,
                "use-vc" => options.tcp = true,
                word => {
                    let seconds =
                        word.strip_prefix("timeout:").and_then(|count| count.parse().ok());
                    if let Some(seconds) = seconds {
                        options.timeout = Duration::from_secs(u64::clamp(seconds, 1, 5));
                    }
                }
            }
        }
        options
    }
}

#[cfg(test)]
mod tests;
