//! Acts: what a path names in a container, by docker's rules: `..` is taken away before links are followed, a link in
//! the last place is meant itself, and a trailing slash or `/.` asks for the directory behind it.

use naru_errdefs::{Fault, Kind};
use naru_kernel::node::{self, NodeKind, Status};
use naru_kernel::path::{self, OFlags};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Links that one path may lead through, as in the kernel.
const MOST_LINKS: usize = 40;

/// A path inside a container, absolute and clean but for what it ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Without a trailing slash or `/.`.
    pub(super) path: PathBuf,
    /// How the thing is called in what is sent: the last name, `.` or `/`.
    pub(super) name: String,
    /// Whether only a directory will do.
    pub(super) directory: bool,
}

impl Asked {
    /// Pure: reads what a client wrote.
    pub(super) fn parse(text: &str) -> Asked {
        let dot = text.rsplit('/').next() == Some(".");
        let path = crate::spec::mounts::clean(text);
        let last = path.rsplit('/').next().filter(|last| !last.is_empty());
        let name = match last {
            _ if dot => ".".to_owned(),
            Some(last) => last.to_owned(),
            None => "/".to_owned(),
        };
        let directory = dot || text.ends_with('/') || last.is_none();
        Asked { path: path.into(), name, directory }
    }
}

/// What a path names.
#[derive(Debug)]
pub(super) enum Found {
    /// A directory, after the last link was followed.
    Directory(OwnedFd),
    /// A name in a directory.
    Entry(OwnedFd, OsString),
}

/// Finds what was asked for.
pub(super) fn find(root: &OwnedFd, asked: &Asked) -> io::Result<Found> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY;
    if asked.directory {
        return path::open_in_root(root, &asked.path, directory).map(Found::Directory);
    }
    let parent = asked.path.parent().unwrap_or(Path::new("/"));
    let name = asked.path.file_name().unwrap_or_default();
    let held = path::open_in_root(root, parent, OFlags::PATH | OFlags::DIRECTORY)?;
    if node::status_at(&held, name)?.kind == NodeKind::Directory {
        // Not through a link: what was a directory a moment ago may be one by now.
        return path::open_in_root(root, &asked.path, directory | OFlags::NOFOLLOW)
            .map(Found::Directory);
    }
    Ok(Found::Entry(held, name.to_owned()))
}

impl Found {
    pub(super) fn status(&self) -> io::Result<Status> {
        match self {
            Found::Directory(dir) => node::status(dir),
            Found::Entry(dir, name) => node::status_at(dir, name),
        }
    }

    /// For the archive.
    pub(super) fn subject(&self) -> naru_layer::Subject<'_> {
        match self {
            Found::Directory(dir) => naru_layer::Subject::Directory(dir.as_fd()),
            Found::Entry(dir, name) => naru_layer::Subject::Entry(dir.as_fd(), name),
        }
    }
}

/// Where a path leads when all links are followed, whether anything is there or not.
pub(super) fn follow(root: &OwnedFd, path: &Path) -> io::Result<PathBuf> {
    let mut left: Vec<OsString> = path.iter().rev().map(OsStr::to_owned).collect();
    let mut done = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            done.pop();
            continue;
        }
        if part == "/" {
            done = PathBuf::from("/");
            continue;
        }
        if part == "." {
            continue;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let target = path::open_in_root(root, &done, flags)
            .and_then(|dir| node::read_link(&dir, Path::new(&part)));
        match target {
            Ok(target) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(io::Error::other("too many links"));
                }
                left.extend(Path::new(&target).iter().rev().map(OsStr::to_owned));
            }
            // No link, or nothing at all.
            Err(_) => done.push(part),
        }
    }
    Ok(done)
}

/// The failure to find something, in docker's words.
pub(super) fn missing(error: io::Error, path: &str, container: &str) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::new(
            Kind::NotFound,
            format!("Could not find the file {path} in container {container}"),
        ),
        io::ErrorKind::NotADirectory => Fault::invalid(format!("lstat {path}: not a directory")),
        _ if path::met_link(&error) => {
            Fault::invalid(format!("lstat {path}: too many levels of symbolic links"))
        }
        _ => Fault::io(format!("cannot look at `{path}` in container {container}"), error),
    }
}

/// Pure: mode and kind in the bits of Go's `os.FileMode`, which the API speaks.
pub(super) fn go_mode(status: &Status) -> u32 {
    let kind = match status.kind {
        NodeKind::File => 0,
        NodeKind::Directory => 1 << 31,
        NodeKind::Link => 1 << 27,
        NodeKind::BlockDevice => 1 << 26,
        NodeKind::CharDevice => 1 << 26 | 1 << 21,
        NodeKind::Fifo => 1 << 25,
        NodeKind::Socket => 1 << 24,
    };
    let bit = |ours: u32, theirs: u32| if status.mode & ours == 0 { 0 } else { 1 << theirs };
    kind | status.mode & 0o777 | bit(0o4000, 23) | bit(0o2000, 22) | bit(0o1000, 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_docker_reads_them() {
        for (text, path, name, directory) in [
            ("/", "/", "/", true),
            ("/.", "/", ".", true),
            (".", "/", ".", true),
            ("dir", "/dir", "dir", false),
            ("/dir", "/dir", "dir", false),
            ("/dir/", "/dir", "dir", true),
            ("/dir/.", "/dir", ".", true),
            ("/dir/./", "/dir", "dir", true),
            ("/dir//", "/dir", "dir", true),
            ("/dir/../etc", "/etc", "etc", false),
            ("../../dir", "/dir", "dir", false),
            ("/a/..", "/", "/", true),
            ("/a/b/../.", "/a", ".", true),
            ("/.hidden", "/.hidden", ".hidden", false),
        ] {
            let want = Asked { path: path.into(), name: name.into(), directory };
            assert_eq!(Asked::parse(text), want, "{text}");
        }
    }

    #[test]
    fn links_are_followed_inside_the_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("dir/sub")).unwrap();
        for (name, target) in [
            ("out", "../../../../etc"),
            ("absolute", "/dir/sub"),
            ("twice", "absolute/x"),
            ("dangling", "nowhere"),
            ("loop", "loop"),
            ("dir/up", ".."),
        ] {
            std::os::unix::fs::symlink(target, at(name)).unwrap();
        }
        let root = path::open_directory(dir.path()).unwrap();
        for (path, want) in [
            ("/out", Some("/etc")),
            ("/absolute", Some("/dir/sub")),
            ("/twice", Some("/dir/sub/x")),
            ("/dangling", Some("/nowhere")),
            ("/dir/up/absolute", Some("/dir/sub")),
            ("/nothing/at/all", Some("/nothing/at/all")),
            ("/loop", None),
        ] {
            let got = follow(&root, Path::new(path)).ok();
            assert_eq!(got.as_deref(), want.map(Path::new), "{path}");
        }
        let is_directory = |text: &str| match find(&root, &Asked::parse(text)) {
            Ok(Found::Directory(_)) => "directory",
            Ok(Found::Entry(..)) => "entry",
            Err(_) => "nothing",
        };
        for (text, want) in [
            ("/", "directory"),
            ("/dir", "directory"),
            ("/absolute", "entry"),
            ("/absolute/", "directory"),
            ("/absolute/.", "directory"),
            ("/out", "entry"),
            ("/out/", "nothing"),
            ("/dangling/", "nothing"),
            ("/loop/", "nothing"),
        ] {
            assert_eq!(is_directory(text), want, "{text}");
        }
    }

    #[test]
    fn modes_are_gos() {
        let dir = tempfile::tempdir().unwrap();
        let root = path::open_directory(dir.path()).unwrap();
        node::make_directory(&root, "d", 0o755).unwrap();
        node::set_mode_at(&root, "d", 0o1755).unwrap();
        node::make_link("x", &root, "l").unwrap();
        node::make_node(&root, "p", NodeKind::Fifo, 0o600, (0, 0)).unwrap();
        path::create_new(&root, "s", 0o600).unwrap();
        node::set_mode_at(&root, "s", 0o4755).unwrap();
        let mode = |name: &str| go_mode(&node::status_at(&root, name).unwrap());
        assert_eq!(mode("d"), 1 << 31 | 1 << 20 | 0o755);
        assert_eq!(mode("l"), 134_218_239);
        assert_eq!(mode("p"), 1 << 25 | 0o600);
        assert_eq!(mode("s"), 1 << 23 | 0o755);
    }
}
