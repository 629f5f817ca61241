//! Pure: what has to be at the registry, and in which order: blobs, then manifests, then indexes, then tags.

use crate::layout::MOST_NESTED;
use naru_errdefs::{Fault, Kind};
use naru_oci::{Descriptor, Digest, ManifestOrIndex, Platform};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Layers of one image and manifests of one index; docker's images stop at 127.
const MOST_PARTS: usize = 10_000;

/// Media types whose blobs must not be uploaded by default (image-spec, `layer.md`; Docker's schema 2).
const FOREIGN: [&str; 4] = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
];

/// Whether a layer stays where it is (`foreign`, `nondistributable`).
pub(crate) fn is_foreign(blob: &Descriptor) -> bool {
    FOREIGN.contains(&blob.media_type.as_str())
        || blob.media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
}

/// A manifest or index with its bytes, which travel as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    /// What it is.
    pub(crate) descriptor: Descriptor,
    /// Byte for byte.
    pub(crate) bytes: Vec<u8>,
}

/// What is to be sent. Everything is there once, in an order in which a registry takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Configurations and layers.
    pub(crate) blobs: Vec<Descriptor>,
    /// Which of them are layers, which are shown to people.
    pub(crate) layers: BTreeSet<Digest>,
    /// Manifests that an index or another manifest refers to, the referred first.
    pub(crate) manifests: Vec<Document>,
    /// What the names mean.
    pub(crate) roots: Vec<Document>,
}

/// Where the plan finds documents: the bytes, or nothing when they are not at hand.
pub(crate) type Documents = BTreeMap<Digest, Vec<u8>>;

impl Plan {
    /// Everything that these manifests and indexes lead to. `documents` has to hold all of theirs.
    pub(crate) fn of(roots: &[Descriptor], documents: &Documents) -> Result<Plan, Fault> {
        let mut walk = Walk { documents, plan: Plan::default(), seen: BTreeSet::new() };
        for root in roots {
            let document = walk.document(root)?;
            walk.enter(&document, 0)?;
            if !walk.plan.roots.iter().any(|known| known.descriptor.digest == root.digest) {
                walk.plan.roots.push(document);
            }
        }
        let Walk { mut plan, .. } = walk;
        let roots: BTreeSet<Digest> =
            plan.roots.iter().map(|root| root.descriptor.digest).collect();
        // What a name means is sent under its name; one that an index lists has to be there before.
        let inner: BTreeSet<Digest> = plan
            .manifests
            .iter()
            .filter_map(|document| ManifestOrIndex::parse(&document.bytes).ok())
            .flat_map(|parsed| match parsed {
                ManifestOrIndex::Index(index) => index.manifests,
                ManifestOrIndex::Manifest(_) => Vec::new(),
            })
            .map(|entry| entry.digest)
            .collect();
        plan.manifests.retain(|known| {
            let digest = known.descriptor.digest;
            !roots.contains(&digest) || inner.contains(&digest)
        });
        Ok(plan)
    }

    /// Bytes of all blobs.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }
}

struct Walk<'a> {
    documents: &'a Documents,
    plan: Plan,
    seen: BTreeSet<Digest>,
}

impl Walk<'_> {
    fn document(&self, descriptor: &Descriptor) -> Result<Document, Fault> {
        let bytes = self.documents.get(&descriptor.digest).ok_or_else(|| absent(descriptor))?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length != descriptor.size {
            return Err(Fault::new(
                Kind::DataLoss,
                format!(
                    "the manifest `{}` has {length} bytes, but is said to have {}",
                    descriptor.digest, descriptor.size
                ),
            ));
        }
        Ok(Document { descriptor: descriptor.clone(), bytes: bytes.clone() })
    }

    fn enter(&mut self, document: &Document, depth: usize) -> Result<(), Fault> {
        let digest = document.descriptor.digest;
        if depth > MOST_NESTED {
            return Err(Fault::invalid(format!("the index `{digest}` is nested too deep")));
        }
        if !self.seen.insert(digest) {
            return Ok(());
        }
        let parsed = ManifestOrIndex::parse(&document.bytes).map_err(|error| {
            Fault::from(error).context(format!("cannot read the manifest `{digest}`"))
        })?;
        match parsed {
            ManifestOrIndex::Index(index) => {
                check_count(digest, index.manifests.len())?;
                for entry in &index.manifests {
                    let inner = self.document(entry)?;
                    self.enter(&inner, depth + 1)?;
                }
            }
            ManifestOrIndex::Manifest(manifest) => {
                check_count(digest, manifest.layers.len())?;
                for layer in manifest.layers.iter().filter(|layer| !is_foreign(layer)) {
                    self.plan.layers.insert(layer.digest);
                    self.blob(layer);
                }
                self.blob(&manifest.config);
            }
        }
        self.plan.manifests.push(document.clone());
        Ok(())
    }

    fn blob(&mut self, blob: &Descriptor) {
        if self.seen.insert(blob.digest) {
            self.plan.blobs.push(Descriptor::new(&blob.media_type, blob.digest, blob.size));
        }
    }
}

fn check_count(digest: Digest, count: usize) -> Result<(), Fault> {
    if count <= MOST_PARTS {
        return Ok(());
    }
    Err(Fault::invalid(format!("the manifest `{digest}` refers to more than {MOST_PARTS} parts")))
}

fn absent(descriptor: &Descriptor) -> Fault {
    Fault::not_found(format!("the manifest `{}` is not here", descriptor.digest))
        .with_hint("pull the image again, with all its platforms, or choose one with `--platform`")
}

/// One entry of an index, and whether all of it is at hand.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// The entry.
    pub(crate) entry: Descriptor,
    /// Manifest, configuration and layers are here.
    pub(crate) is_whole: bool,
}

/// What of an index is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The index as it is.
    Whole,
    /// One of its manifests, in its place.
    Only(Box<Descriptor>),
}

/// Chooses what of an index is sent: the asked platform; else all of it when it is whole; else the one image that is here,
/// as docker does.
pub(crate) fn choose(
    index: Digest,
    parts: &[Part],
    platform: Option<&Platform>,
) -> Result<Choice, Fault> {
    if let Some(wanted) = platform {
        let serves = |part: &&Part| {
            part.entry.platform.as_ref().is_some_and(|platform| platform.serves(wanted))
        };
        let mut serving = parts.iter().filter(serves);
        let first = serving.next();
        let exact = parts.iter().find(|part| part.entry.platform.as_ref() == Some(wanted));
        return match exact.or(first) {
            Some(part) if part.is_whole => Ok(Choice::Only(Box::new(part.entry.clone()))),
            Some(_) => {
                Err(Fault::not_found(format!("the image's content for `{wanted}` is not here"))
                    .with_hint(format!("fetch it with `naru pull --platform {wanted}`")))
            }
            None => Err(Fault::not_found(format!("the image is not there for `{wanted}`"))
                .with_hint(format!("it is there for {}", names(parts.iter())))),
        };
    }
    if parts.iter().all(|part| part.is_whole) {
        return Ok(Choice::Whole);
    }
    let mut here = parts.iter().filter(|part| part.is_whole && is_image(&part.entry));
    match (here.next(), here.next()) {
        (Some(only), None) => Ok(Choice::Only(Box::new(only.entry.clone()))),
        (None, _) => Err(Fault::not_found(format!("no platform of the index `{index}` is here"))
            .with_hint("pull the image again")),
        (Some(_), Some(_)) => Err(Fault::conflict(format!(
            "several platforms of the index `{index}` are here, but not all of them"
        ))
        .with_hint(format!(
            "choose one with `--platform`: {}",
            names(parts.iter().filter(|part| part.is_whole))
        ))),
    }
}

/// Attestations and other artifacts have no platform that exists.
fn is_image(entry: &Descriptor) -> bool {
    entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
}

fn names<'a>(parts: impl Iterator<Item = &'a Part>) -> String {
    let mut text = String::new();
    for platform in parts
        .filter(|part| is_image(&part.entry))
        .filter_map(|part| part.entry.platform.as_ref())
        .take(16)
    {
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a string never fails.
        write!(text, "{separator}`{platform}`").ok();
    }
    if text.is_empty() { "no platform it names".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
