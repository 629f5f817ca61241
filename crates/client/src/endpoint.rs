//! Where a daemon listens. Pure: reads `-H` and `DOCKER_HOST`.

use naru_errdefs::Fault;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The place of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// The socket's path.
    pub fn path(&self) -> &Path {
        match self {
            Endpoint::Unix(path) => path,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.path().display())
    }
}

impl FromStr for Endpoint {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Endpoint, Fault> {
        if let Some(path) = text.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(Fault::invalid(format!("`{text}` does not name an absolute path"))
                    .with_hint("write unix:///path/to/socket"));
            }
            if path.len() > 107 {
                return Err(Fault::invalid(format!(
                    "the path in `{text}` is longer than the 107 bytes a unix socket can have"
                )));
            }
            return Ok(Endpoint::Unix(PathBuf::from(path)));
        }
        for scheme in ["tcp://", "ssh://", "http://", "https://", "fd://", "npipe://"] {
            if text.starts_with(scheme) {
                return Err(Fault::unsupported(format!("hosts of the kind `{scheme}` are not supported yet: `{text}`"))
                    .with_hint("forward the daemon's socket with `ssh -L /tmp/naru.sock:/run/naru/naru.sock HOST` and use `-H unix:///tmp/naru.sock`"));
            }
        }
        Err(Fault::invalid(format!("unable to parse docker host `{text}`"))
            .with_hint("write unix:///path/to/socket"))
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn only_absolute_unix_sockets_are_taken() {
        assert_eq!("unix:///x/y".parse::<Endpoint>().unwrap().to_string(), "unix:///x/y");
        for (text, word) in [
            ("", "unable to parse"),
            ("/x", "unable to parse"),
            ("unix://x", "absolute"),
            ("tcp://h:1", "tcp://"),
            ("ssh://h", "ssh://"),
        ] {
            let fault = text.parse::<Endpoint>().unwrap_err();
            assert!(fault.message().contains(word), "{text}: {}", fault.message());
        }
        assert!(format!("unix:///{}", "x".repeat(200)).parse::<Endpoint>().is_err());
    }
}
