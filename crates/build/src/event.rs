//! Pure: what is told while a build goes on, and what came of it.

use bytes::Bytes;
use naru_errdefs::Fault;
use naru_oci::{Descriptor, Digest, ImageId, Reference};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is told while a build goes on.
#[derive(Debug)]
pub enum BuildEvent {
    /// What is going to be done, once it is known: `(number, name)` in order. Comes again when `ONBUILD` adds to it.
    Planned {
        /// How many vertices the stages that are needed have.
        vertices: usize,
    },
    /// A vertex began.
    VertexStarted {
        /// Its number in this build.
        id: u32,
        /// `[stage 2/5] RUN make`.
        name: String,
        /// The instruction as docker's classic stream shows it (`RUN make`).
        instruction: String,
        /// The name or number of its stage; absent for what belongs to none (loading, exporting).
        stage: Option<String>,
        /// Its place among the steps of the Dockerfile, and their number, for docker's classic stream (`Step 2/5`).
        step: Option<(usize, usize)>,
    },
    /// A process of a vertex wrote something.
    VertexOutput {
        /// The vertex.
        id: u32,
        /// Whether to standard error.
        stderr: bool,
        /// What.
        bytes: Bytes,
    },
    /// How far a vertex is, where that can be said.
    VertexProgress {
        /// The vertex.
        id: u32,
        /// What is on its way (a layer's digest, a file).
        what: String,
        /// Bytes done.
        current: u64,
        /// Bytes in all; 0: not known.
        total: u64,
    },
    /// A vertex ended.
    VertexDone {
        /// The vertex.
        id: u32,
        /// Whether it came from the cache.
        cached: bool,
        /// How long it took.
        took: Duration,
        /// The digest that docker's classic stream shows after a step (`---> 0123456789ab`).
        result: Option<Digest>,
        /// Why it failed.
        error: Option<String>,
    },
    /// Something to be said that is no failure.
    Warning(BuildWarning),
    /// The result has this name now.
    Tagged(Reference),
}

/// Something to be said that is no failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildWarning {
    /// The name of the check (`FromAsCasing`); empty for others.
    pub rule: String,
    /// A sentence.
    pub message: String,
    /// The Dockerfile.
    pub file: String,
    /// The line, from 1; 0 where there is none.
    pub line: usize,
    /// Where the rule is described.
    pub url: String,
}

/// What came of a build.
#[derive(Debug, Clone)]
pub struct Built {
    /// The image: the digest of its configuration.
    pub image: ImageId,
    /// Its manifest, or the index when several platforms were built or documents go along.
    pub target: Descriptor,
    /// The manifest for this host.
    pub manifest: Digest,
    /// Unpacked bytes of all layers.
    pub size: u64,
    /// What was said.
    pub warnings: Vec<BuildWarning>,
    /// Whether there was no such image before.
    pub is_new: bool,
    /// Whether every vertex came from the cache.
    pub all_cached: bool,
    /// The manifest of the cache that the client takes from here.
    pub cache: Option<Descriptor>,
}

/// What is to be taken from the build cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneBuild {
    /// Also what images are made of, and mounts of `RUN --mount=type=cache`.
    pub all: bool,
    /// Keep so many bytes at least (`keep-storage`, `reserved-space`).
    pub keep_bytes: u64,
    /// Let at most so many bytes stay (`max-used-space`); 0: no such bound.
    pub max_bytes: u64,
    /// Only what was not used for so long (`until`).
    pub unused_for: Option<Duration>,
    /// Only these (`id`), by prefix; empty: all.
    pub ids: Vec<String>,
    /// Only of this type (`regular`, `source.local`, `exec.cachemount`); empty: all.
    pub types: Vec<String>,
    /// Other filters (`inuse`, `shared`, `private`, `description`, `parent`), as they came.
    pub filters: BTreeMap<String, Vec<String>>,
}

/// What was taken from the build cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedBuild {
    /// The IDs of the records.
    pub deleted: Vec<String>,
    /// Bytes.
    pub reclaimed: u64,
}

/// A record of the build cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecord {
    /// Its ID.
    pub id: String,
    /// The records below it.
    pub parents: Vec<String>,
    /// `regular`, `source.local`, `exec.cachemount`.
    pub kind: String,
    /// What made it (`RUN make`).
    pub description: String,
    /// Whether a build uses it now.
    pub in_use: bool,
    /// Whether an image holds it too, so that removing it frees nothing.
    pub shared: bool,
    /// Bytes of it alone.
    pub size: u64,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it was used last, in seconds since 1970; 0: never.
    pub last_used: u64,
    /// How often it was used.
    pub uses: u64,
}

/// A failure whose words docker's clients know, with the code that the stream's `errorDetail` carries.
#[derive(Debug)]
pub struct BuildFailure {
    /// What went wrong.
    pub fault: Fault,
    /// The exit code of the process that failed.
    pub code: Option<i64>,
}

impl From<Fault> for BuildFailure {
    fn from(fault: Fault) -> BuildFailure {
        BuildFailure { fault, code: None }
    }
}
