//! Acts: compares two trees: kinds, owners, modes, times, attributes, links and bytes.
//!
//! Times of directories are left out (making their children changes them), and those of whiteouts (the archive has
//! none for them). What is one file in the archive is one in the store; that files share more than that there is no difference:
//! a build makes files of contents that it keeps by links to them.

use naru_kernel::xattr;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The first difference, in words; none when the trees are the same.
pub(super) fn compare(found: &Path, expected: &Path) -> io::Result<Option<String>> {
    let mut open = vec![PathBuf::new()];
    let mut linked = Linked::new();
    while let Some(directory) = open.pop() {
        if let Some(difference) = entry((found, expected), &directory, &mut linked)? {
            return Ok(Some(difference));
        }
        let (have, want) = (names(&found.join(&directory))?, names(&expected.join(&directory))?);
        if let Some(name) = want.difference(&have).next() {
            return Ok(Some(format!("`/{}` is missing", directory.join(name).display())));
        }
        if let Some(name) = have.difference(&want).next() {
            return Ok(Some(format!(
                "`/{}` does not belong there",
                directory.join(name).display()
            )));
        }
        for name in want {
            let path = directory.join(name);
            let meta = expected.join(&path).symlink_metadata()?;
            if meta.is_dir() {
                open.push(path);
            } else if let Some(difference) = entry((found, expected), &path, &mut linked)? {
                return Ok(Some(difference));
            }
        }
    }
    Ok(None)
}

fn names(directory: &Path) -> io::Result<BTreeSet<OsString>> {
    std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
}

/// The files that have several names where they are expected, and what they are where they are found.
type Linked = BTreeMap<(u64, u64), (u64, u64)>;

/// Whether a further name of a file leads to the same one as its other names.
fn is_same_file(linked: &mut Linked, have: &Metadata, want: &Metadata) -> bool {
    let number = |meta: &Metadata| (meta.dev(), meta.ino());
    *linked.entry(number(want)).or_insert_with(|| number(have)) == number(have)
}

/// The first difference between two entries, their children left out.
fn entry(
    (found, expected): (&Path, &Path),
    path: &Path,
    linked: &mut Linked,
) -> io::Result<Option<String>> {
    let (have_path, want_path) = (found.join(path), expected.join(path));
    let (have, want) = (have_path.symlink_metadata()?, want_path.symlink_metadata()?);
    let is_device = want.file_type().is_char_device() || want.file_type().is_block_device();
    let is_whiteout = want.file_type().is_char_device() && want.rdev() == 0;
    let what = if have.mode() != want.mode() {
        "kind or mode"
    } else if (have.uid(), have.gid()) != (want.uid(), want.gid()) {
        "owner"
    } else if want.is_file() && have.len() != want.len() {
        "length"
    } else if is_device && have.rdev() != want.rdev() {
        "device number"
    } else if !want.is_dir() && !is_whiteout && changed(&have) != changed(&want) {
        "time"
    } else if !want.is_dir() && want.nlink() > 1 && !is_same_file(linked, &have, &want) {
        "file behind its links"
    } else if want.is_symlink()
        && std::fs::read_link(&have_path)? != std::fs::read_link(&want_path)?
    {
        "target"
    } else if attributes(&have_path)? != attributes(&want_path)? {
        "attributes"
    } else if want.is_file() && !same_bytes(&have_path, &want_path)? {
        "content"
    } else {
        return Ok(None);
    };
    Ok(Some(format!("`/{}` has another {what}", path.display())))
}

fn changed(meta: &Metadata) -> (i64, i64) {
    (meta.mtime(), meta.mtime_nsec())
}

fn attributes(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let directory = File::open(parent)?;
    xattr::list_at(&directory, name)?
        .into_iter()
        .filter(|attribute| !is_private(attribute))
        .map(|attribute| {
            let value = xattr::get_at(&directory, name, &attribute)?;
            Ok((attribute, value))
        })
        .collect()
}

/// Whether an attribute is the kernel's note to itself, which no archive has: an overlay writes some upon what it changes.
fn is_private(attribute: &[u8]) -> bool {
    attribute.starts_with(b"trusted.overlay.") && attribute != b"trusted.overlay.opaque"
}

fn same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    const PIECE: usize = 128 << 10;
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut left, mut right) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    let piece = u64::try_from(PIECE).unwrap_or(u64::MAX);
    loop {
        left.clear();
        right.clear();
        a.by_ref().take(piece).read_to_end(&mut left)?;
        b.by_ref().take(piece).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}
