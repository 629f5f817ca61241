//! Acts: what is to be copied: its root and every manifest below it.

use super::{CopySource, Platforms};
use crate::collect::{Source, collect};
use crate::progress::Progress;
use crate::push::Documents;
use crate::remote::{Repository, Teller};
use crate::save::DOCUMENT_LIMIT;
use naru_errdefs::{Fault, Kind};
use naru_oci::{Config, Descriptor, Digest, Index, ManifestOrIndex, Platform, media_type};
use naru_store::{Lease, Store};
use std::io::Read;
use std::sync::Arc;

/// Manifests of one image with all its platforms, and their bytes together.
const MOST_DOCUMENTS: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;

/// What is to be copied.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// What it is.
    pub(crate) root: Descriptor,
    /// Every manifest and index, by digest.
    pub(crate) documents: Documents,
    /// Where blobs are fetched that are not here.
    pub(crate) from: Option<Arc<Repository>>,
    /// Holds what passes through here.
    pub(crate) lease: Lease,
    /// Whether the blobs were here before.
    is_local: bool,
}

impl Gathered {
    /// Whether a copy to a registry leaves content here that belongs to nobody. What comes from a registry only passes through.
    pub(crate) fn leaves_content(&self) -> bool {
        !self.is_local && self.from.is_none()
    }
}

/// Finds the root and reads everything below it.
pub(crate) async fn gather(
    store: &Store,
    source: CopySource,
    platforms: &Platforms,
    limit_rate: Option<u64>,
    teller: &Teller,
) -> Result<Gathered, Fault> {
    let lease = store.leases.create(crate::record::LEASE);
    match source {
        CopySource::Registry(there) => {
            let repository = Arc::new(there.repository().limited(limit_rate));
            let raw = repository.manifest(&there.reference()).await?;
            let root = raw.descriptor();
            let reader = Reader::Registry(Arc::clone(&repository));
            let mut found = Found::new(reader, store);
            found.documents.insert(root.digest, raw.bytes.to_vec());
            let root = found.choose(root, platforms).await?;
            let documents = found.all(&root).await?;
            let from = Some(repository);
            Ok(Gathered { root, documents, from, lease, is_local: false })
        }
        CopySource::Archive { input, name } => {
            let (here, told) = (store.clone(), Arc::clone(teller));
            let taken = tokio::task::spawn_blocking(move || {
                take_in(&here, lease, input, name.as_deref(), &told)
            });
            let (lease, root) = match taken.await {
                Ok(taken) => taken?,
                Err(error) => {
                    return Err(Fault::internal("the copy ended early").with_source(error));
                }
            };
            let mut found = Found::new(Reader::Here, store);
            let root = found.choose(root, platforms).await?;
            let documents = found.all(&root).await?;
            Ok(Gathered { root, documents, from: None, lease, is_local: false })
        }
        CopySource::Content(digest) => {
            lease.hold_blob(&digest)?;
            let mut found = Found::new(Reader::Here, store);
            let root = found.describe(digest).await?;
            let documents = found.all(&root).await?;
            Ok(Gathered { root, documents, from: None, lease, is_local: true })
        }
        CopySource::Store(name) => {
            let image = store.images.resolve(&name)?;
            lease.hold_blob(&image.record.target.digest)?;
            let mut found = Found::new(Reader::Here, store);
            let root = match platforms {
                // What runs here is what is meant, even where an index lists more.
                Platforms::Host => found.describe(image.record.manifest).await?,
                Platforms::All | Platforms::One(_) => image.record.target.clone(),
            };
            let root = found.choose(root, platforms).await?;
            let documents = found.all(&root).await?;
            Ok(Gathered { root, documents, from: None, lease, is_local: true })
        }
    }
}

/// Takes an archive into the store without making an image of it.
fn take_in(
    store: &Store,
    lease: Lease,
    input: Box<dyn Read + Send>,
    name: Option<&str>,
    teller: &Teller,
) -> Result<(Lease, Descriptor), Fault> {
    let report = |progress: Progress| teller(progress);
    let contents = collect(Source::Stream(input), &store.content, lease.id(), &report, None)?;
    let (root, made) = contents.pick(name)?;
    // Documents stayed in memory until now; what an image refers to has to be here like any other blob.
    for bytes in made.values() {
        store.content.put(lease.id(), bytes)?;
    }
    for (path, bytes) in &contents.documents {
        if path.starts_with("blobs/") {
            store.content.put(lease.id(), bytes)?;
        }
    }
    Ok((lease, root))
}

/// Where documents are read.
enum Reader {
    Registry(Arc<Repository>),
    Here,
}

struct Found<'a> {
    reader: Reader,
    store: &'a Store,
    documents: Documents,
}

impl<'a> Found<'a> {
    fn new(reader: Reader, store: &'a Store) -> Found<'a> {
        Found { reader, store, documents: Documents::new() }
    }

    /// A manifest or index by digest.
    async fn read(&mut self, digest: Digest) -> Result<ManifestOrIndex, Fault> {
        if !self.documents.contains_key(&digest) {
            let bytes = match &self.reader {
                Reader::Registry(repository) => {
                    repository.manifest(&digest.to_string()).await?.bytes.to_vec()
                }
                Reader::Here => {
                    self.store.content.read(&digest, DOCUMENT_LIMIT).map_err(|error| {
                        let fault = Fault::from(error);
                        let is_absent = fault.kind() == Kind::NotFound;
                        let fault = fault.context(format!("cannot read the manifest `{digest}`"));
                        match is_absent {
                            true => fault.with_hint(
                                "not all of the image's platforms are here; leave out `--all`, or choose one with `--platform`",
                            ),
                            false => fault,
                        }
                    })?
                }
            };
            self.documents.insert(digest, bytes);
        }
        let bytes = self.documents.get(&digest).map(Vec::as_slice).unwrap_or_default();
        ManifestOrIndex::parse(bytes).map_err(|error| {
            Fault::from(error).context(format!("cannot read the manifest `{digest}`"))
        })
    }

    /// The descriptor of a manifest of which only the digest is known.
    async fn describe(&mut self, digest: Digest) -> Result<Descriptor, Fault> {
        let parsed = self.read(digest).await?;
        let kind = match &parsed {
            ManifestOrIndex::Manifest(manifest) => manifest.media_type.clone(),
            ManifestOrIndex::Index(index) => index.media_type.clone(),
        };
        let kind = kind.unwrap_or_else(|| {
            match parsed {
                ManifestOrIndex::Manifest(_) => media_type::OCI_MANIFEST,
                ManifestOrIndex::Index(_) => media_type::OCI_INDEX,
            }
            .to_owned()
        });
        let size = self.documents.get(&digest).map_or(0, Vec::len);
        Ok(Descriptor::new(kind, digest, u64::try_from(size).unwrap_or(u64::MAX)))
    }

    /// What of the root is copied.
    async fn choose(
        &mut self,
        root: Descriptor,
        platforms: &Platforms,
    ) -> Result<Descriptor, Fault> {
        let host = Platform::host();
        let (wanted, is_asked) = match platforms {
            Platforms::All => return Ok(root),
            Platforms::Host => (&host, false),
            Platforms::One(platform) => (platform, true),
        };
        match self.read(root.digest).await? {
            ManifestOrIndex::Index(index) => {
                let Some(entry) = index.choose(wanted) else {
                    return Err(Fault::not_found(format!("the image is not there for `{wanted}`"))
                        .with_hint(format!(
                            "copy it with `--all`, or choose one with `--platform`: {}",
                            platforms_of(&index)
                        )));
                };
                Ok(Descriptor::new(&entry.media_type, entry.digest, entry.size))
            }
            ManifestOrIndex::Manifest(manifest) => {
                if is_asked {
                    self.check_platform(&manifest.config, wanted).await?;
                }
                Ok(root)
            }
        }
    }

    /// A single image has the platform that its configuration names.
    async fn check_platform(&self, config: &Descriptor, wanted: &Platform) -> Result<(), Fault> {
        let bytes = match &self.reader {
            Reader::Here => self.store.content.read(&config.digest, DOCUMENT_LIMIT)?,
            Reader::Registry(repository) => repository.small_blob(config).await?,
        };
        // The configuration of an artifact is something else, and has no platform.
        let Ok(config) = serde_json::from_slice::<Config>(&bytes) else { return Ok(()) };
        let found = config.platform();
        if found.serves(wanted) {
            return Ok(());
        }
        Err(Fault::not_found(format!("the image is not there for `{wanted}`"))
            .with_hint(format!("it is there for `{found}`")))
    }

    /// Every manifest below the root, and nothing else.
    async fn all(mut self, root: &Descriptor) -> Result<Documents, Fault> {
        let mut wanted = vec![root.digest];
        let mut found = Documents::new();
        let mut bytes = 0;
        while let Some(digest) = wanted.pop() {
            if found.contains_key(&digest) {
                continue;
            }
            if let ManifestOrIndex::Index(index) = self.read(digest).await? {
                wanted.extend(index.manifests.iter().map(|entry| entry.digest));
            }
            let document = self.documents.get(&digest).cloned().unwrap_or_default();
            bytes += document.len();
            found.insert(digest, document);
            if found.len() > MOST_DOCUMENTS || bytes > MOST_BYTES {
                return Err(Fault::invalid(format!(
                    "the index `{}` leads to more than {MOST_DOCUMENTS} manifests or {MOST_BYTES} bytes of them",
                    root.digest
                )));
            }
        }
        Ok(found)
    }
}

fn platforms_of(index: &Index) -> String {
    let names: Vec<String> = index
        .manifests
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .filter(|platform| platform.os != "unknown")
        .take(16)
        .map(|platform| format!("`{platform}`"))
        .collect();
    names.join(", ")
}
