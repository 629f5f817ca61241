//! Pure: the documents of an archive to the images that are in it.
//!
//! An archive is an OCI layout (`oci-layout`, `index.json`), what `docker save` writes (`manifest.json`), both at once,
//! or what docker wrote before 1.10 (`repositories`). Names of blobs and documents are paths inside the archive.

use crate::error::LoadError;
use naru_oci::{
    Config, Descriptor, Digest, Index, Manifest, ManifestOrIndex, Platform, Reference, media_type,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// How deep an index may lead to further ones.
pub(crate) const MOST_NESTED: usize = 8;
/// How many links may lead to one another.
const MOST_LINKS: usize = 16;

/// A file of the archive that is in the content store already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
    /// The media type that its first bytes stand for, were it a layer.
    pub layer_type: &'static str,
}

/// What an archive held.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// JSON documents by path.
    pub documents: BTreeMap<String, Vec<u8>>,
    /// Everything else by path.
    pub blobs: BTreeMap<String, StoredBlob>,
    /// Links by path, with the path they lead to.
    pub links: BTreeMap<String, String>,
}

/// Documents that are in no file of the archive, because we write them.
pub type MadeDocuments = BTreeMap<Digest, Vec<u8>>;

/// One image to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is to be called.
    pub names: Vec<Reference>,
    /// The manifest or index that the names lead to.
    pub target: Descriptor,
    /// The manifest for this host.
    pub manifest: Descriptor,
    /// The same, read.
    pub layers: Vec<Descriptor>,
    /// The image's configuration.
    pub config: Descriptor,
    /// Documents that have to be stored with it, by digest.
    pub documents: BTreeMap<Digest, Vec<u8>>,
}

impl Contents {
    /// Finds the images.
    pub fn plan(&self, host: &Platform) -> Result<Vec<Wanted>, LoadError> {
        let mut images = Vec::new();
        if self.documents.contains_key("index.json") {
            images = self.plan_oci(host)?;
        }
        if self.documents.contains_key("manifest.json") {
            self.plan_docker(&mut images)?;
        } else if images.is_empty() && self.documents.contains_key("repositories") {
            images = crate::legacy::plan(self)?;
        }
        if images.is_empty() {
            let is_archive = ["index.json", "manifest.json", "repositories"]
                .iter()
                .any(|name| self.documents.contains_key(*name));
            return Err(if is_archive { LoadError::NoImage } else { LoadError::NotAnArchive });
        }
        Ok(images)
    }

    /// Finds the one image that is meant: by a name or tag that it has in the archive, or the only one. What it means is
    /// a manifest or index of the archive, or one that is written for an image of docker's own form.
    pub fn pick(&self, name: Option<&str>) -> Result<(Descriptor, MadeDocuments), LoadError> {
        let mut found: Vec<(Vec<String>, Descriptor, MadeDocuments)> = Vec::new();
        if self.documents.contains_key("index.json") {
            let index: Index = self.parse("index.json")?;
            for entry in index.manifests {
                let names = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];
                let names = names.iter().filter_map(|key| entry.annotations.get(*key).cloned());
                let target = Descriptor { annotations: BTreeMap::new(), ..entry.clone() };
                found.push((names.collect(), target, BTreeMap::new()));
            }
        } else {
            for image in self.plan(&Platform::host())? {
                let names = image.names.iter().map(Reference::familiar).collect();
                found.push((names, image.target, image.documents));
            }
        }
        let wanted = name.map(|text| (text, reference(text).ok()));
        let is_meant = |names: &[String]| {
            wanted.as_ref().is_none_or(|(text, parsed)| {
                names.iter().any(|known| {
                    known == text || parsed.is_some() && reference(known).ok() == *parsed
                })
            })
        };
        let all: BTreeSet<String> = found.iter().flat_map(|(names, ..)| names.clone()).collect();
        let mut meant = found.into_iter().filter(|(names, target, _)| {
            is_meant(names) || name.is_some_and(|name| name == target.digest.to_string())
        });
        let Some((_, target, documents)) = meant.next() else {
            return Err(match name {
                Some(name) => LoadError::NoSuchImage { name: name.to_owned(), there: all },
                None => LoadError::NoImage,
            });
        };
        match meant.find(|(_, other, _)| other.digest != target.digest) {
            Some(_) => Err(LoadError::WhichImage { there: all }),
            None => Ok((target, documents)),
        }
    }

    fn plan_oci(&self, host: &Platform) -> Result<Vec<Wanted>, LoadError> {
        let index: Index = self.parse("index.json")?;
        let mut images: Vec<Wanted> = Vec::new();
        for entry in &index.manifests {
            let names = annotated_names(entry)?;
            if let Some(known) = images.iter_mut().find(|image| image.target.digest == entry.digest)
            {
                known.names.extend(names);
                continue;
            }
            let mut walk = Walk {
                contents: self,
                documents: BTreeMap::new(),
                manifests: Vec::new(),
                on_the_way: BTreeSet::new(),
            };
            walk.enter(entry, entry.platform.clone(), 0)?;
            let Some((manifest, parsed)) = walk.choose(host)? else { continue };
            let target = Descriptor { annotations: BTreeMap::new(), ..entry.clone() };
            images.push(Wanted {
                names,
                target,
                manifest,
                layers: parsed.layers.clone(),
                config: parsed.config.clone(),
                documents: walk.documents,
            });
        }
        Ok(images)
    }

    fn plan_docker(&self, images: &mut Vec<Wanted>) -> Result<(), LoadError> {
        let entries: Vec<DockerEntry> = self.parse("manifest.json")?;
        for entry in entries {
            let config = self
                .document(&entry.config)
                .ok_or_else(|| LoadError::Missing { name: entry.config.clone() })?;
            let names: Vec<Reference> = entry
                .repo_tags
                .iter()
                .flatten()
                .map(|name| reference(name))
                .collect::<Result<_, _>>()?;
            let digest = Digest::of(config);
            check_config_name(&entry.config, digest)?;
            // An OCI layout beside it names the same image with its own manifest, which is then kept.
            if let Some(known) = images.iter_mut().find(|image| image.config.digest == digest) {
                let new: Vec<Reference> =
                    names.into_iter().filter(|name| !known.names.contains(name)).collect();
                known.names.extend(new);
                continue;
            }
            let layers = entry
                .layers
                .iter()
                .flatten()
                .map(|path| self.layer(path))
                .collect::<Result<Vec<_>, _>>()?;
            images.push(assemble(names, config, layers)?);
        }
        Ok(())
    }

    /// A layer of a docker archive as a descriptor.
    pub(crate) fn layer(&self, path: &str) -> Result<Descriptor, LoadError> {
        let missing = || LoadError::Missing { name: path.to_owned() };
        let blob = self.blobs.get(self.follow(path)).ok_or_else(missing)?;
        Ok(Descriptor::new(blob.layer_type, blob.digest, blob.size))
    }

    /// A document by path, through links.
    pub(crate) fn document(&self, path: &str) -> Option<&Vec<u8>> {
        self.documents.get(self.follow(path))
    }

    fn follow<'a>(&'a self, path: &'a str) -> &'a str {
        let mut at = path.strip_prefix("./").unwrap_or(path);
        for _ in 0..MOST_LINKS {
            match self.links.get(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self, name: &str) -> Result<T, LoadError> {
        let bytes =
            self.document(name).ok_or_else(|| LoadError::Missing { name: name.to_owned() })?;
        serde_json::from_slice(bytes)
            .map_err(|source| LoadError::Json { name: name.to_owned(), source })
    }
}

/// An image of docker's own form, for which we write the manifest. The same parts always make the same manifest.
pub(crate) fn assemble(
    names: Vec<Reference>,
    config: &[u8],
    layers: Vec<Descriptor>,
) -> Result<Wanted, LoadError> {
    let digest = Digest::of(config);
    let parsed: Config = serde_json::from_slice(config)
        .map_err(|source| LoadError::Json { name: digest.to_string(), source })?;
    if parsed.rootfs.diff_ids.len() != layers.len() {
        return Err(LoadError::LayerCount {
            config: parsed.rootfs.diff_ids.len(),
            archive: layers.len(),
        });
    }
    let config_descriptor = Descriptor::new(media_type::OCI_CONFIG, digest, config.len() as u64);
    let manifest = Manifest::oci(config_descriptor.clone(), layers.clone());
    let bytes = serde_json::to_vec(&manifest)
        .map_err(|source| LoadError::Json { name: "manifest".to_owned(), source })?;
    let manifest =
        Descriptor::new(media_type::OCI_MANIFEST, Digest::of(&bytes), bytes.len() as u64);
    let documents = BTreeMap::from([(manifest.digest, bytes), (digest, config.to_vec())]);
    Ok(Wanted {
        names,
        target: manifest.clone(),
        manifest,
        layers,
        config: config_descriptor,
        documents,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Follows a descriptor of `index.json` to its manifests.
struct Walk<'a> {
    contents: &'a Contents,
    documents: BTreeMap<Digest, Vec<u8>>,
    /// Manifests whose parts are all in the archive, in order, with their platform where an index told it.
    manifests: Vec<(Descriptor, Manifest, Option<Platform>)>,
    on_the_way: BTreeSet<Digest>,
}

impl<'a> Walk<'a> {
    fn enter(
        &mut self,
        entry: &Descriptor,
        platform: Option<Platform>,
        depth: usize,
    ) -> Result<(), LoadError> {
        if depth > MOST_NESTED || !self.on_the_way.insert(entry.digest) {
            return Err(LoadError::IndexTooDeep { digest: entry.digest });
        }
        let bytes = self.read(entry)?;
        let parsed = ManifestOrIndex::parse(bytes)
            .map_err(|source| LoadError::Manifest { digest: entry.digest, source })?;
        match parsed {
            ManifestOrIndex::Index(index) => {
                self.documents.insert(entry.digest, bytes.clone());
                for inner in &index.manifests {
                    // A layout may leave out the platforms that nobody asked for.
                    if self.contents.document(&blob_path(inner.digest)).is_some() {
                        self.enter(inner, inner.platform.clone(), depth + 1)?;
                    }
                }
            }
            ManifestOrIndex::Manifest(manifest) => {
                self.documents.insert(entry.digest, bytes.clone());
                // An attestation or another artifact has no configuration of an image.
                if let Some(config) = self.contents.document(&blob_path(manifest.config.digest)) {
                    self.documents.insert(manifest.config.digest, config.clone());
                }
                self.manifests.push((entry.clone(), *manifest, platform));
            }
        }
        self.on_the_way.remove(&entry.digest);
        Ok(())
    }

    fn read(&self, entry: &Descriptor) -> Result<&'a Vec<u8>, LoadError> {
        let name = blob_path(entry.digest);
        let bytes = self
            .contents
            .document(&name)
            .ok_or_else(|| LoadError::Missing { name: name.clone() })?;
        if bytes.len() as u64 != entry.size {
            return Err(LoadError::WrongSize {
                name,
                expected: entry.size,
                found: bytes.len() as u64,
            });
        }
        Ok(bytes)
    }

    /// The manifest for this host, or the first one when none is for it. `None` when there is no image at all.
    fn choose(&self, host: &Platform) -> Result<Option<(Descriptor, Manifest)>, LoadError> {
        let mut missing = None;
        let mut first = None;
        for (descriptor, manifest, platform) in &self.manifests {
            let incomplete = self.incomplete(manifest);
            let Some(config) = self.documents.get(&manifest.config.digest) else {
                missing = missing.or(incomplete);
                continue;
            };
            // An artifact's configuration is some other JSON.
            let Ok(config) = serde_json::from_slice::<Config>(config) else { continue };
            if let Some(name) = incomplete {
                missing = missing.or(Some(name));
                continue;
            }
            let platform = platform.clone().unwrap_or_else(|| config.platform());
            if platform.os == "unknown" || manifest.artifact_type.is_some() {
                continue;
            }
            if config.rootfs.diff_ids.len() != manifest.layers.len() {
                let (config, archive) = (config.rootfs.diff_ids.len(), manifest.layers.len());
                return Err(LoadError::LayerCount { config, archive });
            }
            if platform.serves(host) {
                return Ok(Some((descriptor.clone(), manifest.clone())));
            }
            first = first.or_else(|| Some((descriptor.clone(), manifest.clone())));
        }
        match (first, missing) {
            (Some(found), _) => Ok(Some(found)),
            (None, Some(name)) => Err(LoadError::Missing { name }),
            (None, None) => Ok(None),
        }
    }

    /// The first part of an image that is not in the archive.
    fn incomplete(&self, manifest: &Manifest) -> Option<String> {
        let config = blob_path(manifest.config.digest);
        let layers = manifest.layers.iter().map(|layer| blob_path(layer.digest));
        let lost = layers.into_iter().find(|path| !self.contents.blobs.contains_key(path));
        self.contents.document(&config).is_none().then_some(config).or(lost)
    }
}

/// Where a layout keeps a blob.
pub(crate) fn blob_path(digest: Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// The names that a descriptor of `index.json` carries.
fn annotated_names(entry: &Descriptor) -> Result<Vec<Reference>, LoadError> {
    if let Some(name) = entry.annotations.get("io.containerd.image.name") {
        return Ok(vec![reference(name)?]);
    }
    let Some(name) = entry.annotations.get("org.opencontainers.image.ref.name") else {
        return Ok(Vec::new());
    };
    // The specification lets this be a tag alone, which does not name a repository.
    let is_only_tag = !name.contains(['/', ':'])
        && (name == "latest"
            || name.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit()));
    if is_only_tag {
        return Ok(Vec::new());
    }
    Ok(reference(name).map(|name| vec![name]).unwrap_or_default())
}

/// A name that an archive gives an image.
pub(crate) fn reference(name: &str) -> Result<Reference, LoadError> {
    let parsed: Result<Reference, _> = name.parse();
    parsed
        .map(Reference::or_latest)
        .map_err(|source| LoadError::BadName { name: name.to_owned(), source })
}

/// Docker names the configuration by its digest; one that does not match was damaged or exchanged.
fn check_config_name(name: &str, found: Digest) -> Result<(), LoadError> {
    let stem = name.rsplit('/').next().unwrap_or(name);
    let stem = stem.strip_suffix(".json").unwrap_or(stem);
    match format!("sha256:{stem}").parse::<Digest>() {
        Ok(expected) if expected != found => {
            Err(LoadError::WrongDigest { name: name.to_owned(), expected, found })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
