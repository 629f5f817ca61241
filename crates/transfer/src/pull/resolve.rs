//! Acts: from what a name means to the manifest for a platform.

use crate::layout::MOST_NESTED;
use crate::remote::{MANIFEST_LIMIT, RawManifest, Repository};
use naru_errdefs::Fault;
use naru_oci::{Descriptor, Digest, Manifest, ManifestOrIndex, Platform};
use naru_store::{Lease, Store};
use std::collections::BTreeMap;

/// The manifest that was found.
pub(super) struct Found {
    pub(super) descriptor: Descriptor,
    pub(super) manifest: Manifest,
    /// It and the indexes on the way to it, byte for byte.
    pub(super) documents: BTreeMap<Digest, Vec<u8>>,
}

/// Follows indexes to the manifest for a platform.
pub(super) async fn resolve(
    store: &Store,
    repository: &Repository,
    lease: &Lease,
    head: &Descriptor,
    platform: &Platform,
) -> Result<Found, Fault> {
    let mut documents = BTreeMap::new();
    let mut next = head.clone();
    for _ in 0..MOST_NESTED {
        lease.hold_blob(&next.digest)?;
        let raw = document(store, repository, &next).await?;
        let parsed = ManifestOrIndex::parse(&raw.bytes).map_err(|error| {
            Fault::from(error).context(format!("the manifest `{}` is not valid", next.digest))
        })?;
        documents.insert(raw.digest, raw.bytes.to_vec());
        match parsed {
            ManifestOrIndex::Manifest(manifest) => {
                return Ok(Found { descriptor: next, manifest: *manifest, documents });
            }
            ManifestOrIndex::Index(index) => {
                next = chosen(&index, platform).ok_or_else(|| {
                    let there: Vec<String> = index
                        .manifests
                        .iter()
                        .filter_map(|entry| entry.platform.as_ref())
                        .filter(|platform| platform.os != "unknown")
                        .map(ToString::to_string)
                        .collect();
                    Fault::not_found(format!(
                        "no matching manifest for {platform} in the manifest list entries"
                    ))
                    .with_hint(if there.is_empty() {
                        "the index names no platforms".to_owned()
                    } else {
                        format!("there are {}; choose one with `--platform`", there.join(", "))
                    })
                })?;
            }
        }
    }
    Err(Fault::invalid(format!(
        "the index `{}` is nested deeper than {MOST_NESTED} levels, or in a circle",
        head.digest
    )))
}

/// The entry for a platform; an index in the index when there is no manifest.
fn chosen(index: &naru_oci::Index, platform: &Platform) -> Option<Descriptor> {
    let nested = || {
        index.manifests.iter().find(|entry| {
            naru_oci::media_type::is_index(&entry.media_type)
                && entry.platform.as_ref().is_none_or(|there| there.serves(platform))
        })
    };
    index.choose(platform).or_else(nested).cloned()
}

/// A manifest from the store, or from the registry.
async fn document(
    store: &Store,
    repository: &Repository,
    descriptor: &Descriptor,
) -> Result<RawManifest, Fault> {
    if store.content.has(&descriptor.digest) {
        let bytes = store.content.read(&descriptor.digest, MANIFEST_LIMIT as u64)?;
        return Ok(RawManifest {
            media_type: descriptor.media_type.clone(),
            digest: descriptor.digest,
            bytes: bytes.into(),
        });
    }
    repository.manifest(&descriptor.digest.to_string()).await
}
