//! Pure: rows as bytes: one version byte, then JSON.
//!
//! A newer program reads the rows of every older one by an upgrade of the JSON; a row of a newer program is
//! refused by name, because guessing at it could lose what it says.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Turns the JSON of an older version into that of the present one.
pub type Upgrade = fn(from: u8, value: Value) -> Value;

/// Why bytes are not a row.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Nothing at all.
    #[error("the row is empty")]
    Empty,
    /// Written by a program that knows more than this one.
    #[error("the row has version {found}, and this program knows versions up to {known}")]
    Newer {
        /// The row's version.
        found: u8,
        /// The highest version known here.
        known: u8,
    },
    /// Not JSON, or JSON of another shape.
    #[error("the row is not valid JSON of its kind")]
    Json(#[source] serde_json::Error),
}

/// A value of one of the store's own tables.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// The present version of its JSON.
    const VERSION: u8;

    /// Turns the JSON of an older version into the present one.
    fn upgrade(_from: u8, value: Value) -> Value {
        value
    }

    fn to_bytes(&self) -> Result<Vec<u8>, RowError> {
        encode(Self::VERSION, self)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, RowError> {
        decode(bytes, Self::VERSION, Self::upgrade)
    }
}

pub(crate) fn encode<T: Serialize>(version: u8, value: &T) -> Result<Vec<u8>, RowError> {
    let mut bytes = vec![version];
    serde_json::to_writer(&mut bytes, value).map_err(RowError::Json)?;
    Ok(bytes)
}

pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    known: u8,
    upgrade: Upgrade,
) -> Result<T, RowError> {
    let (found, json) = bytes.split_first().ok_or(RowError::Empty)?;
    if *found > known {
        return Err(RowError::Newer { found: *found, known });
    }
    if *found == known {
        return serde_json::from_slice(json).map_err(RowError::Json);
    }
    let value = serde_json::from_slice(json).map_err(RowError::Json)?;
    serde_json::from_value(upgrade(*found, value)).map_err(RowError::Json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rename(from: u8, mut value: Value) -> Value {
        if from < 2
            && let Some(old) = value.get("old").cloned()
        {
            value["new"] = old;
        }
        value
    }

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Thing {
        new: u32,
    }

    #[test]
    fn an_older_row_is_read_and_a_newer_one_refused() {
        assert_eq!(decode::<Thing>(b"\x01{\"old\":7}", 2, rename).unwrap(), Thing { new: 7 });
        assert!(matches!(
            decode::<Thing>(b"\x03{\"new\":7}", 2, rename),
            Err(RowError::Newer { found: 3, known: 2 })
        ));
        assert!(matches!(decode::<Thing>(b"", 2, rename), Err(RowError::Empty)));
        assert!(matches!(decode::<Thing>(b"\x02{", 2, rename), Err(RowError::Json(_))));
    }

    proptest! {
        #[test]
        fn a_row_survives_its_bytes(new in any::<u32>()) {
            let bytes = encode(2, &Thing { new }).unwrap();
            prop_assert_eq!(decode::<Thing>(&bytes, 2, rename).unwrap(), Thing { new });
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(decode::<Thing>(&bytes, 2, rename));
        }
    }
}
