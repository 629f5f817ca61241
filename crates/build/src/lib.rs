//! From a Dockerfile and a context to an image in the store: cache keys, scheduling, COPY and ADD, assembly.
//!
//! Acts: on the store and under its root. What a build cannot do itself (run a process, fetch an image or a URL) goes
//! through the traits of [`ports`].

mod event;
mod options;

pub use event::{
    BuildEvent, BuildFailure, BuildWarning, Built, CacheRecord, PruneBuild, PrunedBuild,
};
pub use options::{
    Attestations, BuildOptions, CacheExport, DockerfileSource, LayerCompression, NetworkChoice,
    RunLimits, Secret, Ulimit,
};
