//! Acts: what was copied becomes an image that is here.

use super::gather::Gathered;
use crate::early::Unpacked;
use crate::layout::Wanted;
use crate::record::{prepare, publish};
use crate::save::DOCUMENT_LIMIT;
use naru_errdefs::{Fault, Kind};
use naru_oci::{Descriptor, ImageId, Manifest, ManifestOrIndex, Platform, Reference, media_type};
use naru_store::Store;

/// Unpacks and records it under a name.
pub(crate) fn keep(store: &Store, gathered: &Gathered, name: &Reference) -> Result<ImageId, Fault> {
    let (manifest, parsed) = runnable(gathered)?;
    let config = parsed.config.clone();
    let mut documents = gathered.documents.clone();
    documents.insert(config.digest, store.content.read(&config.digest, DOCUMENT_LIMIT)?);
    let wanted = Wanted {
        names: vec![name.clone()],
        target: gathered.root.clone(),
        manifest,
        layers: parsed.layers,
        config,
        documents,
    };
    let mut unpacked = Unpacked::new();
    let record = prepare(store, gathered.lease.id(), &wanted, &mut unpacked)?;
    let id = record.image_id;
    publish(store, &[(record, wanted.names)])?;
    Ok(id)
}

/// The manifest that runs here, or else the first image.
fn runnable(gathered: &Gathered) -> Result<(Descriptor, Manifest), Fault> {
    let mut at = gathered.root.clone();
    for _ in 0..8 {
        let bytes = gathered.documents.get(&at.digest).map(Vec::as_slice).unwrap_or_default();
        match ManifestOrIndex::parse(bytes)? {
            ManifestOrIndex::Manifest(manifest) => {
                if manifest.artifact_type.is_some()
                    || !media_type::is_config(&manifest.config.media_type)
                {
                    return Err(Fault::new(
                        Kind::Unsupported,
                        format!("`{}` is an artifact and no image that can be run", at.digest),
                    )
                    .with_hint("copy it to a registry or an OCI layout"));
                }
                return Ok((at, *manifest));
            }
            ManifestOrIndex::Index(index) => {
                let first = || {
                    let is_image = |entry: &&Descriptor| {
                        entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
                    };
                    index.manifests.iter().find(is_image)
                };
                let Some(entry) = index.choose(&Platform::host()).or_else(first) else {
                    return Err(Fault::invalid(format!(
                        "the index `{}` lists no image",
                        at.digest
                    )));
                };
                at = Descriptor::new(&entry.media_type, entry.digest, entry.size);
            }
        }
    }
    Err(Fault::invalid(format!("the index `{}` is nested too deep", gathered.root.digest)))
}
