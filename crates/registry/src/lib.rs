//! The OCI distribution service and its rights, over the store that the engine may share.
//!
//! Acts: HTTP in, the store behind it. A request goes: route ◆ → what it needs ◆ → gate (who, may they) → operation. Registry
//! and engine never know each other; they meet in the store's repositories.

pub mod access;
pub mod cache;
pub mod config;
pub mod upstream;
