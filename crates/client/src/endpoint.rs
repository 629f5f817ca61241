//! Pure: where a daemon listens, as `-H` and `DOCKER_HOST` write it.

use naru_errdefs::{Failure, Kind};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket in the file system.
    Unix(PathBuf),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            if text.starts_with('/') {
                return Err(EndpointError::NoScheme { text: text.to_owned() });
            }
            return Err(EndpointError::Malformed { text: text.to_owned() });
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Endpoint::Unix(PathBuf::from(rest))),
            "unix" => Err(EndpointError::Relative { text: text.to_owned() }),
            "tcp" | "http" | "https" | "ssh" | "npipe" | "fd" => {
                Err(EndpointError::Scheme { scheme: scheme.to_owned() })
            }
            _ => Err(EndpointError::Malformed { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// Why a text names no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Outside the grammar.
    #[error("unable to parse docker host `{text}`")]
    Malformed {
        /// The text.
        text: String,
    },
    /// A path without `unix://`.
    #[error("unable to parse docker host `{text}`")]
    NoScheme {
        /// The text.
        text: String,
    },
    /// A socket's path must be absolute.
    #[error("the path of the socket in `{text}` is not absolute")]
    Relative {
        /// The text.
        text: String,
    },
    /// Known, and not there yet.
    #[error("endpoints with `{scheme}://` are not supported yet")]
    Scheme {
        /// The part before `://`.
        scheme: String,
    },
}

impl Failure for EndpointError {
    fn kind(&self) -> Kind {
        match self {
            EndpointError::Scheme { .. } => Kind::Unsupported,
            _ => Kind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            EndpointError::NoScheme { text } => format!("did you mean `unix://{text}`?"),
            EndpointError::Scheme { scheme } if scheme == "ssh" || scheme == "tcp" => {
                "forward the socket with `ssh -L /tmp/naru.sock:/run/naru/naru.sock HOST` and use `-H unix:///tmp/naru.sock`".to_owned()
            }
            _ => "write it as in `unix:///run/naru/naru.sock`".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        assert_eq!("unix:///run/x.sock".parse(), Ok(Endpoint::Unix(PathBuf::from("/run/x.sock"))));
        for (text, message, hint) in [
            (
                "/run/x.sock",
                "unable to parse docker host `/run/x.sock`",
                "did you mean `unix:///run/x.sock`?",
            ),
            ("what", "unable to parse docker host `what`", "write it"),
            ("unix://x", "is not absolute", "write it"),
            ("tcp://1.2.3.4:2375", "endpoints with `tcp://` are not supported yet", "ssh -L"),
            ("ssh://me@host", "endpoints with `ssh://` are not supported yet", "ssh -L"),
            ("gopher://x", "unable to parse docker host", "write it"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.hint().unwrap().contains(hint), "{error}");
        }
    }
}
