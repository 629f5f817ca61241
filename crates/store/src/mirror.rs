//! Copies of rows beside the things they describe, from which a lost database is rebuilt.
//!
//! Acts. An image's copy never says more than its rows: it loses before they do and gains after them. So a copy
//! that says more than the rows proves that the database lost something. Records are copied without waiting for the
//! disk, after the answer: they serve a rebuild, where the last change may be missing.

mod changes;

pub(crate) use changes::{Changes, settle};

use crate::images::{ImageCopy, ImageRow, NameRow};
use crate::journal::{Rows, decode, list_bytes};
use crate::row::Row;
use crate::schema::{Key, Layout, table};
use crate::{StoreError, journal};
use naru_kernel::fs;
use naru_oci::{ImageId, Reference};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

type Overlay = BTreeMap<Key, Option<journal::Bytes>>;

/// Takes from the copies what the group will take from the rows.
pub(crate) fn before(layout: &Layout, overlay: &Overlay, rows: &Rows) -> Result<(), StoreError> {
    for id in touched(overlay, rows)? {
        let (Some(old), new) = (copy_of(&id, rows)?, copy_after(&id, overlay, rows)?) else {
            continue;
        };
        match new {
            None => remove(layout, &id)?,
            Some(new) => {
                let names: BTreeMap<Reference, NameRow> = old
                    .names
                    .iter()
                    .filter(|(name, row)| new.names.get(*name) == Some(*row))
                    .map(|(name, row)| (name.clone(), row.clone()))
                    .collect();
                if names.len() < old.names.len() {
                    write(layout, &id, &ImageCopy { image: old.image, names })?;
                }
            }
        }
    }
    Ok(())
}

/// Brings the copies up to the rows, the group included.
pub(crate) fn after(layout: &Layout, overlay: &Overlay, rows: &Rows) -> Result<(), StoreError> {
    for id in touched(overlay, rows)? {
        if let Some(copy) = copy_of(&id, rows)? {
            write(layout, &id, &copy)?;
        }
    }
    Ok(())
}

/// Puts the copies back as the rows are, after a group that did not happen.
pub(crate) fn restore(layout: &Layout, overlay: &Overlay, rows: &Rows) -> Result<(), StoreError> {
    for id in touched(overlay, rows)? {
        match copy_of(&id, rows)? {
            Some(copy) => write(layout, &id, &copy)?,
            None => remove(layout, &id)?,
        }
    }
    Ok(())
}

/// Copies records. Failures are left to the next open, which compares copies and rows.
pub(crate) fn after_answer(layout: &Layout, overlay: &Overlay) {
    for (key, value) in overlay {
        let (table, key) = key.parts();
        let Some(path) =
            table.strip_prefix(table::RECORD_PREFIX).and_then(|table| layout.record(table, key))
        else {
            continue;
        };
        drop(match value {
            Some(bytes) => write_record(&path, bytes),
            None => std::fs::remove_file(&path),
        });
    }
}

/// Writes the copy of a record: the row's bytes as they are.
pub(crate) fn write_record(path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    match fs::write_replace(path, bytes, 0o600) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            fs::write_replace(path, bytes, 0o600)
        }
        other => other,
    }
}

/// Writes an image's copy durably.
pub(crate) fn write(layout: &Layout, id: &ImageId, copy: &ImageCopy) -> Result<(), StoreError> {
    let path = layout.image(id);
    let bytes = copy.to_bytes().map_err(|source| StoreError::Row {
        table: table::IMAGE.to_owned(),
        key: id.to_string(),
        source,
    })?;
    // The version byte is for rows; a file starts with its JSON and says its version in it.
    let json = bytes.get(1..).unwrap_or_default();
    fs::write_atomic(&path, json, 0o600).map_err(StoreError::io("write", &path))
}

/// Removes an image's copy durably.
pub(crate) fn remove(layout: &Layout, id: &ImageId) -> Result<(), StoreError> {
    let path = layout.image(id);
    match std::fs::remove_file(&path) {
        Ok(()) => fs::sync_dir(&layout.images()).map_err(StoreError::io("sync", &layout.images())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::io("remove", &path)(source)),
    }
}

/// The images whose rows or names a group changes.
fn touched(overlay: &Overlay, rows: &Rows) -> Result<BTreeSet<ImageId>, StoreError> {
    let mut touched = BTreeSet::new();
    for (key, value) in overlay {
        match key.parts() {
            (table::IMAGE, id) => touched.extend(id.parse::<ImageId>()),
            (table::NAME, _) => {
                for bytes in [rows.get(key), value.as_ref()].into_iter().flatten() {
                    touched.insert(decode::<NameRow>(key, bytes)?.image_id);
                }
            }
            _ => {}
        }
    }
    Ok(touched)
}

/// What the copy of an image should say.
pub(crate) fn copy_of(id: &ImageId, rows: &Rows) -> Result<Option<ImageCopy>, StoreError> {
    let key = Key::image(id);
    let Some(image) = rows.get(&key) else { return Ok(None) };
    let image = decode::<ImageRow>(&key, image)?;
    let mut names = BTreeMap::new();
    for (name, bytes) in list_bytes(rows, table::NAME) {
        let row = decode::<NameRow>(&Key::new(table::NAME, &name), &bytes)?;
        if row.image_id == *id
            && let Ok(name) = name.parse()
        {
            names.insert(name, row);
        }
    }
    Ok(Some(ImageCopy { image, names }))
}

fn copy_after(
    id: &ImageId,
    overlay: &Overlay,
    rows: &Rows,
) -> Result<Option<ImageCopy>, StoreError> {
    // Only the rows of images matter here, and there are few of them.
    let mut next: Rows = rows
        .iter()
        .filter(|(key, _)| matches!(key.parts().0, table::IMAGE | table::NAME))
        .map(|(key, bytes)| (key.clone(), bytes.clone()))
        .collect();
    for (key, value) in overlay {
        match value {
            Some(bytes) => next.insert(key.clone(), bytes.clone()),
            None => next.remove(key),
        };
    }
    copy_of(id, &next)
}
