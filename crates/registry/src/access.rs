//! Who may do what. The vocabulary is pure; the [`Gate`] acts: it looks at a request's credentials and says who is asking, or
//! why nobody is let in.
//!
//! ```text
//! request ─▶ credentials ◆ ─▶ Basic: throttle ◆ ─▶ htpasswd (bcrypt, aside)   ─┐
//!                             Bearer: signature, audience, expiry ◆           ─┼▶ who ─▶ policy ◆ (and the token's grants) ─▶ Identity | Denied
//!                             client certificate: its common name ◆           ─┘
//! ```

pub mod audit;
mod config;
mod credentials;
mod der;
mod form;
mod gate;
mod grant;
mod htpasswd;
#[cfg(test)]
mod judge;
mod jwt;
pub(crate) mod pattern;
mod policy;
mod signing_key;
mod throttle;
pub mod tls;
mod token_endpoint;
mod token_request;
mod users;

pub use config::{AccessConfig, Challenge, PolicyRule, TokenConfig};
pub use gate::Gate;
pub use grant::{Grant, challenge_scope, parse_scope};
pub use policy::Policy;
pub(crate) use token_endpoint::TokenUser;
pub use token_endpoint::{LARGEST_TOKEN_BODY, TOKEN_PATH};

use std::net::IpAddr;
use std::sync::Arc;

/// What is done to a repository, or to the registry as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Read manifests, blobs, tags, referrers.
    Pull,
    /// Write manifests, blobs, tags.
    Push,
    /// Remove manifests, blobs, tags.
    Delete,
    /// List all repositories.
    Catalog,
    /// Collect, and see how much everybody holds.
    Admin,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 5] =
        [Action::Pull, Action::Push, Action::Delete, Action::Catalog, Action::Admin];

    /// Whether it concerns the registry as a whole, and no repository.
    pub const fn is_of_the_whole(self) -> bool {
        matches!(self, Action::Catalog | Action::Admin)
    }

    /// Its name in configuration files, audit lines and tokens' scopes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::Pull => "pull",
            Action::Push => "push",
            Action::Delete => "delete",
            Action::Catalog => "catalog",
            Action::Admin => "admin",
        }
    }
}

/// One right that a request needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The repository; empty for what concerns the whole registry.
    pub repository: String,
    /// What is done to it.
    pub action: Action,
}

impl Need {
    /// The right to do something to a repository.
    pub fn new(repository: impl Into<String>, action: Action) -> Need {
        Need { repository: repository.into(), action }
    }
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

/// Who was let in, and what else they may.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user's name; none for an anonymous one.
    pub user: Option<Arc<str>>,
    /// What the bearer token grants; none when no token was used.
    grants: Option<Arc<[Grant]>>,
    /// None: everybody may everything.
    policy: Option<Arc<Policy>>,
}

impl Identity {
    /// Anonymous, where nobody is kept from anything.
    pub fn unrestricted() -> Identity {
        Identity { user: None, grants: None, policy: None }
    }

    /// Whether this request may do something: what mounting asks of the other repository.
    pub fn may(&self, repository: &str, action: Action) -> bool {
        self.has_right(repository, action) && self.is_granted(repository, action)
    }

    /// Whether a repository is shown in `_catalog`: whoever asks may pull it, whatever the token at hand was made for.
    pub fn sees(&self, repository: &str) -> bool {
        self.has_right(repository, Action::Pull)
    }

    fn has_right(&self, repository: &str, action: Action) -> bool {
        self.policy
            .as_ref()
            .is_none_or(|policy| policy.allows(self.user.as_deref(), repository, action))
    }

    fn is_granted(&self, repository: &str, action: Action) -> bool {
        self.grants
            .as_ref()
            .is_none_or(|grants| grants.iter().any(|grant| grant.covers(repository, action)))
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
    Forbidden {
        /// Who; none for an anonymous one.
        user: Option<Arc<str>>,
    },
    /// Too many failed attempts (429).
    Throttled {
        /// Seconds until the next one is looked at.
        retry_after: u64,
    },
}

impl Denied {
    /// Whether it is about who is asking, and not about what they may.
    pub(crate) fn is_login(&self) -> bool {
        !matches!(self, Denied::Forbidden { .. })
    }

    /// Who was denied, when that is known.
    pub(crate) fn user(&self) -> Option<Arc<str>> {
        match self {
            Denied::Forbidden { user } => user.clone(),
            Denied::Unauthorized { .. } | Denied::Throttled { .. } => None,
        }
    }
}
