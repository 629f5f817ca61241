//! Manifests and tags of the cache: what is here is served, what may be old is checked, what is missing is fetched.
//!
//! Acts: [`super::decide`] says what to do.

use super::decide::{Action, Heard, Known, Then, conclude, decide};
use super::figures::count;
use super::rows::Named;
use super::source::Source;
use super::{CacheError, Freshness, Place, Shared, blocking};
use crate::upstream::UpstreamManifest;
use naru_errdefs::{Failure as _, Kind};
use naru_oci::{Descriptor, Digest, Manifest, ManifestOrIndex, media_type};
use naru_store::{Batch, Member};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Longer documents are no manifests (distribution-spec, "Pushing manifests", asks for at least this much).
pub(super) const MANIFEST_LIMIT: usize = 4 << 20;
/// No manifest names more than this.
const MOST_NAMED: usize = 4096;
/// So many "no such thing" are remembered.
const MOST_MISSING: usize = 10_000;
/// How long storing a manifest may take before the collector may have it.
const STORE_TIME: Duration = Duration::from_secs(300);

/// A manifest of the cache; its bytes are in the store, and it is a member of its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedManifest {
    /// Media type, digest and length.
    pub descriptor: Descriptor,
    /// Whether it may be old.
    pub freshness: Freshness,
}

impl CachedManifest {
    fn fresh(descriptor: Descriptor) -> CachedManifest {
        CachedManifest { descriptor, freshness: Freshness::Fresh }
    }
}

/// What was asked for and is not there, and since when.
pub(super) type Missing = BTreeMap<String, u64>;

impl Shared {
    /// What is known of a reference, and what it means here.
    fn known(
        &self,
        place: &Place,
        reference: &str,
    ) -> Result<(Known, Option<Descriptor>), CacheError> {
        let repository = &place.repository;
        let here = match reference.parse::<Digest>() {
            Ok(digest) => {
                self.descriptor(repository, &digest)?.map(|found| (Known::Content, found))
            }
            Err(_) => match self.store.repositories.tag(repository, reference)? {
                // A tag whose manifest went is as good as none.
                Some(target) => self.descriptor(repository, &target.digest)?.map(|found| {
                    let checked = self.rows.checked(repository, reference);
                    (Known::Tag { checked: checked.map_or(0, |row| row.checked) }, found)
                }),
                None => None,
            },
        };
        if let Some((known, descriptor)) = here {
            return Ok((known, Some(descriptor)));
        }
        let since = self.missing().get(&key(repository, reference)).copied();
        Ok((since.map_or(Known::Nothing, |since| Known::Missing { since }), None))
    }

    /// A manifest that is a member of a repository and whose bytes are here.
    fn descriptor(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<Descriptor>, CacheError> {
        let Some(member) = self.store.repositories.member(repository, digest)? else {
            return Ok(None);
        };
        let Some(kind) = member.media_type.filter(|_| self.store.content.has(digest)) else {
            return Ok(None);
        };
        Ok(Some(Descriptor::new(kind, *digest, member.size)))
    }

    pub(super) async fn manifest(
        self: &Arc<Self>,
        place: &Place,
        reference: &str,
    ) -> Result<CachedManifest, CacheError> {
        let source = self.source(place)?;
        let (known, here) = self.known(place, reference)?;
        let answer = match (decide(self.now(), known, source.is_away(), &source.policy), here) {
            (Action::Serve, Some(here)) => {
                count(&source.counters.hits);
                CachedManifest::fresh(here)
            }
            (Action::ServeStale, Some(here)) => self.stale(&source, place, reference, here),
            (Action::SayMissing, _) => {
                count(&source.counters.hits);
                return Err(CacheError::missing(&place.repository, reference));
            }
            _ => {
                let (shared, place, name) = (Arc::clone(self), place.clone(), reference.to_owned());
                let key = key(&place.repository, reference);
                let renew = || async move { shared.renew(&place, &name).await };
                self.manifests.join(key, renew).await?
            }
        };
        let found = &answer.descriptor;
        self.rows.touch(&place.repository, &found.digest, found.size, self.now());
        Ok(answer)
    }

    /// Checks or fetches; one run for all who ask.
    async fn renew(
        self: &Arc<Self>,
        place: &Place,
        reference: &str,
    ) -> Result<CachedManifest, CacheError> {
        let source = self.source(place)?;
        // Somebody may have done it just before this run began.
        let (known, here) = self.known(place, reference)?;
        match (decide(self.now(), known, source.is_away(), &source.policy), here) {
            (Action::Serve, Some(here)) => Ok(CachedManifest::fresh(here)),
            (Action::Check | Action::ServeStale, Some(here)) => {
                let checked = if let Known::Tag { checked } = known { checked } else { 0 };
                self.check(&source, place, (reference, checked), here).await
            }
            _ => {
                count(&source.counters.misses);
                let fetched = self.fetch(&source, place, reference, reference).await;
                if fetched.as_ref().is_err_and(|error| error.kind() == Kind::NotFound) {
                    self.note_missing(&place.repository, reference);
                }
                fetched
            }
        }
    }

    /// Asks whether a tag still means what it means here.
    async fn check(
        self: &Arc<Self>,
        source: &Arc<Source>,
        place: &Place,
        (tag, checked): (&str, u64),
        here: Descriptor,
    ) -> Result<CachedManifest, CacheError> {
        let mut answer = source.manifest(&place.remote, tag, true).await;
        let heard = match &answer {
            Ok(said) if said.digest == here.digest => Heard::Same,
            Ok(_) => Heard::Other,
            Err(error) => heard(error),
        };
        let mut then = conclude(self.now(), checked, heard, &source.policy);
        if then == Then::Fetch
            && let Ok(said) = &answer
        {
            count(&source.counters.misses);
            match self.take_other(source, place, tag, said).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => {
                    // Gone between the two requests is trouble of the upstream, not an answer about the tag.
                    let heard = if error.kind() == Kind::NotFound {
                        Heard::Nothing
                    } else {
                        heard_of(&error)
                    };
                    then = conclude(self.now(), checked, heard, &source.policy);
                    answer = Err(error);
                }
            }
        }
        match (then, answer) {
            (Then::Refresh, _) => {
                count(&source.counters.hits);
                let mut batch = Batch::new();
                self.rows.note_check(&mut batch, &place.repository, tag, self.now());
                self.rows.commit(batch).await?;
                Ok(CachedManifest::fresh(here))
            }
            (Then::ServeStale, _) => Ok(self.stale(source, place, tag, here)),
            (Then::Forget, _) => {
                let mut batch = Batch::new();
                self.rows.forget_tag(&mut batch, &place.repository, tag);
                self.rows.commit(batch).await?;
                self.note_missing(&place.repository, tag);
                Err(CacheError::missing(&place.repository, tag))
            }
            (_, Err(error)) => Err(error),
            (_, Ok(_)) => Err(CacheError::new(Kind::Internal, "a check came to no end")),
        }
    }

    /// A tag means another digest now: points it there, fetching what is not here.
    async fn take_other(
        self: &Arc<Self>,
        source: &Arc<Source>,
        place: &Place,
        tag: &str,
        said: &UpstreamManifest,
    ) -> Result<CachedManifest, CacheError> {
        let Some(here) = self.descriptor(&place.repository, &said.digest)? else {
            return self.fetch(source, place, &said.digest.to_string(), tag).await;
        };
        let mut batch = Batch::new();
        batch.put_tag(&place.repository, tag, &here);
        self.rows.note_fetch(&mut batch, &place.repository, tag, self.now());
        self.rows.commit(batch).await?;
        Ok(CachedManifest::fresh(here))
    }

    /// Fetches a manifest, verifies and stores it, and lets a tag mean it.
    async fn fetch(
        self: &Arc<Self>,
        source: &Arc<Source>,
        place: &Place,
        wanted: &str,
        reference: &str,
    ) -> Result<CachedManifest, CacheError> {
        let manifest = source.manifest(&place.remote, wanted, false).await?;
        let document = verify(wanted, &manifest)
            .map_err(|what| source.lied(format!("{what} for `{}:{reference}`", place.remote)))?;
        let descriptor =
            Descriptor::new(document_type(&document, &manifest), manifest.digest, manifest.size);
        let tag = reference.parse::<Digest>().is_err().then(|| reference.to_owned());
        let (shared, repository, stored) =
            (Arc::clone(self), place.repository.clone(), descriptor.clone());
        let named = named(&document);
        let member = member(&document, &descriptor);
        let bytes = manifest.bytes.unwrap_or_default();
        blocking(move || {
            let lease = shared.store.leases.create(STORE_TIME);
            let mut ingest =
                shared.store.content.ingest_as(lease.id(), stored.digest.algorithm())?;
            ingest.write_all(&bytes).map_err(|error| shared.unwritable(&error))?;
            let now = shared.now();
            ingest.commit_with(Some(stored.digest), |_, batch| {
                batch.put_member(&repository, &stored.digest, &member);
                if let Some(tag) = &tag {
                    batch.put_tag(&repository, tag, &stored);
                    shared.rows.note_fetch(batch, &repository, tag, now);
                }
                let own = Named { size: stored.size, used: now };
                shared.rows.name(batch, &repository, &stored.digest, &own);
                for (digest, size) in &named {
                    if shared.rows.named(&repository, digest).is_none() {
                        let row = Named { size: *size, used: now };
                        shared.rows.name(batch, &repository, digest, &row);
                    }
                }
            })?;
            Ok(())
        })
        .await?;
        self.missing().remove(&key(&place.repository, reference));
        self.grown(descriptor.size);
        if let ManifestOrIndex::Index(index) = document {
            self.prefetch(source, place, &index);
        }
        Ok(CachedManifest::fresh(descriptor))
    }

    fn stale(&self, source: &Source, place: &Place, tag: &str, here: Descriptor) -> CachedManifest {
        count(&source.counters.stale);
        let checked = self.rows.checked(&place.repository, tag).map_or(0, |row| row.checked);
        let age = self.now().saturating_sub(checked);
        tracing::warn!(
            upstream = source.name,
            repository = place.repository,
            tag,
            age,
            "the upstream is away: serving what it said {age} s ago"
        );
        CachedManifest {
            descriptor: here,
            freshness: Freshness::Stale { upstream: source.name.clone(), age },
        }
    }

    pub(super) fn note_missing(&self, repository: &str, reference: &str) {
        let mut missing = self.missing();
        if missing.len() >= MOST_MISSING {
            // They are known for a moment only; somebody asks for many names that are not there.
            missing.clear();
        }
        missing.insert(key(repository, reference), self.now());
    }

    pub(super) fn is_missing(&self, source: &Source, repository: &str, reference: &str) -> bool {
        let since = self.missing().get(&key(repository, reference)).copied();
        since.is_some_and(|since| {
            decide(self.now(), Known::Missing { since }, false, &source.policy)
                == Action::SayMissing
        })
    }

    /// Our own disk's trouble.
    pub(super) fn unwritable(&self, error: &std::io::Error) -> CacheError {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Kind::ResourceExhausted
            }
            _ => Kind::Internal,
        };
        CacheError::new(
            kind,
            format!("cannot write into the store at `{}`: {error}", self.store.root().display()),
        )
        .with_hint("make space, or bound the cache with `max-size`")
    }
}

fn heard(error: &CacheError) -> Heard {
    match error.kind() {
        Kind::NotFound => Heard::Gone,
        _ => heard_of(error),
    }
}

fn heard_of(error: &CacheError) -> Heard {
    match error.kind() {
        Kind::Unauthorized | Kind::Forbidden => Heard::Refused,
        _ => Heard::Nothing,
    }
}

/// The name of a reference among all repositories.
pub(super) fn key(repository: &str, reference: &str) -> String {
    let separator = if reference.contains(':') { '@' } else { ':' };
    format!("{repository}{separator}{reference}")
}

/// Pure: whether an answer is what it says, and what was asked for; says what is wrong.
fn verify(wanted: &str, manifest: &UpstreamManifest) -> Result<ManifestOrIndex, String> {
    let bytes = manifest.bytes.as_ref().ok_or("gave no bytes")?;
    if bytes.len() > MANIFEST_LIMIT {
        return Err(format!("gave {} bytes as a manifest", bytes.len()));
    }
    if u64::try_from(bytes.len()).ok() != Some(manifest.size) {
        return Err(format!(
            "gave {} bytes of a manifest instead of {}",
            bytes.len(),
            manifest.size
        ));
    }
    let found = Digest::of_as(manifest.digest.algorithm(), bytes);
    let asked = wanted.parse::<Digest>().unwrap_or(manifest.digest);
    for promised in [manifest.digest, asked] {
        if promised != found {
            return Err(format!("gave a manifest with the digest {found} instead of {promised}"));
        }
    }
    let document = ManifestOrIndex::parse(bytes)
        .map_err(|error| format!("gave no manifest ({})", naru_errdefs::one_line(&error.into())))?;
    let count = named(&document).len();
    if count > MOST_NAMED {
        return Err(format!("gave a manifest that names {count} blobs, more than {MOST_NAMED}"));
    }
    Ok(document)
}

/// Pure: the media type that a document says it has; else the one it came with, if that fits.
fn document_type(document: &ManifestOrIndex, manifest: &UpstreamManifest) -> String {
    let said = &manifest.media_type;
    let (inside, fits, fallback) = match document {
        ManifestOrIndex::Manifest(document) => {
            (&document.media_type, media_type::is_manifest(said), media_type::OCI_MANIFEST)
        }
        ManifestOrIndex::Index(document) => {
            (&document.media_type, media_type::is_index(said), media_type::OCI_INDEX)
        }
    };
    inside.clone().unwrap_or_else(|| if fits { said.clone() } else { fallback.to_owned() })
}

/// Pure: what a document names, with lengths: config and layers, or manifests.
pub(super) fn named(document: &ManifestOrIndex) -> BTreeMap<Digest, u64> {
    let of = |descriptor: &Descriptor| (descriptor.digest, descriptor.size);
    match document {
        ManifestOrIndex::Manifest(manifest) => parts(manifest).map(of).collect(),
        ManifestOrIndex::Index(index) => index.manifests.iter().map(of).collect(),
    }
}

/// Pure: config and layers.
pub(super) fn parts(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    std::iter::once(&manifest.config).chain(&manifest.layers)
}

/// Pure: the row of a manifest in its repository.
fn member(document: &ManifestOrIndex, descriptor: &Descriptor) -> Member {
    let plain = Member::manifest(descriptor.media_type.clone(), descriptor.size);
    match document {
        ManifestOrIndex::Manifest(manifest) => Member {
            subject: manifest.subject.as_ref().map(|subject| subject.digest),
            artifact_type: manifest
                .artifact_type
                .clone()
                .or_else(|| Some(manifest.config.media_type.clone())),
            ..plain
        },
        ManifestOrIndex::Index(index) => {
            Member { subject: index.subject.as_ref().map(|subject| subject.digest), ..plain }
        }
    }
}
