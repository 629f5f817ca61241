//! From a Dockerfile and a context to an image in the store: cache keys, scheduling, COPY and ADD, assembly.
//!
//! Acts: on the store and under its root. What a build cannot do itself (run a process, fetch an image or a URL) goes
//! through the traits of [`ports`].
//!
//! ```text
//! archive ─▶ context (tree ◆ + contents, each once) ─┐
//! Dockerfile ─▶ stages that are needed ◆ ────────────┴─▶ stage by stage, side by side
//!     instruction ─▶ expanded ◆ ─▶ key ◆ ─▶ cached? ─▶ made once for all who want it ─▶ layer, snapshot, row: durable
//!     target ─▶ configuration, manifest, names: one transaction
//! ```

mod agent;
mod assemble;
mod attest;
mod build;
mod cache;
mod config;
mod context;
mod copy;
mod directories;
mod event;
mod flight;
mod foreign;
mod ignore;
mod key;
mod layer;
mod mounts;
mod named;
mod options;
mod plan;
pub mod ports;
mod remote;
mod stage;
mod steps;
mod upkeep;
mod users;
mod way;
mod wording;

pub use agent::{AgentLine, Agents, LentAgents};
pub use build::Builder;
pub use context::{BuildContext, Content, Files, Hold, Node, Tree};
pub use event::{
    BuildEvent, BuildFailure, BuildWarning, Built, CacheRecord, PruneBuild, PrunedBuild,
};
pub use named::key as context_key;
pub use options::{
    Attestations, BuildOptions, CacheExport, CacheSource, CacheTarget, DockerfileSource,
    LayerCompression, NamedContext, NetworkChoice, RegistryAuth, RunLimits, Secret, Ulimit,
};
