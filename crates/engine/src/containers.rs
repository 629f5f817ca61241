//! Acts: the service of containers and execs; one file a verb.

mod attach;
mod changes;
mod connect;
mod copy;
mod create;
mod exec;
mod export;
mod inspect;
mod list;
mod logs;
mod pause;
mod prune;
mod remove;
mod rename;
mod start;
mod stats;
mod stop;
mod top;
mod unlink;
mod update;
mod volumes;
mod wait;
mod warnings;

pub use changes::{ChangeKind, PathChange};
pub use copy::{CopyIn, PathStat};
pub(crate) use create::{network_places, new_id};
pub(crate) use list::label_matches;

use crate::supervisor::Supervisor;
use std::sync::Arc;

/// The service of containers and execs. A container is named by its name (a slash before it or not), its ID, or a
/// prefix of its ID that no other has.
#[derive(Debug, Clone)]
pub struct Containers {
    pub(crate) inner: Arc<Supervisor>,
}

/// How `stop` and `restart` stop.
#[derive(Debug, Clone, Default)]
pub struct StopOptions {
    /// Seconds until it is killed; absent: the container's own; negative: never.
    pub timeout: Option<i64>,
    /// The signal that asks it; absent: the container's own.
    pub signal: Option<String>,
}
