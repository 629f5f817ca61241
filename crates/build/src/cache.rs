//! Caches that travel: what a build takes from elsewhere, and what it gives to others.
//!
//! Acts: reads them through [`crate::ports::Caches`], and brings a layer only when something is made on it, read out of it
//! or put into the result.
//!
//! ```text
//! --cache-from ─▶ list ◆ (keys ─▶ layers) ─▶ a key is looked up: here? there? ─▶ told: known by its chain, not here yet
//!                                             told ─▶ bring: fetched, digest ─▶ unpacked, diff ID ─▶ rows of this cache alone
//! keys of the build ─▶ list ◆ ─▶ into the image's configuration, a registry, or to the client
//! ```
//!
//! An image that carries no keys, of whichever builder, is followed line by line of its history: see `import/history.rs`.
//!
//! **Trust.** A cache says "this key led to this layer", which only whoever wrote it can know. So what one says counts for
//! builds that name it and for no others: rows of what was brought are kept under a name of that cache. What can be
//! checked is checked: sizes, digests of blobs, and that a blob unpacks to the layer that was promised. A cache that fails
//! there is left alone for the rest of the build, which makes anew what it took from it.

mod export;
mod import;
mod list;
mod read;

pub(crate) use export::{Noted, export, inline};
pub(crate) use import::{Follow, Imported, bring, bring_whole, run_texts};
pub(crate) use list::INLINE;
