//! Acts: directories of the builder's own.

use naru_errdefs::{Fault, ResultExt};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a directory and those above it; one that is there is left as it is.
pub(crate) fn make(path: &Path, mode: u32) -> Result<(), Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .during(|| format!("cannot make the directory `{}`", path.display()))
}

/// Removes whatever is there; nothing need be.
pub(crate) fn remove(path: &Path) -> Result<(), Fault> {
    match naru_kernel::fs::remove_tree(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Fault::io(format!("cannot remove `{}`", path.display()), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
