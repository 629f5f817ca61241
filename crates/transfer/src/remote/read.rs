//! Acts: what is read from a repository: manifests, blobs from any offset, tags.

use super::endpoint::Endpoint;
use super::refusal;
use super::transport::{collect_body, transport_fault};
use super::wire::{Answer, Call, Payload, Repository};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, unfold};
use naru_errdefs::{Fault, Kind};
use naru_oci::{Descriptor, Digest, Digester, ManifestOrIndex, media_type};
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderName, RANGE};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longer documents are no manifests; registries have the same bound.
pub const MANIFEST_LIMIT: usize = 4 << 20;
/// No repository has more.
const MOST_TAGS: usize = 1_000_000;

/// A manifest or index, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// Its media type.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Bytes,
}

impl RawManifest {
    /// As others refer to it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.bytes.len() as u64)
    }
}

/// A blob on its way.
pub struct BlobStream {
    /// The length of the whole blob, when the registry tells.
    pub total: Option<u64>,
    /// Where the stream begins: what was asked for, or zero when the registry gives no ranges.
    pub start: u64,
    /// Its bytes; a failure is the last item. A stalled connection is a failure.
    pub bytes: BoxStream<'static, Result<Bytes, Fault>>,
}

impl std::fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobStream")
            .field("total", &self.total)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

/// Every kind of manifest that we understand.
fn accepted() -> Vec<(HeaderName, String)> {
    let all = [
        media_type::OCI_INDEX,
        media_type::OCI_MANIFEST,
        media_type::DOCKER_LIST,
        media_type::DOCKER_MANIFEST,
    ];
    vec![(ACCEPT, all.join(", "))]
}

impl Repository {
    fn reading<'a>(
        &self,
        attempt: &'a str,
        method: Method,
        target: &'a str,
        headers: Vec<(HeaderName, String)>,
    ) -> Call<'a> {
        Call {
            attempt,
            method,
            target,
            headers,
            payload: Payload::None,
            scopes: self.scope("pull"),
            attempts: self.shared.attempts(),
            follow: true,
        }
    }

    /// Asks every server in turn; a mirror's failure is the next one's turn.
    async fn ask(&self, call: &Call<'_>) -> Result<(Endpoint, Answer), Fault> {
        let mut last = None;
        for endpoint in self.endpoints(true)? {
            let answer = self.send(&endpoint, call).await;
            match answer {
                Ok(answer) if endpoint.is_mirror && !answer.response.status().is_success() => {
                    tracing::debug!(mirror = %endpoint.host, status = answer.status(), "cannot {}", call.attempt);
                }
                Err(fault) if endpoint.is_mirror => {
                    tracing::warn!(mirror = %endpoint.host, error = %naru_errdefs::one_line(&fault), "a mirror fails");
                }
                answer => {
                    last = Some(answer.map(|answer| (endpoint, answer)));
                    break;
                }
            }
        }
        last.unwrap_or_else(|| Err(Fault::internal("no server to ask")))
    }

    /// A failure to read, in docker's words where it has some.
    async fn unreadable(&self, reference: &str, answer: Answer, attempt: &str) -> Fault {
        let status = answer.status();
        let separator = if reference.contains(':') { '@' } else { ':' };
        let shown = format!("{}{separator}{reference}", self.familiar());
        if !matches!(status, 401 | 403 | 404) {
            return answer.refuse(attempt, self.patience()).await;
        }
        let host = answer.host.clone();
        let body = collect_body(answer.response, refusal::BODY_LIMIT, self.patience().stall, &host)
            .await
            .unwrap_or_default();
        let said = refusal::words(&body).map(|said| format!(": {said}")).unwrap_or_default();
        match status {
            404 => Fault::not_found(format!("manifest for {shown} not found{said}"))
                .with_hint("see which tags there are, and how the name is spelt"),
            _ => Fault::new(
                refusal::kind_of(status),
                format!(
                    "pull access denied for {}, repository does not exist or may require 'docker login'{said}",
                    self.familiar()
                ),
            )
            .with_hint(format!(
                "log in with `naru login{}`",
                refusal::login_words(&self.registry)
            )),
        }
    }

    /// The name as people write it.
    pub(crate) fn familiar(&self) -> String {
        familiar(&self.registry, &self.name)
    }

    /// What a tag or digest means, without its bytes when the registry can tell without them.
    pub async fn manifest_head(&self, reference: &str) -> Result<Descriptor, Fault> {
        let target = format!("/v2/{}/manifests/{reference}", self.name);
        let call = self.reading("ask for the manifest", Method::HEAD, &target, accepted());
        let (_, answer) = self.ask(&call).await?;
        let digest =
            answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        let size = answer.header("content-length").and_then(|text| text.parse::<u64>().ok());
        let kind = media_type_of(&answer);
        if answer.status() == 200
            && let (Some(digest), Some(size), Some(kind)) = (digest, size, kind)
            && (media_type::is_manifest(&kind) || media_type::is_index(&kind))
        {
            return Ok(Descriptor::new(kind, digest, size));
        }
        // A refusal of HEAD has no body that says why, and some registries do not say the digest.
        Ok(self.manifest(reference).await?.descriptor())
    }

    /// A manifest or index by tag or digest. Its bytes have the digest that was asked for, and are of a kind that we know.
    pub async fn manifest(&self, reference: &str) -> Result<RawManifest, Fault> {
        let target = format!("/v2/{}/manifests/{reference}", self.name);
        let call = self.reading("fetch the manifest", Method::GET, &target, accepted());
        let mut failed = 0;
        loop {
            let (_, answer) = self.ask(&call).await?;
            if answer.status() != 200 {
                return Err(self.unreadable(reference, answer, call.attempt).await);
            }
            match self.take_manifest(reference, answer).await {
                // The connection broke in the middle of it.
                Err(fault)
                    if fault.kind() == Kind::Unavailable && failed + 1 < self.shared.attempts() =>
                {
                    failed += 1;
                    self.shared.pause(failed, None).await;
                }
                taken => return taken,
            }
        }
    }

    async fn take_manifest(&self, reference: &str, answer: Answer) -> Result<RawManifest, Fault> {
        let asked: Option<Digest> = reference.parse().ok();
        let said =
            answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        let kind = media_type_of(&answer);
        let host = answer.host.clone();
        let bytes =
            collect_body(answer.response, MANIFEST_LIMIT, self.patience().stall, &host).await?;
        let expected = asked.or(said);
        let algorithm = expected.map_or(naru_oci::Algorithm::Sha256, |digest| digest.algorithm());
        let digest = Digest::of_as(algorithm, &bytes);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(Fault::new(
                Kind::DataLoss,
                format!("`{host}` gave a manifest with the digest {digest} instead of {expected}"),
            )
            .with_hint("the registry, or somebody between it and us, changes what it serves"));
        }
        let document = ManifestOrIndex::parse(&bytes).map_err(|error| {
            Fault::from(error).context(format!("`{host}` gave no valid manifest for `{reference}`"))
        })?;
        let inside = match &document {
            ManifestOrIndex::Manifest(manifest) => manifest.media_type.clone(),
            ManifestOrIndex::Index(index) => index.media_type.clone(),
        };
        let is_known = |kind: &String| media_type::is_manifest(kind) || media_type::is_index(kind);
        let media_type = inside.or(kind.filter(is_known)).unwrap_or_else(|| {
            match &document {
                ManifestOrIndex::Manifest(_) => media_type::OCI_MANIFEST,
                ManifestOrIndex::Index(_) => media_type::OCI_INDEX,
            }
            .to_owned()
        });
        Ok(RawManifest { media_type, digest, bytes: bytes.into() })
    }

    /// A blob from an offset on. The bytes are not verified: whoever stores them does.
    pub async fn blob(&self, digest: &Digest, offset: u64) -> Result<BlobStream, Fault> {
        let target = format!("/v2/{}/blobs/{digest}", self.name);
        let mut headers = Vec::new();
        if offset > 0 {
            headers.push((RANGE, format!("bytes={offset}-")));
        }
        let call = self.reading("fetch the blob", Method::GET, &target, headers);
        let (_, answer) = self.ask(&call).await?;
        let (start, total) = match answer.status() {
            200 => (0, answer.header("content-length").and_then(|text| text.parse().ok())),
            206 => {
                let range = answer.header("content-range").and_then(content_range);
                let Some((start, total)) = range.filter(|(start, _)| *start <= offset) else {
                    return Err(Fault::new(
                        Kind::Unavailable,
                        format!(
                            "`{}` gave another part of the blob {digest} than asked for",
                            answer.host
                        ),
                    ));
                };
                (start, total)
            }
            // What is there of it is no beginning of what is there: it is fetched from the start.
            416 if offset > 0 => {
                return Err(Fault::new(
                    Kind::DataLoss,
                    format!("`{}` has no bytes of the blob {digest} from {offset} on", answer.host),
                ));
            }
            404 => {
                let host = answer.host.clone();
                return Err(Fault::not_found(format!(
                    "`{host}` has no blob {digest} in `{}`",
                    self.name
                ))
                .with_source(answer.refuse(call.attempt, self.patience()).await)
                .with_hint("the image is not complete at the registry; push it again"));
            }
            _ => return Err(answer.refuse(call.attempt, self.patience()).await),
        };
        let (host, stall) = (answer.host, self.patience().stall);
        let (shared, own) = (Arc::clone(&self.shared), self.limiter.clone());
        let bytes = unfold(Some(answer.response), move |response| {
            let (host, shared, own) = (host.clone(), Arc::clone(&shared), own.clone());
            async move {
                let mut response = response?;
                let fault = match tokio::time::timeout(stall, response.chunk()).await {
                    Ok(Ok(None)) => return None,
                    Ok(Ok(Some(chunk))) => {
                        for limiter in shared.limiter.iter().chain(&own) {
                            limiter.pass(chunk.len()).await;
                        }
                        return Some((Ok(chunk), Some(response)));
                    }
                    Ok(Err(error)) => transport_fault("fetch the blob", &host, error),
                    Err(_) => Fault::new(
                        Kind::Unavailable,
                        format!("`{host}` sent nothing for {} s", stall.as_secs()),
                    ),
                };
                Some((Err(fault), None))
            }
        });
        Ok(BlobStream { total, start, bytes: bytes.boxed() })
    }

    /// A small blob, whole and verified.
    pub async fn small_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Fault> {
        if descriptor.size > MANIFEST_LIMIT as u64 {
            return Err(Fault::invalid(format!(
                "the blob {} has {} bytes, more than the {MANIFEST_LIMIT} of a document",
                descriptor.digest, descriptor.size
            )));
        }
        let mut failed = 0;
        loop {
            let read = self.small_blob_once(descriptor).await;
            match read {
                Err(fault)
                    if matches!(fault.kind(), Kind::Unavailable | Kind::DataLoss)
                        && failed + 1 < self.shared.attempts() =>
                {
                    failed += 1;
                    self.shared.pause(failed, None).await;
                }
                read => return read,
            }
        }
    }

    async fn small_blob_once(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Fault> {
        let mut stream = self.blob(&descriptor.digest, 0).await?;
        let mut bytes = Vec::new();
        let mut digester = Digester::new(descriptor.digest.algorithm());
        while let Some(chunk) = stream.bytes.next().await {
            let chunk = chunk?;
            digester.update(&chunk);
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > descriptor.size {
                break;
            }
        }
        if (bytes.len() as u64) < descriptor.size {
            return Err(Fault::new(
                Kind::Unavailable,
                format!("the blob {} ended early", descriptor.digest),
            ));
        }
        let found = digester.finish();
        if bytes.len() as u64 != descriptor.size || found != descriptor.digest {
            return Err(Fault::new(
                Kind::DataLoss,
                format!(
                    "`{}` gave a blob with the digest {found} instead of {}",
                    self.registry, descriptor.digest
                ),
            )
            .with_hint("the registry, or somebody between it and us, changes what it serves"));
        }
        Ok(bytes)
    }

    /// All tags, as the registry orders them.
    pub async fn tags(&self) -> Result<Vec<String>, Fault> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let mut target = format!("/v2/{}/tags/list", self.name);
        let mut tags = Vec::new();
        let mut asked = BTreeSet::new();
        loop {
            if !asked.insert(target.clone()) {
                return Err(Fault::new(
                    Kind::Unavailable,
                    format!("the list of tags of `{}` leads in a circle", self.familiar()),
                ));
            }
            let call = self.reading("list the tags", Method::GET, &target, Vec::new());
            let (_, answer) = self.ask(&call).await?;
            if answer.status() != 200 {
                let status = answer.status();
                let fault = answer.refuse(call.attempt, self.patience()).await;
                return Err(match status {
                    401 | 403 | 404 => Fault::new(
                        refusal::kind_of(status),
                        format!(
                            "pull access denied for {}, repository does not exist or may require 'docker login'",
                            self.familiar()
                        ),
                    )
                    .with_source(fault),
                    _ => fault,
                });
            }
            let (body, next) = self.take_page(answer).await?;
            let page: Page = serde_json::from_slice(&body).map_err(|error| {
                let said = format!("`{}` gave no list of tags", self.registry);
                Fault::new(Kind::Unavailable, said).with_source(error)
            })?;
            let page = page.tags.unwrap_or_default();
            let is_last = page.is_empty();
            tags.extend(page);
            let Some(next) = next.filter(|_| !is_last && tags.len() < MOST_TAGS) else {
                return Ok(tags);
            };
            target = next;
        }
    }
}

/// The name of a repository as people write it.
pub(crate) fn familiar(registry: &str, repository: &str) -> String {
    format!("{registry}/{repository}")
        .parse::<naru_oci::Reference>()
        .map_or_else(|_| repository.to_owned(), |name| name.familiar_name())
}

fn media_type_of(answer: &Answer) -> Option<String> {
    let text = answer.header("content-type")?;
    Some(text.split(';').next().unwrap_or_default().trim().to_owned())
}

/// Start and whole length of a `Content-Range`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("5-9/10"), None);
    }
}
