//! Acts: where the context and the Dockerfile of a build are: a directory, an archive or a Dockerfile on standard input, or
//! an address that the daemon reads.

use crate::commands::image::archive::Source;
use crate::flags::Flags;
use naru_api_types::build::is_address;
use naru_errdefs::{Fault, Kind, ResultExt};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

/// The longest Dockerfile that is sent; whether it makes sense is the daemon's to say.
const LONGEST: u64 = 16 << 20;
/// As many bytes show whether something is an archive.
const HEAD: usize = 512;

/// Where everything is.
#[derive(Debug)]
pub(super) struct Given {
    /// The context.
    pub(super) context: Place,
    /// The Dockerfile, unless it is in what only the daemon reads.
    pub(super) dockerfile: Option<Dockerfile>,
    /// The name that `-f` gives.
    pub(super) named: Option<String>,
}

/// Where the context is.
#[derive(Debug)]
pub(super) enum Place {
    /// A directory; without links.
    Directory(PathBuf),
    /// An archive, of which a piece was read to see what it is.
    Archive(Cursor<Vec<u8>>, File),
    /// There is none.
    Nothing,
    /// An address.
    Address(String),
}

/// A Dockerfile that was read.
#[derive(Debug, Clone)]
pub(super) struct Dockerfile {
    /// What messages call it.
    pub(super) name: String,
    /// Its bytes.
    pub(super) text: Vec<u8>,
    /// Where it is, if it is a file.
    pub(super) path: Option<PathBuf>,
}

/// Finds context and Dockerfile.
pub(super) fn find(flags: &Flags) -> Result<Given, Fault> {
    let named = flags.text("file").filter(|name| !name.is_empty()).map(str::to_owned);
    let place = flags.arg(0);
    if place == "-" {
        if named.as_deref() == Some("-") {
            return Err(Fault::invalid(
                "invalid argument: can't use stdin for both build context and dockerfile",
            ));
        }
        return from_input(named);
    }
    if is_address(place) && !Path::new(place).exists() {
        let dockerfile = match named.as_deref() {
            Some("-") => Some(input_as_dockerfile()?),
            Some(_) | None => None,
        };
        return Ok(Given { context: Place::Address(place.to_owned()), dockerfile, named });
    }
    let directory = directory(place)?;
    let dockerfile = match named.as_deref() {
        Some("-") => input_as_dockerfile()?,
        Some(name) => read(Path::new(name), name)?,
        None => usual(&directory)?,
    };
    Ok(Given { context: Place::Directory(directory), dockerfile: Some(dockerfile), named })
}

pub(super) fn directory(place: &str) -> Result<PathBuf, Fault> {
    let path = match std::fs::canonicalize(place) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Fault::not_found(format!(
                "unable to prepare context: path \"{place}\" not found"
            ))
            .with_hint("name the directory that the build's files are in; `.` is this one"));
        }
        path => path.during(|| format!("unable to prepare context: cannot find \"{place}\""))?,
    };
    if !path.is_dir() {
        return Err(Fault::invalid(format!("unable to prepare context: \"{place}\" is no directory"))
            .with_hint("name the directory, and the Dockerfile with `-f`; an archive is piped in: `naru build - < FILE`"));
    }
    Ok(path)
}

/// `Dockerfile`, or as BuildKit has it, `dockerfile`.
fn usual(directory: &Path) -> Result<Dockerfile, Fault> {
    match read(&directory.join("Dockerfile"), "Dockerfile") {
        Err(fault) if fault.kind() == Kind::NotFound => {
            let other = directory.join("dockerfile");
            if other.is_file() {
                read(&other, "dockerfile")
            } else {
                Err(missing(directory, fault))
            }
        }
        found => found,
    }
}

/// Says which file may have been meant.
fn missing(directory: &Path, fault: Fault) -> Fault {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            name.to_ascii_lowercase().contains("dockerfile") && !name.ends_with(".dockerignore")
                || name == "Containerfile"
        })
        .collect();
    names.sort();
    match names.first() {
        Some(name) => {
            let path = directory.join(name);
            fault.with_hint(format!("name the file with `-f {}`", path.display()))
        }
        None => fault
            .with_hint("name the Dockerfile with `-f`, and the directory of the context behind it"),
    }
}

fn read(path: &Path, name: &str) -> Result<Dockerfile, Fault> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Fault::not_found(format!(
                "failed to read dockerfile: open {name}: no such file or directory"
            )));
        }
        file => file.during(|| format!("failed to read dockerfile `{name}`"))?,
    };
    let text = bounded(file, name)?;
    Ok(Dockerfile { name: name.to_owned(), text, path: Some(path.to_owned()) })
}

fn bounded(file: impl Read, name: &str) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut text)
        .during(|| format!("failed to read dockerfile `{name}`"))?;
    if text.len() as u64 > LONGEST {
        return Err(Fault::invalid(format!(
            "the Dockerfile `{name}` has more than {LONGEST} bytes"
        ))
        .with_hint("put what it copies into files of the context"));
    }
    Ok(text)
}

fn input() -> Result<File, Fault> {
    use std::os::fd::AsFd;
    let input = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .during(|| "cannot read standard input".to_owned())?;
    Ok(File::from(input))
}

fn input_as_dockerfile() -> Result<Dockerfile, Fault> {
    Ok(Dockerfile { name: "Dockerfile".to_owned(), text: bounded(input()?, "-")?, path: None })
}

/// Standard input is an archive, or a Dockerfile without a context.
fn from_input(named: Option<String>) -> Result<Given, Fault> {
    let mut input = input()?;
    let mut head = Vec::with_capacity(HEAD);
    (&mut input)
        .take(HEAD as u64)
        .read_to_end(&mut head)
        .during(|| "failed to read context from stdin".to_owned())?;
    if is_archive(&head) {
        return Ok(Given {
            context: Place::Archive(Cursor::new(head), input),
            dockerfile: None,
            named,
        });
    }
    if let Some(name) = named {
        return Err(Fault::invalid(format!(
            "standard input is a Dockerfile, and `-f {name}` names another one"
        ))
        .with_hint("leave `-f` out, or pipe in an archive that has the file"));
    }
    let text = bounded(Cursor::new(head).chain(input), "-")?;
    if text.is_empty() {
        return Err(Fault::invalid("failed to peek context header from STDIN: it is empty")
            .with_hint("pipe in a Dockerfile or an archive"));
    }
    let dockerfile = Dockerfile { name: "Dockerfile".to_owned(), text, path: None };
    Ok(Given { context: Place::Nothing, dockerfile: Some(dockerfile), named: None })
}

/// Pure: whether something begins as an archive does, compressed or not.
fn is_archive(head: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    magics.iter().any(|magic| head.starts_with(magic)) || head.get(257..262) == Some(b"ustar")
}

impl Dockerfile {
    /// Its path below the directory, if it is there.
    pub(super) fn below(&self, directory: &Path) -> Option<PathBuf> {
        let path = std::fs::canonicalize(self.path.as_ref()?).ok()?;
        path.strip_prefix(directory).map(Path::to_owned).ok()
    }

    /// What is left out of the context, and the file that says so: one beside the Dockerfile with its name in front, else
    /// the directory's own.
    pub(super) fn ignored(
        dockerfile: Option<&Dockerfile>,
        directory: &Path,
    ) -> Result<Option<(PathBuf, Vec<u8>)>, Fault> {
        let beside = dockerfile.and_then(|file| file.path.as_ref()).map(|path| {
            let mut name = path.as_os_str().to_owned();
            name.push(".dockerignore");
            PathBuf::from(name)
        });
        for path in beside.into_iter().chain([directory.join(".dockerignore")]) {
            match File::open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                file => {
                    let file = file.during(|| format!("cannot read `{}`", path.display()))?;
                    let text = bounded(file, &path.display().to_string())?;
                    return Ok(Some((path, text)));
                }
            }
        }
        Ok(None)
    }
}

/// An archive on standard input as one stream.
pub(super) fn archive(
    head: Cursor<Vec<u8>>,
    rest: File,
) -> impl tokio::io::AsyncRead + Send + Unpin {
    tokio::io::AsyncReadExt::chain(head, Source::from_file(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn put(path: &Path, text: &str) {
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn archives_are_told_from_dockerfiles() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(is_archive(&tar) && is_archive(b"\x1f\x8b\x08") && is_archive(b"\x28\xb5\x2f\xfd"));
        assert!(!is_archive(b"FROM box\n") && !is_archive(b""));
    }

    #[test]
    fn the_usual_dockerfile_is_found_and_a_missing_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(usual(dir.path()).unwrap_err().kind(), Kind::NotFound);
        put(&dir.path().join("web.Dockerfile"), "FROM a");
        let fault = usual(dir.path()).unwrap_err();
        assert!(fault.hint().unwrap().contains("web.Dockerfile"), "{fault:?}");
        put(&dir.path().join("dockerfile"), "FROM b");
        assert_eq!(usual(dir.path()).unwrap().text, b"FROM b");
        put(&dir.path().join("Dockerfile"), "FROM c");
        assert_eq!(usual(dir.path()).unwrap().text, b"FROM c");
    }

    #[test]
    fn an_ignore_file_beside_the_dockerfile_wins() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        put(&root.join("Dockerfile"), "FROM a");
        let dockerfile = usual(&root).unwrap();
        assert!(Dockerfile::ignored(Some(&dockerfile), &root).unwrap().is_none());
        put(&root.join(".dockerignore"), "a");
        assert_eq!(Dockerfile::ignored(Some(&dockerfile), &root).unwrap().unwrap().1, b"a");
        put(&root.join("Dockerfile.dockerignore"), "b");
        assert_eq!(Dockerfile::ignored(Some(&dockerfile), &root).unwrap().unwrap().1, b"b");
        assert_eq!(dockerfile.below(&root).unwrap(), Path::new("Dockerfile"));
        assert_eq!(dockerfile.below(&root.join("x")), None);
    }
}
