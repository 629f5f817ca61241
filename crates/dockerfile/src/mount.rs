//! Pure: the value of `RUN --mount`, a line of comma-separated fields.

use crate::ExpandError;

/// One mount of a `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// `target`: absolute, or relative to the working directory; absent where the kind has a default.
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

pub(crate) fn parse(
    _text: &str,
    _expand: Option<&mut dyn FnMut(&str) -> Result<String, ExpandError>>,
) -> Result<Mount, MountError> {
    Err(MountError::Field { message: "not written yet".to_owned(), suggestion: None })
}
