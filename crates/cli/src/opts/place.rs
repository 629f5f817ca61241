//! Pure: places to copy images from and to, as they are typed: what skopeo calls transports.

use super::OptError;
use naru_api_types::copy::Place;

/// A place as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// `docker://REFERENCE`
    Registry(String),
    /// `store:NAME`, `docker-daemon:NAME`
    Store(String),
    /// `docker-archive:PATH[:REFERENCE]`
    DockerArchive(String, Option<String>),
    /// `oci-archive:PATH[:NAME]`
    OciArchive(String, Option<String>),
    /// `oci:DIRECTORY[:NAME]`
    Layout(String, Option<String>),
}

/// Reads a place.
pub fn parse(text: &str) -> Result<Typed, OptError> {
    let Some((kind, rest)) = text.split_once(':') else {
        return Err(unknown(text));
    };
    let path = || -> Result<(String, Option<String>), OptError> {
        let (path, name) = rest.split_once(':').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err(OptError::new(format!("{kind}: names no path"))
                .with_hint(format!("write `{kind}:PATH` or `{kind}:PATH:NAME`")));
        }
        Ok((path.to_owned(), (!name.is_empty()).then(|| name.to_owned())))
    };
    match kind {
        "docker" => match rest.strip_prefix("//").filter(|name| !name.is_empty()) {
            Some(name) => Ok(Typed::Registry(name.to_owned())),
            None => Err(OptError::new(format!("`{text}` names no image at a registry"))
                .with_hint("write `docker://REGISTRY/NAME:TAG`")),
        },
        "store" | "docker-daemon" if rest.is_empty() => {
            Err(OptError::new(format!("{kind}: names no image"))
                .with_hint(format!("write `{kind}:NAME:TAG`")))
        }
        "store" | "docker-daemon" => Ok(Typed::Store(rest.to_owned())),
        "docker-archive" => path().map(|(path, name)| Typed::DockerArchive(path, name)),
        "oci-archive" => path().map(|(path, name)| Typed::OciArchive(path, name)),
        "oci" => path().map(|(path, name)| Typed::Layout(path, name)),
        "containers-storage" => Err(OptError::new(
            "the storage of podman and buildah is not supported".to_owned(),
        )
        .with_hint(
            "let podman write an archive with `podman save --format oci-archive`, and copy that",
        )),
        "dir" => Err(OptError::new("`dir:` is not supported".to_owned())
            .with_hint("use an OCI layout: `oci:DIRECTORY:NAME`")),
        _ => Err(unknown(text)),
    }
}

fn unknown(text: &str) -> OptError {
    OptError::new(format!("`{text}` is no place to copy from or to")).with_hint(
        "write `docker://NAME`, `store:NAME`, `docker-archive:PATH[:NAME]`, `oci-archive:PATH[:NAME]` or `oci:DIRECTORY[:NAME]`",
    )
}

impl Typed {
    /// The same without what is the client's own business.
    pub fn place(&self) -> Place {
        match self {
            Typed::Registry(name) => Place::Registry(name.clone()),
            Typed::Store(name) => Place::Store(name.clone()),
            Typed::DockerArchive(_, name) => Place::DockerArchive(name.clone()),
            Typed::OciArchive(_, name) | Typed::Layout(_, name) => Place::OciArchive(name.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_they_are_typed() {
        let name = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            ("docker://x", Typed::Registry("x".to_owned())),
            ("docker://r:5000/x:1@sha256:0", Typed::Registry("r:5000/x:1@sha256:0".to_owned())),
            ("store:x:1", Typed::Store("x:1".to_owned())),
            ("docker-daemon:x:1", Typed::Store("x:1".to_owned())),
            ("docker-archive:a.tar", Typed::DockerArchive("a.tar".to_owned(), None)),
            ("docker-archive:/a:r/x:1", Typed::DockerArchive("/a".to_owned(), name("r/x:1"))),
            ("oci-archive:a:", Typed::OciArchive("a".to_owned(), None)),
            ("oci:d:v1", Typed::Layout("d".to_owned(), name("v1"))),
            ("oci:-", Typed::Layout("-".to_owned(), None)),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        for text in [
            "x",
            "x:1",
            "docker:x",
            "docker://",
            "store:",
            "oci:",
            "oci::x",
            "dir:x",
            "sif:x",
            "containers-storage:x",
            "docker-archive:",
        ] {
            assert!(parse(text).unwrap_err().hint.is_some(), "{text}");
        }
        assert_eq!(parse("oci:d:v1").unwrap().place().to_string(), "oci-archive:v1");
    }
}
