//! The tar format: ustar, GNU, PAX and old v7 in, PAX out. Acts: reads and writes streams; names are bytes.

pub mod entry;
pub mod error;
pub mod header;
pub mod pax;
pub mod reader;
pub mod sparse_map;
pub mod writer;

pub use entry::{Entry, EntryKind};
pub use error::TarError;
pub use reader::Reader;
pub use writer::Writer;
