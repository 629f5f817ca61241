//! Changes a small file of a container while it is mounted there: same inode, or the container would keep the old one.
//!
//! Acts. A container can write to the file as well, so its size is not trusted and links are not followed.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file that a container has made longer is left alone.
const LONGEST: u64 = 1024 * 1024;

/// Gives the file at `path` the text that `change` makes of the present one; whether it is another one. Bytes that are
/// no text are kept out of it: such a file is an error.
pub fn change(path: &Path, change: impl FnOnce(&str) -> String) -> io::Result<bool> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file: File = rustix::fs::open(path, flags, Mode::empty())?.into();
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    (&file).take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let current = String::from_utf8(bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))?;
    let text = change(&current);
    if text == current {
        return Ok(false);
    }
    // One write, so that a reader sees the old text or the new one; only a longer old one shows its end for a moment.
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::change;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_inode_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        naru_kernel::fs::write_replace(&path, b"long text\n", 0o644).unwrap();
        let inode = std::fs::metadata(&path).unwrap().ino();
        assert!(change(&path, |text| text.replace("long ", "")).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text\n");
        assert!(!change(&path, str::to_owned).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(change(&link, str::to_owned).is_err());
        assert!(change(dir.path(), str::to_owned).is_err());
        std::fs::File::options().write(true).open(&path).unwrap().set_len(2 << 20).unwrap();
        assert!(change(&path, str::to_owned).is_err());
    }
}
