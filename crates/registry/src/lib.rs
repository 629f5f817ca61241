//! The OCI distribution service and its rights, over the store that the engine may share.
//!
//! Acts: HTTP in, the store behind it. A request goes: route ◆ → what it needs ◆ → gate (who, may they) → operation. Registry
//! and engine never know each other; they meet in the store's repositories.

pub mod access;
mod answer;
mod blobs;
mod body;
pub mod cache;
mod cached;
pub mod config;
mod documents;
pub mod edge;
mod lists;
mod manifests;
pub mod metrics;
mod problem;
mod query;
mod range;
mod route;
mod service;
pub mod upkeep;
mod uploads;
pub mod upstream;
mod watch;

pub use problem::{Code, Problem};
pub use route::{Route, Target};
pub use service::Registry;
pub use watch::{Claim, Done, GONE, More, News, Quota, Watch};
