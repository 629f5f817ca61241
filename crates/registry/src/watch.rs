//! The ports through which others see and bound what the registry does. Pure.

use crate::access::Action;
use http::StatusCode;
use naru_oci::Digest;
use std::fmt;
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
    /// Bytes of the body that were taken, whatever was announced.
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

/// What somebody is about to bring.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// How much more there is then, altogether.
    pub more: More,
    /// The blob or manifest that it is, when that is known: once it is a member, it is nothing new any more.
    pub digest: Option<Digest>,
    /// Tags that it gets; those that are there are nothing new.
    pub tags: Vec<String>,
    /// The upload session that it comes through, whose bytes are among it.
    pub upload: Option<String>,
}

/// What somebody holds of a quota until it is recorded; given back when it is dropped.
#[derive(Default)]
pub struct Claim(Option<(u64, Box<dyn Send + Sync>)>);

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.number()).finish()
    }
}

impl Claim {
    /// By what number it is known to the quota; none before anything was claimed.
    pub fn number(&self) -> Option<u64> {
        self.0.as_ref().map(|(number, _)| *number)
    }

    /// Holds what gives the claim of a number back when it is dropped, unless it is held already.
    pub fn hold(&mut self, number: u64, held: impl FnOnce() -> Box<dyn Send + Sync>) {
        self.0.get_or_insert_with(|| (number, held()));
    }
}

/// Who bounds what repositories hold.
pub trait Quota: Send + Sync {
    /// Claims that a repository takes this much more, in place of what is claimed already; or says why not, and leaves that.
    fn claim(&self, repository: &str, news: &News, held: &mut Claim) -> Result<(), String>;
}
