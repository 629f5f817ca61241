//! Pure: an archive in the form that a kernel unpacks as its first root (`newc`).

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const TRAILER: &str = "TRAILER!!!";

/// An archive under construction.
pub struct Archive {
    bytes: Vec<u8>,
    next_inode: u32,
}

impl Archive {
    /// An empty one.
    pub fn new() -> Archive {
        Archive { bytes: Vec::new(), next_inode: 1 }
    }

    /// Adds a directory; those above it must be there.
    pub fn directory(&mut self, name: &str) -> Result<(), String> {
        self.entry(name, DIRECTORY | 0o755, &[])
    }

    /// Adds a file.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<(), String> {
        self.entry(name, FILE | mode, content)
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, name: &str, target: &str) -> Result<(), String> {
        self.entry(name, LINK | 0o777, target.as_bytes())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Result<Vec<u8>, String> {
        self.entry(TRAILER, 0, &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<(), String> {
        let size =
            u32::try_from(content.len()).map_err(|_large| format!("`{name}` is too large"))?;
        let length =
            u32::try_from(name.len() + 1).map_err(|_long| "a name is too long".to_owned())?;
        let links = if mode & DIRECTORY != 0 && mode & FILE == 0 { 2 } else { 1 };
        let fields = [self.next_inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, length, 0];
        self.next_inode += 1;
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn entries_are_aligned_and_the_end_is_marked() {
        let mut archive = Archive::new();
        archive.directory("bin").unwrap();
        archive.file("bin/x", 0o755, b"hello").unwrap();
        archive.link("bin/y", "x").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        assert!(bytes.starts_with(b"070701"));
        let text = String::from_utf8_lossy(&bytes);
        // 110 bytes of header, the name with its end, the content: each at a multiple of four.
        for part in ["bin/x\0", "hello\0", "bin/y\0", "TRAILER!!!\0"] {
            assert!(text.contains(part), "{part:?}");
        }
        let at = text.find("hello").unwrap();
        assert_eq!(at % 4, 0);
    }
}
