//! Acts on a pack: the files of a commit, one after the other, by names that lead nowhere else.

use crate::oid::Oid;
use crate::pack::{ObjectKind, Pack, PackError};
use bytes::Bytes;
use naru_errdefs::Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

/// Directories one in the other.
pub(crate) const DEEPEST: usize = 128;
/// The longest path.
const LONGEST_PATH: usize = 4096;
/// The longest name in a directory.
const LONGEST_NAME: usize = 255;
/// The longest target of a link.
const LONGEST_LINK: usize = 4095;

/// Takes what a commit has. Paths have no slashes at their ends and no `.` or `..` in them.
pub trait Checkout {
    /// What a content is kept as.
    type Kept: Clone;

    /// Keeps the content of a file; the same content is offered once for files that can be executed and once for others.
    fn keep(&mut self, content: &mut dyn Read, is_executable: bool) -> Result<Self::Kept, Fault>;

    /// A file with a content that was kept.
    fn file(&mut self, path: &[u8], kept: &Self::Kept, is_executable: bool) -> Result<(), Fault>;

    /// A directory, before what is in it.
    fn directory(&mut self, path: &[u8]) -> Result<(), Fault>;

    /// A symbolic link.
    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Fault>;

    /// A directory for another repository at one of its commits.
    fn submodule(&mut self, path: &[u8], commit: Oid) -> Result<(), Fault>;

    /// The directory that is meant is not in this repository, but is `rest` of another one at a commit, whose place is `path`:
    /// nothing else is handed out.
    fn elsewhere(&mut self, path: &str, commit: Oid, rest: &str) -> Result<(), Fault>;
}

/// What a header of a commit says.
fn commit_field<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let head = bytes.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let mut lines = head.filter_map(|line| std::str::from_utf8(line).ok());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
}

/// The commit that an object is or that tags stand for, and those tags.
pub(crate) fn peel(pack: &mut Pack, start: Oid) -> Result<(Oid, Vec<Oid>), PackError> {
    let mut oid = start;
    let mut tags = Vec::new();
    for _ in 0..8 {
        let (kind, bytes) = pack.object(&oid)?;
        match kind {
            ObjectKind::Commit => return Ok((oid, tags)),
            ObjectKind::Tag => {
                tags.push(oid);
                let target = commit_field(&bytes, "object").and_then(Oid::parse);
                oid = target.ok_or(PackError::Damaged("a tag of nothing"))?;
            }
            ObjectKind::Tree | ObjectKind::Blob => break,
        }
    }
    Err(PackError::Damaged("what is meant is no commit"))
}

/// A tag's commit, or the commit itself.
fn commit_of(pack: &mut Pack, oid: Oid) -> Result<Bytes, PackError> {
    let (oid, _) = peel(pack, oid)?;
    Ok(pack.object(&oid)?.1)
}

/// The tree of a commit, and whether there is anything before it.
pub(crate) fn tree_of(pack: &mut Pack, commit: Oid) -> Result<(Oid, bool), PackError> {
    let bytes = commit_of(pack, commit)?;
    let tree = commit_field(&bytes, "tree").and_then(Oid::parse);
    let tree = tree.ok_or(PackError::Damaged("a commit without a tree"))?;
    Ok((tree, commit_field(&bytes, "parent").is_some()))
}

/// When a commit was made, in seconds since 1970.
pub fn commit_time(pack: &mut Pack, commit: Oid) -> Result<i64, PackError> {
    let bytes = commit_of(pack, commit)?;
    let committer = commit_field(&bytes, "committer").unwrap_or_default();
    let seconds = committer.rsplit(' ').nth(1).and_then(|text| text.parse::<i64>().ok());
    Ok(seconds.unwrap_or(0).max(0))
}

/// A small file at the root of a commit; nothing when there is none.
pub fn root_file(
    pack: &mut Pack,
    commit: Oid,
    name: &str,
    limit: usize,
) -> Result<Option<Vec<u8>>, PackError> {
    let (tree, _) = tree_of(pack, commit)?;
    let entries = entries(pack, &tree)?;
    let is_file = |line: &&Line| {
        line.name == name.as_bytes() && matches!(line.mode, Mode::File | Mode::Executable)
    };
    let Some(found) = entries.iter().find(is_file) else { return Ok(None) };
    let (kind, bytes) = pack.object(&found.oid)?;
    if kind != ObjectKind::Blob || bytes.len() > limit {
        return Err(PackError::TooLarge("one of its own files"));
    }
    Ok(Some(bytes.to_vec()))
}

/// Hands out the files of a commit, or of one directory of it.
pub fn check_out<C: Checkout>(
    pack: &mut Pack,
    commit: Oid,
    directory: &str,
    into: &mut C,
    cancelled: &AtomicBool,
) -> Result<(), Fault> {
    let (mut tree, _) = tree_of(pack, commit)?;
    let names: Vec<&str> = directory.split('/').filter(|name| !name.is_empty()).collect();
    for (at, name) in names.iter().enumerate() {
        let entries = entries(pack, &tree)?;
        let found = entries.iter().find(|entry| entry.name == name.as_bytes());
        tree = match found {
            Some(Line { mode: Mode::Directory, oid, .. }) => *oid,
            Some(Line { mode: Mode::Module, oid, .. }) => {
                let (path, rest) = names.split_at(at + 1);
                return into.elsewhere(&path.join("/"), *oid, &rest.join("/"));
            }
            Some(_) => {
                return Err(Fault::invalid(format!(
                    "`{directory}` is no directory of the git repository"
                )));
            }
            None => {
                return Err(Fault::not_found(format!(
                    "the git repository has no directory `{directory}`"
                ))
                .with_hint(
                    "the directory is what follows the second colon: `URL#BRANCH:DIRECTORY`",
                ));
            }
        };
    }
    let mut walk = Walk { pack, into, cancelled, kept: BTreeMap::new(), entries: 0, files: 0 };
    walk.tree(&tree, &mut Vec::new(), 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Directory,
    File,
    Executable,
    Link,
    Module,
}

pub(crate) struct Line {
    pub(crate) mode: Mode,
    pub(crate) name: Vec<u8>,
    pub(crate) oid: Oid,
}

/// Whether a name is one of a file, and of none that `git` itself would read.
fn is_name(name: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    // As file systems that do not tell case apart, or shorten names, would have it.
    let own = [&b".git"[..], b"git~1", b".git.", b".git "].contains(&lower.as_slice());
    !own && !matches!(name, b"" | b"." | b"..")
        && !name.contains(&b'/')
        && name.len() <= LONGEST_NAME
}

/// The entries of a tree.
pub(crate) fn entries(pack: &mut Pack, oid: &Oid) -> Result<Vec<Line>, PackError> {
    const BAD: PackError = PackError::Damaged("a tree that is none");
    let (kind, bytes) = pack.object(oid)?;
    if kind != ObjectKind::Tree {
        return Err(BAD);
    }
    let mut list = Vec::new();
    let mut names = BTreeSet::new();
    let mut rest = bytes.as_ref();
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ').ok_or(BAD)?;
        let (mode, after) = rest.split_at_checked(space).ok_or(BAD)?;
        let end = after.iter().position(|byte| *byte == 0).ok_or(BAD)?;
        let name = after.get(1..end).ok_or(BAD)?.to_vec();
        let oid = after.get(end + 1..end + 21).and_then(Oid::from_slice).ok_or(BAD)?;
        rest = after.get(end + 21..).unwrap_or_default();
        let mode = match mode {
            b"40000" | b"040000" => Mode::Directory,
            b"100644" | b"100664" => Mode::File,
            b"100755" => Mode::Executable,
            b"120000" => Mode::Link,
            b"160000" => Mode::Module,
            _ => return Err(PackError::Damaged("a file of an unknown mode")),
        };
        if !is_name(&name) {
            return Err(PackError::Damaged("a file with the name of none"));
        }
        if !names.insert(name.clone()) {
            return Err(PackError::Damaged("two files of one name"));
        }
        list.push(Line { mode, name, oid });
    }
    Ok(list)
}

struct Walk<'a, C: Checkout> {
    pack: &'a mut Pack,
    into: &'a mut C,
    cancelled: &'a AtomicBool,
    kept: BTreeMap<(Oid, bool), (C::Kept, u64)>,
    entries: usize,
    files: u64,
}

impl<C: Checkout> Walk<'_, C> {
    fn tree(&mut self, oid: &Oid, path: &mut Vec<u8>, depth: usize) -> Result<(), Fault> {
        let limits = self.pack.limits();
        if depth > DEEPEST {
            return Err(PackError::TooLarge("its directories are too deep").into());
        }
        for line in entries(self.pack, oid)? {
            self.entries += 1;
            if self.entries > limits.entries {
                return Err(PackError::TooLarge("it has too many files").into());
            }
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(PackError::Cancelled.into());
            }
            let before = path.len();
            if before > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&line.name);
            if path.len() > LONGEST_PATH {
                return Err(PackError::TooLarge("one of its paths").into());
            }
            match line.mode {
                Mode::Directory => {
                    self.into.directory(path)?;
                    self.tree(&line.oid, path, depth + 1)?;
                }
                Mode::File => self.file(&line.oid, path, false)?,
                Mode::Executable => self.file(&line.oid, path, true)?,
                Mode::Link => {
                    let (kind, target) = self.pack.object(&line.oid)?;
                    let fits = (1..=LONGEST_LINK).contains(&target.len()) && !target.contains(&0);
                    if kind != ObjectKind::Blob || !fits {
                        return Err(PackError::Damaged("a link that is none").into());
                    }
                    self.into.link(path, &target)?;
                }
                Mode::Module => self.into.submodule(path, line.oid)?,
            }
            path.truncate(before);
        }
        Ok(())
    }

    fn file(&mut self, oid: &Oid, path: &[u8], is_executable: bool) -> Result<(), Fault> {
        let key = (*oid, is_executable);
        if !self.kept.contains_key(&key) {
            let (size, mut content) = self.pack.blob(oid)?;
            let kept = self.into.keep(&mut *content, is_executable)?;
            drop(content);
            self.kept.insert(key, (kept, size));
        }
        let Some((kept, size)) = self.kept.get(&key) else { return Ok(()) };
        self.files = self.files.saturating_add(*size);
        if self.files > self.pack.limits().files {
            return Err(PackError::TooLarge("its files have too many bytes").into());
        }
        self.into.file(path, kept, is_executable)
    }
}
