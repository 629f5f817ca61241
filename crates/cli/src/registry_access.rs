//! The way to a registry that is not a daemon's: a port, whose other side the binary brings (over the protocol, or on a store that no
//! process has open). The command line itself speaks to daemons only. Pure: a shape.

use naru_api_types::registry::AuthConfig;
use naru_errdefs::Fault;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where a registry is.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistryPlace {
    /// It listens there.
    Host {
        /// `host` or `host:port`.
        host: String,
        /// Plain HTTP and any certificate are fine.
        insecure: bool,
        /// Who we are to it.
        auth: AuthConfig,
    },
    /// It does not run; its content lies there.
    Root(PathBuf),
}

impl fmt::Debug for RegistryPlace {
    /// Never shows a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl RegistryPlace {
    /// As messages name it.
    pub fn shown(&self) -> String {
        match self {
            RegistryPlace::Host { host, .. } => host.clone(),
            RegistryPlace::Root(root) => root.display().to_string(),
        }
    }
}

/// What a tag means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagTarget {
    /// The digest of its manifest.
    pub digest: String,
    /// The manifest's media type.
    pub media_type: String,
}

/// How a registry is to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectRequest {
    /// Say only what would go.
    pub dry_run: bool,
    /// Manifests that no tag leads to go too.
    pub delete_untagged: bool,
    /// How long what nothing leads to stays; none is the registry's own bound, a day.
    pub grace: Option<Duration>,
}

/// A registry.
pub trait RegistryAccess: fmt::Debug {
    /// The names of its repositories.
    fn repositories(&self) -> Result<Vec<String>, Fault>;
    /// The tags of a repository.
    fn tags(&self, repository: &str) -> Result<Vec<String>, Fault>;
    /// What tags of a repository mean, in the same order.
    fn targets(&self, repository: &str, tags: &[String]) -> Vec<Result<TagTarget, Fault>>;
    /// Takes a tag, or a manifest by digest with its tags, away.
    fn remove(&self, repository: &str, reference: &str) -> Result<(), Fault>;
    /// Takes a repository away.
    fn remove_repository(&self, repository: &str) -> Result<(), Fault>;
    /// Collects, and gives the report as JSON.
    fn collect(&self, how: CollectRequest) -> Result<String, Fault>;
    /// What the repositories hold, as JSON.
    fn usage(&self) -> Result<String, Fault>;
}
