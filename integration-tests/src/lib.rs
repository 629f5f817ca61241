//! A harness for end-to-end tests: the built binary, a daemon with roots and a socket of its own, tiny images.
//!
//! Acts: starts processes and ends exactly those it started. Every test has its own daemon, so tests run side by side.

pub mod daemon;
pub mod debian;
pub mod dns;
pub mod image;
pub mod leftovers;
pub mod machine;
pub mod machines;
pub mod own_registry;
pub mod peer_docker;
pub mod peer_registry;
pub mod place;
pub mod plain_registry;
pub mod pty;
pub mod python;
pub mod run;
pub mod scene;

pub use daemon::Daemon;
pub use place::{context, room};
pub use plain_registry::PlainRegistry;
pub use run::{Done, binary, naru, run, run_with_input, until};
pub use scene::Scene;
