//! Pure: what a registry asks for when it does not know us (RFC 9110 section 11.6.1, and docker's token specification).

use std::collections::BTreeMap;

/// More would be no honest header.
const MOST_CHALLENGES: usize = 16;

/// One `WWW-Authenticate` challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// `basic`, `bearer`, ..., in lower case.
    pub(crate) scheme: String,
    /// Parameters by their name in lower case.
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// A parameter that is there and not empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Reads the value of a header, which may hold several challenges. What cannot be read is left out.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut reader = Reader { rest: header };
    let mut challenges: Vec<Challenge> = Vec::new();
    while challenges.len() < MOST_CHALLENGES {
        reader.skip(|c| c == ',' || c.is_ascii_whitespace());
        let word = reader.token();
        if word.is_empty() {
            // A character that begins nothing; the rest may still mean something.
            if reader.next().is_none() {
                break;
            }
            continue;
        }
        reader.skip(|c| c == ' ' || c == '\t');
        if reader.rest.starts_with('=') && !challenges.is_empty() {
            reader.next();
            reader.skip(|c| c == ' ' || c == '\t');
            let value = reader.value();
            if let Some(last) = challenges.last_mut() {
                last.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
            }
        } else {
            challenges
                .push(Challenge { scheme: word.to_ascii_lowercase(), parameters: BTreeMap::new() });
        }
    }
    challenges
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(unwanted);
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let first = chars.next();
        self.rest = chars.as_str();
        first
    }

    fn token(&mut self) -> &'a str {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(c);
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        token
    }

    fn value(&mut self) -> String {
        if !self.rest.starts_with('"') {
            return self.token().to_owned();
        }
        self.next();
        let mut value = String::new();
        while let Some(c) = self.next() {
            match c {
                '"' => break,
                '\\' => value.extend(self.next()),
                c => value.push(c),
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_of_real_registries_are_read() {
        let hub = parse(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull""#,
        );
        assert_eq!(hub.len(), 1);
        assert_eq!(hub[0].scheme, "bearer");
        assert_eq!(hub[0].parameter("realm"), Some("https://auth.docker.io/token"));
        assert_eq!(hub[0].parameter("scope"), Some("repository:library/debian:pull"));
        let two = parse(
            r#"Basic realm="Registry \"x\"", Bearer realm=https://a/t, error="invalid_token""#,
        );
        assert_eq!(two.len(), 2);
        assert_eq!(two[0].parameter("realm"), Some("Registry \"x\""));
        assert_eq!(two[1].parameter("realm"), Some("https://a/t"));
        assert_eq!(two[1].parameter("error"), Some("invalid_token"));
        assert_eq!(parse("Negotiate")[0].scheme, "negotiate");
        assert!(parse(" ,,= ").is_empty());
        assert_eq!(parse("Bearer realm=\"unfinished")[0].parameter("realm"), Some("unfinished"));
    }

    proptest! {
        #[test]
        fn no_header_panics_or_hangs(header in ".{0,200}") {
            prop_assert!(parse(&header).len() <= MOST_CHALLENGES);
        }
    }
}
