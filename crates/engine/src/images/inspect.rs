//! Everything about one image: its view and its history.
//!
//! Acts: reads the store.

use super::{HistoryEntry, ImageView, Images, document};
use crate::Timestamp;
use naru_errdefs::Fault;
use naru_oci::{Config, Reference, chain_ids};
use naru_store::{Image, Store};

impl Images {
    /// Everything about an image.
    pub async fn inspect(&self, name: &str) -> Result<ImageView, Fault> {
        self.refresh(name).await?;
        let name = name.to_owned();
        self.blocking(move |store| {
            let image = store.images.resolve(&name)?;
            view(store, image)
        })
        .await
    }

    /// How it was made, newest step first.
    pub async fn history(&self, name: &str) -> Result<Vec<HistoryEntry>, Fault> {
        self.refresh(name).await?;
        let name = name.to_owned();
        self.blocking(move |store| {
            let image = store.images.resolve(&name)?;
            let config = document::config(store, &image.record)?;
            let sizes = chain_ids(&config.rootfs.diff_ids)
                .iter()
                .map(|chain| store.snapshots.get(chain).map(|layer| layer.size))
                .collect::<Result<Vec<u64>, _>>()?;
            Ok(steps(&image, &config, sizes))
        })
        .await
    }
}

fn view(store: &Store, image: Image) -> Result<ImageView, Fault> {
    let config = document::config(store, &image.record)?;
    let lower_dirs = match &image.record.chain {
        Some(chain) => store.snapshots.lower_dirs(chain)?,
        None => Vec::new(),
    };
    let (digests, tags): (Vec<&Reference>, Vec<&Reference>) =
        image.names.iter().partition(|name| name.digest().is_some());
    let tagged = i64::try_from(image.tagged).ok().filter(|seconds| *seconds > 0);
    Ok(ImageView {
        id: image.id(),
        repo_tags: tags.into_iter().map(Reference::familiar).collect(),
        repo_digests: digests.into_iter().map(Reference::familiar).collect(),
        parent: image.record.parent,
        target: image.record.target.clone(),
        size: image.record.size,
        layers: config.rootfs.diff_ids.clone(),
        lower_dirs,
        last_tagged: tagged.map(Timestamp::from_seconds),
        config,
    })
}

/// The steps of a config, newest first; the layers' sizes (bottom first) go to the steps that made a layer.
fn steps(image: &Image, config: &Config, sizes: Vec<u64>) -> Vec<HistoryEntry> {
    let mut sizes = sizes.into_iter();
    let mut list: Vec<HistoryEntry> = config
        .history
        .iter()
        .map(|step| HistoryEntry {
            id: None,
            created: step.created.as_deref().and_then(Timestamp::parse),
            created_by: step.created_by.clone().unwrap_or_default(),
            tags: Vec::new(),
            size: if step.empty_layer { 0 } else { sizes.next().unwrap_or(0) },
            comment: step.comment.clone().unwrap_or_default(),
        })
        .collect();
    // Layers that the history does not tell of are steps without a story.
    list.extend(sizes.map(|size| HistoryEntry {
        id: None,
        created: None,
        created_by: String::new(),
        tags: Vec::new(),
        size,
        comment: String::new(),
    }));
    list.reverse();
    if let Some(newest) = list.first_mut() {
        newest.id = Some(image.id());
        newest.tags = image
            .names
            .iter()
            .filter(|name| name.digest().is_none())
            .map(Reference::familiar)
            .collect();
    }
    list
}
