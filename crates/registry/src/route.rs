//! Pure: what a path asks for, and what right that needs.
//!
//! Repository names contain slashes, so a path is read from its end. Nothing of a name reaches the file system.

use crate::access::{Action, Need};
use http::Method;
use naru_oci::{Digest, is_repository_name, is_tag_name};
use std::fmt;

/// What a path asks for (distribution-spec, "Endpoints").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`: whether this is a registry, and who is asking.
    Base,
    /// `/v2/_catalog`: all repositories.
    Catalog,
    /// `/v2/<name>/manifests/<reference>`.
    Manifest {
        /// The repository.
        name: String,
        /// A tag or a digest.
        reference: Target,
    },
    /// `/v2/<name>/blobs/<digest>`.
    Blob {
        /// The repository.
        name: String,
        /// The blob.
        digest: Digest,
    },
    /// `/v2/<name>/blobs/uploads/`.
    Uploads {
        /// The repository.
        name: String,
    },
    /// `/v2/<name>/blobs/uploads/<id>`.
    Upload {
        /// The repository.
        name: String,
        /// The session.
        id: String,
    },
    /// `/v2/<name>/tags/list`.
    Tags {
        /// The repository.
        name: String,
    },
    /// `/v2/<name>/referrers/<digest>`.
    Referrers {
        /// The repository.
        name: String,
        /// What they are about.
        digest: Digest,
    },
}

/// What a manifest is called by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A tag.
    Tag(String),
    /// A digest.
    Digest(Digest),
    /// A text that is neither; there is nothing of this name, and nothing can be put there.
    Neither(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tag(text) | Target::Neither(text) => f.write_str(text),
            Target::Digest(digest) => digest.fmt(f),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Route::Base => f.write_str("/v2/"),
            Route::Catalog => f.write_str("/v2/_catalog"),
            Route::Manifest { name, reference } => write!(f, "/v2/{name}/manifests/{reference}"),
            Route::Blob { name, digest } => write!(f, "/v2/{name}/blobs/{digest}"),
            Route::Uploads { name } => write!(f, "/v2/{name}/blobs/uploads/"),
            Route::Upload { name, id } => write!(f, "/v2/{name}/blobs/uploads/{id}"),
            Route::Tags { name } => write!(f, "/v2/{name}/tags/list"),
            Route::Referrers { name, digest } => write!(f, "/v2/{name}/referrers/{digest}"),
        }
    }
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Astray {
    /// It is no path of this protocol.
    Unknown,
    /// A repository's name is outside the grammar.
    Name(String),
    /// A digest is none, or of an algorithm that is not known.
    Digest(String),
}

impl Route {
    /// The tag, digest or upload that it is about.
    pub(crate) fn reference(&self) -> Option<String> {
        match self {
            Route::Manifest { reference, .. } => Some(reference.to_string()),
            Route::Blob { digest, .. } | Route::Referrers { digest, .. } => {
                Some(digest.to_string())
            }
            Route::Upload { id, .. } => Some(id.chars().take(64).collect()),
            Route::Base | Route::Catalog | Route::Uploads { .. } | Route::Tags { .. } => None,
        }
    }

    /// Reads a path, percent-encoded as it came.
    pub fn parse(path: &str) -> Result<Route, Astray> {
        let rest = match path {
            "/v2" | "/v2/" => return Ok(Route::Base),
            path => path.strip_prefix("/v2/").ok_or(Astray::Unknown)?,
        };
        if rest == "_catalog" {
            return Ok(Route::Catalog);
        }
        // What cannot be decoded stays as it is: a percent sign is outside every grammar, so it is refused as what it stands for.
        let segments: Vec<String> = rest
            .split('/')
            .map(|segment| decode(segment).unwrap_or_else(|| segment.to_owned()))
            .collect();
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        match words.as_slice() {
            [name @ .., "tags", "list"] => Ok(Route::Tags { name: named(name)? }),
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
                Ok(Route::Uploads { name: named(name)? })
            }
            [name @ .., "blobs", "uploads", id] => {
                Ok(Route::Upload { name: named(name)?, id: (*id).to_owned() })
            }
            [name @ .., "manifests", reference] => {
                let name = named(name)?;
                Ok(Route::Manifest { name, reference: target(reference)? })
            }
            [name @ .., "blobs", digest] => {
                Ok(Route::Blob { name: named(name)?, digest: digest_of(digest)? })
            }
            [name @ .., "referrers", digest] => {
                Ok(Route::Referrers { name: named(name)?, digest: digest_of(digest)? })
            }
            _ => Err(Astray::Unknown),
        }
    }

    /// The methods that can be used on it.
    pub fn methods(&self) -> &'static [Method] {
        const READ: &[Method] = &[Method::GET, Method::HEAD];
        match self {
            Route::Base | Route::Catalog | Route::Tags { .. } | Route::Referrers { .. } => READ,
            Route::Manifest { .. } => &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE],
            Route::Blob { .. } => &[Method::GET, Method::HEAD, Method::DELETE],
            Route::Uploads { .. } => &[Method::POST],
            Route::Upload { .. } => &[Method::GET, Method::PATCH, Method::PUT, Method::DELETE],
        }
    }

    /// The right that a method on it needs; mounting from another repository needs more, which is asked for separately.
    pub fn needs(&self, method: &Method) -> Vec<Need> {
        let need =
            |repository: &str, action| vec![Need { repository: repository.to_owned(), action }];
        match self {
            Route::Base => Vec::new(),
            Route::Catalog => need("", Action::Catalog),
            Route::Tags { name } | Route::Referrers { name, .. } => need(name, Action::Pull),
            Route::Uploads { name } | Route::Upload { name, .. } => need(name, Action::Push),
            Route::Manifest { name, .. } | Route::Blob { name, .. } => match *method {
                Method::PUT => need(name, Action::Push),
                Method::DELETE => need(name, Action::Delete),
                _ => need(name, Action::Pull),
            },
        }
    }

    /// The same about another repository.
    pub(crate) fn moved(mut self, repository: &str) -> Route {
        match &mut self {
            Route::Base | Route::Catalog => {}
            Route::Manifest { name, .. }
            | Route::Blob { name, .. }
            | Route::Uploads { name }
            | Route::Upload { name, .. }
            | Route::Tags { name }
            | Route::Referrers { name, .. } => repository.clone_into(name),
        }
        self
    }

    /// The repository that it is about.
    pub fn repository(&self) -> Option<&str> {
        match self {
            Route::Base | Route::Catalog => None,
            Route::Manifest { name, .. }
            | Route::Blob { name, .. }
            | Route::Uploads { name }
            | Route::Upload { name, .. }
            | Route::Tags { name }
            | Route::Referrers { name, .. } => Some(name),
        }
    }
}

fn named(segments: &[&str]) -> Result<String, Astray> {
    let name = segments.join("/");
    if segments.is_empty() || !is_repository_name(&name) {
        return Err(Astray::Name(name.chars().take(300).collect()));
    }
    Ok(name)
}

fn digest_of(text: &str) -> Result<Digest, Astray> {
    text.parse().map_err(|_bad| Astray::Digest(text.chars().take(160).collect()))
}

fn target(text: &str) -> Result<Target, Astray> {
    // A tag has no colon, so whatever has one was meant as a digest.
    if text.contains(':') {
        return digest_of(text).map(Target::Digest);
    }
    let owned: String = text.chars().take(160).collect();
    Ok(if is_tag_name(text) { Target::Tag(owned) } else { Target::Neither(owned) })
}

/// One segment without its percent-encoding; none when it hides a slash or is not UTF-8.
fn decode(segment: &str) -> Option<String> {
    if !segment.contains('%') {
        return Some(segment.to_owned());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(['/', '\0']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn paths_are_read_from_their_end() {
        let digest: Digest = format!("sha256:{HEX}").parse().unwrap();
        for (path, route) in [
            ("/v2", Route::Base),
            ("/v2/", Route::Base),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/a/b/tags/list", Route::Tags { name: "a/b".into() }),
            ("/v2/tags/list/tags/list", Route::Tags { name: "tags/list".into() }),
            ("/v2/a/blobs/uploads", Route::Uploads { name: "a".into() }),
            ("/v2/a/blobs/uploads/", Route::Uploads { name: "a".into() }),
            ("/v2/a/blobs/uploads/x", Route::Upload { name: "a".into(), id: "x".into() }),
            (
                "/v2/a/blobs/uploads/manifests/v1",
                Route::Manifest {
                    name: "a/blobs/uploads".into(),
                    reference: Target::Tag("v1".into()),
                },
            ),
            (
                &format!("/v2/a/manifests/sha256%3A{HEX}"),
                Route::Manifest { name: "a".into(), reference: Target::Digest(digest) },
            ),
            (&format!("/v2/a/blobs/sha256:{HEX}"), Route::Blob { name: "a".into(), digest }),
            (
                &format!("/v2/a/referrers/sha256:{HEX}"),
                Route::Referrers { name: "a".into(), digest },
            ),
            (
                "/v2/a/manifests/.x",
                Route::Manifest { name: "a".into(), reference: Target::Neither(".x".into()) },
            ),
        ] {
            assert_eq!(Route::parse(path), Ok(route), "{path}");
        }
    }

    #[test]
    fn tricks_lead_nowhere() {
        for path in [
            "/",
            "/v1/",
            "/v2//tags/list",
            "/v2/tags/list",
            "/v2/../tags/list",
            "/v2/a/../b/tags/list",
            "/v2/a%2Fb/tags/list",
            "/v2/a%00/tags/list",
            "/v2/%2e%2e/tags/list",
            "/v2/A/tags/list",
            "/v2/_x/tags/list",
            "/v2/a/blobs/sha256:../../etc/passwd",
            "/v2/a/blobs/md5:00",
            "/v2/a/manifests/sha256:0",
            "/v2/a//manifests/x",
            "/v2/a%zz/tags/list",
            "/v2/a/unknown",
            "/v2/a/manifests/a/b",
            "/v2/_catalog/",
            "/v2/a\\b/tags/list",
        ] {
            assert!(Route::parse(path).is_err(), "{path}");
        }
        let long = "a/".repeat(127) + "a";
        assert_eq!(long.len(), 255);
        assert!(Route::parse(&format!("/v2/{long}/tags/list")).is_ok());
        assert!(Route::parse(&format!("/v2/{long}a/tags/list")).is_err());
    }

    proptest! {
        #[test]
        fn a_route_survives_its_path(name in "[a-z0-9]{1,5}(([._-]|__)[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}){0,3}", tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,20}") {
            let digest = Digest::of(tag.as_bytes());
            for route in [
                Route::Manifest { name: name.clone(), reference: Target::Tag(tag.clone()) },
                Route::Manifest { name: name.clone(), reference: Target::Digest(digest) },
                Route::Blob { name: name.clone(), digest },
                Route::Uploads { name: name.clone() },
                Route::Tags { name: name.clone() },
                Route::Referrers { name: name.clone(), digest },
            ] {
                prop_assert_eq!(Route::parse(&route.to_string()), Ok(route));
            }
        }

        #[test]
        fn no_path_panics(path in ".{0,120}") {
            drop(Route::parse(&path));
            drop(Route::parse(&format!("/v2/{path}")));
        }
    }
}
