//! Pure: the `filters` parameter of the list, events and prune calls.

use naru_errdefs::{Failure, Kind};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Filters by key: several values of one key are alternatives, several keys must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    /// No filters.
    pub fn new() -> Filters {
        Filters::default()
    }

    /// Adds an alternative for a key.
    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.entry(key.into()).or_default().insert(value.into());
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys in use.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The alternatives of one key; none when the key is not in use.
    pub fn get(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Whether the key is in use.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether `value` is among the alternatives of `key`, or the key is not in use.
    pub fn admits(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_none_or(|values| values.contains(value))
    }

    /// The yes or no of a key, `None` when it is not in use.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, FilterError> {
        let Some(values) = self.0.get(key) else { return Ok(None) };
        let yes = values.contains("1") || values.contains("true");
        let no = values.contains("0") || values.contains("false");
        match (yes, no) {
            (true, false) => Ok(Some(true)),
            (false, true) => Ok(Some(false)),
            (true, true) | (false, false) => Err(FilterError::Value {
                key: key.to_owned(),
                values: values.iter().cloned().collect(),
            }),
        }
    }

    /// Reads the parameter: `{"key":["value"]}`, or `{"key":{"value":true}}` as older clients write it. An empty
    /// text means no filters.
    pub fn parse(text: &str) -> Result<Filters, FilterError> {
        if text.is_empty() {
            return Ok(Filters::default());
        }
        let malformed = || FilterError::Malformed { text: text.to_owned() };
        let value: Value =
            serde_json::from_str(text).map_err(|source| FilterError::Json { source })?;
        let Value::Object(object) = value else { return Err(malformed()) };
        let mut filters = Filters::default();
        for (key, values) in object {
            match values {
                Value::Array(list) => {
                    let mut set = BTreeSet::new();
                    for value in list {
                        let Value::String(value) = value else { return Err(malformed()) };
                        set.insert(value);
                    }
                    if !set.is_empty() {
                        filters.0.insert(key, set);
                    }
                }
                Value::Object(map) => {
                    let mut set = BTreeSet::new();
                    for (value, on) in map {
                        let Value::Bool(on) = on else { return Err(malformed()) };
                        if on {
                            set.insert(value);
                        }
                    }
                    if !set.is_empty() {
                        filters.0.insert(key, set);
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    return Err(malformed());
                }
            }
        }
        Ok(filters)
    }

    /// Writes the parameter.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Refuses keys that are not among the known ones.
    pub fn only(&self, known: &[&str]) -> Result<(), FilterError> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(FilterError::Unknown { key: key.clone() }),
            None => Ok(()),
        }
    }
}

/// Why filters are refused.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Not JSON.
    #[error("invalid filter")]
    Json {
        /// Where it went wrong.
        #[source]
        source: serde_json::Error,
    },
    /// JSON of another shape.
    #[error("invalid filter: `{text}` is not of the form {{\"key\":[\"value\"]}}")]
    Malformed {
        /// What was there instead.
        text: String,
    },
    /// A key that the call does not know.
    #[error("invalid filter '{key}'")]
    Unknown {
        /// The key.
        key: String,
    },
    /// A value that the key cannot have.
    #[error("invalid filter '{key}={}'", values.join(","))]
    Value {
        /// The key.
        key: String,
        /// Its values.
        values: Vec<String>,
    },
}

impl Failure for FilterError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_are_read() {
        let new = Filters::parse(r#"{"status":["exited","running"],"name":["a"]}"#).unwrap();
        let old = Filters::parse(
            r#"{"status":{"exited":true,"running":true,"x":false},"name":{"a":true}}"#,
        )
        .unwrap();
        assert_eq!(new, old);
        assert!(new.admits("status", "exited") && !new.admits("status", "dead"));
        assert!(new.admits("label", "anything"));
    }

    #[test]
    fn bad_filters_are_refused() {
        for text in ["{", "[]", "1", r#"{"a":1}"#, r#"{"a":[1]}"#, r#"{"a":{"b":1}}"#, "{}x"] {
            assert!(Filters::parse(text).is_err(), "{text}");
        }
        let filters = Filters::parse(r#"{"colour":["red"]}"#).unwrap();
        assert_eq!(filters.only(&["name"]).unwrap_err().to_string(), "invalid filter 'colour'");
    }

    #[test]
    fn a_flag_is_yes_or_no() {
        let flag = |text| Filters::parse(text).unwrap().flag("dangling");
        assert_eq!(flag("{}").unwrap(), None);
        assert_eq!(flag(r#"{"dangling":["1"]}"#).unwrap(), Some(true));
        assert_eq!(flag(r#"{"dangling":["false"]}"#).unwrap(), Some(false));
        assert!(flag(r#"{"dangling":["maybe"]}"#).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(map in proptest::collection::btree_map(".{1,8}", proptest::collection::btree_set(".{0,8}", 1..4), 0..4)) {
            let filters = Filters(map);
            prop_assert_eq!(Filters::parse(&filters.to_json()).unwrap(), filters);
        }
    }
}
