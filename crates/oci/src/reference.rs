//! Pure: what a user types to name an image: `[registry/]repository[:tag][@digest]`.
//!
//! Grammar and normalisation follow `distribution/reference`: a first component with a dot, a colon or the
//! name `localhost` (or with an upper-case letter) is a registry; everything else is Docker Hub, and a
//! one-component name there is under `library/`.

use crate::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

const DEFAULT_REGISTRY: &str = "docker.io";
const OFFICIAL_PREFIX: &str = "library/";
/// `NameTotalLengthMax` of distribution.
const LONGEST_NAME: usize = 255;

/// A normalised image reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry's host and port (`docker.io` when none was written).
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository without the registry (`library/debian`).
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was written.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same reference with the tag `latest` when it names neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The same repository with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ParseReferenceError> {
        if !is_tag(tag) {
            return Err(ParseReferenceError::BadTag { text: shortened(tag) });
        }
        Ok(Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Registry and repository in full, without tag and digest (`docker.io/library/debian`).
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Registry and repository, without tag and digest, as a person writes it (`debian`, `localhost:5000/x`).
    pub fn familiar_name(&self) -> String {
        if self.registry == DEFAULT_REGISTRY {
            let short = match self.repository.strip_prefix(OFFICIAL_PREFIX) {
                Some(rest) if !rest.contains('/') => rest,
                _ => &self.repository,
            };
            return short.to_owned();
        }
        format!("{}/{}", self.registry, self.repository)
    }

    /// The whole reference as a person writes it.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

/// The normalised form, with registry (`docker.io/library/debian:12`).
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.name()))
    }
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseReferenceError {
    /// Outside the grammar.
    #[error("invalid reference format: `{text}`")]
    Format {
        /// The text.
        text: String,
    },
    /// Upper-case letters in the repository.
    #[error("invalid reference format: repository name (`{text}`) must be lowercase")]
    UpperCase {
        /// The text.
        text: String,
    },
    /// A 64-digit hexadecimal name, which could be taken for an image ID.
    #[error("invalid repository name (`{text}`): cannot be 64 hexadecimal digits")]
    LooksLikeId {
        /// The text.
        text: String,
    },
    /// Longer than the grammar allows.
    #[error("repository name `{text}` is longer than {LONGEST_NAME} characters")]
    TooLong {
        /// The text.
        text: String,
    },
    /// A tag outside the grammar.
    #[error("invalid tag `{text}`")]
    BadTag {
        /// The text.
        text: String,
    },
    /// A digest outside the grammar.
    #[error("invalid digest in `{text}`")]
    BadDigest {
        /// The text.
        text: String,
        /// Why.
        #[source]
        source: crate::ParseDigestError,
    },
}

impl naru_errdefs::Failure for ParseReferenceError {
    fn kind(&self) -> naru_errdefs::Kind {
        naru_errdefs::Kind::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        match self {
            ParseReferenceError::BadTag { .. } => {
                Some("a tag has 1 to 128 of the characters `A-Z a-z 0-9 _ . -` and starts with none of the last two".to_owned())
            }
            _ => None,
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Reference, ParseReferenceError> {
        let quoted = || shortened(text);
        if text.len() == 64
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err(ParseReferenceError::LooksLikeId { text: quoted() });
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|source| ParseReferenceError::BadDigest { text: quoted(), source })?;
                (rest, Some(digest))
            }
        };
        let (first, remainder) = match rest.split_once('/') {
            Some((first, remainder)) if is_registry_like(first) => (first, remainder),
            _ => (DEFAULT_REGISTRY, rest),
        };
        if !is_registry(first) {
            return Err(ParseReferenceError::Format { text: quoted() });
        }
        let (path, tag) = match remainder.rsplit_once(':') {
            Some((path, tag)) => {
                if !is_tag(tag) {
                    return Err(ParseReferenceError::Format { text: quoted() });
                }
                (path, Some(tag.to_owned()))
            }
            None => (remainder, None),
        };
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ParseReferenceError::UpperCase { text: shortened(path) });
        }
        if path.is_empty() || !path.split('/').all(is_component) {
            return Err(ParseReferenceError::Format { text: quoted() });
        }
        let registry = if first == "index.docker.io" { DEFAULT_REGISTRY } else { first };
        let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
            format!("{OFFICIAL_PREFIX}{path}")
        } else {
            path.to_owned()
        };
        if registry.len() + 1 + repository.len() > LONGEST_NAME {
            return Err(ParseReferenceError::TooLong { text: quoted() });
        }
        Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
    }
}

/// Whether a first component is meant as a registry (distribution's `splitDockerDomain`).
fn is_registry_like(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|b| b.is_ascii_uppercase())
}

/// `host[:port]`, the host a name or a bracketed IPv6 address.
fn is_registry(text: &str) -> bool {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else { return false };
        let colon_port = match after.strip_prefix(':') {
            Some(port) => Some(port),
            None if after.is_empty() => None,
            None => return false,
        };
        if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
            return false;
        }
        ("x", colon_port)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// `[a-z0-9]+` runs joined by one `.`, one or two `_`, or any number of `-`.
/// Whether a text is the name of a repository (distribution-spec, "Pulling manifests"), at most 255 characters long.
pub fn is_repository_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME && !text.is_empty() && text.split('/').all(is_component)
}

/// Whether a text is a tag (distribution-spec, "Pulling manifests").
pub fn is_tag_name(text: &str) -> bool {
    is_tag(text)
}

fn is_component(text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().copied().is_some_and(alnum) || !bytes.last().copied().is_some_and(alnum) {
        return false;
    }
    bytes.split(|b| alnum(*b)).filter(|separator| !separator.is_empty()).all(|separator| {
        matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Reference, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn check(text: &str, normal: &str, familiar: &str) {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), normal, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
    }

    #[test]
    fn names_are_normalised_as_docker_does() {
        check("debian", "docker.io/library/debian", "debian");
        check("debian:12", "docker.io/library/debian:12", "debian:12");
        check("naru/hello", "docker.io/naru/hello", "naru/hello");
        check("index.docker.io/debian", "docker.io/library/debian", "debian");
        check("localhost/x:1", "localhost/x:1", "localhost/x:1");
        check("localhost:5000/a/b/c", "localhost:5000/a/b/c", "localhost:5000/a/b/c");
        check("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x");
        check(
            "r.example/a__b/c.d-e---f:T_1",
            "r.example/a__b/c.d-e---f:T_1",
            "r.example/a__b/c.d-e---f:T_1",
        );
        let digest = format!("sha256:{HEX}");
        check(
            &format!("x@{digest}"),
            &format!("docker.io/library/x@{digest}"),
            &format!("x@{digest}"),
        );
        check(
            &format!("x:1@{digest}"),
            &format!("docker.io/library/x:1@{digest}"),
            &format!("x:1@{digest}"),
        );
    }

    #[test]
    fn texts_outside_the_grammar_are_refused() {
        for text in [
            "",
            ":",
            ":tag",
            "@",
            "x:",
            "x@",
            "X",
            "x/Y",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "../x",
            "x:a/b",
            "x y",
            "x:-a",
            "x@sha256:abc",
            "r.example/",
            "-r.example/x",
            "r.example:x/y",
            HEX,
            "x\n",
            "[zz]:1/x",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
        assert!("a/".repeat(200).trim_end_matches('/').parse::<Reference>().is_err());
        assert!(format!("x:{}", "t".repeat(129)).parse::<Reference>().is_err());
        assert!(format!("x:{}", "t".repeat(128)).parse::<Reference>().is_ok());
    }

    proptest! {
        #[test]
        fn the_normal_and_the_familiar_form_mean_the_same(text in "([a-z]{1,5}\\.[a-z]{1,3}(:[0-9]{2,4})?/)?[a-z0-9]{1,6}([._-][a-z0-9]{1,4})?(/[a-z0-9]{1,5})?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,6})?") {
            let reference: Reference = text.parse().unwrap();
            prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
            prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            drop(text.parse::<Reference>());
        }
    }
}
