//! Pure: names of entries as paths under the destination.

use super::ExtractError;
use crate::tar::error::shown;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path that the kernel takes.
const PATH_MAX: usize = 4095;

/// How entries are called where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rename<'a> {
    /// As in the archive.
    No,
    /// The first component of every name is replaced.
    First(&'a OsStr, &'a OsStr),
    /// Every name goes below this one.
    Below(&'a OsStr),
}

/// Cleans a name as Go's `filepath.Clean` does and renames it; the empty path is the destination itself. A name that
/// leaves the destination is refused; a leading `/` means the destination.
pub(super) fn resolve(
    name: &[u8],
    rename: Rename<'_>,
    depth: usize,
) -> Result<PathBuf, ExtractError> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.pop().is_none() && !name.starts_with(b"/") => {
                return Err(ExtractError::Outside { path: shown(name) });
            }
            b".." => {}
            _ => parts.push(part),
        }
    }
    match rename {
        Rename::No => {}
        Rename::First(old, new) => match parts.first_mut() {
            Some(first) if *first == old.as_bytes() => *first = new.as_bytes(),
            Some(_) | None => {}
        },
        Rename::Below(new) => parts.insert(0, new.as_bytes()),
    }
    let bytes = parts.join(&b'/');
    if parts.len() > depth || bytes.len() > PATH_MAX {
        return Err(ExtractError::TooDeep { path: shown(name), limit: depth });
    }
    Ok(Path::new(OsStr::from_bytes(&bytes)).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_stay_below_the_destination() {
        let first = Rename::First(OsStr::new("a"), OsStr::new("new"));
        let below = Rename::Below(OsStr::new("new"));
        for (name, rename, want) in [
            ("a", Rename::No, Some("a")),
            ("./a//b/", Rename::No, Some("a/b")),
            ("/etc/passwd", Rename::No, Some("etc/passwd")),
            ("/../x", Rename::No, Some("x")),
            ("a/../b", Rename::No, Some("b")),
            (".", Rename::No, Some("")),
            ("/", Rename::No, Some("")),
            ("..", Rename::No, None),
            ("../x", Rename::No, None),
            ("a/../../x", Rename::No, None),
            (".wh.a/.wh.b", Rename::No, Some(".wh.a/.wh.b")),
            ("a", first, Some("new")),
            ("a/a", first, Some("new/a")),
            ("b/a", first, Some("b/a")),
            ("./", below, Some("new")),
            ("./a", below, Some("new/a")),
            ("/", below, Some("new")),
            ("../a", below, None),
            ("1/2/3/4/5/6/7/8", Rename::No, Some("1/2/3/4/5/6/7/8")),
            ("1/2/3/4/5/6/7/8/9", Rename::No, None),
        ] {
            let got = resolve(name.as_bytes(), rename, 8).ok();
            assert_eq!(got.as_deref(), want.map(Path::new), "{name} {rename:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_has_no_dots(name in "[a/.]{0,30}") {
            if let Ok(path) = resolve(name.as_bytes(), Rename::No, 100) {
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }
    }
}
