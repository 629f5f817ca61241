//! Acts: `pull`: an image from a registry into the store.
//!
//! ```text
//! resolve (HEAD) ─▶ manifest, platform, configuration ─▶ what is missing
//! each layer: stream ─▶ ingest: hashed, staged, resumable ─▶ read as it grows ─▶ inflated, applied   several side by side
//! all there ─▶ layers put in place ─▶ image and name in one transaction ─▶ leases released
//! ```

mod growing;
mod layer;
mod resolve;

use crate::early::Unpacked;
use crate::error::LoadError;
use crate::full::{give_back, is_disk_full};
use crate::layout::Wanted;
use crate::progress::Progress;
use crate::push::remember_blobs;
use crate::record::{LEASE, prepare, publish};
use crate::remote::{PullRequest, PulledImage, Registries, Repository, Teller};
use layer::LayerWork;
use naru_errdefs::Fault;
use naru_oci::{
    ChainId, Config, Descriptor, Digest, ImageId, Platform, Reference, chain_ids, media_type,
};
use naru_store::{Lease, Store};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// Downloads of one pull at once, when nothing is configured; docker's number.
const DOWNLOADS: usize = 3;
/// How long threads may go on after a pull has failed before it is told.
const AFTERMATH: Duration = Duration::from_secs(10);
/// The longest configuration.
const CONFIG_LIMIT: u64 = 4 << 20;
/// The most layers of an image; overlayfs has a bound of about 500.
const MOST_LAYERS: usize = 500;

/// Pulls: resolves, fetches what is missing side by side, unpacks while it comes, records last. What was fetched when it
/// fails or is given up stays for the next attempt.
pub async fn pull(
    store: &Store,
    registries: &Registries,
    request: &PullRequest,
    teller: &Teller,
) -> Result<Vec<PulledImage>, Fault> {
    let reference = &request.reference;
    let repository = Repository::new(
        registries,
        reference.registry(),
        reference.repository(),
        &request.credentials,
    )
    .limited(request.limit_rate);
    let names = if request.all_tags {
        if reference.tag().is_some() || reference.digest().is_some() {
            return Err(Fault::invalid("tag can't be used with --all-tags/-a"));
        }
        let tags = repository.tags().await?;
        if tags.is_empty() {
            return Err(Fault::not_found(format!(
                "the repository {} has no tags",
                reference.familiar_name()
            )));
        }
        tags.iter().map(|tag| reference.with_tag(tag)).collect::<Result<Vec<_>, _>>()?
    } else {
        vec![reference.clone().or_latest()]
    };
    let mut pulled = Vec::with_capacity(names.len());
    for name in names {
        let pull = Pull { store, repository: &repository, name, request, teller };
        let image = pull.one().await?;
        (teller)(Progress::status(format!("Digest: {}", image.target.digest), None));
        pulled.push(image);
    }
    let is_new = pulled.iter().any(|image| image.is_new);
    let shown = if request.all_tags {
        reference.familiar_name()
    } else {
        reference.clone().or_latest().familiar()
    };
    let status = if is_new {
        format!("Status: Downloaded newer image for {shown}")
    } else {
        format!("Status: Image is up to date for {shown}")
    };
    (teller)(Progress::status(status, None));
    Ok(pulled)
}

struct Pull<'a> {
    store: &'a Store,
    repository: &'a Repository,
    name: Reference,
    request: &'a PullRequest,
    teller: &'a Teller,
}

/// What an image consists of.
struct Parts {
    wanted: Wanted,
    config: Config,
    chains: Vec<ChainId>,
}

impl Pull<'_> {
    async fn one(&self) -> Result<PulledImage, Fault> {
        let text = match self.name.digest() {
            Some(digest) => digest.to_string(),
            None => self.name.tag().unwrap_or("latest").to_owned(),
        };
        let head = self.repository.manifest_head(&text).await?;
        let status = format!("Pulling from {}", self.repository.name());
        (self.teller)(Progress::status(status, Some(&text)));
        // Who pulls the same image at the same time waits, and then finds it.
        let turn = self.repository.shared().turn(&head.digest);
        let _turn = turn.lock().await;
        let lease = self.store.leases.create(LEASE);
        lease.hold_blob(&head.digest)?;
        if let Some(known) = self.unchanged(&lease, &head)? {
            return Ok(known);
        }
        let parts = self.parts(&lease, &head).await?;
        let layers: Vec<Digest> = parts.wanted.layers.iter().map(|layer| layer.digest).collect();
        let done = match self.layers(&lease, &parts).await {
            Ok((early, new)) => self.complete(lease, parts, early).await.map(|done| (done, new)),
            Err(fault) => {
                drop(lease);
                Err(fault)
            }
        };
        match done {
            Ok((pulled, new)) => {
                for layer in new {
                    (self.teller)(Progress::about(&layer.short(), "Pull complete"));
                }
                Ok(pulled)
            }
            Err(fault) if is_disk_full(&fault) => {
                let release = |store: &Store, layers: &[Digest]| {
                    layers.iter().for_each(|layer| layer::release(store, layer));
                };
                Err(give_back(fault, self.store.clone(), layers, "pull", release).await)
            }
            Err(fault) => Err(fault),
        }
    }

    /// The image, when the name already means it here, whole and for the platform that is asked for.
    fn unchanged(&self, lease: &Lease, head: &Descriptor) -> Result<Option<PulledImage>, Fault> {
        let Some(record) = self.store.images.get(&self.name)? else { return Ok(None) };
        let host = Platform::host();
        let wanted = self.request.platform.as_ref();
        // Without an index there is no choice: what is there is what the name means, whatever it runs on.
        let is_only = wanted.is_none() && record.manifest == record.target.digest;
        let is_same = record.target.digest == head.digest
            && (is_only
                || record
                    .platform
                    .as_ref()
                    .is_some_and(|platform| platform.serves(wanted.unwrap_or(&host))));
        if !is_same || !self.is_whole(lease, &record)? {
            return Ok(None);
        }
        Ok(Some(PulledImage {
            id: record.image_id,
            name: self.name.clone(),
            target: record.target,
            is_new: false,
        }))
    }

    /// Whether everything of an image is still there.
    fn is_whole(&self, lease: &Lease, record: &naru_store::ImageRecord) -> Result<bool, Fault> {
        lease.hold_blob(&record.manifest)?;
        lease.hold_blob(&record.config)?;
        if let Some(chain) = &record.chain {
            lease.hold_snapshot(chain)?;
        }
        let content = &self.store.content;
        Ok(content.has(&record.target.digest)
            && content.has(&record.manifest)
            && content.has(&record.config)
            && record.chain.is_none_or(|chain| self.store.snapshots.has(&chain)))
    }

    async fn parts(&self, lease: &Lease, head: &Descriptor) -> Result<Parts, Fault> {
        let host = Platform::host();
        let platform = self.request.platform.as_ref();
        let found =
            resolve::resolve(self.store, self.repository, lease, head, platform.unwrap_or(&host))
                .await?;
        let manifest = found.manifest;
        if !media_type::is_config(&manifest.config.media_type) {
            return Err(Fault::unsupported(format!(
                "`{}` is not an image, but an artifact of the type `{}`",
                self.name.familiar(),
                manifest.artifact_type.as_ref().unwrap_or(&manifest.config.media_type)
            ))
            .with_hint("`naru copy` moves artifacts between registries and archives"));
        }
        if manifest.layers.len() > MOST_LAYERS {
            return Err(Fault::invalid(format!(
                "the image has {} layers, more than the {MOST_LAYERS} that can be stacked",
                manifest.layers.len()
            )));
        }
        for layer in &manifest.layers {
            if !media_type::is_layer(&layer.media_type) {
                return Err(Fault::unsupported(format!(
                    "layer `{}` is of the type `{}`, which cannot be unpacked",
                    layer.digest, layer.media_type
                ))
                .with_hint("layers are tar archives, plain or compressed with gzip or zstd"));
            }
        }
        let bytes = self.config(lease, &manifest.config).await?;
        let name = || manifest.config.digest.to_string();
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|source| LoadError::Json { name: name(), source })?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(LoadError::LayerCount {
                config: config.rootfs.diff_ids.len(),
                archive: manifest.layers.len(),
            }
            .into());
        }
        let actual = config.platform();
        if let Some(wanted) = platform.filter(|wanted| !actual.serves(wanted)) {
            return Err(Fault::not_found(format!(
                "image with reference {} was found but does not provide the specified platform ({wanted}); it is for {actual}",
                self.name.familiar()
            )));
        }
        let mut documents = found.documents;
        documents.insert(manifest.config.digest, bytes);
        let chains = chain_ids(&config.rootfs.diff_ids);
        let wanted = Wanted {
            names: vec![self.name.clone()],
            target: head.clone(),
            manifest: found.descriptor,
            layers: manifest.layers,
            config: manifest.config,
            documents,
        };
        Ok(Parts { wanted, config, chains })
    }

    async fn config(&self, lease: &Lease, descriptor: &Descriptor) -> Result<Vec<u8>, Fault> {
        if descriptor.size > CONFIG_LIMIT {
            return Err(Fault::invalid(format!(
                "the image's configuration has {} bytes, more than the {CONFIG_LIMIT} that are taken",
                descriptor.size
            )));
        }
        lease.hold_blob(&descriptor.digest)?;
        if self.store.content.has(&descriptor.digest) {
            return Ok(self.store.content.read(&descriptor.digest, CONFIG_LIMIT)?);
        }
        self.repository.small_blob(descriptor).await
    }

    /// Fetches and unpacks what is missing. Answers which layers that were, too.
    async fn layers(&self, lease: &Lease, parts: &Parts) -> Result<(Unpacked, Vec<Digest>), Fault> {
        let shared = self.repository.shared();
        let downloads = match shared.config.downloads {
            0 => DOWNLOADS,
            number => number,
        };
        let fetching = Arc::new(Semaphore::new(downloads));
        let unpacking = Arc::new(Semaphore::new(downloads.max(crate::unpack::workers()) + 1));
        let (busy, mut idle) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        let mut seen = BTreeSet::new();
        let mut new = Vec::new();
        for (layer, chain) in parts.wanted.layers.iter().zip(&parts.chains) {
            lease.hold_blob(&layer.digest)?;
            lease.hold_snapshot(chain)?;
            let id = layer.digest.short();
            let is_there = self.store.content.has(&layer.digest);
            let needs_unpacking = !self.store.snapshots.has(chain);
            if is_there && !needs_unpacking {
                (self.teller)(Progress::about(&id, "Already exists"));
                continue;
            }
            if !seen.insert(layer.digest) {
                continue;
            }
            new.push(layer.digest);
            (self.teller)(Progress::about(&id, "Pulling fs layer"));
            if is_there {
                // Unpacked with the others that need no fetching, when all are there.
                (self.teller)(Progress::about(&id, "Download complete"));
                continue;
            }
            let fetch = LayerWork {
                store: self.store.clone(),
                repository: self.repository.clone(),
                layer: layer.clone(),
                lease: *lease.id(),
                unpack: needs_unpacking,
                teller: Arc::clone(self.teller),
                fetching: Arc::clone(&fetching),
                unpacking: Arc::clone(&unpacking),
                busy: busy.clone(),
            };
            tasks.spawn(async move { fetch.run().await.map(|done| (fetch.layer.digest, done)) });
        }
        drop(busy);
        let mut early = Unpacked::new();
        while let Some(done) = tasks.join_next().await {
            let done = done.unwrap_or_else(|error| {
                Err(Fault::internal("the work on a layer ended early").with_source(error))
            });
            match done {
                Ok((digest, Some(unpacked))) => drop(early.insert(digest, unpacked)),
                Ok((_, None)) => {}
                Err(fault) => {
                    tasks.shutdown().await;
                    // What comes after the failure must not find threads at work that still write.
                    tokio::time::timeout(AFTERMATH, idle.recv()).await.ok();
                    return Err(fault);
                }
            }
        }
        Ok((early, new))
    }

    /// Puts layers in place and records the image.
    async fn complete(
        &self,
        lease: Lease,
        parts: Parts,
        mut early: Unpacked,
    ) -> Result<PulledImage, Fault> {
        let (store, name) = (self.store.clone(), self.name.clone());
        let Parts { wanted, config, .. } = parts;
        let done = tokio::task::spawn_blocking(move || {
            let record = prepare(&store, lease.id(), &wanted, &mut early)?;
            // It is known by what the registry calls it for ever, too.
            let mut names = vec![name.clone(), name.with_digest(record.target.digest)];
            names.dedup();
            let before = publish(&store, &[(record.clone(), names)])?;
            drop(lease);
            if let Some((_, before)) = before.first() {
                tracing::info!(name = %name, image = %before, "the name meant another image before");
            }
            for layer in &wanted.layers {
                layer::release(&store, &layer.digest);
            }
            // A push to another repository of this registry needs to send none of them.
            let blobs: Vec<Digest> = wanted.layers.iter().map(|layer| layer.digest).collect();
            remember_blobs(&store, name.registry(), name.repository(), &blobs);
            Ok::<_, Fault>(PulledImage {
                id: ImageId(record.config),
                name,
                target: record.target,
                is_new: true,
            })
        })
        .await
        .map_err(|error| Fault::internal("the work on an image ended early").with_source(error))??;
        tracing::debug!(image = %done.id, os = config.os, "pulled");
        Ok(done)
    }
}

#[cfg(test)]
mod tests;
