//! Acts: the file that tells how a process ended, for the case that daemon and monitor are both gone.

use crate::protocol::Exit;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes the record. It is small enough to be there as a whole or not at all for whoever looks after a kill.
pub fn write(path: &Path, exit: &Exit) -> io::Result<()> {
    let bytes = serde_json::to_vec(exit)?;
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&bytes)
}

/// Reads the record; `None` if there is none that makes sense.
pub fn read(path: &Path) -> Option<Exit> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Removes the record, if there is one.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ExitStatus;

    #[test]
    fn a_record_is_read_as_written() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("exit");
        let exit = Exit { status: ExitStatus::Signal(9), at: 5 };
        assert_eq!(read(&path), None);
        write(&path, &exit).unwrap();
        assert_eq!(read(&path), Some(exit));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path), None);
    }
}
