//! Pure: what paths given to `cp` mean. The rules are docker's (`pkg/archive/copy.go`), and they are about text: a
//! trailing slash or `/.` says something that a cleaned path would have lost.

use naru_errdefs::Fault;
use std::path::{Component, Path};

/// One side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Side {
    /// A path in a container.
    Container {
        /// The container.
        name: String,
        /// The path.
        path: String,
    },
    /// A path here, or `-`.
    Local(String),
}

impl Side {
    /// Reads an argument: what stands before the first colon is a container, unless the path is plainly a local one.
    pub(super) fn parse(text: &str) -> Side {
        match text.split_once(':') {
            Some((name, path))
                if !text.starts_with('/') && !name.starts_with('.') && !name.is_empty() =>
            {
                Side::Container { name: name.to_owned(), path: path.to_owned() }
            }
            // Docker takes `:path` for a path of no container at all.
            Some(("", path)) => Side::Local(path.to_owned()),
            _ => Side::Local(text.to_owned()),
        }
    }
}

/// Go's `filepath.Clean`.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            Component::ParentDir => match parts.last() {
                Some(last) if *last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    match (rooted, parts.join("/")) {
        (true, text) => format!("/{text}"),
        (false, text) if text.is_empty() => ".".to_owned(),
        (false, text) => text,
    }
}

/// Go's `filepath.Base`.
pub(super) fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    match path.trim_end_matches('/').rsplit('/').next() {
        None | Some("") => "/",
        Some(last) => last,
    }
}

/// Whether the path ends with a slash.
pub(super) fn has_trailing_slash(path: &str) -> bool {
    path.ends_with('/')
}

/// Whether the path says `.` in the end.
pub(super) fn is_current_directory(path: &str) -> bool {
    base(path) == "."
}

/// Whether the path can only mean a directory.
pub(super) fn asserts_directory(path: &str) -> bool {
    has_trailing_slash(path) || is_current_directory(path)
}

/// Gives a cleaned path the ending back that it had before.
pub(super) fn keep_ending(cleaned: &str, original: &str) -> String {
    let mut path = cleaned.to_owned();
    if !is_current_directory(&path) && is_current_directory(original) {
        if !has_trailing_slash(&path) {
            path.push('/');
        }
        path.push('.');
    }
    if !has_trailing_slash(&path) && has_trailing_slash(original) {
        path.push('/');
    }
    path
}

/// A local path, absolute, with its ending.
pub(super) fn absolute(path: &str, working_directory: &str) -> String {
    let full =
        if path.starts_with('/') { path.to_owned() } else { format!("{working_directory}/{path}") };
    keep_ending(&clean(&full), path)
}

/// The directory of a path and the name in it; the name is `.` when the path ends so, and empty for the root.
pub(super) fn split(path: &str) -> (String, String) {
    let mut cleaned = clean(path);
    if is_current_directory(path) {
        cleaned.push_str("/.");
    }
    match cleaned.rfind('/') {
        Some(at) => {
            let (dir, name) = cleaned.split_at(at + 1);
            (dir.to_owned(), name.to_owned())
        }
        None => (String::new(), cleaned),
    }
}

/// Where a link leads, seen from where it is.
pub(super) fn join_link(link: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    clean(&format!("{}/{target}", split(link).0))
}

/// A path with its last link resolved, and the name that the copy keeps when that changed it.
pub(super) fn rebase(path: &str, resolved: &str) -> (String, Option<String>) {
    let mut resolved = resolved.to_owned();
    if is_current_directory(path) && !is_current_directory(&resolved) {
        resolved.push_str("/.");
    }
    if has_trailing_slash(path) && !has_trailing_slash(&resolved) {
        resolved.push('/');
    }
    let name = (base(path) != base(&resolved)).then(|| base(path).to_owned());
    (resolved, name)
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// The path, with its ending.
    pub(super) path: String,
    /// Whether it is a directory.
    pub(super) is_directory: bool,
    /// The name that the copy has instead of the path's.
    pub(super) rebase: Option<String>,
}

impl Source {
    /// The first name in the archive; `.` and nothing stand for the content of a directory.
    pub(super) fn name(&self) -> String {
        split(&self.path).1
    }
}

/// Where the copy goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The path, with its ending.
    pub(super) path: String,
    /// Whether something is there.
    pub(super) exists: bool,
    /// Whether that is a directory.
    pub(super) is_directory: bool,
}

/// Into which directory something is unpacked, and under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placing {
    /// The directory.
    pub(super) directory: String,
    /// The name, if it is another one than the source's.
    pub(super) name: Option<String>,
}

/// Decides by what is there where the copy goes.
pub(super) fn place(source: &Source, target: &Target) -> Result<Placing, Fault> {
    if target.exists && target.is_directory {
        return Ok(Placing { directory: target.path.clone(), name: source.rebase.clone() });
    }
    if target.exists && source.is_directory {
        return Err(Fault::invalid("cannot copy directory")
            .with_hint("the destination is there and is not a directory"));
    }
    if !target.exists && !source.is_directory && asserts_directory(&target.path) {
        return Err(Fault::invalid("no such directory")
            .with_hint("make the directory first, or leave the last `/` out"));
    }
    let (directory, name) = split(&target.path);
    Ok(Placing { directory, name: Some(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        let container =
            |name: &str, path: &str| Side::Container { name: name.into(), path: path.into() };
        let local = |path: &str| Side::Local(path.into());
        for (text, want) in [
            ("c:/x", container("c", "/x")),
            ("c:x:y", container("c", "x:y")),
            ("c:", container("c", "")),
            ("x", local("x")),
            ("-", local("-")),
            ("/a:b", local("/a:b")),
            ("./a:b", local("./a:b")),
            ("../a:b", local("../a:b")),
            (":/x", local("/x")),
        ] {
            assert_eq!(Side::parse(text), want, "{text}");
        }
    }

    #[test]
    fn paths_are_cleaned_and_taken_apart_as_in_go() {
        for (path, cleaned, last, split_at) in [
            ("", ".", ".", ("./", ".")),
            ("/", "/", "/", ("/", "")),
            (".", ".", ".", ("./", ".")),
            ("a", "a", "a", ("", "a")),
            ("/a/", "/a", "a", ("/", "a")),
            ("/a/.", "/a", ".", ("/a/", ".")),
            ("/a/b/..", "/a", "..", ("/", "a")),
            ("a/../..", "..", "..", ("", "..")),
            ("/../a", "/a", "a", ("/", "a")),
            ("/a//b", "/a/b", "b", ("/a/", "b")),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
            assert_eq!(base(path), last, "{path}");
            let (dir, name) = split(path);
            assert_eq!((dir.as_str(), name.as_str()), split_at, "{path}");
        }
        for (path, want) in [
            ("x", "/w/x"),
            ("x/", "/w/x/"),
            ("x/.", "/w/x/."),
            (".", "/w/."),
            ("..", "/"),
            ("../", "/"),
            ("/", "/"),
            ("/a/../b/", "/b/"),
        ] {
            assert_eq!(absolute(path, "/w"), want, "{path}");
        }
    }

    #[test]
    fn links_keep_the_name_that_was_asked_for() {
        assert_eq!(join_link("/a/l", "b"), "/a/b");
        assert_eq!(join_link("/a/l", "../b"), "/b");
        assert_eq!(join_link("/a/l", "/b"), "/b");
        for (path, resolved, want, name) in [
            ("/l", "/t", "/t", Some("l")),
            ("/l/", "/t", "/t/", Some("l")),
            ("/l/.", "/t", "/t/.", None),
            ("/x/t", "/t", "/t", None),
        ] {
            assert_eq!(rebase(path, resolved), (want.to_owned(), name.map(str::to_owned)));
        }
    }

    #[test]
    fn a_copy_goes_where_docker_puts_it() {
        const FILE: bool = false;
        const DIR: bool = true;
        type Row = (
            &'static str,
            bool,
            &'static str,
            Option<bool>,
            Result<(&'static str, Option<&'static str>), &'static str>,
        );
        let table: &[Row] = &[
            ("/s/f", FILE, "/d", Some(DIR), Ok(("/d", None))),
            ("/s/f", FILE, "/d/", Some(DIR), Ok(("/d/", None))),
            ("/s/f", FILE, "/d/x", Some(FILE), Ok(("/d/", Some("x")))),
            ("/s/f", FILE, "/d/x", None, Ok(("/d/", Some("x")))),
            ("/s/f", FILE, "/d/x/", None, Err("no such directory")),
            ("/s/f", FILE, "/d/x/.", None, Err("no such directory")),
            ("/s/f", FILE, "x", None, Ok(("", Some("x")))),
            ("/s/d", DIR, "/d", Some(DIR), Ok(("/d", None))),
            ("/s/d/.", DIR, "/d", Some(DIR), Ok(("/d", None))),
            ("/s/d", DIR, "/d/x", None, Ok(("/d/", Some("x")))),
            ("/s/d/.", DIR, "/d/x", None, Ok(("/d/", Some("x")))),
            ("/s/d", DIR, "/d/x/", None, Ok(("/d/", Some("x")))),
            ("/s/d", DIR, "/d/f", Some(FILE), Err("cannot copy directory")),
        ];
        for (source, is_directory, path, there, want) in table {
            let source =
                Source { path: (*source).into(), is_directory: *is_directory, rebase: None };
            let target = Target {
                path: (*path).into(),
                exists: there.is_some(),
                is_directory: *there == Some(DIR),
            };
            let got = place(&source, &target);
            let got = got
                .as_ref()
                .map(|placing| (placing.directory.as_str(), placing.name.as_deref()))
                .map_err(Fault::message);
            assert_eq!(got, *want, "{source:?} {target:?}");
        }
    }
}
