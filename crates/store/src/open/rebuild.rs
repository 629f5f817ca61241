//! The rows of a damaged database, made again from what lies beside it.
//!
//! Acts. Images come from their copies, blobs from their files, snapshots and records from their copies. Where a copy and
//! a row differ, the copy is right. A record that was removed among the lost changes can come back: rather that than lose
//! one. What was acknowledged in the last moment before the damage and has no copy is lost, and said.

use super::sweep::entries;
use crate::content::BlobRow;
use crate::images::ImageCopy;
use crate::journal::{Batch, Journal, Rows};
use crate::schema::{Key, Layout, table};
use crate::snapshots::{ActiveRow, SnapshotCopy, SnapshotRow};
use crate::{StoreError, mirror};
use naru_oci::ImageId;
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
    let mut named = BTreeSet::new();
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
        named.extend(copy.names.keys().map(Key::name));
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
    if damaged {
        undo_images(&rows, &seen, &named, &mut batch);
    }
    if !batch.is_empty() {
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

/// A database that lost its last changes has forgotten removals, too. Copies lose before rows do, so what has no copy was
/// removed.
fn undo_images(rows: &Rows, images: &BTreeSet<ImageId>, names: &BTreeSet<Key>, batch: &mut Batch) {
    for key in rows.keys() {
        let is_gone = match key.parts() {
            (table::IMAGE, id) => !id.parse().is_ok_and(|id| images.contains(&id)),
            (table::NAME, _) => !names.contains(key),
            _ => false,
        };
        if is_gone {
            batch.remove(key.clone());
        }
    }
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
            // The copy is newer than a row of a database that lost its last changes.
            if let Ok(bytes) = std::fs::read(&path)
                && bytes.len() > 1
                && journal.get_bytes(&key).is_none_or(|row| row.as_ref() != bytes)
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
