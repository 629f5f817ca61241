//! Pure: what is asked of `logs`, and what it gives.

use super::{StreamKind, Timestamp};
use bytes::Bytes;

/// How many lines from the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tail {
    /// All there are.
    #[default]
    All,
    /// The last so many.
    Last(usize),
}

/// What is asked of `logs`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogOptions {
    /// Whether standard output is wanted.
    pub stdout: bool,
    /// Whether standard error is wanted.
    pub stderr: bool,
    /// Whether to go on until the container stops.
    pub follow: bool,
    /// Nothing before this.
    pub since: Option<Timestamp>,
    /// Nothing after this.
    pub until: Option<Timestamp>,
    /// How many lines from the end.
    pub tail: Tail,
}

/// One record of the log: a line with its line feed, or a part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Which stream.
    pub stream: StreamKind,
    /// The bytes, with the line feed where there was one.
    pub bytes: Bytes,
    /// When it was read from the container.
    pub time: Timestamp,
}
