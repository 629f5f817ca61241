//! The Engine API over the engine.
//!
//! Acts: it accepts connections, reads requests into [`naru_api_types::Route`], asks one service of the engine and
//! writes the answer in the shape that Docker's clients expect. What a request is converted to, what is refused and
//! which status a failure has is decided in pure files (`convert`, `refuse`, `error`).

mod body;
mod builds;
mod connection;
mod containers;
mod convert;
mod copy;
mod detach_keys;
mod dispatch;
mod error;
mod events;
mod hijack;
mod images;
mod listener;
mod networks;
mod refuse;
mod registry;
mod reply;
mod serve;
mod system;
#[cfg(test)]
mod tests;
mod volumes;

pub use dispatch::Api;
pub use listener::{Listening, bind_unix};
pub use serve::{ServeOptions, serve};
