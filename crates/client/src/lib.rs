//! A client of the Engine API. Acts: connects, sends, reads; it decides nothing about containers.
//!
//! One connection is kept and used again; a second one is opened only while the first is busy (a stream or a hijacked
//! terminal). Nothing is read from files: whoever calls says where the daemon is.

mod connection;
mod endpoint;
mod hijack;
mod lines;
mod request;

pub use endpoint::Endpoint;
pub use hijack::{Hijacked, HijackedRead, HijackedWrite};
pub use lines::Lines;
pub use request::{Client, Reply, Upload};
