//! Pure: the port through which the pull-through cache reads other registries; the binary wires it to the transfer engine's client.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use naru_errdefs::Fault;
use naru_oci::Digest;
use std::future::Future;
use std::pin::Pin;

/// A future of an upstream.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// A blob's whole length, when the upstream tells, and its bytes from the offset on that was asked for.
pub type UpstreamBlob = (Option<u64>, BoxStream<'static, Result<Bytes, Fault>>);

/// What an upstream says of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamManifest {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes; none when only asked whether it is there (HEAD).
    pub bytes: Option<Bytes>,
    /// How long it is.
    pub size: u64,
}

/// Another registry, as this one reads it. Failures: `NotFound` (it says so), `Unauthorized`, `Forbidden`, `ResourceExhausted`
/// (rate limit), `Unavailable` (it is away, stalls, or answers nonsense).
pub trait Upstream: Send + Sync {
    /// A manifest by tag or digest; `head` asks for the descriptor alone.
    fn manifest<'a>(
        &'a self,
        repository: &'a str,
        reference: &'a str,
        head: bool,
    ) -> Answer<'a, UpstreamManifest>;

    /// A blob's bytes from an offset on, and its whole length when the upstream tells.
    fn blob<'a>(
        &'a self,
        repository: &'a str,
        digest: &'a Digest,
        offset: u64,
    ) -> Answer<'a, UpstreamBlob>;

    /// The tags of a repository.
    fn tags<'a>(&'a self, repository: &'a str) -> Answer<'a, Vec<String>>;
}

/// That an upstream asked for a pause (`Retry-After`). It travels as a cause of the [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("asked to come back after {seconds} s")]
pub struct RetryAfter {
    /// Seconds to wait.
    pub seconds: u64,
}

/// The pause that is asked for somewhere in the causes of a fault, in seconds.
pub fn retry_after(fault: &Fault) -> Option<u64> {
    let mut cause = fault.cause();
    while let Some(error) = cause {
        if let Some(asked) = error.downcast_ref::<RetryAfter>() {
            return Some(asked.seconds);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_errdefs::Kind;

    #[test]
    fn a_pause_is_found_below_what_was_attempted() {
        let fault = Fault::new(Kind::ResourceExhausted, "toomanyrequests")
            .with_source(RetryAfter { seconds: 7 })
            .context("cannot fetch the blob")
            .context("cannot fill the cache");
        assert_eq!(retry_after(&fault), Some(7));
        assert_eq!(retry_after(&Fault::not_found("no")), None);
    }
}
