//! Acts: single documents and blobs of a repository, for those who know what they want: build caches.

use crate::copy::AtRegistry;
use crate::fetch::{Fetch, lost};
use crate::progress::Progress;
use crate::remote::{RawManifest, Teller};
use futures_util::TryStreamExt;
use naru_errdefs::Fault;
use naru_layer::Limits;
use naru_oci::{Descriptor, Digest};
use naru_store::{LeaseId, Store};

/// Blobs that are fetched side by side.
const DOWNLOADS: usize = 3;

/// A manifest or index of a repository: one of its digests, or what the name means.
pub async fn fetch_manifest_by(
    there: &AtRegistry,
    digest: Option<Digest>,
) -> Result<RawManifest, Fault> {
    let reference = digest.map_or_else(|| there.reference(), |digest| digest.to_string());
    there.repository().manifest(&reference).await
}

/// A small blob, verified.
pub async fn fetch_document(there: &AtRegistry, blob: &Descriptor) -> Result<Vec<u8>, Fault> {
    there.repository().small_blob(blob).await
}

/// Fetches the blobs that are not here into the store, verified; the lease holds them.
pub async fn fetch_blobs(
    store: &Store,
    blobs: &[(AtRegistry, Descriptor)],
    lease: LeaseId,
    teller: &Teller,
) -> Result<(), Fault> {
    futures_util::stream::iter(blobs.iter().map(Ok))
        .try_for_each_concurrent(DOWNLOADS, |(there, blob)| {
            fetch(store, there, blob, lease, teller)
        })
        .await
}

async fn fetch(
    store: &Store,
    there: &AtRegistry,
    blob: &Descriptor,
    lease: LeaseId,
    teller: &Teller,
) -> Result<(), Fault> {
    if blob.size > Limits::standard().unpacked {
        return Err(Fault::invalid(format!(
            "the layer {} is said to have {} bytes, more than any layer may have",
            blob.digest, blob.size
        )));
    }
    let repository = there.repository();
    // Who comes second waits, and finds it there.
    let turn = repository.shared().turn(&blob.digest);
    let _turn = turn.lock().await;
    if store.content.has(&blob.digest) {
        return Ok(());
    }
    let fetch = Fetch { store, repository: &repository, blob, lease };
    let fetch = &fetch;
    let ingest = fetch
        .patiently(|repository| async move {
            let mut ingest = fetch.ingest().await?;
            let reached = |offset: u64| {
                teller(Progress::layer("Downloading", blob.digest.short(), offset, blob.size));
            };
            if let Err(fault) = fetch.download(&repository, &mut ingest, &reached).await {
                if fault.kind() == naru_errdefs::Kind::DataLoss {
                    ingest.discard();
                }
                return Err(fault);
            }
            fetch.verified(ingest)
        })
        .await?;
    let digest = blob.digest;
    tokio::task::spawn_blocking(move || ingest.commit(Some(digest))).await.map_err(lost)??;
    Ok(())
}
