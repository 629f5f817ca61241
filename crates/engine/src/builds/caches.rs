//! Acts: build caches at registries, over the same ways as images.

use super::sources::credentials;
use crate::Images;
use naru_build::ports::{CacheLayer, CachePlace, Caches, Promise};
use naru_errdefs::Fault;
use naru_oci::{ChainId, Descriptor, Digest};
use naru_store::{LeaseId, Store};
use naru_transfer::{AtRegistry, CopySource, Layer, Platforms, Progress, Teller};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Reads and writes caches.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) images: Images,
    pub(super) store: Store,
}

impl Carrier {
    fn at(&self, place: CachePlace<'_>) -> AtRegistry {
        let auth = place.auth.get(place.reference.registry());
        AtRegistry {
            registries: self.images.known_registries().clone(),
            reference: place.reference.clone(),
            credentials: auth.map(credentials).unwrap_or_default(),
        }
    }
}

/// Who counts bytes is not waited for.
fn teller(progress: mpsc::Sender<(String, u64, u64)>) -> Teller {
    Arc::new(move |line: Progress| {
        if let Some((done, total)) = line.detail
            && let Some(what) = line.id.or(line.status)
        {
            progress.try_send((what, done, total)).ok();
        }
    })
}

impl Caches for Carrier {
    fn manifest<'a>(
        &'a self,
        place: CachePlace<'a>,
        digest: Option<Digest>,
    ) -> Promise<'a, Result<(Descriptor, Vec<u8>), Fault>> {
        Box::pin(async move {
            let raw = naru_transfer::fetch_manifest_by(&self.at(place), digest).await?;
            Ok((raw.descriptor(), raw.bytes.to_vec()))
        })
    }

    fn document<'a>(
        &'a self,
        place: CachePlace<'a>,
        blob: &'a Descriptor,
    ) -> Promise<'a, Result<Vec<u8>, Fault>> {
        Box::pin(async move { naru_transfer::fetch_document(&self.at(place), blob).await })
    }

    fn fetch<'a>(
        &'a self,
        layers: &'a [CacheLayer<'a>],
        lease: LeaseId,
        progress: mpsc::Sender<(String, u64, u64)>,
    ) -> Promise<'a, Result<(), Fault>> {
        Box::pin(async move {
            let mut blobs = Vec::new();
            for layer in layers {
                self.store.leases.hold_blob(&lease, &layer.blob.digest)?;
                match layer.place {
                    _ if self.store.content.has(&layer.blob.digest) => {}
                    Some(place) => blobs.push((self.at(place), layer.blob.clone())),
                    None => {
                        return Err(Fault::not_found(format!(
                            "the layer {} is not here",
                            layer.blob.digest
                        )));
                    }
                }
            }
            naru_transfer::fetch_blobs(&self.store, &blobs, lease, &teller(progress)).await
        })
    }

    fn unpack<'a>(
        &'a self,
        base: Option<ChainId>,
        layers: &'a [CacheLayer<'a>],
        lease: LeaseId,
    ) -> Promise<'a, Result<(), Fault>> {
        Box::pin(async move {
            let one =
                |layer: &CacheLayer<'_>| Layer { blob: layer.blob.clone(), diff_id: layer.diff_id };
            let layers: Vec<Layer> = layers.iter().map(one).collect();
            let store = self.store.clone();
            super::blocking(move || naru_transfer::unpack_on(&store, &lease, base, &layers)).await
        })
    }

    fn push<'a>(
        &'a self,
        place: CachePlace<'a>,
        root: &'a Descriptor,
        progress: mpsc::Sender<(String, u64, u64)>,
    ) -> Promise<'a, Result<(), Fault>> {
        Box::pin(async move {
            let source = CopySource::Content(root.digest);
            let teller = teller(progress);
            let copying =
                naru_transfer::begin_copy(&self.store, source, &Platforms::All, None, &teller)
                    .await?;
            copying.to_registry(&self.at(place), None).await
        })
    }
}
