//! The Engine API from the caller's side: an endpoint, one connection that is used again, typed calls, and streams.
//!
//! Acts: opens sockets. Everything runs on the caller's (single-threaded) runtime. Calls name a
//! [`Route`](naru_api_types::Route), so client and server cannot disagree about a path.

mod builds;
mod connection;
mod containers;
mod endpoint;
mod hijack;
mod images;
mod ndjson;
mod networks;
mod system;
mod volumes;

pub use connection::{Answer, Client, Content, Revive, Upload};
pub use containers::Waiting;
pub use endpoint::{Endpoint, EndpointError};
pub use hijack::{Hijacked, HijackedReader, HijackedWriter};
pub use ndjson::Lines;

#[cfg(test)]
mod tests;
