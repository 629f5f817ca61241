//! Acts: a plan becomes true at a registry: blobs side by side, then manifests and tags in order.

use super::destination::{Begun, Destination, SMALL, Upload};
use super::exchange::{Exchange, Watch};
use super::memory;
use super::plan::Plan;
use super::upload::{Budget, Step};
use crate::progress::Progress;
use crate::remote::Teller;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use naru_errdefs::{Fault, Kind};
use naru_oci::{Descriptor, Digest};
use naru_store::{Content, Store};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes between two lines of progress about one layer.
const TELL_EVERY: u64 = 512 << 10;

/// Where a plan is carried out.
pub(crate) struct Delivery<'a> {
    /// What is remembered of blobs and uploads.
    pub(crate) store: &'a Store,
    /// The way there.
    pub(crate) wire: &'a dyn Exchange,
    /// Blobs that are uploaded side by side.
    pub(crate) uploads: usize,
    /// Attempts in a row that may fail.
    pub(crate) attempts: u32,
    /// Who is told.
    pub(crate) teller: &'a Teller,
}

/// Where the bytes of a blob come from, once it is known that they are needed.
pub(crate) trait Supply: Sync {
    /// The bytes.
    fn supply<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Result<File, Fault>>;

    /// Told when the bytes of a blob are there, and needed no longer.
    fn sent(&self, blob: &Descriptor) -> Result<(), Fault> {
        let _ = blob;
        Ok(())
    }

    /// A repository of the destination's registry that has every blob, when there is one.
    fn mount_from(&self) -> Option<&str> {
        None
    }
}

impl Supply for Content {
    fn supply<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Result<File, Fault>> {
        Box::pin(async move {
            if !self.has(&blob.digest) {
                return Err(Fault::not_found(format!(
                    "the layer `{}` of the image is not here",
                    blob.digest
                ))
                .with_hint("only what was unpacked of it is left; pull or load the image again"));
            }
            let found = self.size(&blob.digest)?;
            if found != blob.size {
                return Err(Fault::new(
                    Kind::DataLoss,
                    format!(
                        "the layer `{}` has {found} bytes, but its manifest says {}",
                        blob.digest, blob.size
                    ),
                )
                .with_hint("check the store with `naru system verify`"));
            }
            Ok(self.open(&blob.digest)?)
        })
    }
}

/// Makes a plan true. `named` says under which tags or digests its roots are put.
pub(crate) async fn deliver(
    delivery: &Delivery<'_>,
    plan: &Plan,
    named: &[(String, Descriptor)],
    supply: &dyn Supply,
) -> Result<(), Fault> {
    for (at, layer) in
        plan.blobs.iter().filter(|blob| plan.layers.contains(&blob.digest)).enumerate()
    {
        delivery.say(layer, "Preparing");
        if at >= delivery.uploads {
            delivery.say(layer, "Waiting");
        }
    }
    futures_util::stream::iter(plan.blobs.iter().map(Ok))
        .try_for_each_concurrent(delivery.uploads, |blob| async move {
            let shown = plan.layers.contains(&blob.digest);
            delivery.blob(blob, shown, supply).await
        })
        .await?;
    let (registry, repository) = (delivery.wire.registry(), delivery.wire.repository());
    let blobs: Vec<Digest> = plan.blobs.iter().map(|blob| blob.digest).collect();
    memory::remember_blobs(delivery.store, registry, repository, &blobs);
    let there = delivery.destination();
    for document in &plan.manifests {
        let digest = document.descriptor.digest.to_string();
        if there.manifest(&digest).await? != Some(document.descriptor.digest) {
            there.put_manifest(&digest, document).await?;
        }
    }
    for (name, root) in named {
        let Some(document) = plan.roots.iter().find(|known| known.descriptor.digest == root.digest)
        else {
            return Err(Fault::internal(format!("`{}` was not planned to be pushed", root.digest)));
        };
        if there.manifest(name).await? != Some(root.digest) {
            there.put_manifest(name, document).await?;
        }
    }
    Ok(())
}

impl<'a> Delivery<'a> {
    fn destination(&self) -> Destination<'a> {
        Destination { wire: self.wire, attempts: self.attempts }
    }

    fn say(&self, blob: &Descriptor, status: &str) {
        (self.teller)(Progress::layer(status, blob.digest.short(), 0, 0));
    }

    async fn blob(&self, blob: &Descriptor, shown: bool, supply: &dyn Supply) -> Result<(), Fault> {
        let say = |status: &str| {
            if shown {
                self.say(blob, status);
            }
        };
        let there = self.destination();
        if there.has_blob(blob).await? {
            say("Layer already exists");
            return Ok(());
        }
        let (registry, repository) = (self.wire.registry(), self.wire.repository());
        let mut budget = Budget::new(self.attempts);
        let step = match memory::open_upload(self.store, registry, repository, &blob.digest) {
            Some(at) => Step::Status { at },
            None => {
                let known = memory::elsewhere(self.store, registry, repository, &blob.digest);
                let from = supply.mount_from().map(str::to_owned).or(known);
                let from = from.filter(|from| from != repository);
                match there.begin(blob, from.as_deref(), &mut budget).await? {
                    Begun::Mounted => {
                        say(&format!("Mounted from {}", from.unwrap_or_default()));
                        return Ok(());
                    }
                    Begun::Open(step) => step,
                }
            }
        };
        let file = supply.supply(blob).await?;
        let note = |at: Option<&reqwest::Url>| {
            if blob.size > SMALL {
                memory::remember_upload(self.store, (registry, repository), &blob.digest, at);
            }
        };
        let watch = if shown { self.watch(blob) } else { Arc::new(|_| {}) };
        let upload = Upload { blob, file: Arc::new(file), watch, note: &note };
        there.upload(&upload, step, &mut budget).await?;
        supply.sent(blob)?;
        say("Pushed");
        Ok(())
    }

    /// Tells how far a layer got, not too often.
    fn watch(&self, blob: &Descriptor) -> Watch {
        let (teller, id, size) = (Arc::clone(self.teller), blob.digest.short(), blob.size);
        let told = AtomicU64::new(0);
        Arc::new(move |sent| {
            let before = told.load(Ordering::Relaxed);
            if sent < before || sent - before >= TELL_EVERY || sent >= size {
                told.store(sent, Ordering::Relaxed);
                teller(Progress::layer("Pushing", id.clone(), sent, size));
            }
        })
    }
}
