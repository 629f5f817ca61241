//! Acts: what the embedded registry holds becomes an image of the engine.

use super::{document, seen};
use crate::Progress;
use crate::layout::MOST_NESTED;
use crate::progress::Report;
use crate::record::LEASE;
use crate::remote::{DistributionInfo, PullRequest, PulledImage, Registries};
use crate::unpack::{Layer, unpack};
use naru_errdefs::{Fault, Kind};
use naru_oci::{
    Config, Descriptor, Digest, ImageId, Manifest, ManifestOrIndex, Platform, Reference, chain_ids,
    media_type,
};
use naru_store::{Batch, ImageRecord, MemberKind, Store};

/// Pulls from the embedded registry. Whatever the name meant here before, it means what the registry's tag points to.
pub fn pull_own(
    store: &Store,
    registries: &Registries,
    request: &PullRequest,
    report: Report<'_>,
) -> Result<Vec<PulledImage>, Fault> {
    let repository = request.reference.repository();
    let references = if request.all_tags {
        let tags = store.repositories.tags(repository);
        tags.iter()
            .map(|tag| request.reference.with_tag(tag).map_err(Fault::from))
            .collect::<Result<_, _>>()?
    } else {
        vec![request.reference.clone().or_latest()]
    };
    if references.is_empty() {
        return Err(Fault::not_found(format!(
            "repository {} not found: the registry of this daemon has no tag in it",
            request.reference.familiar_name()
        )));
    }
    let mut pulled = Vec::with_capacity(references.len());
    for reference in references {
        let target = target(store, &reference)?.ok_or_else(|| unknown(&reference))?;
        pulled.push(adopt(store, &reference, target, request.platform.as_ref(), report)?);
        note(registries, &reference);
    }
    let is_new = pulled.iter().any(|image| image.is_new);
    let what = if is_new { "Downloaded newer image for" } else { "Image is up to date for" };
    let name = request.reference.clone();
    let name = if request.all_tags { name } else { name.or_latest() };
    report(Progress::status(format!("Status: {what} {}", name.familiar()), None));
    Ok(pulled)
}

/// Adopts what a name of the embedded registry means there, when that is news here. Other names, and names of which the
/// registry knows nothing, are left as they are.
pub fn refresh_own(store: &Store, registries: &Registries, text: &str) -> Result<(), Fault> {
    if registries.config().own.is_empty() {
        return Ok(());
    }
    let Ok(reference) = text.parse::<Reference>() else { return Ok(()) };
    let reference = reference.or_latest();
    if !registries.holds(&reference) {
        return Ok(());
    }
    let Some(target) = target(store, &reference)? else { return Ok(()) };
    if let Some(here) = store.images.get(&reference)? {
        let (table, key) = (seen(store), reference.to_string());
        match table.get(&key)? {
            Some(digest) if digest == target.digest => return Ok(()),
            // The name was given here before anybody looked there; from now on moves are noticed.
            None => return Ok(table.put(&key, &target.digest)?),
            Some(_) if here.target.digest == target.digest => {
                return Ok(table.put(&key, &target.digest)?);
            }
            Some(_) => {}
        }
    }
    adopt(store, &reference, target, None, &|_| ())?;
    note(registries, &reference);
    Ok(())
}

/// Tells the registry that a name of it was pulled.
fn note(registries: &Registries, reference: &Reference) {
    if let Some(own) = registries.own() {
        let digest = reference.digest().map(|digest| digest.to_string());
        let asked = digest.as_deref().or(reference.tag()).unwrap_or("latest");
        own.pulled(reference.repository(), asked);
    }
}

/// What a name of the embedded registry means, and for which platforms it is there.
pub fn inspect_own(store: &Store, reference: &Reference) -> Result<DistributionInfo, Fault> {
    let reference = &reference.clone().or_latest();
    let descriptor = target(store, reference)?.ok_or_else(|| unknown(reference))?;
    let platforms = match document(store, &descriptor.digest)? {
        ManifestOrIndex::Index(index) => {
            index.manifests.iter().filter_map(|entry| entry.platform.clone()).collect()
        }
        ManifestOrIndex::Manifest(manifest) => {
            let bytes = store.content.read(&manifest.config.digest, super::LONGEST)?;
            let config = serde_json::from_slice::<Config>(&bytes);
            config.iter().map(Config::platform).collect()
        }
    };
    Ok(DistributionInfo { descriptor, platforms })
}

/// What a name means at the registry.
fn target(store: &Store, reference: &Reference) -> Result<Option<Descriptor>, Fault> {
    let repository = reference.repository();
    let Some(digest) = reference.digest() else {
        let tag = reference.tag().unwrap_or("latest");
        return Ok(store.repositories.tag(repository, tag)?);
    };
    let member = store.repositories.member(repository, &digest)?;
    let Some(member) = member.filter(|member| member.kind == MemberKind::Manifest) else {
        return Ok(None);
    };
    // What it was pushed as counts; rows of old do not say.
    let media_type = match member.media_type {
        Some(media_type) => media_type,
        None => media_type_of(&document(store, &digest)?).to_owned(),
    };
    Ok(Some(Descriptor::new(media_type, digest, store.content.size(&digest)?)))
}

/// What a document is, by its own word or by its parts.
pub(super) fn media_type_of(document: &ManifestOrIndex) -> &str {
    match document {
        ManifestOrIndex::Manifest(manifest) => match &manifest.media_type {
            Some(own) => own,
            None if manifest.config.media_type == media_type::DOCKER_CONFIG => {
                media_type::DOCKER_MANIFEST
            }
            None => media_type::OCI_MANIFEST,
        },
        ManifestOrIndex::Index(index) => {
            index.media_type.as_deref().unwrap_or(media_type::OCI_INDEX)
        }
    }
}

fn unknown(reference: &Reference) -> Fault {
    Fault::not_found(format!(
        "manifest for {} not found: manifest unknown: the registry of this daemon does not have it",
        reference.familiar()
    ))
}

/// Makes an image of what the registry's name points to, under the same name and its digest.
fn adopt(
    store: &Store,
    reference: &Reference,
    target: Descriptor,
    platform: Option<&Platform>,
    report: Report<'_>,
) -> Result<PulledImage, Fault> {
    let lease = store.leases.create(LEASE);
    // Held with everything that it refers to: the registry may lose it at any moment.
    lease.hold_blob(&target.digest)?;
    let host = Platform::host();
    let (digest, manifest) = choose(store, reference, &target.digest, platform.unwrap_or(&host))?;
    if !media_type::is_config(&manifest.config.media_type) {
        return Err(Fault::invalid(format!(
            "`{}` is not an image: its config has the media type `{}`",
            reference.familiar(),
            manifest.config.media_type
        ))
        .with_hint("images can be run; other artifacts are for the tools that made them"));
    }
    let shown = reference.digest().map(|digest| digest.to_string());
    let tag = shown.as_deref().or(reference.tag()).unwrap_or("latest");
    report(Progress::status(format!("Pulling from {}", reference.repository()), Some(tag)));
    for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
        belongs(store, reference, &part.digest)?;
    }
    let bytes = store.content.read(&manifest.config.digest, super::LONGEST)?;
    let config: Config = serde_json::from_slice(&bytes).map_err(|error| {
        Fault::invalid(format!("the config of `{}` is damaged", reference.familiar()))
            .with_source(error)
    })?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        return Err(Fault::invalid(format!(
            "the config of `{}` names {} layers, its manifest {}",
            reference.familiar(),
            diff_ids.len(),
            manifest.layers.len()
        )));
    }
    let layers: Vec<Layer> = manifest
        .layers
        .iter()
        .zip(diff_ids)
        .map(|(blob, diff_id)| Layer { blob: blob.clone(), diff_id: *diff_id })
        .collect();
    let known: Vec<bool> =
        chain_ids(diff_ids).iter().map(|chain| store.snapshots.get(chain).is_ok()).collect();
    let (chain, size) = unpack(store, lease.id(), &layers)?;
    // Of an image that is here nothing is said but that it is.
    let is_here = store.images.by_id(&ImageId(manifest.config.digest))?.is_some();
    for (layer, known) in layers.iter().zip(known).filter(|_| !is_here) {
        let status = if known { "Already exists" } else { "Pull complete" };
        report(Progress::layer(status, layer.blob.digest.short(), 0, 0));
    }
    let record =
        ImageRecord::new(target.clone(), digest, (manifest.config.digest, &config), (chain, size));
    let before = store.images.get(reference)?.map(|before| before.image_id);
    let is_new = before != Some(record.image_id);
    let mut batch = Batch::new();
    batch.put_image(&record);
    batch.put_name(reference, &record);
    batch.put_name(&reference.with_digest(target.digest), &record);
    batch.put_record(&seen(store), &reference.to_string(), &target.digest);
    store.commit(batch)?;
    report(Progress::status(format!("Digest: {}", target.digest), None));
    Ok(PulledImage { id: record.image_id, name: reference.clone(), target, is_new })
}

/// The manifest for a platform that a digest leads to.
fn choose(
    store: &Store,
    reference: &Reference,
    digest: &Digest,
    platform: &Platform,
) -> Result<(Digest, Manifest), Fault> {
    let mut digest = *digest;
    for _ in 0..MOST_NESTED {
        if !store.repositories.is_member(reference.repository(), &digest) {
            return Err(unknown(reference));
        }
        match document(store, &digest)? {
            ManifestOrIndex::Manifest(manifest) => return Ok((digest, *manifest)),
            ManifestOrIndex::Index(index) => {
                let nested = || {
                    let is_index = |entry: &&Descriptor| {
                        media_type::is_index(&entry.media_type)
                            && entry.platform.as_ref().is_none_or(|own| own.serves(platform))
                    };
                    index.manifests.iter().find(is_index)
                };
                let entry = index.choose(platform).or_else(nested).ok_or_else(|| {
                    Fault::not_found(format!(
                        "no matching manifest for {platform} in the manifest list entries of `{}`",
                        reference.familiar()
                    ))
                })?;
                digest = entry.digest;
            }
        }
    }
    Err(Fault::invalid(format!("the index `{}` is nested too deep", reference.familiar())))
}

/// A blob counts only as part of the repository, whoever else brought it here.
fn belongs(store: &Store, reference: &Reference, digest: &Digest) -> Result<(), Fault> {
    if store.repositories.is_member(reference.repository(), digest) {
        return Ok(());
    }
    Err(Fault::new(
        Kind::NotFound,
        format!(
            "`{}` needs the blob `{digest}`, which is not in its repository at the registry of this daemon",
            reference.familiar()
        ),
    )
    .with_hint("push the image again"))
}
