//! The cache against an upstream that drops, lies, stalls and limits.

mod blobs;
mod fake;
mod http;
mod manifests;
mod scene;
