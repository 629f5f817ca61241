//! What is put into a context. Acts: writes below the directory of a test.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// The time of everything in a context.
pub const CONTEXT_TIME: u64 = 1_600_000_000;

/// What is put into a context.
pub enum Item {
    /// An extended attribute of what is there already.
    Attribute(&'static str, Vec<u8>),
    /// A file of the machine, which everybody may execute.
    Host(PathBuf),
    File(Vec<u8>, u32),
    Directory(u32),
    Link(String),
}

/// Writes a context with this Dockerfile.
pub fn write(items: &[(&str, Item)], dir: &Path, file: &str) {
    let time = UNIX_EPOCH + Duration::from_secs(CONTEXT_TIME);
    let stamp = |path: &Path| {
        std::fs::File::open(path).expect("a file").set_modified(time).expect("a time");
    };
    std::fs::create_dir_all(dir).expect("a directory");
    for (path, item) in items {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("below")).expect("a directory");
        let mode = match item {
            Item::File(content, mode) => {
                std::fs::write(&path, content).expect("a file");
                Some(mode)
            }
            Item::Directory(mode) => {
                std::fs::create_dir_all(&path).expect("a directory");
                Some(mode)
            }
            Item::Host(at) => {
                std::fs::copy(at, &path).expect("a file of the machine");
                Some(&0o755)
            }
            Item::Attribute(name, value) => {
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::lsetxattr(&path, *name, value, flags).expect("an attribute");
                None
            }
            Item::Link(target) => {
                // What an earlier build of the sentence has put there.
                std::fs::remove_file(&path).ok();
                std::os::unix::fs::symlink(target, &path).expect("a link");
                None
            }
        };
        if let Some(mode) = mode {
            let permissions = std::fs::Permissions::from_mode(*mode);
            std::fs::set_permissions(&path, permissions).expect("a mode");
            stamp(&path);
        }
    }
    std::fs::write(dir.join("Dockerfile"), file).expect("a file");
    for (path, _) in items.iter().rev() {
        for above in Path::new(path).ancestors().skip(1) {
            stamp(&dir.join(above));
        }
    }
}
