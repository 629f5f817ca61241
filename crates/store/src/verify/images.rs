//! Acts: images and names against what they refer to.

use super::{Check, Damage, Source, commit, in_words};
use crate::gc::LARGEST_MANIFEST;
use crate::images::NameRow;
use crate::journal::Batch;
use crate::schema::{Key, table};
use crate::{Image, ImageRecord, StoreError};
use naru_oci::{Config, Descriptor, Digest, Manifest, ManifestOrIndex, Reference, chain_ids};

impl Check<'_> {
    /// Which blob each snapshot was unpacked from, as the images tell it.
    pub(super) fn sources(&mut self) -> Result<(), StoreError> {
        for image in self.store.images.list()? {
            if let (Ok(manifest), Ok(config)) =
                (self.manifest(&image.record), self.config(&image.record))
                && manifest.layers.len() == config.rootfs.diff_ids.len()
            {
                let chains = chain_ids(&config.rootfs.diff_ids);
                let layers = manifest.layers.into_iter().zip(config.rootfs.diff_ids);
                let mut below = None;
                for (chain, (blob, diff_id)) in chains.into_iter().zip(layers) {
                    let parent = below.replace(chain);
                    // Of several compressions of a layer, one that can be read.
                    let is_usable = |blob: &Descriptor| {
                        self.store.content.has(&blob.digest)
                            && !self.bad_blobs.contains(&blob.digest)
                    };
                    if is_usable(&blob) {
                        self.sources.insert(chain, Source { blob, diff_id, parent });
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn images(&mut self) -> Result<(), StoreError> {
        for image in self.store.images.list()? {
            self.image(&image);
        }
        for (key, row) in self.core().journal.list::<NameRow>(table::NAME)? {
            if self.core().journal.contains(&Key::image(&row.image_id)) {
                continue;
            }
            let name =
                key.parse::<Reference>().map_or_else(|_| key.clone(), |name| name.familiar());
            let message =
                format!("the name `{name}` points to image `{}`, which is not there", row.image_id);
            self.find(Damage::Name, message, |store| {
                let mut batch = Batch::new();
                batch.remove(Key::new(table::NAME, &key));
                commit(store, batch, "removed the name")
            });
        }
        Ok(())
    }

    fn image(&mut self, image: &Image) {
        let shown = shown(image);
        let fatal = match (self.config(&image.record), self.manifest(&image.record)) {
            (Err(why), _) => Some(format!("the config of image {shown} {why}")),
            (_, Err(why)) => Some(format!("the manifest of image {shown} {why}")),
            (Ok(config), Ok(manifest)) => self.stack(image, &config, &manifest),
        };
        if let Some(message) = fatal {
            let record = image.record.clone();
            self.find(Damage::Image, message, |store| {
                let removed = store.images.remove_image(&record.image_id);
                removed.map_err(|error| in_words(&error))?;
                Ok("removed the image; load it again".to_owned())
            });
        }
    }

    /// What an image lacks that it cannot be run without. What it lacks otherwise is named at once.
    fn stack(&mut self, image: &Image, config: &Config, manifest: &Manifest) -> Option<String> {
        let shown = shown(image);
        let chain = chain_ids(&config.rootfs.diff_ids).last().copied();
        if chain != image.record.chain {
            return Some(format!("the record of image {shown} names other layers than its config"));
        }
        if manifest.layers.len() != config.rootfs.diff_ids.len() {
            return Some(format!(
                "the manifest of image {shown} has {} layers and its config {}",
                manifest.layers.len(),
                config.rootfs.diff_ids.len()
            ));
        }
        for chain in chain_ids(&config.rootfs.diff_ids) {
            if !self.store.snapshots.has(&chain) {
                return Some(format!("layer `{chain}` of image {shown} is not unpacked"));
            }
            if self.bad_snapshots.contains(&chain) {
                return Some(format!("layer `{chain}` of image {shown} is damaged"));
            }
        }
        for layer in &manifest.layers {
            if !self.is_good(&layer.digest) {
                let message = format!(
                    "image {shown} runs but cannot be saved: the blob of its layer `{}` is missing or damaged",
                    layer.digest
                );
                self.find(Damage::Incomplete, message, |_| {
                    Err("load the image again to bring the blob back".to_owned())
                });
            }
        }
        None
    }

    fn is_good(&self, digest: &Digest) -> bool {
        self.store.content.has(digest) && !self.bad_blobs.contains(digest)
    }

    fn document(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        if !self.is_good(digest) {
            return Err("is missing or damaged".to_owned());
        }
        self.store
            .content
            .read(digest, LARGEST_MANIFEST)
            .map_err(|error| format!("cannot be read: {}", in_words(&error)))
    }

    fn config(&self, record: &ImageRecord) -> Result<Config, String> {
        let bytes = self.document(&record.config)?;
        serde_json::from_slice(&bytes).map_err(|error| format!("is not a config: {error}"))
    }

    fn manifest(&self, record: &ImageRecord) -> Result<Manifest, String> {
        let bytes = self.document(&record.manifest)?;
        match ManifestOrIndex::parse(&bytes) {
            Ok(ManifestOrIndex::Manifest(manifest)) => Ok(*manifest),
            Ok(ManifestOrIndex::Index(_)) => Err("is an index".to_owned()),
            Err(error) => Err(in_words(&error)),
        }
    }
}

/// An image as a person knows it: its first name, or its ID.
fn shown(image: &Image) -> String {
    match image.names.first() {
        Some(name) => format!("`{}`", name.familiar()),
        None => format!("`{}`", image.id()),
    }
}
