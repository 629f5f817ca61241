//! The port through which the pull-through cache reads other registries; the binary wires it to the transfer engine's client.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use naru_errdefs::Fault;
use naru_oci::Digest;
use std::future::Future;
use std::pin::Pin;

/// A future of an upstream.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

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
    ) -> Answer<'a, (Option<u64>, BoxStream<'static, Result<Bytes, Fault>>)>;

    /// The tags of a repository.
    fn tags<'a>(&'a self, repository: &'a str) -> Answer<'a, Vec<String>>;
}
