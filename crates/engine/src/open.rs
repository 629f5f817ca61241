//! Acts: opens the engine: store, monitor, recovery.

use crate::{Containers, Events, Images, System};
use naru_errdefs::Fault;
use std::path::PathBuf;

/// What the engine is told once.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where data lies (`/var/lib/naru`).
    pub data_root: PathBuf,
    /// Where sockets and what lives no longer than the host lie (`/run/naru`).
    pub exec_root: PathBuf,
    /// This binary, started again as `naru monitor` and copied into containers as their init.
    pub exe: PathBuf,
    /// Whether debugging is on; only shown.
    pub debug: bool,
}

/// The services. Taken apart at once by whoever opens it.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Containers and execs.
    pub containers: Containers,
    /// Images.
    pub images: Images,
    /// The system.
    pub system: System,
    /// Events.
    pub events: Events,
}

impl Engine {
    /// Opens the data root, takes over what runs, and starts what should.
    pub async fn open(config: EngineConfig) -> Result<Engine, Fault> {
        let _ = config;
        Err(Fault::unsupported("not yet"))
    }
}
