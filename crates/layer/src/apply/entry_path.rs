//! Pure: an entry's name as a path inside the layer.

use super::ApplyError;
use crate::tar::error::shown;
use crate::whiteout::PREFIX;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path that the kernel takes.
const PATH_MAX: usize = 4095;

/// A path inside the layer: relative, without `.`, `..` and empty components; empty for the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPath {
    bytes: Vec<u8>,
    /// Where the last component begins.
    last: usize,
}

impl EntryPath {
    /// The layer's root.
    pub fn root() -> EntryPath {
        EntryPath { bytes: Vec::new(), last: 0 }
    }

    /// Cleans a name as Go's `filepath.Clean` does: `..` takes the component before it away. One that leaves the
    /// layer is refused; a leading `/` means the layer's root, as it does for everybody who unpacks layers.
    pub fn parse(name: &[u8], depth: usize) -> Result<EntryPath, ApplyError> {
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in name.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    if parts.pop().is_none() {
                        return Err(ApplyError::Escapes { path: shown(name) });
                    }
                }
                _ => parts.push(part),
            }
        }
        let bytes = parts.join(&b'/');
        if parts.len() > depth || bytes.len() > PATH_MAX {
            return Err(ApplyError::TooDeep { path: shown(name), limit: depth });
        }
        let last = bytes.len() - parts.pop().map_or(0, <[u8]>::len);
        // A directory with such a name could never be put into a layer again.
        if parts.iter().any(|part| part.starts_with(PREFIX.as_bytes())) {
            return Err(ApplyError::BadWhiteout { path: OsStr::from_bytes(&bytes).into() });
        }
        Ok(EntryPath { bytes, last })
    }

    /// The last component; `None` for the root.
    pub fn name(&self) -> Option<&OsStr> {
        let name = self.bytes.get(self.last..).filter(|name| !name.is_empty())?;
        Some(OsStr::from_bytes(name))
    }

    /// Everything before the last component.
    pub fn parent(&self) -> &Path {
        let parent = self.bytes.get(..self.last.saturating_sub(1)).unwrap_or_default();
        Path::new(OsStr::from_bytes(parent))
    }

    /// All of it.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.bytes))
    }

    /// All of it, owned.
    pub fn to_path(&self) -> PathBuf {
        self.as_path().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_cleaned_and_escapes_refused() {
        let check = |name: &str, expected: Option<(&str, &str)>| {
            let path = EntryPath::parse(name.as_bytes(), 8).ok();
            let parts = path.as_ref().map(|path| {
                (
                    path.parent().to_str().unwrap(),
                    path.name().map_or("", |name| name.to_str().unwrap()),
                )
            });
            assert_eq!(parts, expected, "{name}");
        };
        check("a", Some(("", "a")));
        check("./a/b/", Some(("a", "b")));
        check("/etc//passwd", Some(("etc", "passwd")));
        check("a/../b", Some(("", "b")));
        check(".", Some(("", "")));
        check("/", Some(("", "")));
        check("a/..", Some(("", "")));
        check("..", None);
        check("../x", None);
        check("/../x", None);
        check("a/../../x", None);
        check("1/2/3/4/5/6/7/8", Some(("1/2/3/4/5/6/7", "8")));
        check("1/2/3/4/5/6/7/8/9", None);
        check(".wh.a/b", None);
        check("a/.wh.b", Some(("a", ".wh.b")));
    }

    proptest! {
        #[test]
        fn whatever_is_taken_has_no_dots(name in "[a/.]{0,30}") {
            if let Ok(path) = EntryPath::parse(name.as_bytes(), 100) {
                prop_assert!(path.as_path().components().all(|part| matches!(part, std::path::Component::Normal(_))));
                prop_assert_eq!(path.name().map_or(path.to_path(), |name| path.parent().join(name)), path.to_path());
            }
        }
    }
}
