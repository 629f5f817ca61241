//! Acts: configuration, manifest and names of what was built, recorded in one step.

use crate::attest::{self, About};
use crate::build::Shared;
use crate::event::{BuildEvent, BuildFailure, Built};
use crate::key::KeyMaker;
use crate::stage::Stage;
use naru_errdefs::Fault;
use naru_oci::{Config, Descriptor, Digest, ImageId, Index, Manifest, Platform, media_type};
use naru_store::{Batch, CachedStep, ImageRecord, Store};
use std::sync::Arc;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970 as the specification writes times.
pub(crate) fn rfc3339(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// The other way round; 0 for what is no time.
pub(crate) fn seconds(text: &str) -> u64 {
    let time = OffsetDateTime::parse(text, &Rfc3339);
    time.ok().and_then(|time| u64::try_from(time.unix_timestamp()).ok()).unwrap_or_default()
}

/// Records what was built.
pub(crate) async fn assemble(
    shared: &Arc<Shared>,
    results: Vec<(Platform, Arc<Stage>)>,
) -> Result<Built, BuildFailure> {
    let (mut built, notes) = shared.blocking(move |shared| record(shared, &results)).await?;
    for note in notes {
        shared.warn("", note, 0).await;
    }
    built.warnings = shared.warnings();
    for tag in &shared.options.tags {
        shared.tell(BuildEvent::Tagged(tag.clone())).await;
    }
    Ok(built)
}

struct Image {
    record: ImageRecord,
    manifest: Descriptor,
}

fn record(
    shared: &Shared,
    results: &[(Platform, Arc<Stage>)],
) -> Result<(Built, Vec<String>), Fault> {
    let mut batch = Batch::new();
    let mut images = Vec::new();
    for (index, (platform, stage)) in results.iter().enumerate() {
        images.push((platform, image(shared, index, stage, &mut batch)?));
    }
    let host = Platform::host();
    let chosen = images
        .iter()
        .find(|(platform, _)| platform.serves(&host))
        .or(images.first())
        .ok_or_else(|| Fault::internal("a build made nothing"))?;
    let mut target = chosen.1.manifest.clone();
    let mut notes = Vec::new();
    let mut documents = Vec::new();
    for ((_, stage), (platform, image)) in results.iter().zip(&images) {
        let created = image.record.created.as_deref().unwrap_or_default();
        let about = About { platform, stage, manifest: &image.manifest, created };
        documents.extend(attest::attach(shared, &about, &mut notes)?);
    }
    if images.len() > 1 || !documents.is_empty() {
        let manifests = images.iter().map(|(platform, image)| Descriptor {
            platform: Some((*platform).clone()),
            ..image.manifest.clone()
        });
        let index = Index::oci(manifests.chain(documents).collect());
        let bytes = encode(&index)?;
        let blob = shared.inner.store.content.put(shared.lease.id(), &bytes)?;
        target = Descriptor::new(media_type::OCI_INDEX, blob.digest, blob.size);
    }
    let record = ImageRecord { target: target.clone(), ..chosen.1.record.clone() };
    let is_new = shared.inner.store.images.by_id(&record.image_id)?.is_none();
    if !is_recorded(shared, &record)? {
        batch.put_image(&record);
        for tag in &shared.options.tags {
            batch.put_name(tag, &record);
        }
    }
    if !batch.is_empty() {
        shared.inner.store.commit(batch)?;
    }
    let built = Built {
        image: record.image_id,
        target,
        manifest: record.manifest,
        size: record.size,
        warnings: Vec::new(),
        is_new,
        all_cached: results.iter().all(|(_, stage)| stage.cached),
        cache: None,
    };
    Ok((built, notes))
}

/// Whether all names mean this very image already: then there is nothing to write, and no disk to wait for.
fn is_recorded(shared: &Shared, record: &ImageRecord) -> Result<bool, Fault> {
    for tag in &shared.options.tags {
        let same = shared
            .inner
            .store
            .images
            .get(tag)?
            .is_some_and(|there| ImageRecord { added: record.added, ..there } == *record);
        if !same {
            return Ok(false);
        }
    }
    Ok(!shared.options.tags.is_empty())
}

fn image(shared: &Shared, index: usize, stage: &Stage, batch: &mut Batch) -> Result<Image, Fault> {
    let store = &shared.inner.store;
    let mut config = stage.config.clone();
    config.config.labels.extend(shared.options.labels.clone());
    let made = times(shared, index, stage, &mut config, batch)?;
    if shared.options.inline_cache {
        let list = crate::cache::inline(shared, index, stage)?;
        config.other.insert(crate::cache::INLINE.to_owned(), list);
    }
    let bytes = encode(&config)?;
    let blob = store.content.put(shared.lease.id(), &bytes)?;
    let described = Descriptor::new(media_type::OCI_CONFIG, blob.digest, blob.size);
    let mut manifest = Manifest::oci(described, stage.layers.clone());
    manifest.annotations = shared.options.annotations.clone();
    let bytes = encode(&manifest)?;
    let target = store.content.put(shared.lease.id(), &bytes)?;
    let manifest = Descriptor::new(media_type::OCI_MANIFEST, target.digest, target.size);
    Ok(Image {
        record: ImageRecord {
            target: manifest.clone(),
            manifest: target.digest,
            image_id: ImageId(blob.digest),
            config: blob.digest,
            chain: stage.chain,
            size: size(store, stage)?,
            created: Some(made),
            platform: Some(config.platform()),
            parent: None,
            added: shared.now,
        },
        manifest,
    })
}

/// Unpacked bytes of all layers, as they are here: what caches say of theirs is not believed.
fn size(store: &Store, stage: &Stage) -> Result<u64, Fault> {
    let (mut size, mut next) = (0, stage.chain);
    while let Some(chain) = next {
        let found = store.snapshots.get(&chain)?;
        size += found.size;
        next = found.parent;
    }
    Ok(size)
}

/// Fills in times. What a cached layer says stays, so that the same input makes the same image; an image without new layers
/// has the time at which it was made first. Answers when the image was made.
fn times(
    shared: &Shared,
    index: usize,
    stage: &Stage,
    config: &mut Config,
    batch: &mut Batch,
) -> Result<String, Fault> {
    let has_layer = config.history.iter().skip(stage.inherited).any(|line| line.created.is_some());
    let epoch = shared.options.source_date_epoch.map(rfc3339);
    let first = match &epoch {
        Some(epoch) => epoch.clone(),
        None if has_layer => String::new(),
        None => rfc3339(first_time(shared, index, stage, config, batch)?),
    };
    let mut last = if has_layer { config.created.clone() } else { Some(first.clone()) };
    for line in config.history.iter_mut().skip(stage.inherited) {
        match (&epoch, &line.created) {
            (Some(epoch), _) => line.created = Some(epoch.clone()),
            (None, Some(created)) => last = Some(created.clone()),
            (None, None) => {}
        }
        if line.created.is_none() {
            line.created = last.clone();
        }
    }
    // Lines before the first layer of a file without a base.
    let fallback = config.history.iter().find_map(|line| line.created.clone());
    for line in config.history.iter_mut().skip(stage.inherited) {
        if line.created.is_none() {
            line.created.clone_from(&fallback);
        }
    }
    let made = match epoch {
        Some(epoch) => epoch,
        None => last.or(fallback).unwrap_or_else(|| rfc3339(shared.now)),
    };
    config.created = Some(made.clone());
    Ok(made)
}

/// When an image that only differs from its base in its configuration was made first.
fn first_time(
    shared: &Shared,
    index: usize,
    stage: &Stage,
    config: &Config,
    batch: &mut Batch,
) -> Result<u64, Fault> {
    let mut key = KeyMaker::new("configuration", stage.chain);
    let bytes = encode(&Config { created: None, ..config.clone() })?;
    key.text(&Digest::of(&bytes).hex());
    let key = vec![key.finish()];
    let store = &shared.inner.store;
    let known = match store.build_cache.get(key.first().map_or("", String::as_str))? {
        _ if shared.options.no_cache => None,
        Some(known) => Some(known),
        None => shared.imported.find(shared, stage.chain, &key)?,
    };
    // It holds nothing: only its time is of use.
    let step = CachedStep {
        chain: None,
        parent: None,
        layer: None,
        description: "configuration".to_owned(),
        created: known.as_ref().map_or(shared.now, |known| known.created),
        last_used: shared.now,
        uses: 0,
        content_key: None,
    };
    shared.exports.note(index, &key, &step);
    if known.is_none() {
        for key in &key {
            batch.put_cached_step(key, &step);
        }
    }
    Ok(step.created)
}

fn encode<T: serde::Serialize>(document: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(document)
        .map_err(|error| Fault::internal("cannot encode a document").with_source(error))
}
