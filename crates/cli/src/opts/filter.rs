//! Pure: `--filter KEY=VALUE`, collected for the `filters` parameter.

use super::OptError;
use std::collections::BTreeMap;

/// Filters by key, each with its values.
pub type Filters = BTreeMap<String, Vec<String>>;

/// One filter.
pub fn parse(text: &str) -> Result<(String, String), OptError> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_ascii_lowercase(), value.trim().to_owned())),
        None => Err(OptError::new("bad format of filter (expected name=value)")
            .with_hint("write it as in `--filter status=exited`")),
    }
}

/// Many filters, in one map.
pub fn collect(pairs: Vec<(String, String)>) -> Filters {
    let mut filters = Filters::new();
    for (key, value) in pairs {
        filters.entry(key).or_default().push(value);
    }
    filters
}

#[cfg(test)]
mod tests {
    use crate::opts::tests::check;

    #[test]
    fn filters() {
        let two = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        check(
            super::parse,
            &[
                ("status=exited", two("status", "exited")),
                ("Label=a=b", two("label", "a=b")),
                (" name = x ", two("name", "x")),
            ],
            &[("status", "bad format of filter (expected name=value)")],
        );
        let map = super::collect(vec![two("a", "1"), two("b", "2"), two("a", "3")]);
        assert_eq!(map["a"], ["1", "3"]);
    }
}
