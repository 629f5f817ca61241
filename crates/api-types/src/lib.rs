//! Pure: the Engine API on the wire: routes, versions, bodies, filters, stream frames and progress lines.
//!
//! Server and client share these types, so every structure can be written and read. Reading is as tolerant as the
//! daemon clients were made for (`null` is the zero value, a command may be a string or a list); writing keeps every
//! field that clients expect, including `null` and zero values, and maps are sorted.

#[cfg(test)]
mod golden;
mod wire;

pub mod agent;
pub mod build;
pub mod container;
pub mod copy;
pub mod error_body;
pub mod event;
pub mod filters;
pub mod frame;
pub mod image;
pub mod network;
pub mod progress;
pub mod query;
pub mod registry;
pub mod route;
pub mod system;
pub mod version;
pub mod volume;

pub use error_body::ErrorBody;
pub use filters::Filters;
pub use query::Query;
pub use route::{Method, Route, RouteError};
pub use version::ApiVersion;
pub use wire::{Empty, Map, StrSlice};
