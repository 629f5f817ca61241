//! Acts: a directory (an image layout, or an unpacked archive) as a tar stream, made on the way to the daemon.

use naru_errdefs::Fault;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const BLOCK: usize = 512;
const LONGEST_NAME: usize = 100;
/// More than any layout has; a mistyped `/` must not be walked for hours.
const MOST_ENTRIES: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    File(u64),
    Link(PathBuf),
}

/// The directory as a stream. Files are listed at once and read as the stream is.
pub(super) fn stream(root: &Path) -> Result<File, Fault> {
    let mut entries = Vec::new();
    walk(root, Path::new(""), &mut entries)?;
    let is_layout = ["oci-layout", "index.json", "manifest.json"];
    if !is_layout.iter().any(|name| entries.iter().any(|(path, _)| path == Path::new(name))) {
        return Err(Fault::invalid(format!("`{}` holds no image", root.display()))
            .with_hint("an image layout has the files `oci-layout` and `index.json`; to make an image of a root file system, use `tar -C DIR -c . | naru import - NAME`"));
    }
    for (path, kind) in &entries {
        header(path, kind)?;
    }
    let failed = |error| Fault::io(format!("cannot read `{}`", root.display()), error);
    let (reader, writer) = io::pipe().map_err(failed)?;
    let root = root.to_owned();
    std::thread::Builder::new()
        .name("tar".to_owned())
        // What cannot be read ends the stream early, and the daemon says that it is cut off.
        .spawn(move || write(&root, &entries, writer).ok())
        .map_err(failed)?;
    Ok(File::from(std::os::fd::OwnedFd::from(reader)))
}

fn walk(root: &Path, below: &Path, entries: &mut Vec<(PathBuf, Kind)>) -> Result<(), Fault> {
    let dir = root.join(below);
    let failed = |error| Fault::io(format!("cannot read `{}`", dir.display()), error);
    let mut names =
        std::fs::read_dir(&dir).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    names.sort_by_key(std::fs::DirEntry::file_name);
    for entry in names {
        let path = below.join(entry.file_name());
        let meta = entry.metadata().map_err(failed)?;
        if meta.is_dir() {
            walk(root, &path, entries)?;
        } else if meta.is_symlink() {
            let target = std::fs::read_link(entry.path()).map_err(failed)?;
            entries.push((path, Kind::Link(target)));
        } else if meta.is_file() {
            entries.push((path, Kind::File(meta.len())));
        }
        if entries.len() > MOST_ENTRIES {
            return Err(Fault::invalid(format!(
                "`{}` has more than {MOST_ENTRIES} files",
                root.display()
            )));
        }
    }
    Ok(())
}

fn write(root: &Path, entries: &[(PathBuf, Kind)], mut out: impl Write) -> io::Result<()> {
    for (path, kind) in entries {
        out.write_all(
            &header(path, kind).map_err(|fault| io::Error::other(fault.message().to_owned()))?,
        )?;
        if let Kind::File(size) = kind {
            let mut content = File::open(root.join(path))?.take(*size);
            let copied = io::copy(&mut content, &mut out)?;
            if copied < *size {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            let over = usize::try_from(size % 512).unwrap_or(0);
            if over > 0 {
                out.write_all([0; BLOCK].get(over..).unwrap_or_default())?;
            }
        }
    }
    out.write_all(&[0; BLOCK * 2])
}

/// Pure: the header of an entry.
fn header(path: &Path, kind: &Kind) -> Result<[u8; BLOCK], Fault> {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(slot) = header.get_mut(at..at + bytes.len()) {
            slot.copy_from_slice(bytes);
        }
    };
    let name = path.as_os_str().as_bytes();
    let (target, size, letter) = match kind {
        Kind::File(size) => (&b""[..], *size, b'0'),
        Kind::Link(target) => (target.as_os_str().as_bytes(), 0, b'2'),
    };
    if name.len() > LONGEST_NAME || target.len() > LONGEST_NAME {
        return Err(Fault::invalid(format!(
            "the name `{}` is too long for an image layout",
            path.display()
        )));
    }
    put(0, name);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size < 1 << 33 {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        // Sizes beyond eight gigabytes are written in binary, as GNU tar does.
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[letter]);
    put(157, target);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(slot) = header.get_mut(148..156) {
        slot.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_reads_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("layout");
        std::fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        let put = |name: &str, content: &[u8]| {
            File::create(root.join(name)).unwrap().write_all(content).unwrap();
        };
        put("oci-layout", b"{}");
        put("blobs/sha256/abc", &[b'x'; 1000]);
        std::os::unix::fs::symlink("abc", root.join("blobs/sha256/link")).unwrap();
        let mut stream = stream(&root).unwrap();
        let archive = dir.path().join("a.tar");
        io::copy(&mut stream, &mut File::create(&archive).unwrap()).unwrap();
        let list = std::process::Command::new("tar").arg("-tvf").arg(&archive).output().unwrap();
        assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
        let text = String::from_utf8(list.stdout).unwrap();
        let names: Vec<&str> =
            text.lines().map(|line| line.split_once(":").unwrap().1[3..].trim()).collect();
        assert_eq!(names, ["blobs/sha256/abc", "blobs/sha256/link -> abc", "oci-layout"]);
    }

    #[test]
    fn other_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let fault = stream(dir.path()).unwrap_err();
        assert!(fault.message().contains("holds no image"), "{}", fault.message());
        let long = PathBuf::from("x".repeat(101));
        assert!(header(&long, &Kind::File(0)).is_err());
    }

    #[test]
    fn huge_files_have_binary_sizes() {
        let header = header(Path::new("x"), &Kind::File(1 << 33)).unwrap();
        assert_eq!(header[124..136], [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }
}
