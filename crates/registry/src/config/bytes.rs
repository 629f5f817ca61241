//! Sizes in configuration files. Pure.

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::fmt;

/// A number of bytes: a number, or one with `k`, `m`, `g` or `t` (of 1024, as docker counts), as `"500m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Reads `500m`; none when it is something else, or too large.
    pub fn parse(text: &str) -> Option<Bytes> {
        let (number, shift) = match text.char_indices().last()? {
            (at, 'k' | 'K') => (text.get(..at)?, 10),
            (at, 'm' | 'M') => (text.get(..at)?, 20),
            (at, 'g' | 'G') => (text.get(..at)?, 30),
            (at, 't' | 'T') => (text.get(..at)?, 40),
            _ => (text, 0),
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        number.parse::<u64>().ok()?.checked_mul(1 << shift).map(Bytes)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes (1048576 or \"500m\")")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Bytes, E> {
        Ok(Bytes(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        Bytes::parse(text)
            .ok_or_else(|| E::custom(format!("`{text}` is not a size (write 500m or 10g)")))
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn numbers_with_or_without_a_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("12", 12),
            ("1k", 1024),
            ("500m", 500 << 20),
            ("2G", 2 << 30),
            ("1t", 1 << 40),
        ] {
            assert_eq!(Bytes::parse(text), Some(Bytes(bytes)), "{text}");
        }
        for text in [
            "",
            "k",
            "-1",
            "+1",
            "1.5g",
            "1 g",
            "1gb",
            "1kib",
            "1ä",
            "99999999999999999999",
            "99999999t",
        ] {
            assert_eq!(Bytes::parse(text), None, "{text}");
        }
        assert_eq!(serde_json::from_str::<Bytes>("7").unwrap(), Bytes(7));
        assert_eq!(serde_json::from_str::<Bytes>("\"7k\"").unwrap(), Bytes(7168));
        for json in ["-1", "1.5", "\"x\"", "null", "[]"] {
            assert!(serde_json::from_str::<Bytes>(json).is_err(), "{json}");
        }
    }
}
