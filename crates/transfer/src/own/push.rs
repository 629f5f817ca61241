//! Acts: an image of the engine becomes one of the embedded registry: rows, and no byte.

use super::adopt::media_type_of;
use super::{OwnClaim, OwnMore, document, seen};
use crate::Progress;
use crate::layout::MOST_NESTED;
use crate::progress::Report;
use crate::record::LEASE;
use crate::remote::{PushRequest, Registries};
use naru_errdefs::{Fault, Kind};
use naru_oci::{
    Config, Descriptor, Digest, Index, Manifest, ManifestOrIndex, Platform, Reference, media_type,
};
use naru_store::{Batch, ImageRecord, Member, MemberKind, Store};
use std::collections::BTreeMap;

/// Pushes to the embedded registry: every tag is one batch of rows.
pub fn push_own(
    store: &Store,
    registries: &Registries,
    request: &PushRequest,
    report: Report<'_>,
) -> Result<Vec<(Reference, Descriptor)>, Fault> {
    let images = named(store, request)?;
    let name = request.reference.familiar_name();
    report(Progress::status(format!("The push refers to repository [{name}]"), None));
    let mut pushed = Vec::with_capacity(images.len());
    for (reference, record) in images {
        let target =
            push_one((store, registries), &reference, &record, request.platform.as_ref(), report)?;
        pushed.push((reference, target));
    }
    Ok(pushed)
}

/// The images that a push means, by their names here.
fn named(store: &Store, request: &PushRequest) -> Result<Vec<(Reference, ImageRecord)>, Fault> {
    let wanted = &request.reference;
    let mut found = Vec::new();
    if request.all_tags {
        for image in store.images.list()? {
            let here = image.names.iter().filter(|name| {
                name.tag().is_some() && name.familiar_name() == wanted.familiar_name()
            });
            found.extend(here.map(|name| (name.clone(), image.record.clone())));
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
    } else {
        let reference = wanted.clone().or_latest();
        if let Some(record) = store.images.get(&reference)? {
            found.push((reference, record));
        }
    }
    if found.is_empty() {
        let name = wanted.familiar_name();
        let knows = |name: &Reference| name.familiar_name() == wanted.familiar_name();
        let message = if store.images.list()?.iter().any(|image| image.names.iter().any(knows)) {
            format!("tag does not exist: {}", wanted.clone().or_latest().familiar())
        } else {
            format!("An image does not exist locally with the tag: {name}")
        };
        return Err(Fault::not_found(message).with_hint(
            "see what is here with `naru images`, and give it this name with `naru tag`",
        ));
    }
    Ok(found)
}

fn push_one(
    (store, registries): (&Store, &Registries),
    reference: &Reference,
    record: &ImageRecord,
    platform: Option<&Platform>,
    report: Report<'_>,
) -> Result<Descriptor, Fault> {
    let lease = store.leases.create(LEASE);
    lease.hold_blob(&record.target.digest)?;
    lease.hold_blob(&record.manifest)?;
    let mut parts = Parts::default();
    let target = match platform {
        Some(platform) => {
            let manifest = for_platform(store, reference, record, platform)?;
            parts.add(store, &manifest, 0)?;
            manifest
        }
        // An index of which only some platforms are here cannot be pushed whole.
        None => match parts.add(store, &record.target, 0) {
            Ok(()) => record.target.clone(),
            Err(_) if record.target.digest != record.manifest => {
                parts = Parts::default();
                let manifest = described(store, &record.manifest)?;
                parts.add(store, &manifest, 0)?;
                manifest
            }
            Err(error) => return Err(error),
        },
    };
    let repository = reference.repository();
    let mut batch = Batch::new();
    for (digest, member) in &parts.members {
        batch.put_member(repository, digest, member);
    }
    let tag = reference.tag().unwrap_or("latest");
    let mut claim = OwnClaim::default();
    if let Some(own) = registries.own() {
        claim = match own.allow(repository, parts.news(store, repository, tag)?) {
            Ok(claim) => claim,
            Err(why) => {
                own.pushed(repository, tag, false);
                let fault = Fault::new(Kind::Forbidden, format!("denied: {}", why.message()));
                return Err(fault.with_hint(why.hint().unwrap_or_default()));
            }
        };
    }
    for layer in parts.layers {
        let known = store.repositories.is_member(repository, &layer.0);
        let status = if known { "Layer already exists" } else { "Pushed" };
        report(Progress::layer(status, layer.1, 0, 0));
    }
    batch.put_tag(repository, tag, &target);
    if target.digest == record.target.digest {
        batch.put_name(&reference.with_digest(target.digest), record);
    }
    batch.put_record(&seen(store), &reference.to_string(), &target.digest);
    store.commit(batch)?;
    drop(claim);
    if let Some(own) = registries.own() {
        own.pushed(repository, tag, true);
    }
    let line = format!("{tag}: digest: {} size: {}", target.digest, target.size);
    report(Progress::status(line, None));
    Ok(target)
}

/// Everything that goes with a manifest or an index.
#[derive(Default)]
struct Parts {
    members: BTreeMap<Digest, Member>,
    /// Layers in order, with the short diffID by which docker's clients know them.
    layers: Vec<(Digest, String)>,
}

impl Parts {
    /// What of it a repository does not have.
    fn news(&self, store: &Store, repository: &str, tag: &str) -> Result<OwnMore, Fault> {
        let is_new = store.repositories.tag(repository, tag)?.is_none();
        let mut more = OwnMore { tags: u64::from(is_new), ..OwnMore::default() };
        for (digest, member) in &self.members {
            if !store.repositories.is_member(repository, digest) {
                more.bytes = more.bytes.saturating_add(member.size);
                more.manifests += u64::from(member.kind == MemberKind::Manifest);
            }
        }
        Ok(more)
    }

    fn add(&mut self, store: &Store, target: &Descriptor, depth: usize) -> Result<(), Fault> {
        if depth > MOST_NESTED {
            return Err(Fault::invalid(format!(
                "the index `{}` is nested too deep",
                target.digest
            )));
        }
        if self.members.contains_key(&target.digest) {
            return Ok(());
        }
        let document = document(store, &target.digest)?;
        let (subject, artifact_type) = match &document {
            ManifestOrIndex::Manifest(manifest) => (
                &manifest.subject,
                manifest.artifact_type.as_ref().or(Some(&manifest.config.media_type)),
            ),
            ManifestOrIndex::Index(index) => (&index.subject, index.artifact_type.as_ref()),
        };
        let member = Member {
            subject: subject.as_ref().map(|subject| subject.digest),
            artifact_type: artifact_type.cloned(),
            ..Member::manifest(target.media_type.clone(), store.content.size(&target.digest)?)
        };
        self.members.insert(target.digest, member);
        match document {
            ManifestOrIndex::Manifest(manifest) => self.add_manifest(store, &manifest),
            ManifestOrIndex::Index(index) => {
                index.manifests.iter().try_for_each(|entry| self.add(store, entry, depth + 1))
            }
        }
    }

    fn add_manifest(&mut self, store: &Store, manifest: &Manifest) -> Result<(), Fault> {
        let diff_ids = diff_ids(store, &manifest.config);
        self.add_blob(store, &manifest.config)?;
        for (index, layer) in manifest.layers.iter().enumerate() {
            // Who may not be handed on lies elsewhere; the registry does not ask for it either.
            if !layer.urls.is_empty() && !store.content.has(&layer.digest) {
                continue;
            }
            self.add_blob(store, layer)?;
            let shown = diff_ids.get(index).copied().unwrap_or(layer.digest);
            if !self.layers.iter().any(|(_, known)| *known == shown.short()) {
                self.layers.push((layer.digest, shown.short()));
            }
        }
        Ok(())
    }

    fn add_blob(&mut self, store: &Store, blob: &Descriptor) -> Result<(), Fault> {
        if !store.content.has(&blob.digest) {
            return Err(Fault::not_found(format!("blob `{}` is not here", blob.digest))
                .with_hint("pull the image again with the platforms that shall be pushed"));
        }
        let size = store.content.size(&blob.digest)?;
        self.members.entry(blob.digest).or_insert(Member::blob(size));
        Ok(())
    }
}

/// The diffIDs of an image; none of what is not an image.
fn diff_ids(store: &Store, config: &Descriptor) -> Vec<Digest> {
    if !media_type::is_config(&config.media_type) {
        return Vec::new();
    }
    let bytes = store.content.read(&config.digest, super::LONGEST).unwrap_or_default();
    serde_json::from_slice::<Config>(&bytes).map_or_else(
        |_| Vec::new(),
        |config| config.rootfs.diff_ids.iter().map(|diff_id| diff_id.0).collect(),
    )
}

/// A manifest as what points to it says.
fn described(store: &Store, digest: &Digest) -> Result<Descriptor, Fault> {
    let media_type = media_type_of(&document(store, digest)?).to_owned();
    Ok(Descriptor::new(media_type, *digest, store.content.size(digest)?))
}

/// The manifest of one platform.
fn for_platform(
    store: &Store,
    reference: &Reference,
    record: &ImageRecord,
    platform: &Platform,
) -> Result<Descriptor, Fault> {
    let absent = || {
        Fault::not_found(format!(
            "image `{}` does not provide the platform {platform}",
            reference.familiar()
        ))
        .with_hint("pull it with this platform first")
    };
    match document(store, &record.target.digest)? {
        ManifestOrIndex::Manifest(_) => {
            let own = record.platform.as_ref().is_none_or(|own| own.serves(platform));
            if own { Ok(record.target.clone()) } else { Err(absent()) }
        }
        ManifestOrIndex::Index(index) => {
            let index: Index = *index;
            let entry = index.choose(platform).ok_or_else(absent)?;
            if !store.content.has(&entry.digest) {
                return Err(absent());
            }
            Ok(Descriptor::new(entry.media_type.clone(), entry.digest, entry.size))
        }
    }
}
