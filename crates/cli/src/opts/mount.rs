//! Pure: `--mount type=bind,source=/a,target=/b,readonly` and `--tmpfs`.

use super::OptError;
use std::collections::BTreeMap;

/// What kind of thing is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// A path of the host.
    Bind,
    /// A volume.
    #[default]
    Volume,
    /// Memory.
    Tmpfs,
    /// The file system of an image.
    Image,
}

impl Kind {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Bind => "bind",
            Kind::Volume => "volume",
            Kind::Tmpfs => "tmpfs",
            Kind::Image => "image",
        }
    }
}

/// One mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: Kind,
    /// Path, volume name or image; empty for memory and anonymous volumes.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// No writing.
    pub read_only: bool,
    /// How mounts spread between host and container.
    pub propagation: Option<String>,
    /// Without what is mounted below the source.
    pub non_recursive: bool,
    /// Make a missing source directory.
    pub create_mountpoint: bool,
    /// Leave the mounts below a read-only one writable.
    pub writable_below: bool,
    /// Insist on the mounts below a read-only one being read-only too.
    pub read_only_below: bool,
    /// Do not fill a new volume from the image.
    pub no_copy: bool,
    /// Labels of a new volume.
    pub volume_labels: BTreeMap<String, String>,
    /// Driver of a new volume.
    pub volume_driver: String,
    /// Its options.
    pub volume_options: BTreeMap<String, String>,
    /// What of the volume is mounted.
    pub volume_subpath: String,
    /// What of the image is mounted.
    pub image_subpath: String,
    /// Size of memory in bytes.
    pub tmpfs_size: Option<i64>,
    /// Permission bits of memory's root.
    pub tmpfs_mode: Option<u32>,
}

/// A mount. `cwd` makes relative sources absolute, as docker's client does.
pub fn parse(text: &str, cwd: &str) -> Result<Mount, OptError> {
    let mut mount = Mount::default();
    if text.is_empty() {
        return Err(OptError::new("invalid argument: value is empty"));
    }
    for field in csv(text)? {
        set(&mut mount, &field)?;
    }
    check(&mount)?;
    if mount.kind == Kind::Bind {
        mount.source = super::volume::absolute(&mount.source, cwd);
    }
    Ok(mount)
}

fn set(mount: &mut Mount, field: &str) -> Result<(), OptError> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) => (key.trim().to_ascii_lowercase(), Some(value.trim())),
        None => (field.trim().to_ascii_lowercase(), None),
    };
    let flag = || match value {
        None => Ok(true),
        Some(value) => crate::flags::go_bool(value)
            .ok_or_else(|| OptError::new(format!("invalid value for {key}: {value}"))),
    };
    let needed = || {
        value.map(str::to_owned).ok_or_else(|| {
            OptError::new(format!("invalid field '{field}' must be a key=value pair"))
        })
    };
    match key.as_str() {
        "type" => {
            mount.kind = match needed()?.to_ascii_lowercase().as_str() {
                "bind" => Kind::Bind,
                "volume" => Kind::Volume,
                "tmpfs" => Kind::Tmpfs,
                "image" => Kind::Image,
                other => {
                    return Err(OptError::new(format!("mount type `{other}` is not supported"))
                        .with_hint("the types are `bind`, `volume`, `tmpfs` and `image`"));
                }
            }
        }
        "source" | "src" => mount.source = needed()?,
        "target" | "dst" | "destination" => mount.target = needed()?,
        "readonly" | "ro" => mount.read_only = flag()?,
        "bind-propagation" => {
            let word = needed()?.to_ascii_lowercase();
            if !super::volume::PROPAGATIONS.contains(&word.as_str()) {
                return Err(OptError::new(format!("invalid propagation mode: {word}")).with_hint(
                    format!("the modes are {}", super::volume::PROPAGATIONS.join(", ")),
                ));
            }
            mount.propagation = Some(word);
        }
        "bind-nonrecursive" => mount.non_recursive = flag()?,
        "bind-recursive" => match needed()?.as_str() {
            "enabled" => {}
            "disabled" => mount.non_recursive = true,
            "writable" => mount.writable_below = true,
            "readonly" => mount.read_only_below = true,
            other => {
                return Err(OptError::new(format!(
                    "invalid value for bind-recursive: {other} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
                )));
            }
        },
        "bind-create-src" => mount.create_mountpoint = flag()?,
        // Consistency means something on a Mac only; docker takes and ignores it on Linux.
        "consistency" => drop(needed()?),
        "volume-nocopy" => mount.no_copy = flag()?,
        "volume-label" => mount.volume_labels.extend([pair(&needed()?)]),
        "volume-driver" => mount.volume_driver = needed()?,
        "volume-opt" => mount.volume_options.extend([pair(&needed()?)]),
        "volume-subpath" => mount.volume_subpath = needed()?,
        "image-subpath" => mount.image_subpath = needed()?,
        "tmpfs-size" => {
            let text = needed()?;
            let size = super::memory::parse(&text)
                .map_err(|_size| OptError::new(format!("invalid value for tmpfs-size: {text}")))?;
            mount.tmpfs_size = Some(size);
        }
        "tmpfs-mode" => {
            let text = needed()?;
            mount.tmpfs_mode = match u32::from_str_radix(&text, 8) {
                Ok(mode) => Some(mode),
                Err(_) => {
                    return Err(OptError::new(format!("invalid value for tmpfs-mode: {text}")));
                }
            };
        }
        _ if value.is_none() => {
            return Err(OptError::new(format!("invalid field '{field}' must be a key=value pair")));
        }
        _ => return Err(OptError::new(format!("unexpected key '{key}' in '{field}'"))),
    }
    Ok(())
}

/// A key and its value, which may be missing.
fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

fn check(mount: &Mount) -> Result<(), OptError> {
    if mount.target.is_empty() {
        return Err(
            OptError::new("target is required").with_hint("add `target=/path/in/the/container`")
        );
    }
    let mixed = |option: &str, kind: Kind| {
        Err(OptError::new(format!(
            "cannot mix '{option}' options with mount type '{}'",
            kind.as_str()
        )))
    };
    let of_bind = mount.propagation.is_some()
        || mount.non_recursive
        || mount.create_mountpoint
        || mount.writable_below
        || mount.read_only_below;
    let of_volume = mount.no_copy
        || !mount.volume_labels.is_empty()
        || !mount.volume_driver.is_empty()
        || !mount.volume_options.is_empty()
        || !mount.volume_subpath.is_empty();
    if mount.kind != Kind::Bind && of_bind {
        return mixed("bind-*", mount.kind);
    }
    if mount.kind != Kind::Volume && of_volume {
        return mixed("volume-*", mount.kind);
    }
    if mount.kind != Kind::Image && !mount.image_subpath.is_empty() {
        return mixed("image-*", mount.kind);
    }
    for (given, word) in [(mount.writable_below, "writable"), (mount.read_only_below, "readonly")] {
        if given && !mount.read_only {
            return Err(OptError::new(format!(
                "option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction"
            )));
        }
    }
    if mount.read_only_below && mount.propagation.as_deref() != Some("rprivate") {
        return Err(OptError::new(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
        ));
    }
    if mount.kind == Kind::Image && mount.source.is_empty() {
        return Err(OptError::new("source is required for mount type `image`")
            .with_hint("add `source=IMAGE`"));
    }
    if mount.kind != Kind::Tmpfs && (mount.tmpfs_size.is_some() || mount.tmpfs_mode.is_some()) {
        return mixed("tmpfs-*", mount.kind);
    }
    if mount.kind == Kind::Tmpfs && !mount.source.is_empty() {
        return Err(OptError::new("source is not allowed with mount type `tmpfs`"));
    }
    if mount.kind == Kind::Bind && mount.source.is_empty() {
        return Err(OptError::new("source is required for mount type `bind`")
            .with_hint("add `source=/path/on/the/host`"));
    }
    Ok(())
}

/// Fields between commas; a field in double quotes may hold commas.
pub(crate) fn csv(text: &str) -> Result<Vec<String>, OptError> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(field) = fields.last_mut() else { break };
        match c {
            '"' if !quoted && field.is_empty() => quoted = true,
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    if quoted {
        return Err(OptError::new(format!("a quote in `{text}` is not closed")));
    }
    Ok(fields)
}

/// `--tmpfs PATH[:OPTIONS]` as target and options.
pub fn tmpfs(text: &str) -> Result<(String, String), OptError> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    if !target.starts_with('/') {
        return Err(OptError::new(format!("invalid tmpfs path `{target}`: it must be absolute")));
    }
    Ok((target.to_owned(), options.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::tests::check;

    fn mount(kind: Kind, source: &str, target: &str) -> Mount {
        Mount { kind, source: source.to_owned(), target: target.to_owned(), ..Mount::default() }
    }

    #[test]
    fn mounts() {
        let read_only = |m: Mount| Mount { read_only: true, ..m };
        check(
            |text| parse(text, "/cwd"),
            &[
                ("type=bind,source=/a,target=/b", mount(Kind::Bind, "/a", "/b")),
                ("type=bind,src=a,dst=/b", mount(Kind::Bind, "/cwd/a", "/b")),
                ("type=BIND,src=.,dst=/b,ro", read_only(mount(Kind::Bind, "/cwd", "/b"))),
                ("src=v,destination=/b,readonly=true", read_only(mount(Kind::Volume, "v", "/b"))),
                ("target=/b,readonly=false", mount(Kind::Volume, "", "/b")),
                ("type=bind,\"source=/a,b\",target=/c", mount(Kind::Bind, "/a,b", "/c")),
                (
                    "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770",
                    Mount {
                        tmpfs_size: Some(1 << 20),
                        tmpfs_mode: Some(0o1770),
                        ..mount(Kind::Tmpfs, "", "/t")
                    },
                ),
                (
                    "src=v,target=/b,volume-nocopy,volume-label=a=b,volume-opt=o=size=1m,volume-subpath=x/y",
                    Mount {
                        no_copy: true,
                        volume_labels: [("a".to_owned(), "b".to_owned())].into(),
                        volume_options: [("o".to_owned(), "size=1m".to_owned())].into(),
                        volume_subpath: "x/y".to_owned(),
                        ..mount(Kind::Volume, "v", "/b")
                    },
                ),
                (
                    "type=image,source=debian:12,target=/i,image-subpath=etc",
                    Mount {
                        image_subpath: "etc".to_owned(),
                        ..mount(Kind::Image, "debian:12", "/i")
                    },
                ),
                (
                    "type=bind,src=/a,target=/b,ro,bind-recursive=readonly,bind-propagation=rprivate",
                    Mount {
                        read_only_below: true,
                        propagation: Some("rprivate".to_owned()),
                        ..read_only(mount(Kind::Bind, "/a", "/b"))
                    },
                ),
                (
                    "type=bind,src=/a,target=/b,bind-propagation=rslave,bind-nonrecursive",
                    Mount {
                        propagation: Some("rslave".to_owned()),
                        non_recursive: true,
                        ..mount(Kind::Bind, "/a", "/b")
                    },
                ),
            ],
            &[
                ("", "value is empty"),
                ("type=bind,source=/a", "target is required"),
                ("type=bind,target=/a", "source is required"),
                ("type=npipe,target=/a", "mount type `npipe`"),
                ("type=bind,source=/a,target=/b,what=1", "unexpected key 'what' in 'what=1'"),
                ("type=bind,source=/a,target=/b,what", "must be a key=value pair"),
                ("type=bind,source=/a,target=/b,ro=x", "invalid value for ro: x"),
                ("type=bind,source=/a,target=/b,tmpfs-size=1", "cannot mix 'tmpfs-*'"),
                ("target=/b,bind-propagation=private", "cannot mix 'bind-*'"),
                ("type=bind,source=/a,target=/b,bind-propagation=x", "invalid propagation mode: x"),
                ("type=tmpfs,target=/t,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
                ("type=tmpfs,target=/t,tmpfs-size=x", "invalid value for tmpfs-size: x"),
                ("type=tmpfs,source=/a,target=/t", "source is not allowed"),
                ("type=tmpfs,target=/b,volume-driver=x", "cannot mix 'volume-*'"),
                ("target=/b,image-subpath=x", "cannot mix 'image-*'"),
                ("type=image,target=/b", "source is required"),
                (
                    "type=bind,source=/a,target=/b,bind-recursive=writable",
                    "option 'bind-recursive=writable' requires 'readonly'",
                ),
                (
                    "type=bind,source=/a,target=/b,ro,bind-recursive=readonly",
                    "requires 'bind-propagation=rprivate'",
                ),
                (
                    "type=bind,source=/a,target=/b,bind-recursive=x",
                    "invalid value for bind-recursive: x (must be",
                ),
                ("\"target=/b", "not closed"),
            ],
        );
    }

    #[test]
    fn memory() {
        let two = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        check(
            tmpfs,
            &[("/t", two("/t", "")), ("/t:size=1m,ro", two("/t", "size=1m,ro"))],
            &[("t", "must be absolute")],
        );
    }
}
