//! Pure: the places that an image is copied between, as the client names them to the daemon.
//!
//! Paths are the client's own: what it has in a file it sends as the body, and what it wants in a file is the answer.

use naru_errdefs::{Failure, Kind};
use std::fmt;
use std::str::FromStr;

/// The header with which a client says who it is to the registry that is copied from.
pub const SOURCE_AUTH: &str = "X-Registry-Auth-Source";

/// The header of an answer that says what is in its body.
pub const CONTENT_DIGEST: &str = "Docker-Content-Digest";

/// The header of an answer with a single image's manifest that says which platform it is for, as JSON.
pub const CONTENT_PLATFORM: &str = "Naru-Platform";

/// A place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `docker://REFERENCE`
    Registry(String),
    /// `store:NAME`
    Store(String),
    /// `docker-archive:[REFERENCE]`
    DockerArchive(Option<String>),
    /// `oci-archive:[NAME]`
    OciArchive(Option<String>),
    /// `content:[DIGEST]`: a manifest that is no image, as a build cache; as a destination it has no digest yet.
    Content(Option<String>),
}

/// Why a text is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no place to copy from or to")]
pub struct ParsePlaceError {
    text: String,
}

impl Failure for ParsePlaceError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        Some(
            "write `docker://NAME`, `store:NAME`, `docker-archive:[NAME]` or `oci-archive:[NAME]`"
                .to_owned(),
        )
    }
}

impl FromStr for Place {
    type Err = ParsePlaceError;

    fn from_str(text: &str) -> Result<Place, ParsePlaceError> {
        let bad = || ParsePlaceError { text: text.chars().take(300).collect() };
        let named = |rest: &str| match rest.is_empty() {
            true => Err(bad()),
            false => Ok(rest.to_owned()),
        };
        let perhaps = |rest: &str| (!rest.is_empty()).then(|| rest.to_owned());
        match text.split_once(':') {
            Some(("docker", rest)) => {
                named(rest.strip_prefix("//").ok_or_else(bad)?).map(Place::Registry)
            }
            Some(("store", rest)) => named(rest).map(Place::Store),
            Some(("docker-archive", rest)) => Ok(Place::DockerArchive(perhaps(rest))),
            Some(("oci-archive", rest)) => Ok(Place::OciArchive(perhaps(rest))),
            Some(("content", rest)) => Ok(Place::Content(perhaps(rest))),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        match self {
            Place::Registry(reference) => write!(f, "docker://{reference}"),
            Place::Store(reference) => write!(f, "store:{reference}"),
            Place::DockerArchive(text) => write!(f, "docker-archive:{}", name(text)),
            Place::OciArchive(text) => write!(f, "oci-archive:{}", name(text)),
            Place::Content(digest) => write!(f, "content:{}", name(digest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_the_way() {
        for text in [
            "docker://r.example:5000/x:1",
            "docker://x@sha256:00",
            "store:x:1",
            "docker-archive:",
            "docker-archive:x:1",
            "oci-archive:v1",
            "content:",
            "content:sha256:00",
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for text in ["", "x", "docker:x", "docker://", "store:", "oci:x", "dir:x", "/x"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
