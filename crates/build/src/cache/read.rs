//! Acts: reads what other caches say: from images that are here, from registries, from what a client has brought.

use super::list::{CONFIG_TYPE, Entry, INLINE, List};
use crate::build::Shared;
use crate::options::CacheSource;
use crate::ports::CachePlace;
use naru_errdefs::{Fault, Kind};
use naru_oci::{Config, Descriptor, Digest, Manifest, ManifestOrIndex, Reference, media_type};
use std::collections::BTreeMap;

/// The longest document that is read.
const MAX_DOCUMENT: u64 = 4 << 20;
/// Manifests of one cache that are looked at.
const MOST_MANIFESTS: usize = 64;
/// How BuildKit calls the list of its caches, in each version.
const BUILDKIT: &str = "application/vnd.buildkit.cacheconfig.";

/// A cache that was read.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// As the build named it.
    pub(super) name: String,
    /// Where its layers are; in the store when absent.
    pub(super) place: Option<Reference>,
    /// Keys, and what they led to.
    pub(super) entries: BTreeMap<String, Entry>,
    /// Its layers.
    pub(super) layers: Vec<Descriptor>,
    /// Images, for what their history tells.
    pub(super) images: Vec<(Config, Manifest)>,
    /// Whether it is an image that is here, whose layers were compared with its configuration when it came.
    pub(super) is_proven: bool,
    /// Whether BuildKit wrote it.
    pub(super) is_foreign: bool,
}

/// Where documents are read.
enum Reader<'a> {
    Here(&'a Shared),
    There(&'a Shared, CachePlace<'a>),
}

impl Reader<'_> {
    async fn manifest(&self, digest: Digest) -> Result<Vec<u8>, Fault> {
        match self {
            Reader::Here(shared) => Ok(here(shared, &digest)?),
            Reader::There(shared, place) => {
                Ok(shared.inner.caches.manifest(*place, Some(digest)).await?.1)
            }
        }
    }

    async fn document(&self, blob: &Descriptor) -> Result<Vec<u8>, Fault> {
        match self {
            Reader::Here(shared) => Ok(here(shared, &blob.digest)?),
            Reader::There(shared, place) => shared.inner.caches.document(*place, blob).await,
        }
    }
}

fn here(shared: &Shared, digest: &Digest) -> Result<Vec<u8>, Fault> {
    shared.lease.hold_blob(digest)?;
    Ok(shared.inner.store.content.read(digest, MAX_DOCUMENT)?)
}

/// Reads a cache.
pub(super) async fn read(shared: &Shared, source: &CacheSource) -> Result<Known, Fault> {
    match source {
        CacheSource::Content(digest) => {
            let bytes = here(shared, digest)?;
            let known = Known { name: digest.to_string(), ..Known::default() };
            walk(&Reader::Here(shared), known, bytes).await
        }
        CacheSource::Name(name) => match image(shared, name).await? {
            Some(known) => Ok(known),
            None => there(shared, &name.parse::<Reference>()?.or_latest()).await,
        },
        CacheSource::Registry(reference) => match there(shared, reference).await {
            Err(fault) if matches!(fault.kind(), Kind::NotFound | Kind::Unavailable) => {
                image(shared, &reference.to_string()).await?.ok_or(fault)
            }
            read => read,
        },
    }
}

/// An image that is here.
async fn image(shared: &Shared, name: &str) -> Result<Option<Known>, Fault> {
    let found = match shared.inner.store.images.resolve(name) {
        Ok(image) => image.record,
        Err(error) => {
            let fault = Fault::from(error);
            return if fault.kind() == Kind::NotFound { Ok(None) } else { Err(fault) };
        }
    };
    shared.lease.hold_blob(&found.target.digest)?;
    let bytes = here(shared, &found.manifest)?;
    let known = Known { name: name.to_owned(), is_proven: true, ..Known::default() };
    walk(&Reader::Here(shared), known, bytes).await.map(Some)
}

/// A name at its registry.
async fn there(shared: &Shared, reference: &Reference) -> Result<Known, Fault> {
    let place = CachePlace { reference, auth: &shared.options.registry_auth };
    let (_, bytes) = shared.inner.caches.manifest(place, None).await?;
    let known =
        Known { name: reference.to_string(), place: Some(reference.clone()), ..Known::default() };
    walk(&Reader::There(shared, place), known, bytes).await
}

/// Looks at a manifest, and at those of an index.
async fn walk(reader: &Reader<'_>, mut known: Known, root: Vec<u8>) -> Result<Known, Fault> {
    let index = match ManifestOrIndex::parse(&root)? {
        ManifestOrIndex::Manifest(manifest) => {
            take(reader, &mut known, *manifest).await?;
            return Ok(known);
        }
        ManifestOrIndex::Index(index) => index,
    };
    for entry in index.manifests.iter().take(MOST_MANIFESTS) {
        if entry.media_type.starts_with(BUILDKIT) {
            known.is_foreign = true;
        }
        // What is about another manifest of the index is no image.
        let is_image = entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown");
        if media_type::is_manifest(&entry.media_type) && is_image {
            let bytes = reader.manifest(entry.digest).await?;
            if let ManifestOrIndex::Manifest(manifest) = ManifestOrIndex::parse(&bytes)? {
                take(reader, &mut known, *manifest).await?;
            }
        }
    }
    Ok(known)
}

/// Takes the keys of one manifest.
async fn take(reader: &Reader<'_>, known: &mut Known, manifest: Manifest) -> Result<(), Fault> {
    let kind = manifest.config.media_type.as_str();
    if kind.starts_with(BUILDKIT) {
        known.is_foreign = true;
        return Ok(());
    }
    if kind == CONFIG_TYPE {
        let list = List::parse(&reader.document(&manifest.config).await?)?;
        add(known, list, &manifest);
        return Ok(());
    }
    if !media_type::is_config(kind) {
        return Ok(());
    }
    let bytes = reader.document(&manifest.config).await?;
    let mut config: Config = serde_json::from_slice(&bytes).map_err(|error| {
        Fault::invalid("the configuration of an image is damaged").with_source(error)
    })?;
    if let Some(list) = config.other.remove(INLINE) {
        let mut list = List::parse(list.to_string().as_bytes())?;
        for entry in list.entries.values_mut() {
            // The configuration says what its layers are.
            let at = entry.layer.and_then(|at| usize::try_from(at).ok());
            let said = at.and_then(|at| config.rootfs.diff_ids.get(at));
            entry.layer = entry.layer.filter(|_| said.is_some() && said == entry.diff_id.as_ref());
        }
        add(known, list, &manifest);
    }
    known.images.push((config, manifest));
    Ok(())
}

/// Adds the keys of a list; what is known already stays.
fn add(known: &mut Known, list: List, manifest: &Manifest) {
    let before = known.layers.len();
    for (key, mut entry) in list.entries {
        let place = entry.layer.and_then(|at| usize::try_from(at).ok());
        let layer = place.and_then(|at| manifest.layers.get(at));
        let fits = layer.is_some_and(|layer| media_type::is_layer(&layer.media_type));
        entry.layer =
            place.filter(|_| fits).and_then(|at| u32::try_from(at.saturating_add(before)).ok());
        match known.entries.get(&key) {
            Some(there) if there.layer.is_some() || entry.layer.is_none() => {}
            Some(_) | None => drop(known.entries.insert(key, entry)),
        }
    }
    known.layers.extend(manifest.layers.iter().cloned());
}
