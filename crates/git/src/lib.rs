//! Git repositories as builds want them: one commit's files, fetched over git's own protocol and checked; no `git` is run.
//!
//! Pure but for [`pack`], which acts on one file that it is given, and [`session`], which acts through a [`Line`] that its
//! caller opens: over HTTP, TCP or the system's `ssh`.
//!
//! ```text
//! address ◆ ─▶ line ─▶ advertisement ─▶ reference ◆ ─▶ commit ─▶ fetch (depth 1) ─▶ pack: a file
//!     pack ─▶ objects (inflated, deltas applied, every SHA-1 computed) ─▶ commit ─▶ trees ─▶ files, links, submodules
//! ```
//!
//! Protocol version 2 is spoken, and version 0 where a server (or an `ssh` that passes no environment on) knows no other.
//! SHA-1 is computed without the detection of collisions that `git` has: who can forge two files of one SHA-1 can offer
//! one of them, as he could without it under any name but the full hash of a commit.

mod address;
mod checkout;
mod keep;
mod known_hosts;
mod modules;
mod oid;
pub mod pack;
mod pkt;
mod query;
pub mod session;
mod wire;

pub use address::{Address, AddressError, Transport, host_of};
pub use checkout::{Checkout, check_out, commit_time, root_file};
pub use keep::{Kept, git_directory};
pub use known_hosts::knows;
pub use modules::{Module, modules, resolve_url};
pub use oid::Oid;
pub use pack::{Limits, Pack, PackError, PackWriter};
pub use session::{Line, Session};
pub use wire::Tip;
