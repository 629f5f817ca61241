//! The use cases: containers, execs, images, events, recovery after any crash.
//!
//! Acts: over the store (what is), the runtime (how a process is made) and the monitor (who parents it). Pure parts — the
//! model, the state machine, restart policies, the merge of image config and request — are files of their own.

pub mod builds;
mod container;
mod containers;
mod events;
mod exec;
mod health;
mod host_files;
pub mod images;
mod launch;
mod launcher;
mod lifecycle;
mod links;
mod merge;
mod model;
mod names;
mod networks;
mod open;
mod places;
mod readiness;
mod record;
mod recovery;
mod restart_policy;
mod seccomp;
mod spec;
mod storage;
mod streams;
mod supervisor;
mod system;
mod table;
mod tree;
mod view;
mod volumes;

pub use builds::Builds;
pub use containers::{ChangeKind, Containers, CopyIn, PathChange, PathStat, StopOptions};
pub use events::{Event, EventFilter, EventStream, Events};
pub use images::Images;
pub use model::*;
use naru_oci::signal;
pub use networks::{NetworkOptions, Networks};
pub use open::{Closing, Engine, EngineConfig};
pub use streams::{Attachment, ExportStream, LogStream, Output, Stdin, Wait};
pub use system::{Limits, System, SystemView, VersionView};
pub use volumes::{VolumeArchive, Volumes};
