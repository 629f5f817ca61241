//! Pure: the name of an object: its SHA-1.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use std::fmt;

/// The name of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Oid(pub(crate) [u8; 20]);

impl Oid {
    /// Forty hexadecimal digits; nothing for anything else.
    pub fn parse(text: &str) -> Option<Oid> {
        if text.len() != 40 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 20];
        for (number, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * number..2 * number + 2)?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Oid(bytes))
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Oid> {
        bytes.try_into().ok().map(Oid)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Computes a SHA-1.
pub(crate) struct Sha1(Context);

impl Sha1 {
    pub(crate) fn new() -> Sha1 {
        Sha1(Context::new(&SHA1_FOR_LEGACY_USE_ONLY))
    }

    /// Of an object of this kind and size, whose content is to follow.
    pub(crate) fn of_object(kind: &str, size: u64) -> Sha1 {
        let mut sha1 = Sha1::new();
        sha1.update(format!("{kind} {size}\0").as_bytes());
        sha1
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Oid {
        Oid::from_slice(self.0.finish().as_ref()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_forty_digits() {
        let text = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        assert_eq!(Oid::parse(text).unwrap().to_string(), text);
        // The empty file.
        assert_eq!(Sha1::of_object("blob", 0).finish().to_string(), text);
        for bad in ["", "e69de2", &"g".repeat(40), &"+1".repeat(20), &"é".repeat(20)] {
            assert_eq!(Oid::parse(bad), None, "{bad}");
        }
    }
}
