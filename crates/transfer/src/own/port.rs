//! What the embedded registry has to say in what goes by rows, past its protocol: the same quotas, the same audit. Pure: a port;
//! whoever embeds it brings the other side.

use naru_errdefs::Fault;
use std::fmt;

/// What a push would bring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnMore {
    /// Bytes of members that the repository does not have.
    pub bytes: u64,
    /// Manifests and indexes among them.
    pub manifests: u64,
    /// Tags that it does not have.
    pub tags: u64,
}

/// What the registry keeps free for a push; dropped when it is recorded or given up.
#[derive(Default)]
pub struct OwnClaim(Option<Box<dyn Send>>);

impl fmt::Debug for OwnClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnClaim").field(&self.0.is_some()).finish()
    }
}

impl OwnClaim {
    /// A claim that something stands for.
    pub fn holding(held: impl Send + 'static) -> OwnClaim {
        OwnClaim(Some(Box::new(held)))
    }
}

/// The embedded registry.
pub trait OwnRegistry: fmt::Debug + Send + Sync {
    /// Whether a repository is one of another registry that is cached. Its rows are not all of it.
    fn is_cached(&self, repository: &str) -> bool;
    /// Whether a repository may take so much more, which is then kept free for it, or why not, with what to do.
    fn allow(&self, repository: &str, more: OwnMore) -> Result<OwnClaim, Fault>;
    /// A push came to its end, or was refused.
    fn pushed(&self, repository: &str, tag: &str, is_done: bool);
    /// A tag or digest was pulled.
    fn pulled(&self, repository: &str, reference: &str);
}
