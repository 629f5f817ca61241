//! Pure: the query of a request: pairs of name and value, with the readings that the API defines.

use crate::filters::{FilterError, Filters};
use crate::route::percent;
use naru_errdefs::{Failure, Kind};

/// The parameters of a request, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// No parameters.
    pub fn new() -> Query {
        Query::default()
    }

    /// Reads `a=b&c=d` with percent escapes and `+` for a space. Bytes that are no UTF-8 are replaced.
    pub fn parse(text: &str) -> Query {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent::decode_form(name), percent::decode_form(value))
        };
        Query(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Query {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a parameter when there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<String>>) -> Query {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds `name=1` when it is on.
    #[must_use]
    pub fn with_flag(self, name: &str, on: bool) -> Query {
        if on { self.with(name, "1") } else { self }
    }

    /// Adds filters when there are any.
    #[must_use]
    pub fn with_filters(self, filters: &Filters) -> Query {
        if filters.is_empty() { self } else { self.with("filters", filters.to_json()) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text that [`Query::parse`] reads.
    pub fn encode(&self) -> String {
        let pair = |(name, value): &(String, String)| {
            format!("{}={}", percent::encode_form(name), percent::encode_form(value))
        };
        self.0.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter, unless it is empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Every value of a parameter.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let name = name.to_owned();
        self.0.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// A yes or no: absent, empty, `0`, `no`, `false` and `none` mean no, all else yes.
    pub fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    /// A yes or no with a default for the absent parameter.
    pub fn flag_or(&self, name: &str, default: bool) -> bool {
        match self.get(name) {
            None => default,
            Some(value) => {
                let value = value.trim().to_ascii_lowercase();
                !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
            }
        }
    }

    /// A whole number, `None` when absent or empty.
    pub fn number(&self, name: &str) -> Result<Option<i64>, QueryError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(source) => {
                Err(QueryError::Number { name: name.to_owned(), value: text.to_owned(), source })
            }
        }
    }

    /// The filters.
    pub fn filters(&self) -> Result<Filters, FilterError> {
        Filters::parse(self.get("filters").unwrap_or_default())
    }
}

/// Why a parameter is refused.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Not a number.
    #[error("parameter `{name}` must be a whole number, not `{value}`")]
    Number {
        /// The parameter.
        name: String,
        /// What was there instead.
        value: String,
        /// Why it is no number.
        #[source]
        source: std::num::ParseIntError,
    },
    /// A parameter that must be there.
    #[error("parameter `{name}` is missing")]
    Missing {
        /// The parameter.
        name: String,
    },
}

impl Failure for QueryError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flag_is_read_as_the_api_defines() {
        for (text, want) in [
            ("a", false),
            ("a=", false),
            ("a=0", false),
            ("a=False", false),
            ("a=none", false),
            ("a=1", true),
            ("a=true", true),
            ("a=True", true),
            ("a=x", true),
            ("b=1", false),
        ] {
            assert_eq!(Query::parse(text).flag("a"), want, "{text}");
        }
    }

    #[test]
    fn a_number_must_be_one() {
        assert_eq!(Query::parse("t=-1").number("t").unwrap(), Some(-1));
        assert_eq!(Query::parse("t=").number("t").unwrap(), None);
        assert!(Query::parse("t=ten").number("t").is_err());
    }

    proptest! {
        #[test]
        fn round_trip(pairs in proptest::collection::vec((".{1,6}", ".{0,6}"), 0..5)) {
            let query = Query(pairs);
            prop_assert_eq!(Query::parse(&query.encode()), query);
        }
    }
}
