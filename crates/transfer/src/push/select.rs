//! Acts: which images a push means, read from the store and held.

use super::plan::{Choice, Documents, Part, choose, is_foreign};
use crate::save::DOCUMENT_LIMIT;
use naru_errdefs::Fault;
use naru_oci::{Descriptor, Digest, ManifestOrIndex, Platform, Reference};
use naru_store::{Content, Lease, Store};
use std::collections::BTreeMap;

const NESTED: usize = 8;

/// What is pushed under one name.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    /// The name at the registry.
    pub(crate) name: Reference,
    /// What it will mean.
    pub(crate) root: Descriptor,
    /// The index in whose place one of its manifests is sent.
    pub(crate) instead_of: Option<Digest>,
}

/// The names that a push means, with what they mean here.
pub(crate) fn names(
    store: &Store,
    reference: &Reference,
    all_tags: bool,
) -> Result<Vec<(Reference, Descriptor)>, Fault> {
    if reference.digest().is_some() {
        return Err(Fault::invalid("cannot push a digest reference").with_hint(format!(
            "give the image a tag with `naru tag {} NAME:TAG`, and push that",
            reference.familiar()
        )));
    }
    if all_tags {
        if reference.tag().is_some() {
            return Err(Fault::invalid("tag can't be used with --all-tags/-a")
                .with_hint(format!("name the repository: `{}`", reference.familiar_name())));
        }
        let mut found = BTreeMap::new();
        for image in store.images.list()? {
            for name in &image.names {
                if name.tag().is_some() && name.familiar_name() == reference.familiar_name() {
                    found.insert(name.clone(), image.record.target.clone());
                }
            }
        }
        if found.is_empty() {
            return Err(unknown(&reference.familiar_name()));
        }
        return Ok(found.into_iter().collect());
    }
    let name = reference.clone().or_latest();
    match store.images.get(&name)? {
        Some(image) => Ok(vec![(name, image.target)]),
        None => Err(unknown(&name.familiar_name())),
    }
}

fn unknown(repository: &str) -> Fault {
    Fault::not_found(format!("An image does not exist locally with the tag: {repository}"))
        .with_hint("see what is here with `naru images`; give an image this name with `naru tag`")
}

/// What of an image is sent: all of it, or one platform. All of its documents are read, and everything is held.
pub(crate) fn select(
    store: &Store,
    lease: &Lease,
    (name, target): (Reference, Descriptor),
    platform: Option<&Platform>,
    documents: &mut Documents,
) -> Result<Selected, Fault> {
    lease.hold_blob(&target.digest)?;
    let mut selected = Selected { name, root: target, instead_of: None };
    let root = selected.root.clone();
    match read(&store.content, &root)? {
        (bytes, ManifestOrIndex::Index(index)) => {
            let mut parts = Vec::with_capacity(index.manifests.len());
            for entry in index.manifests {
                let is_whole = is_whole(&store.content, &entry, 1)?;
                parts.push(Part { entry, is_whole });
            }
            match choose(root.digest, &parts, platform)? {
                Choice::Whole => drop(documents.insert(root.digest, bytes)),
                Choice::Only(entry) => {
                    selected.instead_of = Some(root.digest);
                    selected.root = Descriptor::new(&entry.media_type, entry.digest, entry.size);
                }
            }
        }
        (bytes, ManifestOrIndex::Manifest(_)) => {
            check_platform(store, &root, platform)?;
            documents.insert(root.digest, bytes);
        }
    }
    gather(&store.content, lease, &selected.root, documents, 0)?;
    Ok(selected)
}

/// An image without an index has the one platform that its configuration names.
fn check_platform(
    store: &Store,
    target: &Descriptor,
    wanted: Option<&Platform>,
) -> Result<(), Fault> {
    let Some(wanted) = wanted else { return Ok(()) };
    let found = store
        .images
        .list()?
        .into_iter()
        .find(|image| image.record.target.digest == target.digest)
        .and_then(|image| image.record.platform);
    match found {
        Some(platform) if !platform.serves(wanted) => {
            Err(Fault::not_found(format!("the image is not there for `{wanted}`"))
                .with_hint(format!("it is there for `{platform}`")))
        }
        _ => Ok(()),
    }
}

/// Reads a manifest or index that is here.
fn read(content: &Content, descriptor: &Descriptor) -> Result<(Vec<u8>, ManifestOrIndex), Fault> {
    let reading = || format!("cannot read the manifest `{}`", descriptor.digest);
    let bytes = content
        .read(&descriptor.digest, DOCUMENT_LIMIT)
        .map_err(|error| Fault::from(error).context(reading()))?;
    let parsed =
        ManifestOrIndex::parse(&bytes).map_err(|error| Fault::from(error).context(reading()))?;
    Ok((bytes, parsed))
}

/// Whether an entry of an index is here with everything that it refers to.
fn is_whole(content: &Content, entry: &Descriptor, depth: usize) -> Result<bool, Fault> {
    if depth > NESTED || !content.has(&entry.digest) {
        return Ok(false);
    }
    match read(content, entry)?.1 {
        ManifestOrIndex::Index(index) => {
            for inner in &index.manifests {
                if !is_whole(content, inner, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        ManifestOrIndex::Manifest(manifest) => {
            let parts = std::iter::once(&manifest.config).chain(&manifest.layers);
            Ok(parts.filter(|part| !is_foreign(part)).all(|part| content.has(&part.digest)))
        }
    }
}

/// Reads every document below a descriptor and holds everything.
fn gather(
    content: &Content,
    lease: &Lease,
    from: &Descriptor,
    documents: &mut Documents,
    depth: usize,
) -> Result<(), Fault> {
    if depth > NESTED {
        return Err(Fault::invalid(format!("the index `{}` is nested too deep", from.digest)));
    }
    lease.hold_blob(&from.digest)?;
    let (bytes, parsed) = read(content, from)?;
    documents.insert(from.digest, bytes);
    match parsed {
        ManifestOrIndex::Index(index) => {
            for inner in &index.manifests {
                gather(content, lease, inner, documents, depth + 1)?;
            }
        }
        ManifestOrIndex::Manifest(manifest) => {
            for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
                lease.hold_blob(&part.digest)?;
            }
        }
    }
    Ok(())
}
