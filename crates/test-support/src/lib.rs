//! What tests share: tiny images built in memory, archives of any shape, a lister that sees everything, a Debian root.
//!
//! Acts. Only tests use this crate.

pub mod debian_root;
pub mod listing;
pub mod tar_file;
pub mod tiny_image;

pub use debian_root::debian_root;
pub use listing::{Seen, list};
pub use tar_file::{Item, TarFile};
pub use tiny_image::TinyImage;
