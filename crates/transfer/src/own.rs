//! The registry that is embedded in this daemon: what it holds is here already, and what is here needs no upload.
//!
//! Acts: on the store's rows only. An image is *adopted* when it gets a name at the engine: its layers are unpacked from
//! blobs that lie in the store, nothing is copied. Blobs are held by either side, so removing here leaves there alone.
//!
//! ```text
//! tag at the registry ─▶ manifest ◆ ─▶ unpack ─▶ image, its names, what was seen: one batch
//! image ─▶ its manifests and blobs ◆ ─▶ members, tag, what was seen: one batch
//! ```

mod adopt;
mod port;
mod push;

pub use adopt::{inspect_own, pull_own, refresh_own};
pub use port::{OwnClaim, OwnMore, OwnRegistry};
pub use push::push_own;

use crate::remote::Registries;
use naru_errdefs::Fault;
use naru_oci::{Digest, ManifestOrIndex, Reference};
use naru_store::{Store, Table};
use std::net::SocketAddr;
use std::sync::Arc;

/// The longest manifest or config that is read.
const LONGEST: u64 = 4 << 20;

impl Registries {
    /// Whether a name is one of the embedded registry.
    pub fn owns(&self, reference: &Reference) -> bool {
        let registry = reference.registry();
        self.config().own.iter().any(|own| own.eq_ignore_ascii_case(registry))
    }

    /// Whether what a name means is all told by rows here: it is one of the embedded registry, and not of its cache. What that
    /// has of others is asked for over the protocol, as everybody does, so that what is not here yet comes.
    pub fn holds(&self, reference: &Reference) -> bool {
        self.owns(reference) && !self.own().is_some_and(|own| own.is_cached(reference.repository()))
    }

    /// The embedded registry's own word in what is pushed to it and pulled from it here; the first one counts.
    pub fn attach_own(&self, own: Arc<dyn OwnRegistry>) {
        self.shared.own.set(own).ok();
    }

    /// Who has a word in what is pushed to the embedded registry.
    fn own(&self) -> Option<&dyn OwnRegistry> {
        self.shared.own.get().map(|own| &**own)
    }
}

/// Pure: the names under which a registry that listens there is reached from this host. One that listens on all
/// addresses is reached at loopback, too; its further names have to be told.
pub fn own_names(listen: SocketAddr, public: &[String]) -> Vec<String> {
    let port = listen.port();
    let loopback = listen.ip().is_loopback() || listen.ip().is_unspecified();
    let mut names = Vec::new();
    if !listen.ip().is_unspecified() {
        names.push(listen.to_string());
    }
    if loopback {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            names.push(format!("{host}:{port}"));
        }
    }
    names.extend(public.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// What the registry's tags pointed to when the engine last looked, by name. A name that was given here later stands
/// until the tag moves.
fn seen(store: &Store) -> Table<Digest> {
    store.records.table("own-registry-seen")
}

/// A manifest or index of the store.
fn document(store: &Store, digest: &Digest) -> Result<ManifestOrIndex, Fault> {
    let bytes = store.content.read(digest, LONGEST)?;
    Ok(ManifestOrIndex::parse(&bytes)?)
}

#[cfg(test)]
mod tests;
