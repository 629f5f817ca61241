//! Pure: the value of `RUN --mount`, a line of comma-separated fields.

use crate::parse::value;
use crate::{ExpandError, suggest, words};

/// One mount of a `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// `target`: absolute, or relative to the working directory; absent for the default of the kind
    /// (the working directory itself, `/run/secrets/ID`, `/run/buildkit/ssh_agent.N`) or, for a secret, where it is only a variable.
    pub target: Option<String>,
    /// Whether it cannot be written to.
    pub read_only: bool,
}

/// What a mount shows, with what only this kind knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    Bind {
        /// `from`; absent for the build context.
        from: Option<String>,
        /// `source`: a path below it; absent for its root.
        source: Option<String>,
    },
    /// A directory that survives from build to build.
    Cache {
        /// `id`; absent for the target's own path.
        id: Option<String>,
        /// `from`: what it starts from when it is new.
        from: Option<String>,
        /// `source`: a path below that.
        source: Option<String>,
        /// `sharing`.
        sharing: Sharing,
        /// `mode` of a new directory.
        mode: Option<u32>,
        /// `uid` of a new directory.
        uid: Option<u32>,
        /// `gid` of a new directory.
        gid: Option<u32>,
    },
    /// Memory that is gone afterwards.
    Tmpfs {
        /// `size` in bytes; absent for no limit of its own.
        size: Option<u64>,
    },
    /// A secret, as a file, a variable, or both.
    Secret {
        /// `id` (or `source`): the name it was given on the command line.
        id: String,
        /// `env`: the variable that holds it.
        env: Option<String>,
        /// `required`: whether its absence fails the build.
        required: bool,
        /// `mode` of the file (0400 when absent).
        mode: Option<u32>,
        /// `uid` of the file.
        uid: Option<u32>,
        /// `gid` of the file.
        gid: Option<u32>,
    },
    /// An agent's socket.
    Ssh {
        /// `id`; absent for `default`.
        id: Option<String>,
        /// `required`: whether its absence fails the build.
        required: bool,
        /// `mode` of the socket (0600 when absent).
        mode: Option<u32>,
        /// `uid` of the socket.
        uid: Option<u32>,
        /// `gid` of the socket.
        gid: Option<u32>,
    },
}

/// Who else may use a cache mount at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Everyone at once.
    #[default]
    Shared,
    /// One each: a second user gets a new one.
    Private,
    /// One after the other.
    Locked,
}

/// Why a mount is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// A value cannot be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// A field is unknown, malformed or out of place.
    #[error("{message}")]
    Field {
        /// What is wrong, in docker's words.
        message: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
}

fn refused(message: impl Into<String>, suggestion: Option<&str>) -> MountError {
    MountError::Field { message: message.into(), suggestion: suggestion.map(str::to_owned) }
}

fn fields(text: &str) -> Result<Vec<String>, MountError> {
    value::fields(text).map_err(|why| refused(format!("failed to parse csv mounts: {why}"), None))
}

/// The `from` of a mount, which is needed before any variable is known.
pub(crate) fn from(text: &str) -> Result<Option<String>, MountError> {
    let mut from = None;
    for field in fields(text)? {
        if let Some((key, value)) = field.split_once('=')
            && key.eq_ignore_ascii_case("from")
        {
            if value.find('$').is_some_and(|at| at.saturating_add(1) != value.len()) {
                return Err(refused(
                    "'from' doesn't support variable expansion, define alias stage instead",
                    None,
                ));
            }
            from = Some(value.to_owned()).filter(|value| !value.is_empty());
        }
    }
    Ok(from)
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

/// Everything that any type takes, before it is known whether this type does.
#[derive(Default)]
struct Given {
    kind: Option<&'static str>,
    from: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: Option<bool>,
    id: Option<String>,
    sharing: Option<Sharing>,
    required: Option<bool>,
    size: Option<u64>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    env: Option<String>,
}

/// The mount that a text describes, its values expanded with `expand`.
pub(crate) fn parse(
    text: &str,
    expand: &mut dyn FnMut(&str) -> Result<String, ExpandError>,
) -> Result<Mount, MountError> {
    let mut given = Given::default();
    for field in fields(text)? {
        match field.split_once('=') {
            Some((key, value)) => {
                let value = expand(value)?;
                given.pair(&key.to_lowercase(), &value, &field)?;
            }
            None => given.word(&field)?,
        }
    }
    given.mount()
}

impl Given {
    fn kind(&self) -> &'static str {
        self.kind.unwrap_or("bind")
    }

    fn word(&mut self, field: &str) -> Result<(), MountError> {
        match field.to_lowercase().as_str() {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => self.required = Some(true),
            other => {
                let nearest = suggest::nearest(other, ["readonly", "readwrite", "required"]);
                return Err(refused(
                    format!("invalid field '{field}' must be a key=value pair"),
                    nearest,
                ));
            }
        }
        Ok(())
    }

    fn unexpected(&self, key: &str) -> MountError {
        refused(format!("unexpected key '{key}' for mount type '{}'", self.kind()), None)
    }

    fn pair(&mut self, key: &str, value: &str, field: &str) -> Result<(), MountError> {
        let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
        let boolean = || {
            words::boolean(value)
                .ok_or_else(|| refused(format!("invalid value for {key}: {value}"), None))
        };
        let number = |radix: u32| {
            u32::from_str_radix(value, radix)
                .ok()
                .filter(|_| !value.starts_with('+'))
                .ok_or_else(|| refused(format!("invalid value {value} for {key}"), None))
        };
        match key {
            "type" => {
                let wanted = value.to_lowercase();
                let known = TYPES.into_iter().find(|known| *known == wanted);
                self.kind = Some(known.ok_or_else(|| {
                    let nearest = suggest::nearest(&wanted, TYPES);
                    refused(format!("unsupported mount type {value:?}"), nearest)
                })?);
            }
            "from" => self.from = text(),
            "source" | "src" => self.source = text(),
            "target" | "dst" | "destination" => self.target = text(),
            "readonly" | "ro" => self.read_only = Some(boolean()?),
            "readwrite" | "rw" => self.read_only = Some(!boolean()?),
            "required" => self.required = Some(boolean()?),
            "size" => {
                let size = value::size(value)
                    .ok_or_else(|| refused(format!("invalid value for size: {value}"), None))?;
                self.size = Some(size);
            }
            "id" => self.id = text(),
            "sharing" => {
                self.sharing = Some(match value.to_lowercase().as_str() {
                    "shared" => Sharing::Shared,
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    other => {
                        let nearest = suggest::nearest(other, ["shared", "private", "locked"]);
                        return Err(refused(
                            format!("unsupported sharing value {value:?}"),
                            nearest,
                        ));
                    }
                });
            }
            "mode" => self.mode = Some(number(8)?),
            "uid" => self.uid = Some(number(10)?),
            "gid" => self.gid = Some(number(10)?),
            "env" => self.env = Some(value.to_owned()),
            _ => {
                let nearest = suggest::nearest(key, KEYS);
                return Err(refused(format!("unexpected key '{key}' in '{field}'"), nearest));
            }
        }
        Ok(())
    }

    fn mount(self) -> Result<Mount, MountError> {
        let kind = self.kind();
        if matches!(kind, "bind" | "tmpfs") {
            let file = [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)];
            if let Some((name, _)) = file.iter().find(|(_, value)| value.is_some()) {
                return Err(refused(format!("{name} not allowed for {kind:?} type mounts"), None));
            }
        }
        if self.sharing.is_some() && kind == "secret" {
            return Err(refused("secret mount should not define sharing", None));
        }
        if self.sharing.is_some() && kind != "cache" {
            return Err(refused(format!("invalid cache sharing set for {kind} mount"), None));
        }
        // What a type has no use for is refused rather than ignored.
        let file = matches!(kind, "bind" | "cache");
        for (key, given, fits) in [
            ("required", self.required.is_some(), matches!(kind, "secret" | "ssh")),
            ("size", self.size.is_some(), kind == "tmpfs"),
            ("env", self.env.is_some(), kind == "secret"),
            ("id", self.id.is_some(), !matches!(kind, "bind" | "tmpfs")),
            ("from", self.from.is_some(), file || kind == "secret"),
            ("source", self.source.is_some(), file || kind == "secret"),
        ] {
            if given && !fits {
                return Err(self.unexpected(key));
            }
        }
        let Given { from, source, mode, uid, gid, .. } = self;
        let default_read_only = !matches!(kind, "cache" | "tmpfs");
        let read_only = self.read_only.unwrap_or(default_read_only);
        let required = self.required.unwrap_or(false);
        let mut target = self.target;
        let kind = match kind {
            "cache" => MountKind::Cache {
                id: self.id,
                from,
                source,
                sharing: self.sharing.unwrap_or_default(),
                mode,
                uid,
                gid,
            },
            "tmpfs" => MountKind::Tmpfs { size: self.size.filter(|size| *size > 0) },
            "secret" => {
                if from.is_some() {
                    return Err(refused("secret mount should not have a from", None));
                }
                if source.is_some() && self.id.is_some() {
                    return Err(refused("both source and id can't be set", None));
                }
                // Without a name of its own, a secret has that of its file.
                let named = self.id.or(source);
                let last = |path: &String| path.rsplit('/').next().map(str::to_owned);
                let id = named.or_else(|| target.as_ref().and_then(last)).ok_or_else(|| {
                    refused("invalid secret mount. one of source, target required", None)
                })?;
                let env = self.env.map(|env| if env.is_empty() { id.clone() } else { env });
                // It is a file unless it is only a variable.
                if target.is_none() && env.is_none() {
                    target = last(&id).map(|name| format!("/run/secrets/{name}"));
                }
                MountKind::Secret { id, env, required, mode, uid, gid }
            }
            "ssh" => MountKind::Ssh { id: self.id, required, mode, uid, gid },
            _ => MountKind::Bind { from, source },
        };
        Ok(Mount { kind, target, read_only })
    }
}

#[cfg(test)]
mod tests;
