//! Removes images that nobody needs.
//!
//! Acts; the choice is pure.

use super::list::{created, has_label};
use super::remove::{Removal, apply};
use super::{Deleted, ImagePruneFilter, ImageUser, Images, PrunedImages, document};
use naru_errdefs::Fault;
use naru_store::Image;
use std::collections::BTreeMap;

impl Images {
    /// Removes images that nobody needs.
    pub async fn prune(&self, filter: ImagePruneFilter) -> Result<PrunedImages, Fault> {
        let users = (self.users)();
        let pruned = self
            .blocking(move |store| {
                let before = taken(store)?;
                let mut pruned = PrunedImages::default();
                for image in store.images.list()? {
                    let labels = document::config(store, &image.record)
                        .map(|config| config.config.labels)
                        .unwrap_or_default();
                    if is_chosen(&image, &labels, &filter, &users) {
                        let removal = Removal { names: image.names.clone(), image: true };
                        pruned.deleted.extend(apply(store, &image, &removal)?);
                    }
                }
                store.collect()?;
                pruned.space_reclaimed = before.saturating_sub(taken(store)?);
                Ok(pruned)
            })
            .await?;
        for thing in &pruned.deleted {
            if let Deleted::Deleted(id) = thing {
                self.tell("delete", id, id);
            }
        }
        Ok(pruned)
    }
}

/// Bytes of all blobs and layers.
fn taken(store: &naru_store::Store) -> Result<u64, Fault> {
    let blobs: u64 = store.content.list()?.iter().map(|blob| blob.size).sum();
    let layers: u64 = store.snapshots.list()?.iter().map(|layer| layer.size).sum();
    Ok(blobs + layers)
}

fn is_chosen(
    image: &Image,
    labels: &BTreeMap<String, String>,
    filter: &ImagePruneFilter,
    users: &[ImageUser],
) -> bool {
    let is_free = if filter.dangling { image.names.is_empty() } else { true };
    is_free
        && !users.iter().any(|user| user.image == image.id())
        && filter.until.is_none_or(|until| created(image) < Some(until))
        && filter.label.iter().all(|label| has_label(labels, label))
        && !filter.label_not.iter().any(|label| has_label(labels, label))
}
