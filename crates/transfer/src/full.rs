//! Acts: our own disk is full in the middle of a transfer.

use crate::remote::refusal;
use naru_errdefs::{Fault, Kind};
use naru_oci::Digest;
use naru_store::Store;

/// Whether something failed since our own disk is full, and not since a registry has exhausted resources.
pub(crate) fn is_disk_full(fault: &Fault) -> bool {
    fault.kind() == Kind::ResourceExhausted && !refusal::is_refusal(fault)
}

/// A disk that is full is not to be filled with what is left of a transfer: what came of its blobs goes, then what `release` lets go
/// of. Returns the fault with what to do before the transfer is tried again.
pub(crate) async fn give_back(
    fault: Fault,
    store: Store,
    blobs: Vec<Digest>,
    transfer: &str,
    release: impl FnOnce(&Store, &[Digest]) + Send + 'static,
) -> Fault {
    let collected = tokio::task::spawn_blocking(move || {
        // Files first: that a lease ends has to be written on the same disk.
        for blob in &blobs {
            store.content.forget(blob)?;
        }
        release(&store, &blobs);
        store.collect()
    });
    match collected.await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot give back what a {transfer} brought"),
        Err(error) => tracing::warn!(%error, "cannot give back what a {transfer} brought"),
    }
    fault.with_hint(format!("make room on the disk (`naru system prune`) and {transfer} again"))
}
