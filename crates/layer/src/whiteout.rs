//! Pure: how layers say that something is gone (image-spec, `layer.md`), and which names and attributes are reserved.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What a name in a layer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// An entry like any other.
    Ordinary,
    /// The name hides this name of the layers below.
    Hides(&'a OsStr),
    /// The directory it is in hides all of the same directory below.
    Opaque,
    /// Bookkeeping of aufs that other storage leaves out.
    AufsBookkeeping,
    /// It begins like a whiteout, but means nothing that may be done.
    Refused,
}

/// What every whiteout's name begins with.
pub const PREFIX: &str = ".wh.";
/// The name that makes its directory opaque.
pub const OPAQUE: &str = ".wh..wh..opq";
/// The attribute by which overlayfs knows an opaque directory.
pub const OPAQUE_ATTRIBUTE: &[u8] = b"trusted.overlay.opaque";

/// Reads the last component of an entry's path.
pub fn meaning(name: &OsStr) -> Meaning<'_> {
    let Some(hidden) = name.as_bytes().strip_prefix(PREFIX.as_bytes()) else {
        return Meaning::Ordinary;
    };
    match hidden {
        b".wh..opq" => Meaning::Opaque,
        _ if hidden.starts_with(PREFIX.as_bytes()) => Meaning::AufsBookkeeping,
        b"" | b"." | b".." => Meaning::Refused,
        _ => Meaning::Hides(OsStr::from_bytes(hidden)),
    }
}

/// The name of the entry that hides `name`.
pub fn name_for(name: &OsStr) -> OsString {
    let mut whiteout = OsString::from(PREFIX);
    whiteout.push(name);
    whiteout
}

/// Whether overlayfs gives this attribute a meaning of its own, so that no layer may set it.
pub fn is_reserved_attribute(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_the_spec_says() {
        let check = |name: &str, expected: Meaning<'_>| {
            assert_eq!(meaning(name.as_ref()), expected, "{name}")
        };
        check("file", Meaning::Ordinary);
        check("wh.file", Meaning::Ordinary);
        check(".wh", Meaning::Ordinary);
        check(".wh.file", Meaning::Hides("file".as_ref()));
        check(".wh....", Meaning::Hides("...".as_ref()));
        check(".wh..wh..opq", Meaning::Opaque);
        check(".wh..wh.plnk", Meaning::AufsBookkeeping);
        check(".wh..wh.aufs", Meaning::AufsBookkeeping);
        check(".wh.", Meaning::Refused);
        check(".wh..", Meaning::Refused);
        check(".wh...", Meaning::Refused);
        assert_eq!(name_for("x".as_ref()), ".wh.x");
    }

    #[test]
    fn attributes_of_the_overlay_are_reserved() {
        assert!(is_reserved_attribute(b"trusted.overlay.opaque"));
        assert!(is_reserved_attribute(b"user.overlay.redirect"));
        assert!(!is_reserved_attribute(b"trusted.overlayx"));
        assert!(!is_reserved_attribute(b"user.note"));
    }
}
