//! Files seen as memory. Acts: maps them.

use std::fs::File;
use std::io;
use std::sync::Arc;

/// A file as memory, for reading. Pages come from the disk when they are touched, and are the page cache's own.
#[derive(Debug)]
pub struct MappedFile {
    map: memmap2::Mmap,
    file: Arc<File>,
}

impl MappedFile {
    /// Maps a file that nobody changes or shortens while it is mapped: one that was written under another name, made
    /// read-only and renamed to where it is.
    pub fn of_unchanging(file: File) -> io::Result<MappedFile> {
        // SAFETY: what is mapped must not change, since it is seen as a slice, and must not shrink, since touching what is no
        // longer there raises SIGBUS. The caller names only files that are complete and read-only and that are removed, never
        // truncated or written; a removed file lives on as long as it is mapped. Whoever else could write to it is root and
        // can change this process as well.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        // Only a hint; without it reading is as right and a little slower.
        drop(map.advise(memmap2::Advice::Sequential));
        Ok(MappedFile { map, file: Arc::new(file) })
    }

    /// The file itself, for what the kernel does better with it than with memory.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_seen_as_its_bytes_also_when_it_is_removed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"bytes").unwrap();
        let mapped = MappedFile::of_unchanging(file.reopen().unwrap()).unwrap();
        drop(file);
        assert_eq!(mapped.as_ref(), b"bytes");
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let file = tempfile::tempfile().unwrap();
        assert!(MappedFile::of_unchanging(file).unwrap().as_ref().is_empty());
    }
}
