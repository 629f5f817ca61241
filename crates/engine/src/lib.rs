//! The use cases: containers, execs, images, events, recovery after any crash.
//!
//! Acts: over the store (what is), the runtime (how a process is made) and the monitor (who parents it). Pure parts — the
//! model, the state machine, restart policies, the merge of image config and request — are files of their own.

mod containers;
mod events;
pub mod images;
mod lifecycle;
mod merge;
mod model;
mod names;
mod open;
mod restart_policy;
mod signal;
mod spec;
mod streams;
mod system;

pub use containers::{Containers, StopOptions};
pub use events::{Event, EventFilter, EventStream, Events};
pub use images::Images;
pub use model::*;
pub use open::{Engine, EngineConfig};
pub use streams::{Attachment, ExportStream, LogStream, Output, Stdin, Wait};
pub use system::{DiskUsage, Limits, System, SystemView, VersionView};
