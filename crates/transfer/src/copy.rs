//! Copy: an image from one place to another: registries, archives, layouts and the store.
//!
//! Acts: content that has to pass through here is held by a lease while it does, and belongs to nobody afterwards. Manifests
//! stay byte for byte what they are, so digests are the same at both ends.
//!
//! ```text
//! registry ─┐  root, documents                    ┌─▶ registry   each blob: there? mounted? else fetched, then sent
//! archive  ─┼▶ gather ─▶ plan ◆ ─────────────────┼─▶ archive    all blobs fetched, then written
//! store    ─┘  (blobs when they are needed)       └─▶ store      all blobs fetched, unpacked, named
//! ```

mod fetch;
mod gather;
mod keep;

use crate::full::{give_back, is_disk_full};
use crate::progress::{Progress, Pushed};
use crate::push::{Delivery, Plan, Supply, deliver};
use crate::remote::{Credentials, Registries, Repository, Teller, Writer};
use crate::save::{Parts, SaveFormat};
use fetch::Blobs;
use gather::Gathered;
use naru_errdefs::Fault;
use naru_oci::{Descriptor, Digest, ImageId, Platform, Reference, media_type};
use naru_store::Store;
use std::io::{Read, Write};
use std::time::Duration;

/// An image at a registry, and who we are there.
#[derive(Debug, Clone)]
pub struct AtRegistry {
    /// How registries are reached.
    pub registries: Registries,
    /// The image; no tag and no digest mean `latest`.
    pub reference: Reference,
    /// Who we are.
    pub credentials: Credentials,
}

impl AtRegistry {
    pub(crate) fn repository(&self) -> Repository {
        let name = &self.reference;
        Repository::new(&self.registries, name.registry(), name.repository(), &self.credentials)
    }

    /// A digest counts more than a tag, as everywhere.
    pub(crate) fn reference(&self) -> String {
        match (self.reference.digest(), self.reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        }
    }
}

/// Where an image is copied from.
pub enum CopySource {
    /// A registry.
    Registry(AtRegistry),
    /// A tar stream with an archive of docker's or an OCI layout.
    Archive {
        /// The stream.
        input: Box<dyn Read + Send>,
        /// Which of its images; none for the only one.
        name: Option<String>,
    },
    /// An image that is here, by name or ID.
    Store(String),
    /// A manifest or index that is here, by its digest; who asks holds it.
    Content(Digest),
}

impl std::fmt::Debug for CopySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CopySource::Registry(there) => f.debug_tuple("Registry").field(there).finish(),
            CopySource::Archive { name, .. } => f.debug_tuple("Archive").field(name).finish(),
            CopySource::Store(name) => f.debug_tuple("Store").field(name).finish(),
            CopySource::Content(digest) => f.debug_tuple("Content").field(digest).finish(),
        }
    }
}

/// What of an image is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platforms {
    /// Everything that an index lists.
    All,
    /// The image for this host, as far as there is a choice.
    Host,
    /// The image for this platform; another one is refused.
    One(Platform),
}

/// An image that is ready to be copied.
pub struct Copying {
    store: Store,
    gathered: Gathered,
    plan: Plan,
    teller: Teller,
}

impl std::fmt::Debug for Copying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copying").field("root", &self.gathered.root).finish_non_exhaustive()
    }
}

/// Finds out what is to be copied. Archives are taken in by then; of a registry, manifests only.
pub async fn begin_copy(
    store: &Store,
    source: CopySource,
    platforms: &Platforms,
    limit_rate: Option<u64>,
    teller: &Teller,
) -> Result<Copying, Fault> {
    let gathered = gather::gather(store, source, platforms, limit_rate, teller).await?;
    let plan = Plan::of(std::slice::from_ref(&gathered.root), &gathered.documents)?;
    Ok(Copying { store: store.clone(), gathered, plan, teller: std::sync::Arc::clone(teller) })
}

impl Copying {
    /// What is copied.
    pub fn root(&self) -> &Descriptor {
        &self.gathered.root
    }

    /// Copies it to a registry.
    pub async fn to_registry(
        self,
        there: &AtRegistry,
        limit_rate: Option<u64>,
    ) -> Result<(), Fault> {
        let reference = there.reference();
        if let Some(digest) = there.reference.digest()
            && digest != self.gathered.root.digest
        {
            return Err(Fault::invalid(format!(
                "cannot copy `{}` to `{}`, which names another digest",
                self.gathered.root.digest,
                there.reference.familiar()
            ))
            .with_hint("leave the digest out, or copy that very manifest"));
        }
        let wire = Writer::new(there.repository(), limit_rate);
        let supply = self.supply().for_registry(there.reference.registry());
        let delivery = Delivery {
            store: &self.store,
            wire: &wire,
            uploads: there.registries.uploads(),
            attempts: there.registries.attempts(),
            teller: &self.teller,
        };
        let named = [(reference.clone(), self.gathered.root.clone())];
        if let Err(fault) = deliver(&delivery, &self.plan, &named, &supply).await {
            return Err(self.failed(fault).await);
        }
        self.tell(&reference);
        self.end().await
    }

    /// Takes it into the store under a name.
    pub async fn to_store(self, name: &Reference) -> Result<ImageId, Fault> {
        let Copying { store, gathered, teller, .. } = self.fetched().await?;
        let name = name.clone().or_latest();
        let kept = tokio::task::spawn_blocking(move || {
            let id = keep::keep(&store, &gathered, &name)?;
            tell(&teller, name.tag().unwrap_or("latest"), &gathered.root);
            Ok(id)
        });
        match kept.await {
            Ok(kept) => kept,
            Err(error) => Err(Fault::internal("the copy ended early").with_source(error)),
        }
    }

    /// Takes it into the store, where a lease of this name keeps it for a while: it is no image, and has no name.
    pub async fn to_content(self, lease: String, keeps: Duration) -> Result<Digest, Fault> {
        let Copying { store, gathered, .. } = self.fetched().await?;
        let root = gathered.root.digest;
        let kept = tokio::task::spawn_blocking(move || {
            for bytes in gathered.documents.values() {
                store.content.put(gathered.lease.id(), bytes)?;
            }
            let lease = store.leases.keep(&lease, keeps)?;
            store.leases.hold_blob(&lease, &root)?;
            Ok::<_, Fault>(root)
        });
        match kept.await {
            Ok(kept) => kept,
            Err(error) => Err(Fault::internal("the copy ended early").with_source(error)),
        }
    }

    /// Fetches everything that an archive needs, and says what is written.
    pub async fn ready_for_archive(self, format: SaveFormat) -> Result<ReadyArchive, Fault> {
        let is_index = media_type::is_index(&self.gathered.root.media_type);
        if format == SaveFormat::Docker && is_index {
            return Err(Fault::unsupported("an archive of docker's form holds one platform")
                .with_hint("copy to `oci-archive:`, or leave out `--all`"));
        }
        let Copying { store, gathered, plan, .. } = self.fetched().await?;
        Ok(ReadyArchive { store, gathered, plan })
    }

    fn supply(&self) -> Blobs<'_> {
        Blobs::new(&self.store, &self.gathered, &self.teller)
    }

    async fn fetch_all(&self) -> Result<(), Fault> {
        use futures_util::TryStreamExt;
        let supply = self.supply();
        futures_util::stream::iter(self.plan.blobs.iter().map(Ok))
            .try_for_each_concurrent(supply.downloads(), |blob| async {
                supply.supply(blob).await.map(drop)
            })
            .await
    }

    /// The same with everything here.
    async fn fetched(self) -> Result<Copying, Fault> {
        match self.fetch_all().await {
            Ok(()) => Ok(self),
            Err(fault) => Err(self.failed(fault).await),
        }
    }

    /// What a copy failed with. A disk that is full is not to be filled with what is left of a copy: what came goes. Otherwise the next
    /// copy goes on from there.
    async fn failed(self, fault: Fault) -> Fault {
        if !is_disk_full(&fault) {
            return fault;
        }
        let Copying { store, gathered, plan, .. } = self;
        drop(gathered);
        let blobs = plan.blobs.iter().map(|blob| blob.digest).collect();
        give_back(fault, store, blobs, "copy", |_, _| {}).await
    }

    fn tell(&self, reference: &str) {
        tell(&self.teller, reference, &self.gathered.root);
    }

    /// What came through here belongs to nobody any more.
    async fn end(self) -> Result<(), Fault> {
        let Copying { store, gathered, .. } = self;
        if !gathered.leaves_content() {
            return Ok(());
        }
        drop(gathered);
        let collected = tokio::task::spawn_blocking(move || store.collect()).await;
        match collected {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Fault::from(error).context("cannot collect what was copied")),
            Err(error) => Err(Fault::internal("the collection ended early").with_source(error)),
        }
    }
}

/// The tag and what it means now, for people and for programs.
fn tell(teller: &Teller, tag: &str, root: &Descriptor) {
    crate::push::tell_tag(teller, tag, root);
    let pushed = Some(Pushed { tag: tag.to_owned(), digest: root.digest, size: root.size });
    teller(Progress { pushed, detail: Some((0, 0)), ..Progress::default() });
}

/// An image whose every part is here, to be written as an archive.
#[derive(Debug)]
pub struct ReadyArchive {
    store: Store,
    gathered: Gathered,
    plan: Plan,
}

impl ReadyArchive {
    /// What is written.
    pub fn root(&self) -> &Descriptor {
        &self.gathered.root
    }

    /// Writes it. `name` is a reference for docker's form, and a reference or a tag for an OCI layout.
    pub fn write(
        self,
        format: SaveFormat,
        name: Option<&str>,
        output: impl Write,
    ) -> Result<(), Fault> {
        let ReadyArchive { store, gathered, plan } = self;
        let content = &store.content;
        let mut parts = Parts::default();
        for blob in &plan.blobs {
            parts.blobs.insert(blob.digest, blob.size);
        }
        for document in plan.manifests.iter().chain(&plan.roots) {
            content.put(gathered.lease.id(), &document.bytes)?;
            parts.blobs.insert(document.descriptor.digest, document.descriptor.size);
        }
        let mut entry = gathered.root.clone();
        match format {
            SaveFormat::Docker => {
                let name: Option<Reference> = name.map(str::parse).transpose()?;
                let name = name.map(Reference::or_latest);
                if let Some(name) = &name {
                    let tag = name.tag().unwrap_or("latest").to_owned();
                    entry
                        .annotations
                        .insert("io.containerd.image.name".to_owned(), name.to_string());
                    entry.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag);
                }
                let names: Vec<Reference> = name.into_iter().collect();
                parts.add_docker(content, &gathered.root.digest, &names)?;
            }
            SaveFormat::Oci => {
                if let Some(name) = name {
                    let key = "org.opencontainers.image.ref.name".to_owned();
                    entry.annotations.insert(key, name.to_owned());
                }
            }
        }
        parts.entries.push(entry);
        parts.write(content, format, output)?;
        drop(gathered);
        store
            .collect()
            .map(drop)
            .map_err(|error| Fault::from(error).context("cannot collect what was copied"))
    }
}

#[cfg(test)]
mod tests;
