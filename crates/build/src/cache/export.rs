//! Acts: what a build used and made, as a list for others: into the image's configuration, a registry, or the store.

use super::import::{fetch_blobs, progressing, vertex};
use super::list::{CONFIG_TYPE, List};
use crate::build::Shared;
use crate::event::{BuildEvent, BuildFailure};
use crate::options::{CacheExport, CacheTarget};
use crate::ports::CachePlace;
use crate::stage::Stage;
use naru_errdefs::{Fault, one_line};
use naru_oci::{ChainId, Descriptor, Digest, Manifest, Platform, media_type};
use naru_store::CachedStep;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long a cache waits in the store for the client that it is for.
const WAITS: Duration = Duration::from_secs(600);

/// Keys, and what they led to, by the number of the platform that they were used for.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<BTreeMap<(usize, String), CachedStep>>);

impl Noted {
    /// Notes what a vertex led to: under the key by content, and under others that mean the same content.
    pub(crate) fn note(&self, platform: usize, keys: &[String], step: &CachedStep) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut put = |key: &String, content_key: Option<String>| {
            noted.insert((platform, key.clone()), CachedStep { content_key, ..step.clone() });
        };
        let content = step.content_key.as_ref().or(keys.first());
        let Some(content) = content else { return };
        put(content, None);
        for key in keys.iter().filter(|key| *key != content) {
            put(key, Some(content.clone()));
        }
    }

    /// Forgets all, for a build that begins again.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// All of them, or those of a platform.
    fn list(&self, platform: Option<usize>) -> BTreeMap<String, CachedStep> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(known, _): &&(usize, String)| platform.is_none_or(|platform| platform == *known);
        let pairs = noted.iter().filter(|(key, _)| of(key));
        pairs.map(|((_, key), step)| (key.clone(), step.clone())).collect()
    }
}

/// The list for the configuration of one platform's image.
pub(crate) fn inline(
    shared: &Shared,
    platform: usize,
    stage: &Stage,
) -> Result<serde_json::Value, Fault> {
    let place = |blob: &Descriptor| {
        let at = stage.layers.iter().position(|layer| layer.digest == blob.digest)?;
        u32::try_from(at).ok()
    };
    let steps = shared.exports.list(Some(platform));
    serde_json::to_value(List::of(&steps, place)).map_err(encoding)
}

/// Writes the cache to everywhere that was asked for. Answers what the client takes from the store.
pub(crate) async fn export(
    shared: &Arc<Shared>,
    results: &[(Platform, Arc<Stage>)],
) -> Result<Option<Descriptor>, BuildFailure> {
    let mut taken = None;
    for export in &shared.options.cache_to {
        let name = match &export.target {
            CacheTarget::Registry(reference) => {
                format!("exporting cache to {}", reference.familiar())
            }
            CacheTarget::Content => "exporting cache to the client's directory".to_owned(),
        };
        let (id, started) = (shared.next_id(), Instant::now());
        shared.tell(vertex(id, name.clone())).await;
        let exported = one(shared, results, export, id).await;
        let took = started.elapsed();
        let error = exported.as_ref().err().map(one_line);
        shared.tell(BuildEvent::VertexDone { id, cached: false, took, result: None, error }).await;
        match exported {
            Ok(root) if export.target == CacheTarget::Content => taken = Some(root),
            Ok(_) => {}
            Err(fault) if export.ignore_error => {
                shared.warn("", format!("{name}: {}", one_line(&fault)), 0).await;
            }
            Err(fault) => return Err(fault.context(name).into()),
        }
    }
    Ok(taken)
}

async fn one(
    shared: &Arc<Shared>,
    results: &[(Platform, Arc<Stage>)],
    export: &CacheExport,
    id: u32,
) -> Result<Descriptor, Fault> {
    let steps = shared.exports.list(None);
    let in_result: BTreeSet<Digest> =
        results.iter().flat_map(|(_, stage)| &stage.layers).map(|layer| layer.digest).collect();
    let goes = |step: &CachedStep| {
        let (Some(layer), Some(chain)) = (&step.layer, &step.chain) else { return false };
        shared.imported.goes_along(chain) && (export.max || in_result.contains(&layer.blob.digest))
    };
    let going: Vec<&CachedStep> = steps.values().filter(|step| goes(step)).collect();
    let chains: Vec<ChainId> = going.iter().filter_map(|step| step.chain).collect();
    let reference = match &export.target {
        CacheTarget::Registry(reference) => Some(reference),
        CacheTarget::Content => None,
    };
    fetch_blobs(shared, &chains, reference, id).await?;
    let mut layers: Vec<Descriptor> = Vec::new();
    for layer in going.iter().filter_map(|step| step.layer.as_ref()) {
        if layers.iter().all(|known| known.digest != layer.blob.digest) {
            layers.push(layer.blob.clone());
        }
    }
    let place = |blob: &Descriptor| {
        u32::try_from(layers.iter().position(|layer| layer.digest == blob.digest)?).ok()
    };
    let list = serde_json::to_vec(&List::of(&steps, place)).map_err(encoding)?;
    let root = shared.blocking(move |shared| write(shared, &list, layers)).await?;
    match reference {
        Some(reference) => {
            let (sender, progress) = mpsc::channel(16);
            let place = CachePlace { reference, auth: &shared.options.registry_auth };
            let pushing = shared.inner.caches.push(place, &root, sender);
            tokio::join!(pushing, progressing(shared, id, progress)).0?;
        }
        None => {
            let held = root.digest;
            let keep = move |shared: &Shared| {
                let leases = &shared.inner.store.leases;
                let lease = leases.keep(&format!("build cache {held}"), WAITS)?;
                Ok(leases.hold_blob(&lease, &held)?)
            };
            shared.blocking(keep).await?;
        }
    }
    Ok(root)
}

/// Puts list and manifest into the store.
fn write(shared: &Shared, list: &[u8], layers: Vec<Descriptor>) -> Result<Descriptor, Fault> {
    let content = &shared.inner.store.content;
    let list = content.put(shared.lease.id(), list)?;
    let config = Descriptor::new(CONFIG_TYPE, list.digest, list.size);
    let bytes = serde_json::to_vec(&Manifest::oci(config, layers)).map_err(encoding)?;
    let blob = content.put(shared.lease.id(), &bytes)?;
    Ok(Descriptor::new(media_type::OCI_MANIFEST, blob.digest, blob.size))
}

fn encoding(error: serde_json::Error) -> Fault {
    Fault::internal("cannot encode a document").with_source(error)
}
