//! The ports through which others see and bound what the registry does. Pure.

use crate::access::Action;
use http::StatusCode;
use naru_oci::Digest;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Done {
    /// Which operation it was, of a bounded set (`manifest.put`), for figures.
    pub operation: &'static str,
    /// Who asked.
    pub user: Option<Arc<str>>,
    /// Whether it was refused at the door: nobody known, or too many attempts.
    pub is_login: bool,
    /// From where.
    pub peer: IpAddr,
    /// What was done, when it is known.
    pub action: Option<Action>,
    /// In which repository.
    pub repository: Option<String>,
    /// To which tag, digest or upload.
    pub reference: Option<String>,
    /// The manifest or blob that it came to.
    pub digest: Option<Digest>,
    /// The status of the answer; [`GONE`] when nobody waited for one.
    pub status: StatusCode,
    /// Bytes of the body that was received.
    pub received: u64,
    /// Bytes of the body that is sent, as far as its length is known.
    pub sent: u64,
    /// From the request's head to the answer's head.
    pub took: Duration,
}

/// The status of a request whose client went away before it was answered; what it asked for may be done all the same.
pub const GONE: u16 = 499;

/// Who is told of every request that was answered, or that nobody waited for; never waits.
pub trait Watch: Send + Sync {
    /// A request was answered.
    fn done(&self, done: &Done);
}

/// What a repository is asked to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct More {
    /// Bytes of new members.
    pub bytes: u64,
    /// New manifests.
    pub manifests: u64,
    /// New tags.
    pub tags: u64,
}

/// Who bounds what repositories hold.
pub trait Quota: Send + Sync {
    /// Whether a repository may take this much more; or why not.
    fn allow(&self, repository: &str, more: More) -> Result<(), String>;
}
