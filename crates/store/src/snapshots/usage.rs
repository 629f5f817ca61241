//! How much a tree takes on disk.
//!
//! Acts: reads directories, follows no links.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a tree takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of files as they are read (each hard-linked file once).
    pub bytes: u64,
    /// Bytes that are allocated on disk.
    pub allocated: u64,
    /// Files, directories and others.
    pub entries: u64,
}

/// Measures a tree, its root not counted. What goes away meanwhile is not counted either.
pub fn usage_of(directory: &Path) -> io::Result<Usage> {
    let mut usage = Usage::default();
    let mut seen = BTreeSet::new();
    let mut open: Vec<PathBuf> = vec![directory.to_owned()];
    let mut first = true;
    while let Some(directory) = open.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !first => continue,
            other => other?,
        };
        first = false;
        for entry in entries {
            let entry = entry?;
            let meta = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            usage.entries += 1;
            if meta.is_dir() {
                open.push(entry.path());
            } else if meta.nlink() > 1 && !seen.insert((meta.dev(), meta.ino())) {
                continue;
            }
            usage.allocated += meta.blocks() * 512;
            if meta.is_file() {
                usage.bytes += meta.len();
            }
        }
    }
    Ok(usage)
}
