//! Acts: an image whose parts are in the store becomes one that can be seen.

use crate::early::Unpacked;
use crate::error::LoadError;
use crate::layout::Wanted;
use crate::unpack::{Layer, unpack_rest};
use naru_errdefs::{Fault, ResultExt};
use naru_oci::{Config, ImageId, Reference};
use naru_store::{Batch, ImageRecord, LeaseId, Store};
use std::io::Write;
use std::time::Duration;

/// Longer than any archive takes; the lease ends with the operation.
pub(crate) const LEASE: Duration = Duration::from_secs(24 * 3600);

/// Stores the documents, unpacks the layers, and says what the record will be.
pub(crate) fn prepare(
    store: &Store,
    lease: &LeaseId,
    image: &Wanted,
    early: &mut Unpacked,
) -> Result<ImageRecord, Fault> {
    let name = || image.config.digest.to_string();
    let bytes = image
        .documents
        .get(&image.config.digest)
        .ok_or_else(|| LoadError::Missing { name: name() })?;
    let config: Config =
        serde_json::from_slice(bytes).map_err(|source| LoadError::Json { name: name(), source })?;
    let pairs = image.layers.iter().zip(&config.rootfs.diff_ids);
    let layers: Vec<Layer> =
        pairs.map(|(blob, diff_id)| Layer { blob: blob.clone(), diff_id: *diff_id }).collect();
    let (chain, size) = unpack_rest(store, lease, &layers, early)?;
    for (digest, bytes) in &image.documents {
        let mut ingest = store.content.ingest(lease)?;
        ingest.write_all(bytes).during(|| format!("cannot store `{digest}`"))?;
        ingest.commit(Some(*digest))?;
    }
    Ok(ImageRecord::new(
        image.target.clone(),
        image.manifest.digest,
        (image.config.digest, &config),
        (chain, size),
    ))
}

/// Records images and their names in one step. Answers, for each name, the image that had it before.
pub(crate) fn publish(
    store: &Store,
    images: &[(ImageRecord, Vec<Reference>)],
) -> Result<Vec<(Reference, ImageId)>, Fault> {
    let mut batch = Batch::new();
    let mut moved = Vec::new();
    for (record, names) in images {
        batch.put_image(record);
        for name in names {
            if let Some(before) =
                store.images.get(name)?.filter(|before| before.image_id != record.image_id)
            {
                moved.push((name.clone(), before.image_id));
            }
            batch.put_name(name, record);
        }
    }
    store.commit(batch)?;
    Ok(moved)
}
