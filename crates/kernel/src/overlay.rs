//! Acts: directories put on top of each other, mounted nowhere.

use crate::mount::{Change, NewFileSystem, attribute, clone_path, new_file_system, set_attributes};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The kernel's bound on directories of an overlay.
pub const MOST_LAYERS: usize = 500;

fn check(layers: &[PathBuf]) -> io::Result<()> {
    if layers.len() > MOST_LAYERS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "there are {} layers, more than the {MOST_LAYERS} that can be put together",
                layers.len()
            ),
        ));
    }
    Ok(())
}

/// One option a directory: a single one for all would be bounded by a page.
fn lower(layers: &[PathBuf]) -> Vec<(String, Option<String>)> {
    layers
        .iter()
        .map(|path| ("lowerdir+".to_owned(), Some(path.to_string_lossy().into_owned())))
        .collect()
}

/// Directories put on top of each other, the first on top, read-only.
pub fn read_only(layers: &[PathBuf]) -> io::Result<OwnedFd> {
    check(layers)?;
    // An overlay wants two at least.
    if let [single] = layers {
        let tree = clone_path(single, false)?;
        let set = attribute::READ_ONLY;
        set_attributes(tree.as_fd(), Change { set, ..Change::default() })?;
        return Ok(tree);
    }
    new_file_system(&NewFileSystem {
        kind: "overlay",
        source: "naru",
        options: &lower(layers),
        attributes: attribute::READ_ONLY,
    })
}

/// Directories put on top of each other, the first on top, with one above them that takes what is written. `work` is made
/// when it is missing; it is the overlay's own.
pub fn writable(layers: &[PathBuf], upper: &Path, work: &Path) -> io::Result<OwnedFd> {
    check(layers)?;
    match std::fs::create_dir(work) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = lower(layers);
    for (name, path) in [("upperdir", upper), ("workdir", work)] {
        options.push((name.to_owned(), Some(path.to_string_lossy().into_owned())));
    }
    // Nothing of what is written has to be waited for: who keeps it syncs it.
    options.push(("volatile".to_owned(), None));
    new_file_system(&NewFileSystem {
        kind: "overlay",
        source: "naru",
        options: &options,
        attributes: 0,
    })
}
