//! Who may do what. The vocabulary is pure; the gate acts.

use http::request::Parts;
use std::net::IpAddr;
use std::sync::Arc;

/// What is done to a repository, or to the registry as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Read manifests, blobs, tags, referrers.
    Pull,
    /// Write manifests, blobs, tags.
    Push,
    /// Remove manifests, blobs, tags.
    Delete,
    /// List all repositories.
    Catalog,
}

/// One right that a request needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The repository; empty for what concerns the whole registry.
    pub repository: String,
    /// What is done to it.
    pub action: Action,
}

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The other end's address.
    pub address: IpAddr,
    /// The common name of the client certificate that was verified.
    pub certificate_user: Option<Arc<str>>,
    /// Whether the connection is TLS.
    pub tls: bool,
}

impl Peer {
    /// A peer of a connection without TLS.
    pub fn plain(address: IpAddr) -> Peer {
        Peer { address, certificate_user: None, tls: false }
    }
}

/// Who was let in.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user's name; none for an anonymous one.
    pub user: Option<Arc<str>>,
}

impl Identity {
    /// Whether this request may do something: what mounting asks of the other repository.
    pub fn may(&self, _: &str, _: Action) -> bool {
        true
    }

    /// Whether a repository is shown in `_catalog`.
    pub fn sees(&self, _: &str) -> bool {
        true
    }
}

/// Why somebody was not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Nobody known (401), with the value of `WWW-Authenticate`.
    Unauthorized {
        /// The challenge.
        challenge: String,
    },
    /// Known, but may not (403).
    Forbidden,
    /// Too many failed attempts (429).
    Throttled {
        /// Seconds until the next one is looked at.
        retry_after: u64,
    },
}

/// Who is let in. A cheap clone.
#[derive(Debug, Clone)]
pub struct Gate;

impl Gate {
    /// A gate that keeps nobody from anything.
    pub fn open_to_all() -> Gate {
        Gate
    }

    /// Lets a request in.
    pub async fn admit(&self, _: &Parts, _: &Peer, _: &[Need]) -> Result<Identity, Denied> {
        Ok(Identity { user: None })
    }
}
