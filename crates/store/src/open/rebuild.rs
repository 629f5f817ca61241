//! The rows of a damaged database, made again from what lies beside it.
//!
//! Acts. Images come from their copies, blobs from their files, snapshots and records from their copies. What was
//! acknowledged in the last moment before the damage and has no copy is lost, and said.

use super::sweep::entries;
use crate::content::BlobRow;
use crate::images::ImageCopy;
use crate::journal::{Batch, Journal};
use crate::schema::{Key, Layout, table};
use crate::snapshots::{ActiveRow, SnapshotCopy, SnapshotRow};
use crate::{StoreError, mirror};
use std::collections::BTreeSet;

/// Compares the copies of images with the rows. A copy that says more proves that rows were lost; then the rows are
/// made again from the copies. Says whether that was so.
pub(super) fn compare_images(
    layout: &Layout,
    journal: &Journal,
    damaged: bool,
    notices: &mut Vec<String>,
) -> Result<bool, StoreError> {
    let mut batch = Batch::new();
    let mut seen = BTreeSet::new();
    let rows = journal.all();
    for (name, path) in entries(&layout.images())? {
        let copy = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<ImageCopy>(&bytes).ok())
            .filter(|copy| layout.image(&copy.image.image_id) == path);
        let Some(copy) = copy else {
            if !name.starts_with('.') {
                notices.push(format!(
                    "`{}` is not the copy of an image's record; it was removed",
                    path.display()
                ));
            }
            naru_kernel::fs::remove_tree(&path).map_err(StoreError::io("remove", &path))?;
            continue;
        };
        let id = copy.image.image_id;
        seen.insert(id);
        if !rows.contains_key(&Key::image(&id)) {
            notices.push(format!("the record of image `{id}` was lost from the database and is restored from its copy"));
            batch.put_image(&copy.image);
        }
        for (name, row) in &copy.names {
            if !rows.contains_key(&Key::name(name)) {
                if !damaged {
                    notices.push(format!(
                        "the name `{}` was lost from the database and is restored from its copy",
                        name.familiar()
                    ));
                }
                batch.put(Key::name(name), row);
            }
        }
    }
    let lost = !batch.is_empty();
    if lost {
        journal.commit(batch)?;
    }
    // Copies that are missing or say less are brought up to the rows.
    let rows = journal.all();
    for (id, _) in crate::journal::list_bytes(&rows, table::IMAGE) {
        let Ok(id) = id.parse() else { continue };
        let Some(wanted) = mirror::copy_of(&id, &rows)? else { continue };
        let same = seen.contains(&id)
            && std::fs::read(layout.image(&id))
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                == Some(wanted.clone());
        if !same {
            mirror::write(layout, &id, &wanted)?;
        }
    }
    Ok(lost)
}

/// Makes rows for everything on disk that has none.
pub(super) fn from_disk(
    layout: &Layout,
    journal: &Journal,
    notices: &mut Vec<String>,
) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    let (mut blobs, mut snapshots, mut records) = (0_u32, 0_u32, 0_u32);
    for (algorithm, directory) in entries(&layout.blobs())? {
        for (name, path) in entries(&directory)? {
            let Ok(digest) = format!("{algorithm}:{name}").parse() else { continue };
            let key = Key::blob(&digest);
            if let Ok(meta) = std::fs::metadata(&path)
                && !journal.contains(&key)
            {
                batch.put(key, &BlobRow { size: meta.len() });
                blobs += 1;
            }
        }
    }
    for (name, path) in entries(&layout.snapshots())? {
        let Ok(number) = name.parse::<u64>() else { continue };
        let copy = std::fs::read(path.join("snapshot.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<SnapshotCopy>(&bytes).ok());
        match copy {
            Some(SnapshotCopy::Committed { chain, parent, size }) => {
                let key = Key::snapshot(&chain);
                if !journal.contains(&key) {
                    batch.put(key, &SnapshotRow { number, parent, size });
                    snapshots += 1;
                }
            }
            Some(SnapshotCopy::Active { key, parent }) => {
                let key = Key::active(&key);
                if !journal.contains(&key) {
                    batch.put(key, &ActiveRow { number, parent });
                    snapshots += 1;
                }
            }
            None => {}
        }
    }
    for (table, directory) in entries(&layout.records())? {
        for (name, path) in entries(&directory)? {
            let Some(name) = name.strip_suffix(".json").filter(|name| !name.starts_with('.'))
            else {
                continue;
            };
            let key = Key::record(&table, name);
            if journal.contains(&key) {
                continue;
            }
            if let Ok(bytes) = std::fs::read(&path)
                && bytes.len() > 1
            {
                batch.put_bytes(key, bytes);
                records += 1;
            }
        }
    }
    notices.push(format!(
        "rebuilt the rows of {blobs} blobs, {snapshots} snapshots and {records} records"
    ));
    if batch.is_empty() { Ok(()) } else { journal.commit(batch) }
}
