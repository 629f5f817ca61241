//! The one small process that parents every container and exec, holds their standard streams and writes their logs.
//!
//! Acts, in [`serve()`]; the protocol and the arithmetic of taking over are pure.
//!
//! ```text
//!            Start, Exec, Attach, List, Adopt, …          clone, handshake, exit
//!   daemon ───────────── seqpacket ─────────────▶ monitor ─────────────────────▶ containers
//!      │  ◀── Started + copies of every descriptor ──┤
//!      │  ◀── Exited                                 ├── pipe ──splice──▶ spool ──▶ log file
//!      └ subreaper: gets the containers when the     └── terminal ──▶ pipe ──▶ spool ──▶ attachments
//!        monitor dies, and hands them to a new one
//! ```

pub mod client;
pub mod exit_record;
pub mod launch;
pub mod log_file;
pub mod log_record;
pub mod protocol;

mod attachments;
mod connection;
mod process;
mod serve;
mod spool;
mod takeover;
mod watch;

pub use serve::{ServeError, serve, serve_with};
