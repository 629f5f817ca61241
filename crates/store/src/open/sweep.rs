//! What a crash left: files without rows are removed, directories of empty snapshots are made again.
//!
//! Acts: reads the directories of the store once.

use crate::journal::Journal;
use crate::schema::{Key, Layout, table};
use crate::snapshots::{ActiveRow, SnapshotRow, make_active};
use crate::trash::Trash;
use crate::{StoreError, mirror};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// Sweeps, and says which is the highest number in use.
pub(super) fn sweep(layout: &Layout, journal: &Journal, trash: &Trash) -> Result<u64, StoreError> {
    let mut highest = 0;
    for (name, path) in entries(&layout.ingests())? {
        highest = highest.max(name.parse().unwrap_or(0));
        if !name.ends_with(".part") {
            trash.discard(&path)?;
        }
    }
    for (name, path) in entries(&layout.pending())? {
        highest = highest.max(name.parse().unwrap_or(0));
        trash.discard(&path)?;
    }
    sweep_blobs(layout, journal)?;
    highest = highest.max(sweep_snapshots(layout, journal, trash)?);
    sweep_records(layout, journal)?;
    Ok(highest)
}

fn sweep_blobs(layout: &Layout, journal: &Journal) -> Result<(), StoreError> {
    for (algorithm, directory) in entries(&layout.blobs())? {
        for (name, path) in entries(&directory)? {
            let known = format!("{algorithm}:{name}")
                .parse()
                .is_ok_and(|digest| journal.contains(&Key::blob(&digest)));
            if !known {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

fn sweep_snapshots(layout: &Layout, journal: &Journal, trash: &Trash) -> Result<u64, StoreError> {
    let committed: BTreeSet<u64> = journal
        .list::<SnapshotRow>(table::SNAPSHOT)?
        .into_iter()
        .map(|(_, row)| row.number)
        .collect();
    let active: BTreeMap<u64, ActiveRow> = journal
        .list::<ActiveRow>(table::ACTIVE)?
        .into_iter()
        .map(|(_, row)| (row.number, row))
        .collect();
    let mut there = BTreeSet::new();
    for (name, path) in entries(&layout.snapshots())? {
        let Ok(number) = name.parse::<u64>() else { continue };
        there.insert(number);
        if !committed.contains(&number) && !active.contains_key(&number) {
            trash.discard(&path)?;
        }
    }
    for (number, row) in &active {
        // A power cut may take directories that were never synced; they were empty when they were acknowledged.
        let place = layout.snapshot(*number);
        if !place.join("fs").is_dir() || !place.join("work").is_dir() {
            let top = match row.parent {
                Some(parent) => journal.get::<SnapshotRow>(&Key::snapshot(&parent))?,
                None => None,
            };
            let top = top.map(|top| layout.snapshot(top.number).join("fs"));
            if !place.join("fs").is_dir() {
                trash.discard(&place)?;
                make_active(layout, *number, top.as_deref())?;
            } else {
                let work = place.join("work");
                std::fs::create_dir(&work).map_err(StoreError::io("create", &work))?;
            }
        }
    }
    let numbers = there.iter().chain(&committed).chain(active.keys());
    Ok(numbers.max().copied().unwrap_or(0))
}

/// Brings the copies of records up to the rows.
fn sweep_records(layout: &Layout, journal: &Journal) -> Result<(), StoreError> {
    let mut wanted = BTreeMap::new();
    for (key, bytes) in journal.all() {
        let (table, name) = key.parts();
        if let Some(table) = table.strip_prefix(table::RECORD_PREFIX)
            && let Some(path) = layout.record(table, name)
        {
            wanted.insert(path, bytes);
        }
    }
    for (_, directory) in entries(&layout.records())? {
        for (_, path) in entries(&directory)? {
            match wanted.remove(&path) {
                None => remove(&path)?,
                Some(bytes) => {
                    if !std::fs::read(&path).is_ok_and(|copy| copy == bytes.as_ref()) {
                        mirror::write_record(&path, &bytes)
                            .map_err(StoreError::io("write", &path))?;
                    }
                }
            }
        }
    }
    for (path, bytes) in wanted {
        mirror::write_record(&path, &bytes).map_err(StoreError::io("write", &path))?;
    }
    Ok(())
}

/// Names and paths in a directory; a missing directory has none.
pub(crate) fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let read = || -> io::Result<Vec<(String, PathBuf)>> {
        let mut list = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            list.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        list.sort();
        Ok(list)
    };
    match read() {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        other => other.map_err(StoreError::io("read", directory)),
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    naru_kernel::fs::remove_tree(path).map_err(StoreError::io("remove", path))
}
