//! Pure: `--output`, and what the result of a build is written to besides the store.

use crate::opts::{OptError, mount};

/// Where the result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// It is an image; that it always is, unless it only goes elsewhere.
    Image(Image),
    /// Its files, into a directory.
    Local(String),
    /// Its files, as an archive; `None` is standard output.
    Tar(Option<String>),
    /// It, as an OCI layout in an archive.
    Oci(Option<String>),
    /// It, as an archive for `load`; without a place it is an image.
    Docker(Option<String>),
    /// Nowhere: it is only built.
    Nowhere,
}

/// What is asked of the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    /// Further names.
    pub(super) names: Vec<String>,
    /// Whether it is pushed.
    pub(super) push: bool,
    /// How layers are compressed.
    pub(super) compression: Option<String>,
    /// How hard.
    pub(super) compression_level: Option<i64>,
    /// Annotations.
    pub(super) annotations: Vec<(String, String)>,
}

impl Output {
    /// Whether its bytes go to standard output.
    pub(super) fn is_stdout(&self) -> bool {
        matches!(self, Output::Tar(None) | Output::Oci(None))
    }

    /// Whether an image is wanted, with whatever else.
    pub(super) fn keeps_image(&self) -> bool {
        matches!(self, Output::Image(_) | Output::Docker(None))
    }
}

/// `type=TYPE[,KEY=VALUE...]`, a directory, or `-`.
pub(super) fn parse(text: &str) -> Result<Output, OptError> {
    if text == "-" {
        return Ok(Output::Tar(None));
    }
    if !text.contains('=') {
        return Ok(Output::Local(text.to_owned()));
    }
    let mut kind = None;
    let mut dest = None;
    let mut image = Image::default();
    let mut rest = Vec::new();
    for field in mount::csv(text)? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(OptError::new(format!("invalid value {field}"))
                .with_hint("write `type=local,dest=PATH`"));
        };
        match key.to_ascii_lowercase().as_str() {
            "type" => kind = Some(value.to_owned()),
            "dest" => dest = Some(value.to_owned()),
            _ => rest.push((key.to_ascii_lowercase(), value.to_owned())),
        }
    }
    let kind = kind.ok_or_else(|| {
        OptError::new("type is required for output")
            .with_hint("the types are `image`, `local`, `tar`, `oci`, `docker` and `registry`")
    })?;
    let place = dest.filter(|dest| dest != "-");
    let mut takes =
        ["name", "compression", "compression-level", "force-compression", "oci-mediatypes"]
            .to_vec();
    let output = match kind.as_str() {
        "image" | "registry" => {
            takes.extend(["push", "push-by-digest", "unpack", "store", "dangling-name-prefix"]);
            image.push = kind == "registry";
            Output::Image(Image::default())
        }
        "local" => {
            takes.clear();
            let place = place.ok_or_else(|| {
                OptError::new("dest is required for local output").with_hint("add `dest=DIRECTORY`")
            })?;
            Output::Local(place)
        }
        "tar" => {
            takes.clear();
            Output::Tar(place)
        }
        "oci" => Output::Oci(place),
        "docker" => Output::Docker(place),
        "cacheonly" => Output::Nowhere,
        other => {
            return Err(OptError::new(format!("unknown output type `{other}`")).with_hint(
                "the types are `image`, `local`, `tar`, `oci`, `docker` and `registry`",
            ));
        }
    };
    for (key, value) in rest {
        let on = crate::flags::go_bool(&value);
        let refused = |instead: &str| {
            Err(OptError::new(format!("`{key}={value}` is not supported for output `{kind}`"))
                .with_hint(instead))
        };
        if key.starts_with("annotation") && !matches!(output, Output::Local(_) | Output::Tar(_)) {
            let name = key.split_once('.').map(|(_, name)| name).unwrap_or_default();
            image.annotations.push((name.to_owned(), value));
            continue;
        }
        if !takes.contains(&key.as_str()) {
            return refused("leave it out");
        }
        match (key.as_str(), on) {
            ("name", _) => image.names.extend(value.split(',').map(str::to_owned)),
            ("push", Some(on)) => image.push = on || kind == "registry",
            ("compression", _) => image.compression = Some(value),
            ("compression-level", _) => {
                image.compression_level = Some(crate::flags::go_int(&value)?)
            }
            ("oci-mediatypes" | "store" | "unpack", Some(true))
            | ("force-compression" | "push-by-digest", Some(false)) => {}
            ("oci-mediatypes", Some(false)) => {
                return refused(
                    "images are written as OCI describes them; `naru copy` to a `docker-archive:` has docker's form",
                );
            }
            ("store", Some(false)) => {
                return refused("the result is always in the store; use `type=oci,dest=FILE`");
            }
            ("force-compression", Some(true)) => {
                return refused(
                    "layers that are there are never compressed again; build with `--no-cache`",
                );
            }
            ("push-by-digest", Some(true)) => return refused("give it a name with `-t`"),
            _ => return refused("write `true` or `false`, or leave it out"),
        }
    }
    Ok(match output {
        Output::Image(_) => Output::Image(image),
        Output::Docker(None) if image != Image::default() => Output::Image(image),
        Output::Oci(_) | Output::Docker(_) if image != Image::default() => {
            return Err(OptError::new(format!("output `{kind}` takes no such fields"))
                .with_hint("name and compress the image with a second `--output type=image,...`"));
        }
        output => output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs() {
        let place = |text: &str| Some(text.to_owned());
        for (text, output) in [
            ("out", Output::Local("out".to_owned())),
            ("-", Output::Tar(None)),
            ("type=local,dest=out", Output::Local("out".to_owned())),
            ("type=tar,dest=-", Output::Tar(None)),
            ("type=tar,dest=a.tar", Output::Tar(place("a.tar"))),
            ("type=oci", Output::Oci(None)),
            ("type=docker,dest=a", Output::Docker(place("a"))),
            ("type=docker", Output::Docker(None)),
            ("type=image", Output::Image(Image::default())),
            ("type=cacheonly", Output::Nowhere),
            ("type=registry", Output::Image(Image { push: true, ..Image::default() })),
            (
                "type=image,\"name=a,b\",push=true,compression=zstd,compression-level=3,annotation.k=v,oci-mediatypes=true",
                Output::Image(Image {
                    names: vec!["a".to_owned(), "b".to_owned()],
                    push: true,
                    compression: Some("zstd".to_owned()),
                    compression_level: Some(3),
                    annotations: vec![("k".to_owned(), "v".to_owned())],
                }),
            ),
        ] {
            assert_eq!(parse(text), Ok(output), "{text}");
        }
        for text in [
            "dest=x",
            "type=local",
            "type=nothing",
            "type=local,dest=x,push=true",
            "type=image,push=maybe",
            "type=image,colour=red",
            "type=image,oci-mediatypes=false",
            "type=oci,name=x,dest=y",
            "type=image,push",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
