//! Acts: lists the files of a directory, in the same order always: a directory before what is in it, names by their bytes.

use naru_errdefs::{Fault, ResultExt};
use naru_kernel::path::open_directory;
use naru_kernel::xattr;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// More files than any context that is meant: somebody builds `/`.
const MOST: usize = 500_000;
/// No directory is followed further down.
const DEEPEST: usize = 256;

/// What becomes of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It belongs to the context.
    Keep,
    /// Neither it nor anything below it does.
    Leave,
    /// It does not, but something below it may.
    Look,
}

/// A file of the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path below the directory.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// `st_mode`
    pub mode: u32,
    /// Bytes of a regular file.
    pub size: u64,
    /// When its content was changed, in nanoseconds since 1970.
    pub modified: i64,
    /// What shows that it is still the same.
    pub stamp: Stamp,
    /// Its extended attributes that docker's client sends, too: the capabilities of a program.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a file of the context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link, and where it leads to.
    Link(OsString),
}

/// What changes when a file's content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The file system.
    pub device: u64,
    /// The number there.
    pub inode: u64,
    /// When the inode was changed, in nanoseconds since 1970; nobody can set it back.
    pub changed: i64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Walked {
    /// The files.
    pub files: Vec<Found>,
    /// What was left out although nobody said so, a sentence each.
    pub notes: Vec<String>,
}

/// Lists a directory. `judge` is asked for every path below it.
pub fn walk(root: &Path, judge: &dyn Fn(&Path, bool) -> Verdict) -> Result<Walked, Fault> {
    let mut walked = Walked::default();
    let mut waiting = Vec::new();
    directory(root, Path::new(""), judge, &mut walked, &mut waiting, 0)?;
    Ok(walked)
}

/// `waiting` are directories that only belong to the context if something below them does.
fn directory(
    root: &Path,
    below: &Path,
    judge: &dyn Fn(&Path, bool) -> Verdict,
    walked: &mut Walked,
    waiting: &mut Vec<Found>,
    depth: usize,
) -> Result<(), Fault> {
    let dir = root.join(below);
    if depth > DEEPEST {
        return Err(Fault::invalid(format!(
            "`{}` is nested too deep for a build context",
            dir.display()
        ))
        .with_hint("leave it out with a line in `.dockerignore`"));
    }
    let reading = || format!("cannot read `{}` of the build context", dir.display());
    let handle = open_directory(&dir).during(reading)?;
    let mut names =
        fs::read_dir(&dir).during(reading)?.collect::<Result<Vec<_>, _>>().during(reading)?;
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let path = below.join(entry.file_name());
        let shown = || format!("cannot read `{}` of the build context", path.display());
        // What vanishes meanwhile is not there.
        let facts = match entry.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            facts => facts.during(shown)?,
        };
        let verdict = judge(&path, facts.is_dir());
        if verdict == Verdict::Leave || verdict == Verdict::Look && !facts.is_dir() {
            continue;
        }
        let kind = if facts.is_dir() {
            Kind::Directory
        } else if facts.is_symlink() {
            Kind::Link(fs::read_link(entry.path()).during(shown)?.into_os_string())
        } else if facts.is_file() {
            Kind::File
        } else {
            walked.notes.push(format!(
                "`{}` is neither a file nor a directory nor a link and was left out",
                path.display()
            ));
            continue;
        };
        let is_directory = kind == Kind::Directory;
        let attributes = attributes(&handle, &entry.file_name()).during(shown)?;
        let found = found(path.clone(), kind, &facts, attributes);
        if verdict == Verdict::Look {
            waiting.push(found);
        } else {
            walked.files.append(waiting);
            walked.files.push(found);
        }
        if walked.files.len() > MOST {
            return Err(Fault::invalid(format!(
                "the build context `{}` has more than {MOST} files",
                root.display()
            ))
            .with_hint("leave out what the build does not use with a `.dockerignore`, or build from another directory"));
        }
        if is_directory {
            directory(root, &path, judge, walked, waiting, depth + 1)?;
            if waiting.last().is_some_and(|last| last.path == path) {
                waiting.pop();
            }
        }
    }
    Ok(())
}

fn found(
    path: PathBuf,
    kind: Kind,
    facts: &Metadata,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
) -> Found {
    Found {
        size: if kind == Kind::File { facts.len() } else { 0 },
        mode: facts.mode(),
        modified: nanoseconds(facts.mtime(), facts.mtime_nsec()),
        stamp: Stamp {
            device: facts.dev(),
            inode: facts.ino(),
            changed: nanoseconds(facts.ctime(), facts.ctime_nsec()),
        },
        path,
        kind,
        attributes,
    }
}

/// Pure: an instant as one number.
pub(super) fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// What docker's client sends of them. No builder gives them to an image; others are nobody's business but the user's.
fn attributes(
    dir: &impl std::os::fd::AsFd,
    name: &std::ffi::OsStr,
) -> std::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let all = xattr::list_at(dir, name).unwrap_or_default();
    let kept = all.into_iter().filter(|attribute| attribute == xattr::CAPABILITY);
    kept.map(|attribute| Ok((attribute.clone(), xattr::get_at(dir, name, &attribute)?))).collect()
}

/// Pure: whether a path is made of plain names only.
pub fn is_plain(path: &Path) -> bool {
    !path.as_os_str().as_bytes().is_empty()
        && path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn put(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(b"x").unwrap();
    }

    fn names(walked: &Walked) -> Vec<&str> {
        walked.files.iter().map(|found| found.path.to_str().unwrap()).collect()
    }

    #[test]
    fn directories_come_before_what_is_in_them_and_names_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/z", "b/a", "a", "b.txt", "b/c/d"] {
            put(dir.path(), path);
        }
        std::os::unix::fs::symlink("../outside", dir.path().join("link")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let walked = walk(dir.path(), &|_, _| Verdict::Keep).unwrap();
        drop(socket);
        assert_eq!(names(&walked), ["a", "b", "b/a", "b/c", "b/c/d", "b/z", "b.txt", "link"]);
        assert_eq!(walked.files.last().unwrap().kind, Kind::Link("../outside".into()));
        assert_eq!(walked.notes.len(), 1);
    }

    #[test]
    fn a_directory_is_kept_for_the_sake_of_what_is_kept_below_it() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/keep/x", "a/other/y", "b/deep/z", "c"] {
            put(dir.path(), path);
        }
        let judge = |path: &Path, _: bool| match path.to_str().unwrap() {
            "a/keep" | "a/keep/x" => Verdict::Keep,
            "a" | "b" | "b/deep" => Verdict::Look,
            _ => Verdict::Leave,
        };
        let walked = walk(dir.path(), &judge).unwrap();
        assert_eq!(names(&walked), ["a", "a/keep", "a/keep/x"]);
    }

    #[test]
    fn the_size_of_what_is_no_file_is_not_told() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "d/f");
        let walked = walk(dir.path(), &|_, _| Verdict::Keep).unwrap();
        let sizes: Vec<u64> = walked.files.iter().map(|found| found.size).collect();
        assert_eq!(sizes, [0, 1]);
    }
}
