//! Who may do what. The vocabulary is pure; the gate acts.

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

/// Who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's name; none for an anonymous one.
    pub user: Option<Arc<str>>,
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
