//! Acts: `load`: whatever images an archive holds.

use crate::collect::{Source, collect};
use crate::early::alongside;
use crate::progress::{Progress, Report};
use crate::record::{LEASE, prepare, publish};
use naru_errdefs::Fault;
use naru_oci::{ImageId, Platform, Reference};
use naru_store::Store;

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedImage {
    /// Its ID.
    pub id: ImageId,
    /// The names that it was given.
    pub names: Vec<Reference>,
}

/// Loads all images of an archive: all of them, or none.
pub fn load(
    store: &Store,
    source: Source<'_>,
    report: Report<'_>,
) -> Result<Vec<LoadedImage>, Fault> {
    let lease = store.leases.create(LEASE);
    let (images, mut early) = alongside(store, lease.id(), |queue| {
        let contents = collect(source, &store.content, lease.id(), report, Some(queue))?;
        let images = contents.plan(&Platform::host())?;
        let needed =
            images.iter().flat_map(|image| &image.layers).map(|layer| layer.digest).collect();
        Ok((images, needed))
    })?;
    let mut records = Vec::with_capacity(images.len());
    for image in &images {
        records.push((prepare(store, lease.id(), image, &mut early)?, image.names.clone()));
    }
    for (name, before) in publish(store, &records)? {
        let name = name.familiar();
        report(Progress::text(format!(
            "The image {name} already exists, renaming the old one with ID {before} to empty string"
        )));
    }
    let mut loaded = Vec::with_capacity(records.len());
    for (record, names) in records {
        for name in &names {
            report(Progress::text(format!("Loaded image: {}", name.familiar())));
        }
        if names.is_empty() {
            report(Progress::text(format!("Loaded image ID: {}", record.image_id)));
        }
        loaded.push(LoadedImage { id: record.image_id, names });
    }
    Ok(loaded)
}
