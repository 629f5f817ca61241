//! Which images there are, and what they take.
//!
//! Acts: reads the store; the filter itself is pure.

use super::{ImageFilter, ImageSummary, ImageUser, Images, ImagesUsage, document, glob};
use crate::Timestamp;
use naru_errdefs::Fault;
use naru_oci::{ChainId, ImageId, Reference};
use naru_store::{Image, Store};
use std::collections::{BTreeMap, BTreeSet};

impl Images {
    /// The images that the filter lets through, newest first.
    pub async fn list(&self, filter: ImageFilter) -> Result<Vec<ImageSummary>, Fault> {
        let users = (self.users)();
        self.blocking(move |store| list(store, &filter, &users)).await
    }

    /// What images take on disk.
    pub async fn disk_usage(&self) -> Result<ImagesUsage, Fault> {
        let users = (self.users)();
        self.blocking(move |store| {
            Ok(ImagesUsage {
                layers_size: store.snapshots.list()?.iter().map(|layer| layer.size).sum(),
                content_size: store.content.list()?.iter().map(|blob| blob.size).sum(),
                images: list(store, &ImageFilter::default(), &users)?,
            })
        })
        .await
    }
}

fn list(
    store: &Store,
    filter: &ImageFilter,
    users: &[ImageUser],
) -> Result<Vec<ImageSummary>, Fault> {
    let bound = |names: &[String]| -> Result<Vec<Option<Timestamp>>, Fault> {
        names.iter().map(|name| Ok(created(&store.images.resolve(name)?))).collect()
    };
    let (before, since) = (bound(&filter.before)?, bound(&filter.since)?);
    let images = store.images.list()?;
    let shared = shared_sizes(store, &images)?;
    let mut rows = Vec::new();
    for image in images {
        let made = created(&image);
        let is_dangling = image.names.is_empty();
        if filter.dangling.is_some_and(|wanted| wanted != is_dangling)
            || !before.iter().all(|bound| made < *bound)
            || !since.iter().all(|bound| made > *bound)
            || filter.until.is_some_and(|until| made >= Some(until))
        {
            continue;
        }
        let names = shown_names(&image.names, &filter.reference)?;
        if !filter.reference.is_empty() && names.is_empty() {
            continue;
        }
        // A damaged config must not hide the others; `verify` names it.
        let labels = document::config(store, &image.record)
            .map(|config| config.config.labels)
            .unwrap_or_default();
        if !filter.label.iter().all(|label| has_label(&labels, label)) {
            continue;
        }
        let (repo_digests, repo_tags): (Vec<&Reference>, Vec<&Reference>) =
            names.into_iter().partition(|name| name.digest().is_some());
        rows.push(ImageSummary {
            id: image.id(),
            repo_tags: repo_tags.into_iter().map(Reference::familiar).collect(),
            repo_digests: repo_digests.into_iter().map(Reference::familiar).collect(),
            parent: image.record.parent,
            created: made,
            size: image.record.size,
            shared_size: shared.get(&image.id()).copied().unwrap_or(0),
            labels,
            containers: users.iter().filter(|user| user.image == image.id()).count(),
        });
    }
    rows.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.repo_tags.cmp(&b.repo_tags)));
    Ok(rows)
}

/// When an image was made.
pub(super) fn created(image: &Image) -> Option<Timestamp> {
    image.record.created.as_deref().and_then(Timestamp::parse)
}

/// Whether a `key` or `key=value` is among the labels.
pub(super) fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
        None => labels.contains_key(wanted),
    }
}

/// The names that fit one of the patterns; all of them when there are no patterns.
fn shown_names<'a>(
    names: &'a [Reference],
    patterns: &[String],
) -> Result<Vec<&'a Reference>, Fault> {
    if patterns.is_empty() {
        return Ok(names.iter().collect());
    }
    let mut shown = Vec::new();
    for name in names {
        for pattern in patterns {
            let fits = |text: &str| {
                glob::matches(pattern, text).ok_or_else(|| {
                    Fault::invalid(format!("invalid filter `reference={pattern}`: not a pattern"))
                        .with_hint("`*` and `?` stand for characters, `[a-z]` for a class")
                })
            };
            if fits(&name.familiar())? || fits(&name.familiar_name())? {
                shown.push(name);
                break;
            }
        }
    }
    Ok(shown)
}

/// For each image, the bytes of those layers that others have, too.
fn shared_sizes(store: &Store, images: &[Image]) -> Result<BTreeMap<ImageId, u64>, Fault> {
    let layers: BTreeMap<ChainId, naru_store::Committed> =
        store.snapshots.list()?.into_iter().map(|layer| (layer.chain, layer)).collect();
    let stack = |image: &Image| {
        let mut chains = Vec::new();
        let mut next = image.record.chain;
        while let Some(layer) = next.and_then(|chain| layers.get(&chain)) {
            chains.push(layer.chain);
            next = layer.parent;
        }
        chains
    };
    let mut users: BTreeMap<ChainId, BTreeSet<ImageId>> = BTreeMap::new();
    for image in images {
        for chain in stack(image) {
            users.entry(chain).or_default().insert(image.id());
        }
    }
    Ok(images
        .iter()
        .map(|image| {
            let shared = stack(image)
                .into_iter()
                .filter(|chain| users.get(chain).is_some_and(|users| users.len() > 1))
                .filter_map(|chain| layers.get(&chain).map(|layer| layer.size))
                .sum();
            (image.id(), shared)
        })
        .collect())
}
