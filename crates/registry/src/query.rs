//! Pure: the query of a request.

use crate::problem::{Code, Problem};
use http::StatusCode;

/// More names or tags are not given at once.
const LARGEST_PAGE: usize = 10_000;

/// The parameters of a query, decoded, in their order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: Option<&str>) -> Query {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// How many are asked for (`n`), and after which (`last`).
    pub(crate) fn page(&self) -> Result<(usize, Option<&str>), Problem> {
        let number = match self.get("n") {
            None | Some("") => LARGEST_PAGE,
            Some(text) => text.parse::<usize>().map_err(|_bad| {
                Problem::new(Code::Unsupported, "`n` is no number of entries")
                    .with_status(StatusCode::BAD_REQUEST)
            })?,
        };
        Ok((number.min(LARGEST_PAGE), self.get("last").filter(|last| !last.is_empty())))
    }
}

/// Percent-decoding; `+` stands for itself, since digests and media types have it.
fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let decoded = hex
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text as a value in a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_once() {
        let query = Query::parse(Some(
            "digest=sha256%3Aab&tag=a&tag=b&n=5&x&artifactType=a%2Fb+json&bad=%zz",
        ));
        assert_eq!(query.get("digest"), Some("sha256:ab"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(query.get("x"), Some(""));
        assert_eq!(query.get("artifactType"), Some("a/b+json"));
        assert_eq!(query.get("bad"), Some("%zz"));
        assert_eq!(query.page().unwrap(), (5, None));
        assert_eq!(decode(&encode("a b&c=d/é")), "a b&c=d/é");
    }

    #[test]
    fn pages_have_bounds() {
        assert_eq!(Query::parse(Some("n=0&last=z")).page().unwrap(), (0, Some("z")));
        assert_eq!(Query::parse(Some("n=99999999")).page().unwrap().0, LARGEST_PAGE);
        assert!(Query::parse(Some("n=-1")).page().is_err());
        assert!(Query::parse(Some("n=x")).page().is_err());
        assert_eq!(Query::parse(None).page().unwrap(), (LARGEST_PAGE, None));
    }
}
