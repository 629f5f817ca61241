//! Secrets and SSH agents of a build. Pure but for the reader and the environment that it is given.

use crate::opts::{OptError, mount};
use naru_api_types::build::Base64;

/// The largest secret, as in BuildKit.
pub(super) const LARGEST: u64 = 500 << 10;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Secret {
    /// What the Dockerfile calls it.
    pub(super) id: String,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(String),
    Variable(String),
    /// A variable of the name, else a file.
    Either(String),
}

/// `id=NAME[,src=FILE|,env=VARIABLE]`
pub(super) fn parse(text: &str) -> Result<Secret, OptError> {
    let mut id = None;
    let mut kind = None;
    let mut source = None;
    let mut variable = None;
    for field in mount::csv(text)? {
        let (key, value) = field.split_once('=').ok_or_else(|| {
            OptError::new(format!("invalid field '{field}' must be a key=value pair"))
                .with_hint("write `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`")
        })?;
        match key.to_ascii_lowercase().as_str() {
            "id" => id = Some(value.to_owned()),
            "source" | "src" => source = Some(value.to_owned()),
            "env" => variable = Some(value.to_owned()),
            "type" if ["file", "env"].contains(&value) => kind = Some(value.to_owned()),
            "type" => return Err(OptError::new(format!("unsupported secret type '{value}'"))),
            _ => return Err(OptError::new(format!("unexpected key '{key}' in '{field}'"))),
        }
    }
    let name = id.clone().or_else(|| source.clone()).filter(|id| !id.is_empty());
    let id = name.ok_or_else(|| OptError::new("secret has no id").with_hint("add `id=NAME`"))?;
    let source = match (kind.as_deref(), source, variable) {
        (_, Some(_), Some(_)) => {
            return Err(OptError::new("a secret is from a file or from a variable, not from both"));
        }
        (Some("env"), Some(name), None) | (_, None, Some(name)) => Source::Variable(name),
        (_, Some(path), None) => Source::File(path),
        (Some("env"), None, None) => Source::Variable(id.clone()),
        (Some(_), None, None) => Source::File(id.clone()),
        (None, None, None) => Source::Either(id.clone()),
    };
    Ok(Secret { id, source })
}

impl Secret {
    /// Its bytes.
    pub(super) fn read(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
        read: &dyn Fn(&str) -> std::io::Result<Vec<u8>>,
    ) -> Result<Base64, OptError> {
        let missing = |what: String| {
            OptError::new(format!("secret `{}` {what}", self.id)).with_hint(
                "give it with `--secret id=NAME,src=FILE` or `--secret id=NAME,env=VARIABLE`",
            )
        };
        let bytes = match &self.source {
            Source::Variable(name) => lookup(name)
                .ok_or_else(|| missing(format!("is not there: no variable `{name}` is set")))?
                .into_bytes(),
            Source::Either(name) if lookup(name).is_some() => {
                lookup(name).unwrap_or_default().into_bytes()
            }
            Source::File(path) | Source::Either(path) => read(path)
                .map_err(|error| missing(format!("cannot be read from `{path}`: {error}")))?,
        };
        if bytes.len() as u64 > LARGEST {
            return Err(missing(format!("is larger than {LARGEST} bytes")));
        }
        Ok(Base64::new(&bytes))
    }
}

/// `default`, or `ID=SOCKET`: an ID and the socket of its agent.
pub(super) fn agent(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    is_socket: &dyn Fn(&str) -> bool,
) -> Result<(String, String), OptError> {
    let (id, path) = match text.split_once('=') {
        Some((id, path)) => (id, Some(path.to_owned())),
        None => (text, None),
    };
    if id.is_empty() || path.as_deref().is_some_and(|path| path.is_empty() || path.contains(',')) {
        return Err(OptError::new(format!("invalid SSH agent `{text}`"))
            .with_hint("write `default`, or `ID=SOCKET` with the socket of an agent"));
    }
    let Some(path) = path.or_else(|| lookup("SSH_AUTH_SOCK").filter(|path| !path.is_empty()))
    else {
        return Err(OptError::new(format!("invalid empty ssh agent socket for `{id}`")).with_hint(
            "start an agent and name its socket with SSH_AUTH_SOCK, or write `--ssh ID=SOCKET`",
        ));
    };
    if !is_socket(&path) {
        return Err(OptError::new(format!("`{path}` is no socket of an SSH agent")).with_hint(
            "load a key into an agent with `ssh-add FILE`, and name the agent's socket",
        ));
    }
    Ok((id.to_owned(), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        [("VAR", "v"), ("both", "from variable"), ("SSH_AUTH_SOCK", "/agent")]
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    }

    fn read(path: &str) -> std::io::Result<Vec<u8>> {
        match path {
            "file" | "both" => Ok(b"from file".to_vec()),
            "large" => Ok(vec![b'x'; 600 << 10]),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    #[test]
    fn secrets_come_from_files_and_variables() {
        for (text, id, value) in [
            ("id=a,src=file", "a", "from file"),
            ("id=a,source=file,type=file", "a", "from file"),
            ("id=a,env=VAR", "a", "v"),
            ("id=VAR,type=env", "VAR", "v"),
            ("id=a,type=env,src=VAR", "a", "v"),
            ("id=both", "both", "from variable"),
            ("id=file", "file", "from file"),
            ("src=file", "file", "from file"),
        ] {
            let secret = parse(text).unwrap();
            let bytes = secret.read(&lookup, &read).unwrap().reveal().unwrap();
            assert_eq!((secret.id.as_str(), bytes), (id, value.as_bytes().to_vec()), "{text}");
        }
        for text in ["a", "env=VAR", "id=a,src=x,env=y", "id=a,type=vault", "id=a,colour=red"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["id=a,src=nothing", "id=a,env=NOTHING", "id=nothing", "id=a,src=large"] {
            assert!(parse(text).unwrap().read(&lookup, &read).is_err(), "{text}");
        }
    }

    #[test]
    fn agents() {
        let socket = |path: &str| path == "/agent";
        assert_eq!(
            agent("default", &lookup, &socket),
            Ok(("default".to_owned(), "/agent".to_owned()))
        );
        assert_eq!(
            agent("git=/agent", &lookup, &socket),
            Ok(("git".to_owned(), "/agent".to_owned()))
        );
        assert!(agent("default", &|_| None, &socket).is_err());
        for text in ["", "=x", "a=", "a=/key.pem", "a=/agent,/agent"] {
            assert!(agent(text, &lookup, &socket).is_err(), "{text}");
        }
    }
}
