//! Layers: tar to directory and back, whiteouts, compression.
//!
//! Acts: reads streams and writes one directory, in which it stays however the archive lies; it knows no store, no
//! image and no network. [`apply()`] unpacks one layer into an empty directory on its own, so that the layers of an
//! image can be unpacked side by side; [`settle()`] then completes it with what it takes from the layers below.
//! [`archive_tree`] and [`diff_trees`] go the other way. [`extract()`] and [`archive_live`] are for trees that others
//! change meanwhile: files copied into and out of containers.
//!
//! ```text
//! bytes ─▶ compression ─▶ tar::reader ─▶ (header ◆, pax ◆, sparse_map ◆) ─▶ entry ─▶ apply ─▶ directory
//!                                                     whiteout ◆ ─┘                           │
//! bytes ◀─ compression ◀─ tar::writer ◀── archive (one tree), diff (two trees) ◀──────────────┘
//! ```

pub mod apply;
pub mod archive;
mod bzip2;
pub mod compression;
pub mod diff;
pub mod digesting;
pub mod extract;
pub mod limits;
pub mod parallel;
pub mod settle;
pub mod tar;
pub mod whiteout;

pub use apply::{Applied, ApplyError, Changes, DeferredLink, apply, apply_plain, apply_tar};
pub use archive::{ArchiveError, ArchiveMode, Archived, Subject, archive_live, archive_tree};
pub use compression::{Compression, CompressionError};
pub use diff::diff_trees;
pub use digesting::diff_id_of;
pub use extract::{Destination, ExtractError, Extracted, Owners, Rename, extract};
pub use limits::Limits;
pub use parallel::{Level, ParallelEncoder};
pub use settle::settle;
