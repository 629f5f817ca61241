//! Acts: build contexts: a tree in memory, and the contents of its files under the store's root, each once.
//!
//! ```text
//! <data root>/build/files/<boot>/<two digits>/<digest>-<mode>   a file of a context, with its mode, owned by root
//! <data root>/build/files/<boot>/notes/<digest>                 what was found at an address of the network
//! ```
//!
//! Contents stay for the next context, up to a bound, so that only what is new has to be sent; they do not outlive the boot
//! of the host, because nobody waits until the disk has them. A layer takes a file by a link where everything agrees.

mod receive;
mod tree;

pub use tree::{Content, Node, Tree};

use crate::directories::{make, remove};
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::times::{self, FileTime};
use naru_oci::{Algorithm, Digest, Digester};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A context that was received.
#[derive(Debug, Clone)]
pub struct BuildContext {
    pub(crate) tree: Arc<Tree>,
    pub(crate) files: Files,
    /// Keeps its contents from going.
    pub(crate) hold: Arc<Hold>,
}

/// Who relies on contents. While anybody does, none go.
#[derive(Debug)]
pub struct Hold {
    users: Arc<Mutex<usize>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        *self.users.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

impl BuildContext {
    /// What is in it.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The bytes of one of its files, when there is one of this path and it is at most `limit` long.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
        let Some((_, node)) = self.tree.follow(path.as_bytes()) else { return Ok(None) };
        let Content::File { digest, size } = &node.content else { return Ok(None) };
        if *size > limit {
            return Err(Fault::invalid(format!(
                "`{path}` has {size} bytes, more than the {limit} that are read of it"
            )));
        }
        let place = self.files.path(digest, node.mode);
        fs::read(&place).map(Some).during(|| format!("cannot read `{path}` of the context"))
    }

    /// The same context without what a predicate says.
    #[must_use]
    pub fn without(&self, drop: impl Fn(&[u8], &Node) -> bool) -> BuildContext {
        let mut tree = Tree::default();
        for (path, node) in &self.tree.entries {
            if !drop(path, node) {
                // Directories above what stays do, too.
                self.tree.above(path, &mut tree);
                tree.entries.insert(path.clone(), node.clone());
            }
        }
        BuildContext {
            tree: Arc::new(tree),
            files: self.files.clone(),
            hold: Arc::clone(&self.hold),
        }
    }
}

/// The contents of files of contexts.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
    next: Arc<AtomicU64>,
    users: Arc<Mutex<usize>>,
}

/// How many digits of a digest name the directory.
const SPREAD: usize = 2;

impl Files {
    /// Opens the place of contents under a directory; what an earlier boot left there goes.
    pub fn open(place: &Path) -> Result<Files, Fault> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = boot.trim();
        let boot = if boot.is_empty() { "unknown" } else { boot };
        let root = place.join(boot);
        make(&root, 0o700)?;
        let entries =
            fs::read_dir(place).during(|| format!("cannot read `{}`", place.display()))?;
        for entry in entries.flatten() {
            if entry.file_name() != boot {
                remove(&entry.path())?;
            }
        }
        for number in 0..=255u8 {
            make(&root.join(format!("{number:02x}")), 0o700)?;
        }
        let staging = root.join("staging");
        remove(&staging)?;
        make(&staging, 0o700)?;
        make(&root.join("notes"), 0o700)?;
        Ok(Files { root, next: Arc::default(), users: Arc::default() })
    }

    /// Keeps contents from going until it is dropped: to be taken before it is looked what is here.
    pub fn hold(&self) -> Hold {
        *self.users.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Hold { users: Arc::clone(&self.users) }
    }

    /// Where a content with this mode lies, if it does.
    pub(crate) fn path(&self, digest: &Digest, mode: u32) -> PathBuf {
        let hex = digest.hex();
        let first = hex.get(..SPREAD).unwrap_or("00");
        self.root.join(first).join(format!("{hex}-{:o}", mode & 0o7777))
    }

    /// Whether a content with this mode is here.
    pub fn has(&self, digest: &Digest, mode: u32) -> bool {
        fs::symlink_metadata(self.path(digest, mode)).is_ok()
    }

    /// A new file that has no name among the contents yet.
    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging").join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Where it is noted what lies at an address of the network.
    pub(crate) fn notes(&self) -> PathBuf {
        self.root.join("notes")
    }

    /// Bytes of all contents that nothing else links to, and of those what was not used for `unused_for` is removed until at
    /// most `keep` bytes are left. Answers what is left, and what was removed.
    pub fn shrink(&self, keep: u64, unused_for: Duration) -> Result<(u64, u64), Fault> {
        let mut all = Vec::new();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        for number in 0..=255u8 {
            let dir = self.root.join(format!("{number:02x}"));
            let entries =
                fs::read_dir(&dir).during(|| format!("cannot read `{}`", dir.display()))?;
            for entry in entries.flatten() {
                if let Ok(found) = entry.metadata() {
                    let bytes = if found.nlink() > 1 { 0 } else { found.blocks() * 512 };
                    all.push((found.ctime(), bytes, entry.path()));
                }
            }
        }
        all.sort();
        // Whoever comes now waits until it is known what is left.
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = if *users > 0 { u64::MAX } else { keep };
        let mut left: u64 = all.iter().map(|(_, bytes, _)| bytes).sum();
        let mut removed = 0;
        for (changed, bytes, path) in all {
            let idle = u64::try_from(now.saturating_sub(changed)).unwrap_or(0);
            if left <= keep || idle < unused_for.as_secs() {
                break;
            }
            if fs::remove_file(&path).is_ok() {
                left -= bytes;
                removed += bytes;
            }
        }
        Ok((left, removed))
    }

    /// A context of one file with these bytes.
    pub(crate) fn one(
        &self,
        name: &str,
        bytes: &[u8],
        mode: u32,
        modified: FileTime,
    ) -> Result<BuildContext, Fault> {
        let digest = Digest::of(bytes);
        let place = self.path(&digest, mode);
        let failed = || format!("cannot keep `{name}`");
        if fs::symlink_metadata(&place).is_err() {
            let staging = self.staging();
            let mut file = naru_kernel::fs::create_new(&staging, 0o600).during(failed)?;
            file.write_all(bytes).during(failed)?;
            self.publish(&file, &staging, &place, (mode, modified)).during(failed)?;
        }
        let size = bytes.len() as u64;
        Ok(self.single(name, digest, size, (mode, modified)))
    }

    /// Keeps what is read as a content; answers its digest and its size.
    pub(crate) fn keep(
        &self,
        content: &mut dyn Read,
        (mode, modified): (u32, FileTime),
    ) -> Result<(Digest, u64), Fault> {
        let failed = || "cannot keep a file of the context".to_owned();
        let staging = self.staging();
        let mut file = naru_kernel::fs::create_new(&staging, 0o600).during(failed)?;
        let mut digester = Digester::new(Algorithm::Sha256);
        let mut copy = || -> io::Result<u64> {
            let mut buffer = vec![0; 128 << 10];
            let mut size = 0;
            loop {
                let count = content.read(&mut buffer)?;
                if count == 0 {
                    return Ok(size);
                }
                let piece = buffer.get(..count).unwrap_or_default();
                digester.update(piece);
                file.write_all(piece)?;
                size += count as u64;
            }
        };
        let copied = copy().and_then(|size| {
            let digest = digester.finish();
            let place = self.path(&digest, mode);
            self.publish(&file, &staging, &place, (mode, modified))?;
            Ok((digest, size))
        });
        if copied.is_err() {
            // What cannot be removed now is swept at the next start.
            fs::remove_file(&staging).ok();
        }
        copied.during(failed)
    }

    /// A context of one file, which is taken from where it lies.
    pub(crate) fn take(
        &self,
        name: &str,
        path: &Path,
        mode: u32,
        modified: FileTime,
    ) -> Result<BuildContext, Fault> {
        let failed = || format!("cannot keep `{name}`");
        let mut file = fs::File::open(path).during(failed)?;
        let mut digester = Digester::new(Algorithm::Sha256);
        let size = digester.read(&mut file).during(failed)?;
        let digest = digester.finish();
        self.publish(&file, path, &self.path(&digest, mode), (mode, modified)).during(failed)?;
        Ok(self.single(name, digest, size, (mode, modified)))
    }

    /// A context of one file whose bytes are here.
    pub(crate) fn single(
        &self,
        name: &str,
        digest: Digest,
        size: u64,
        (mode, modified): (u32, FileTime),
    ) -> BuildContext {
        let content = Content::File { digest, size };
        let mut tree = Tree::default();
        tree.insert(
            name.as_bytes().to_vec(),
            Node { content, mode, modified, attributes: Vec::new() },
        );
        BuildContext { tree: Arc::new(tree), files: self.clone(), hold: Arc::new(self.hold()) }
    }

    fn publish(
        &self,
        file: &fs::File,
        staging: &Path,
        place: &Path,
        (mode, modified): (u32, FileTime),
    ) -> io::Result<()> {
        file.set_permissions(PermissionsExt::from_mode(mode & 0o7777))?;
        times::set(file, modified, modified)?;
        fs::rename(staging, place)
    }

    /// Takes in a context as a tar archive, compressed or not.
    pub fn receive(&self, archive: impl Read + Send) -> Result<BuildContext, Fault> {
        receive::archive(self, archive)
    }

    /// Takes in contents: an archive whose entries are named `DIGEST-MODE` by the digest's hexadecimal digits.
    pub fn receive_contents(&self, archive: impl Read + Send) -> Result<(), Fault> {
        receive::contents(self, archive)
    }

    /// The context of a tree whose contents are here.
    pub fn assemble(&self, tree: Tree) -> Result<BuildContext, Fault> {
        for (path, node) in &tree.entries {
            if let Content::File { digest, .. } = &node.content
                && !self.has(digest, node.mode)
            {
                return Err(Fault::invalid(format!(
                    "the content of `{}` was announced but not sent",
                    String::from_utf8_lossy(path)
                ))
                .with_hint("the file may have changed while the context was sent; build again"));
            }
        }
        Ok(BuildContext { tree: Arc::new(tree), files: self.clone(), hold: Arc::new(self.hold()) })
    }
}
