//! Acts: looks at the local side of a copy, as docker's client does.

use super::paths::{self, Source, Target};
use naru_errdefs::Fault;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Links that a destination may lead through.
const MOST_LINKS: usize = 10;

/// A path as the user meant it: absolute, with its ending.
pub(super) fn absolute(path: &str) -> Result<String, Fault> {
    let here = std::env::current_dir()
        .map_err(|error| Fault::io("cannot tell the working directory", error))?;
    Ok(paths::absolute(path, &here.to_string_lossy()))
}

fn looking(what: &str, path: &str, error: &io::Error) -> Fault {
    let words = match error.kind() {
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        ErrorKind::NotADirectory => "not a directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    let kind = if error.kind() == ErrorKind::NotFound {
        naru_errdefs::Kind::NotFound
    } else {
        naru_errdefs::Kind::InvalidInput
    };
    Fault::new(kind, format!("{what} {path}: {words}"))
}

/// What is to be copied from here. Links on the way are followed, one in the end only when asked for.
pub(super) fn source(path: &str, follow: bool) -> Result<Source, Fault> {
    let real = |path: &str| {
        fs::canonicalize(path)
            .map(|real| real.to_string_lossy().into_owned())
            .map_err(|error| looking("lstat", path.trim_end_matches('/'), &error))
    };
    let (path, rebase) = if follow {
        paths::rebase(path, &real(path)?)
    } else {
        let at = path.rfind('/').map_or(0, |at| at + 1);
        let (dir, name) = path.split_at(at);
        let dir = real(dir)?;
        let resolved = format!("{}/{name}", dir.trim_end_matches('/'));
        let changed =
            paths::has_trailing_slash(path) && paths::base(path) != paths::base(&resolved);
        let rebase = changed.then(|| paths::base(path).to_owned());
        (resolved, rebase)
    };
    let found = fs::symlink_metadata(&path).map_err(|error| looking("lstat", &path, &error))?;
    Ok(Source { path, is_directory: found.is_dir(), rebase })
}

/// Where a copy goes here: links in the end are followed, whether or not anything is there.
pub(super) fn target(path: &str) -> Result<Target, Fault> {
    let original = path;
    let mut path = path.to_owned();
    let mut links = 0;
    loop {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Fault::invalid(format!("too many symlinks in {original}")));
                }
                let target =
                    fs::read_link(&path).map_err(|error| looking("readlink", &path, &error))?;
                path = paths::join_link(&path, &target.to_string_lossy());
            }
            Ok(found) => {
                return Ok(Target { path, exists: true, is_directory: found.is_dir() });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(looking("lstat", &path, &error)),
        }
    }
    let (parent, _) = paths::split(&path);
    let found = fs::metadata(&parent).map_err(|error| looking("stat", &parent, &error))?;
    if !found.is_dir() {
        return Err(Fault::invalid("not a directory"));
    }
    Ok(Target { path, exists: false, is_directory: false })
}

/// Refuses a destination that is neither a file nor a directory, and one whose directory is missing.
pub(super) fn check_output(path: &str) -> Result<(), Fault> {
    let cleaned = paths::clean(path);
    let parent = Path::new(&cleaned).parent().unwrap_or(Path::new("/"));
    if fs::metadata(parent).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Err(Fault::invalid(format!(
            "invalid output path: directory \"{}\" does not exist",
            parent.display()
        )));
    }
    match fs::metadata(path) {
        Ok(found) if found.file_type().is_char_device() || found.file_type().is_block_device() => {
            Err(Fault::invalid(format!(
                "invalid output path: \"{path}\" must be a directory or a regular file: got a device"
            )))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(looking("stat", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_targets_are_found_as_docker_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap().to_string_lossy().into_owned();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::File::create(dir.path().join("f")).unwrap();
        for (name, to) in [("ld", "d"), ("lf", "f"), ("gone", "nothing"), ("loop", "loop")] {
            std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
        }
        let from = |path: &str, follow: bool| {
            source(&format!("{root}/{path}"), follow)
                .map(|source| {
                    let path = source.path.strip_prefix(&root).unwrap().to_owned();
                    (path, source.is_directory, source.rebase)
                })
                .map_err(|fault| fault.message().replace(&root, ""))
        };
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(from("f", false), Ok(("/f".into(), false, None)));
        assert_eq!(from("d/.", false), Ok(("/d/.".into(), true, None)));
        assert_eq!(from("ld", false), Ok(("/ld".into(), false, None)));
        assert_eq!(from("ld", true), Ok(("/d".into(), true, name("ld"))));
        assert_eq!(from("ld/", false), Ok(("/d/".into(), true, name("ld"))));
        assert_eq!(from("ld/.", false), Ok(("/d/.".into(), true, None)));
        assert_eq!(from("lf", true), Ok(("/f".into(), false, name("lf"))));
        assert_eq!(from("no", false), Err("lstat /no: no such file or directory".into()));
        assert!(from("f/", false).unwrap_err().contains("not a directory"));
        let to = |path: &str| {
            target(&format!("{root}/{path}"))
                .map(|target| {
                    let path = target.path.strip_prefix(&root).unwrap().to_owned();
                    (path, target.exists, target.is_directory)
                })
                .map_err(|fault| fault.message().replace(&root, ""))
        };
        assert_eq!(to("d"), Ok(("/d".into(), true, true)));
        assert_eq!(to("ld"), Ok(("/d".into(), true, true)));
        assert_eq!(to("lf"), Ok(("/f".into(), true, false)));
        assert_eq!(to("gone"), Ok(("/nothing".into(), false, false)));
        assert_eq!(to("loop"), Err("too many symlinks in /loop".into()));
        assert!(to("no/x").is_err());
        assert!(check_output("/dev/null").unwrap_err().message().ends_with("got a device"));
        assert!(check_output(&format!("{root}/no/x")).is_err());
        assert!(check_output(&format!("{root}/x")).is_ok());
    }
}
