//! Acts: which packages a file system has, as their own managers note it. Reads files; what they say is text from outside, so
//! everything has a bound.

use naru_errdefs::Fault;
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::{OFlags, open_entry, open_in_root};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The longest file that is read whole.
const LONGEST: u64 = 64 << 20;
/// The longest description of one package.
const LONGEST_OF_ONE: u64 = 1 << 20;
/// Entries of directories that are looked at, and packages that are listed.
const MOST_ENTRIES: usize = 2_000_000;
const MOST_PACKAGES: usize = 100_000;
/// How deep packages may lie.
const DEEPEST: usize = 24;
/// Where no packages are.
const ELSEWHERE: &[&str] = &["proc", "sys", "dev", "run", "tmp"];

/// Who manages a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deb,
    Apk,
    Python,
    Npm,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Deb => "deb",
            Kind::Apk => "apk",
            Kind::Python => "python",
            Kind::Npm => "npm",
        }
    }
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    pub(super) license: Option<String>,
    /// The file that says so.
    pub(super) found_in: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// `ID` of `os-release`.
    pub(super) system: String,
    /// Its `VERSION_ID`.
    pub(super) release: String,
    pub(super) packages: Vec<Package>,
    /// Whether there are packages of rpm, which are not listed.
    pub(super) has_rpm: bool,
    /// Whether there is more than was looked at.
    pub(super) is_cut: bool,
}

/// Lists the packages of a file system.
pub(super) fn list(root: &OwnedFd) -> Result<Listed, Fault> {
    let failed = |error| Fault::io("cannot list the packages of the image", error);
    let mut listed = Listed { system: "linux".to_owned(), ..Listed::default() };
    for path in ["etc/os-release", "usr/lib/os-release"] {
        if let Some(text) = read(root.as_fd(), path, LONGEST_OF_ONE).map_err(failed)? {
            for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
                let value = value.trim_matches(['"', '\'']).to_owned();
                match key {
                    "ID" => listed.system = value,
                    "VERSION_ID" => listed.release = value,
                    _ => {}
                }
            }
            break;
        }
    }
    let status = "var/lib/dpkg/status";
    if let Some(text) = read(root.as_fd(), status, LONGEST).map_err(failed)? {
        listed.packages.extend(dpkg(&text, status));
    }
    // Where images without dpkg itself keep what it would know.
    let parts = "var/lib/dpkg/status.d";
    if let Ok(dir) = open_in_root(root, parts, OFlags::RDONLY | OFlags::DIRECTORY) {
        for name in sorted(dir.as_fd()).map_err(failed)? {
            let name = name.to_string_lossy().into_owned();
            let path = format!("{parts}/{name}");
            if !name.ends_with(".md5sums")
                && let Some(text) = read(root.as_fd(), &path, LONGEST_OF_ONE).map_err(failed)?
            {
                listed.packages.extend(dpkg(&text, &path));
            }
        }
    }
    for path in ["lib/apk/db/installed", "usr/lib/apk/db/installed"] {
        if let Some(text) = read(root.as_fd(), path, LONGEST).map_err(failed)? {
            listed.packages.extend(apk(&text, path));
            break;
        }
    }
    listed.has_rpm = ["var/lib/rpm", "usr/lib/sysimage/rpm"].iter().any(|dir| {
        ["rpmdb.sqlite", "Packages", "Packages.db"]
            .iter()
            .any(|name| open_in_root(root, format!("{dir}/{name}"), OFlags::PATH).is_ok())
    });
    let top = open_in_root(root, "/", OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed)?;
    let mut walk = Walk { listed: &mut listed, entries: 0 };
    walk.directory(top.as_fd(), Path::new(""), 0).map_err(failed)?;
    listed.is_cut |= listed.packages.len() > MOST_PACKAGES;
    listed.packages.truncate(MOST_PACKAGES);
    Ok(listed)
}

fn sorted(dir: BorrowedFd<'_>) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = node::list(dir)?;
    names.sort();
    Ok(names)
}

/// The text of a regular file; nothing when there is none, or a longer one.
fn read(root: BorrowedFd<'_>, path: &str, longest: u64) -> io::Result<Option<String>> {
    // Not blocked by what is no file.
    match open_in_root(root, path, OFlags::RDONLY | OFlags::NONBLOCK) {
        Ok(fd) => text(fd, longest),
        Err(_) => Ok(None),
    }
}

fn text(fd: OwnedFd, longest: u64) -> io::Result<Option<String>> {
    let file = File::from(fd);
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > longest {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(longest).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Looks for packages of languages, which lie anywhere.
struct Walk<'a> {
    listed: &'a mut Listed,
    entries: usize,
}

impl Walk<'_> {
    fn directory(&mut self, dir: BorrowedFd<'_>, path: &Path, depth: usize) -> io::Result<()> {
        let is_modules = |path: &Path| path.file_name().is_some_and(|name| name == "node_modules");
        let is_scope =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"@"));
        let in_modules = is_modules(path) || is_scope && path.parent().is_some_and(is_modules);
        for name in sorted(dir)? {
            self.entries += 1;
            if self.entries > MOST_ENTRIES || self.listed.packages.len() > MOST_PACKAGES {
                self.listed.is_cut = true;
                return Ok(());
            }
            let elsewhere = ELSEWHERE.iter().any(|known| OsStr::new(known) == name);
            if depth == 0 && elsewhere {
                continue;
            }
            if node::status_at(dir, &name)?.kind != NodeKind::Directory {
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let Ok(inner) = open_entry(dir, &name, flags) else { continue };
            let place = path.join(&name);
            let word = name.to_string_lossy();
            let described = match () {
                () if word.ends_with(".dist-info") => Some(("METADATA", Kind::Python)),
                () if word.ends_with(".egg-info") => Some(("PKG-INFO", Kind::Python)),
                () if in_modules => Some(("package.json", Kind::Npm)),
                () => None,
            };
            if let Some((file, kind)) = described {
                self.package(inner.as_fd(), &place.join(file), kind)?;
            }
            if depth < DEEPEST {
                self.directory(inner.as_fd(), &place, depth + 1)?;
            } else {
                self.listed.is_cut = true;
            }
        }
        Ok(())
    }

    fn package(&mut self, dir: BorrowedFd<'_>, path: &Path, kind: Kind) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        let Ok(fd) = open_entry(dir, name, OFlags::RDONLY | OFlags::NONBLOCK) else {
            return Ok(());
        };
        let Some(text) = text(fd, LONGEST_OF_ONE)? else { return Ok(()) };
        let found_in = path.display().to_string();
        let found = match kind {
            Kind::Npm => npm(&text, &found_in),
            Kind::Deb | Kind::Apk | Kind::Python => python(&text, &found_in),
        };
        self.listed.packages.extend(found);
        Ok(())
    }
}

/// Pure: the packages of dpkg that are installed.
fn dpkg(text: &str, found_in: &str) -> Vec<Package> {
    let paragraph = |text: &str| {
        let field = |name: &str| header(text, name);
        let is_here = field("Status").is_none_or(|status| status.ends_with(" installed"));
        Some(Package {
            kind: Kind::Deb,
            name: field("Package")?,
            version: field("Version")?,
            architecture: field("Architecture").unwrap_or_default(),
            license: None,
            found_in: found_in.to_owned(),
        })
        .filter(|_| is_here)
    };
    text.split("\n\n").filter_map(paragraph).collect()
}

/// Pure: the packages of apk.
fn apk(text: &str, found_in: &str) -> Vec<Package> {
    let paragraph = |text: &str| {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        Some(Package {
            kind: Kind::Apk,
            name: field("P")?,
            version: field("V")?,
            architecture: field("A").unwrap_or_default(),
            license: field("L").filter(|text| !text.is_empty()),
            found_in: found_in.to_owned(),
        })
    };
    text.split("\n\n").filter_map(paragraph).collect()
}

/// Pure: a package of Python.
fn python(text: &str, found_in: &str) -> Option<Package> {
    let head = text.split("\n\n").next().unwrap_or_default();
    Some(Package {
        kind: Kind::Python,
        name: header(head, "Name")?,
        version: header(head, "Version")?,
        architecture: String::new(),
        license: header(head, "License-Expression").or_else(|| header(head, "License")),
        found_in: found_in.to_owned(),
    })
}

/// Pure: a package of Node.
fn npm(text: &str, found_in: &str) -> Option<Package> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    let field = |name: &str| document.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    Some(Package {
        kind: Kind::Npm,
        name: field("name")?,
        version: field("version")?,
        architecture: String::new(),
        license: field("license"),
        found_in: found_in.to_owned(),
    })
}

/// Pure: a header of a description, on one line.
fn header(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_are_read() {
        let status = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\nDescription: a\n .\n b\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: half\n";
        let found = dpkg(status, "s");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].version.as_str()), ("bash", "5.2-1"));
        let installed = "C:Q1x\nP:musl\nV:1.2\nA:x86_64\nL:MIT\n\nP:busybox\nV:1.36\n";
        let found = apk(installed, "a");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].license.as_deref(), Some("MIT"));
        let found =
            python("Metadata-Version: 2.1\nName: six\nVersion: 1.16\n\nName: body\n", "p").unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("six", "1.16"));
        let found = npm(r#"{"name":"@a/b","version":"1.0","license":"ISC"}"#, "n").unwrap();
        assert_eq!((found.name.as_str(), found.license.as_deref()), ("@a/b", Some("ISC")));
        for junk in ["", "[]", "{\"name\":1}", "\0"] {
            assert_eq!(npm(junk, "n"), None);
            assert_eq!(python(junk, "n"), None);
            assert!(dpkg(junk, "n").is_empty() && apk(junk, "n").is_empty());
        }
    }

    #[test]
    fn links_lead_nowhere_outside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("var/lib/dpkg")).unwrap();
        std::fs::create_dir_all(root.join("app/node_modules/@s/x")).unwrap();
        std::fs::create_dir_all(root.join("usr/lib/python3/site-packages/a.dist-info")).unwrap();
        let write = |path: &Path, text: &str| {
            naru_kernel::fs::write_atomic(path, text.as_bytes(), 0o600).unwrap();
        };
        write(&root.join("app/node_modules/@s/x/package.json"), r#"{"name":"@s/x","version":"1"}"#);
        let metadata = "usr/lib/python3/site-packages/a.dist-info/METADATA";
        write(&root.join(metadata), "Name: a\nVersion: 2\n");
        let outside = dir.path().join("status");
        write(&outside, "Package: secret\nVersion: 1\n");
        std::os::unix::fs::symlink(&outside, root.join("var/lib/dpkg/status")).unwrap();
        std::os::unix::fs::symlink("/", root.join("app/loop")).unwrap();
        let fd = naru_kernel::path::open_directory(&root).unwrap();
        let listed = list(&fd).unwrap();
        let names: Vec<&str> =
            listed.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["@s/x", "a"]);
        assert!(!listed.has_rpm && !listed.is_cut);
    }
}
