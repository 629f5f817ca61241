//! Pure: what all wire structures share: `null` means zero, field names as the API spells them.

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A JSON object with free keys, written in the order of the keys.
pub type Map<T> = BTreeMap<String, T>;

/// Reads a value, taking `null` for the zero value.
pub(crate) fn or_zero<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Declares wire structures: fields are named in `PascalCase` on the wire unless a field says otherwise; an absent or
/// `null` field is the zero value.
macro_rules! wire {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $name {
            $($(#[$field_meta])*
            #[serde(default, deserialize_with = "crate::wire::or_zero")]
            pub $field: $type,)*
        }
    )*};
}
pub(crate) use wire;

/// The empty object `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Empty;

impl Serialize for Empty {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(std::iter::empty::<((), ())>())
    }
}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Empty, D::Error> {
        Option::<Map<serde::de::IgnoredAny>>::deserialize(deserializer).map(|_| Empty)
    }
}

/// A command: a list of words, or one string that stands for a list of one. `None` is `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StrSlice(pub Option<Vec<String>>);

impl StrSlice {
    /// The words; none for `null`.
    pub fn words(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for StrSlice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StrSlice, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = StrSlice;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_str<E>(self, word: &str) -> Result<StrSlice, E> {
                Ok(StrSlice(Some(vec![word.to_owned()])))
            }
            fn visit_unit<E>(self) -> Result<StrSlice, E> {
                Ok(StrSlice(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<StrSlice, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(StrSlice(Some(words)))
            }
        }
        deserializer.deserialize_any(Words)
    }
}
