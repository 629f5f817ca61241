//! Acts: `save`: images to one tar archive that docker, podman, skopeo and we can read. The same images always make the
//! same bytes.

use naru_errdefs::{Fault, ResultExt};
use naru_layer::tar::{Entry, EntryKind, Writer};
use naru_oci::{Descriptor, Digest, Index, ManifestOrIndex, Reference};
use naru_store::{Content, Image, Lease, Store};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

/// Manifests and configurations are no longer than this.
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;
const NESTED: usize = 8;

/// The form of the archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SaveFormat {
    /// What docker writes since version 25: an OCI layout with `manifest.json` beside it for older readers.
    #[default]
    Docker,
    /// An OCI layout and nothing else.
    Oci,
}

/// An image to be saved.
struct Chosen {
    image: Image,
    names: Vec<Reference>,
}

/// Writes the images that these names mean. A repository without a tag means all its tags, as it does for docker.
pub fn save(
    store: &Store,
    names: &[String],
    format: SaveFormat,
    output: impl Write,
) -> Result<(), Fault> {
    save_as(store, names, &[], format, output)
}

/// The same for one image, which has these names in the archive instead of its own; its own when there are none.
pub fn save_as(
    store: &Store,
    names: &[String],
    called: &[Reference],
    format: SaveFormat,
    output: impl Write,
) -> Result<(), Fault> {
    if names.is_empty() {
        return Err(Fault::invalid("no image was named to be saved"));
    }
    let lease = store.leases.create(crate::record::LEASE);
    let mut chosen = choose(store, names)?;
    if !called.is_empty() {
        let [one] = chosen.as_mut_slice() else {
            return Err(Fault::invalid("other names are for one image only"));
        };
        one.names = called.to_vec();
    }
    let mut parts = Parts::default();
    for Chosen { image, names } in &chosen {
        collect(&store.content, &lease, &image.record.target, &mut parts.blobs, 0)?;
        parts.entries.extend(index_entries(image, names));
        parts.add_docker(&store.content, &image.record.manifest, names)?;
    }
    parts.write(&store.content, format, output)
}

/// What goes into an archive.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Every blob with its length.
    pub(crate) blobs: BTreeMap<Digest, u64>,
    /// The entries of `index.json`.
    pub(crate) entries: Vec<Descriptor>,
    docker: Vec<serde_json::Value>,
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

impl Parts {
    /// Names an image for docker's own form of an archive.
    pub(crate) fn add_docker(
        &mut self,
        content: &Content,
        manifest: &Digest,
        names: &[Reference],
    ) -> Result<(), Fault> {
        let ManifestOrIndex::Manifest(manifest) = read_manifest(content, manifest)? else {
            return Err(Fault::new(
                naru_errdefs::Kind::DataLoss,
                format!("`{manifest}` is not a manifest"),
            ));
        };
        let tags: Vec<String> = names.iter().map(Reference::familiar).collect();
        let layers: Vec<String> =
            manifest.layers.iter().map(|layer| crate::layout::blob_path(layer.digest)).collect();
        let config = crate::layout::blob_path(manifest.config.digest);
        self.docker.push(json!({
            "Config": config,
            "RepoTags": if tags.is_empty() { serde_json::Value::Null } else { json!(tags) },
            "Layers": layers,
        }));
        for name in names {
            let top =
                manifest.layers.last().map_or(manifest.config.digest, |layer| layer.digest).hex();
            let tags = self.repositories.entry(name.familiar_name()).or_default();
            tags.insert(name.tag().unwrap_or("latest").to_owned(), top);
        }
        Ok(())
    }

    /// Writes the archive.
    pub(crate) fn write(
        self,
        content: &Content,
        format: SaveFormat,
        output: impl Write,
    ) -> Result<(), Fault> {
        let mut archive = Writer::new(output);
        let writing = || "cannot write the archive".to_owned();
        let mut directories = BTreeSet::new();
        for digest in self.blobs.keys() {
            directories.insert(format!("blobs/{}/", digest.algorithm().as_str()));
        }
        archive.start(&entry("blobs/", EntryKind::Directory, 0)).during(writing)?;
        for directory in &directories {
            archive.start(&entry(directory, EntryKind::Directory, 0)).during(writing)?;
        }
        for (digest, size) in &self.blobs {
            write_blob(&mut archive, content, digest, *size)?;
        }
        let mut documents = vec![
            ("index.json", serde_json::to_vec(&Index::oci(self.entries))),
            ("oci-layout", Ok(br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())),
        ];
        if format == SaveFormat::Docker {
            documents.insert(1, ("manifest.json", serde_json::to_vec(&self.docker)));
            documents.push(("repositories", serde_json::to_vec(&self.repositories)));
        }
        for (name, bytes) in documents {
            let bytes = bytes.map_err(|source| {
                Fault::internal(format!("cannot write `{name}`")).with_source(source)
            })?;
            archive.start(&entry(name, EntryKind::File, bytes.len() as u64)).during(writing)?;
            archive.data(&bytes).during(writing)?;
        }
        archive.finish().during(writing)?;
        Ok(())
    }
}

/// The images, each once, with the names under which it was asked for.
fn choose(store: &Store, names: &[String]) -> Result<Vec<Chosen>, Fault> {
    let mut chosen: Vec<Chosen> = Vec::new();
    let mut add = |image: Image, name: Option<Reference>| {
        let known = chosen.iter().position(|known| known.image.record == image.record);
        let index = known.unwrap_or_else(|| {
            chosen.push(Chosen { image, names: Vec::new() });
            chosen.len() - 1
        });
        if let Some(known) = chosen.get_mut(index)
            && let Some(name) = name.filter(|name| !known.names.contains(name))
        {
            known.names.push(name);
        }
    };
    let all = store.images.list()?;
    for text in names {
        let reference: Option<Reference> = text.parse().ok();
        let whole_repository =
            reference.as_ref().filter(|name| name.tag().is_none() && name.digest().is_none());
        if let Some(repository) = whole_repository {
            let name = repository.familiar_name();
            let mut found = false;
            for image in &all {
                for tagged in image.names.iter().filter(|tagged| tagged.familiar_name() == name) {
                    add(image.clone(), Some(tagged.clone()));
                    found = true;
                }
            }
            if found {
                continue;
            }
        }
        let image = store.images.resolve(text)?;
        let name = reference
            .map(Reference::or_latest)
            .filter(|name| name.tag().is_some() && image.names.contains(name));
        add(image, name);
    }
    Ok(chosen)
}

/// The descriptors of `index.json`: one for each name, as containerd reads them.
fn index_entries(image: &Image, names: &[Reference]) -> Vec<Descriptor> {
    let target = Descriptor { annotations: BTreeMap::new(), ..image.record.target.clone() };
    if names.is_empty() {
        return vec![target];
    }
    let named = |name: &Reference| {
        let mut entry = target.clone();
        entry.annotations.insert("io.containerd.image.name".to_owned(), name.to_string());
        let tag = name.tag().unwrap_or("latest").to_owned();
        entry.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag);
        entry
    };
    names.iter().map(named).collect()
}

/// Everything that a descriptor leads to. Platforms that are not here are left out; parts of one that is are not.
fn collect(
    content: &Content,
    lease: &Lease,
    from: &Descriptor,
    blobs: &mut BTreeMap<Digest, u64>,
    depth: usize,
) -> Result<(), Fault> {
    lease.hold_blob(&from.digest)?;
    if depth > NESTED {
        return Err(Fault::invalid(format!("the index `{}` is nested too deep", from.digest)));
    }
    match read_manifest(content, &from.digest)? {
        ManifestOrIndex::Index(index) => {
            for inner in index.manifests.iter().filter(|inner| content.has(&inner.digest)) {
                collect(content, lease, inner, blobs, depth + 1)?;
            }
        }
        ManifestOrIndex::Manifest(manifest) => {
            let parts: Vec<&Descriptor> =
                std::iter::once(&manifest.config).chain(&manifest.layers).collect();
            // The layers of another platform may never have been fetched.
            let is_whole = parts.iter().all(|part| content.has(&part.digest));
            for part in
                parts.into_iter().filter(|part| depth == 0 || is_whole || content.has(&part.digest))
            {
                lease.hold_blob(&part.digest)?;
                blobs.insert(part.digest, content.size(&part.digest)?);
            }
        }
    }
    blobs.insert(from.digest, content.size(&from.digest)?);
    Ok(())
}

fn read_manifest(content: &Content, digest: &Digest) -> Result<ManifestOrIndex, Fault> {
    let bytes = content.read(digest, DOCUMENT_LIMIT)?;
    Ok(ManifestOrIndex::parse(&bytes)?)
}

fn write_blob<W: Write>(
    archive: &mut Writer<W>,
    content: &Content,
    digest: &Digest,
    size: u64,
) -> Result<(), Fault> {
    let writing = || "cannot write the archive".to_owned();
    archive
        .start(&entry(&crate::layout::blob_path(*digest), EntryKind::File, size))
        .during(writing)?;
    let mut file = content.open(digest)?;
    let mut piece = vec![0u8; 256 * 1024];
    loop {
        let read = file.read(&mut piece).during(|| format!("cannot read `{digest}`"))?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        archive.data(bytes).during(writing)?;
    }
}

fn entry(name: &str, kind: EntryKind, stored: u64) -> Entry {
    let mode = if kind == EntryKind::Directory { 0o755 } else { 0o644 };
    Entry { stored, ..Entry::new(name, kind, mode) }
}
