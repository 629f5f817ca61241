//! Pure: `--cache-from` and `--cache-to` as the client sends them.

use naru_engine::builds::{CacheExport, CacheSource, CacheTarget};
use naru_errdefs::Fault;
use naru_oci::Reference;

/// What of the cache goes where.
#[derive(Debug, Default)]
pub(super) struct Exports {
    /// Into the image itself.
    pub(super) inline: bool,
    /// Elsewhere.
    pub(super) targets: Vec<CacheExport>,
    compression: Option<String>,
    level: Option<i64>,
}

impl Exports {
    /// How layers are compressed: as the image asks for, or else the cache. They are the same layers, so both agree.
    pub(super) fn compression(
        &self,
        image: Option<String>,
        level: Option<i64>,
    ) -> Result<(Option<String>, Option<i64>), Fault> {
        match (image, &self.compression) {
            (Some(image), Some(cache)) if image != *cache => Err(Fault::unsupported(format!(
                "the cache cannot be compressed as `{cache}` and the image as `{image}`"
            ))
            .with_hint("the layers of both are the same; ask for one compression")),
            (image, cache) => Ok((image.or_else(|| cache.clone()), level.or(self.level))),
        }
    }
}

/// `key=value,key=value`, or one word that stands for a name.
fn fields<'a>(flag: &str, text: &'a str) -> Result<Vec<(&'a str, &'a str)>, Fault> {
    if !text.contains('=') {
        return Ok(vec![("type", "registry"), ("ref", text)]);
    }
    let parts = text.split(',').filter(|part| !part.is_empty());
    let pair = |part: &'a str| {
        part.split_once('=').ok_or_else(|| {
            Fault::invalid(format!("`{part}` of `{flag} {text}` has no value"))
                .with_hint(format!("write `{flag} type=registry,ref=NAME`"))
        })
    };
    parts.map(pair).collect()
}

fn unknown(flag: &str, text: &str, key: &str, value: &str) -> Fault {
    Fault::unsupported(format!("`{key}={value}` of `{flag} {text}` is not supported"))
        .with_hint("leave it out")
}

fn kind<'a>(fields: &[(&'a str, &'a str)]) -> &'a str {
    fields.iter().find(|(key, _)| *key == "type").map_or("registry", |(_, value)| value)
}

/// `--cache-from`.
pub(super) fn source(text: &str) -> Result<CacheSource, Fault> {
    const FLAG: &str = "--cache-from";
    if !text.contains('=') {
        return Ok(CacheSource::Name(text.to_owned()));
    }
    let fields = fields(FLAG, text)?;
    let kind = kind(&fields);
    let wanted = match kind {
        "registry" => "ref",
        "content" => "digest",
        "local" => {
            return Err(Fault::unsupported("a directory is read by the client, not by the daemon")
                .with_hint("send what is in it first, as `naru build` does"));
        }
        other => {
            return Err(Fault::unsupported(format!("cache from `type={other}` is not supported"))
                .with_hint("cache comes from `type=registry,ref=NAME` or `type=local,src=DIRECTORY`; the daemon's own is always used"));
        }
    };
    let mut name = None;
    for (key, value) in fields {
        match key {
            "type" => {}
            key if key == wanted => name = Some(value),
            _ => return Err(unknown(FLAG, text, key, value)),
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
        Fault::invalid(format!("`{FLAG} {text}` names no cache"))
            .with_hint(format!("write `type={kind},{wanted}=NAME`"))
    })?;
    Ok(match kind {
        "registry" => CacheSource::Registry(name.parse::<Reference>()?.or_latest()),
        _ => CacheSource::Content(name.parse()?),
    })
}

/// All of `--cache-to`.
pub(super) fn exports(texts: &[String]) -> Result<Exports, Fault> {
    let mut all = Exports::default();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        export(text, &mut all)?;
    }
    Ok(all)
}

fn export(text: &str, all: &mut Exports) -> Result<(), Fault> {
    const FLAG: &str = "--cache-to";
    let fields = fields(FLAG, text)?;
    let kind = kind(&fields);
    let (mut name, mut max, mut ignore_error) = (None, false, false);
    for (key, value) in &fields {
        match (*key, *value) {
            // How a cache is written: as OCI says, in a manifest, and never compressed again.
            ("type", _)
            | ("oci-mediatypes" | "image-manifest", "true")
            | ("force-compression", "false") => {}
            ("ref", value) if kind == "registry" => name = Some(value),
            ("mode", "min") => max = false,
            ("mode", "max") if kind != "inline" => max = true,
            ("mode", "max") => {
                return Err(Fault::unsupported("a cache in the image itself has `mode=min` only")
                    .with_hint("use `type=registry,ref=NAME,mode=max`"));
            }
            ("mode", other) => {
                return Err(Fault::invalid(format!("unknown mode `{other}` of `{FLAG}`"))
                    .with_hint("the modes are `min` and `max`"));
            }
            ("ignore-error", value @ ("true" | "false")) => ignore_error = value == "true",
            ("compression", value) => all.compression = Some(value.to_owned()),
            ("compression-level", value) => {
                let level = value.parse().map_err(|_no_number| unknown(FLAG, text, key, value))?;
                all.level = Some(level);
            }
            (key, value) => return Err(unknown(FLAG, text, key, value)),
        }
    }
    let target = match kind {
        "inline" => {
            all.inline = true;
            return Ok(());
        }
        "content" => CacheTarget::Content,
        "registry" => {
            let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
                Fault::invalid(format!("`{FLAG} {text}` names no image"))
                    .with_hint("write `type=registry,ref=NAME`")
            })?;
            let reference = name.parse::<Reference>()?.or_latest();
            if reference.digest().is_some() {
                return Err(Fault::invalid("a cache is written to a tag, not to a digest")
                    .with_hint("write `ref=NAME:TAG`"));
            }
            CacheTarget::Registry(reference)
        }
        other => {
            return Err(Fault::unsupported(format!("cache to `type={other}` is not supported"))
                .with_hint(
                    "use `type=inline`, `type=registry,ref=NAME` or `type=local,dest=DIRECTORY`",
                ));
        }
    };
    all.targets.push(CacheExport { target, max, ignore_error });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_errdefs::Kind;

    #[test]
    fn sources() {
        let name = |text: &str| text.parse::<Reference>().unwrap().or_latest();
        for (text, wanted) in [
            ("r/a", CacheSource::Name("r/a".to_owned())),
            ("type=registry,ref=r/c:1", CacheSource::Registry(name("r/c:1"))),
            ("ref=r/c", CacheSource::Registry(name("r/c"))),
        ] {
            assert_eq!(source(text).unwrap(), wanted, "{text}");
        }
        for (text, kind) in [
            ("type=gha", Kind::Unsupported),
            ("type=local,src=x", Kind::Unsupported),
            ("type=registry", Kind::InvalidInput),
            ("type=registry,ref=", Kind::InvalidInput),
            ("type=registry,ref=x,colour=red", Kind::Unsupported),
            ("type=content,digest=x", Kind::InvalidInput),
            ("type=registry,x", Kind::InvalidInput),
        ] {
            assert_eq!(source(text).unwrap_err().kind(), kind, "{text}");
        }
    }

    #[test]
    fn targets() {
        let of = |texts: &[&str]| {
            exports(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        let all = of(&[
            "type=inline",
            "type=registry,ref=r/c,mode=max,compression=zstd,compression-level=5,ignore-error=true",
            "r/d",
            "type=content,mode=max",
        ])
        .unwrap();
        assert!(all.inline);
        let shape: Vec<(bool, bool)> =
            all.targets.iter().map(|target| (target.max, target.ignore_error)).collect();
        assert_eq!(shape, [(true, true), (false, false), (true, false)]);
        assert_eq!(all.compression(None, None).unwrap(), (Some("zstd".to_owned()), Some(5)));
        assert!(all.compression(Some("gzip".to_owned()), None).is_err());
        for (text, kind) in [
            ("type=gha", Kind::Unsupported),
            ("type=registry,mode=max", Kind::InvalidInput),
            ("type=registry,ref=x,mode=most", Kind::InvalidInput),
            ("type=inline,mode=max", Kind::Unsupported),
            ("type=registry,ref=x,force-compression=true", Kind::Unsupported),
            ("type=registry,ref=UPPER", Kind::InvalidInput),
        ] {
            assert_eq!(of(&[text]).unwrap_err().kind(), kind, "{text}");
        }
    }
}
