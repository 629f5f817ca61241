//! Acts: documents that go along with an image: what is in it (SPDX), and how it was made (SLSA provenance).
//!
//! As BuildKit stores them: for each image of the index a further manifest, whose layers are in-toto statements about it, with
//! annotations that say so. Its platform is `unknown/unknown`, so nobody takes it for an image.

mod packages;
mod provenance;
mod spdx;

use crate::build::Shared;
use crate::stage::Stage;
use crate::steps::view;
use naru_errdefs::Fault;
use naru_oci::{Descriptor, Digest, Manifest, Platform, media_type};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) use provenance::Materials;

/// The media type of a statement.
const STATEMENT: &str = "application/vnd.in-toto+json";

/// An image that documents are about.
pub(crate) struct About<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) stage: &'a Stage,
    pub(crate) manifest: &'a Descriptor,
    /// When it was made, as its configuration says.
    pub(crate) created: &'a str,
}

/// Makes the documents about an image that were asked for, and the entry of the index that leads to them. What could not be
/// listed is added to the notes.
pub(crate) fn attach(
    shared: &Shared,
    about: &About<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Descriptor>, Fault> {
    let asked = &shared.options.attestations;
    let mut statements = Vec::new();
    if asked.sbom {
        let root = view(&shared.inner.store, about.stage.chain)?;
        let listed = match &root {
            Some(root) => packages::list(root)?,
            None => packages::Listed::default(),
        };
        if listed.has_rpm {
            notes.push(
                "the list of contents (`--sbom`) leaves out packages of rpm, whose database is not read"
                    .to_owned(),
            );
        }
        if listed.is_cut {
            notes.push(
                "the list of contents (`--sbom`) is not complete: the image has more files than are looked at"
                    .to_owned(),
            );
        }
        let name = subjects(shared, about).into_iter().next().unwrap_or_default();
        statements.push((spdx::PREDICATE, spdx::document(&listed, &name, about)));
    }
    if let Some(mode) = &asked.provenance {
        let predicate = provenance::predicate(shared, about, mode == "max");
        statements.push((provenance::PREDICATE, predicate));
    }
    if statements.is_empty() {
        return Ok(None);
    }
    let digest =
        BTreeMap::from([(about.manifest.digest.algorithm().as_str(), about.manifest.digest.hex())]);
    let subject: Vec<Value> = subjects(shared, about)
        .into_iter()
        .map(|name| json!({"name": name, "digest": digest}))
        .collect();
    let mut layers = Vec::new();
    for (kind, predicate) in statements {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": kind,
            "subject": subject,
            "predicate": predicate,
        });
        let mut layer = put(shared, STATEMENT, &statement)?;
        layer.annotations.insert("in-toto.io/predicate-type".to_owned(), kind.to_owned());
        layers.push(layer);
    }
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = put(shared, media_type::OCI_CONFIG, &config)?;
    let manifest = serde_json::to_value(Manifest::oci(config, layers)).map_err(encoding)?;
    let mut entry = put(shared, media_type::OCI_MANIFEST, &manifest)?;
    entry.platform = Some(Platform::new("unknown", "unknown"));
    entry.annotations = BTreeMap::from([
        ("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned()),
        ("vnd.docker.reference.digest".to_owned(), about.manifest.digest.to_string()),
    ]);
    Ok(Some(entry))
}

fn put(shared: &Shared, kind: &str, document: &Value) -> Result<Descriptor, Fault> {
    let bytes = serde_json::to_vec(document).map_err(encoding)?;
    let blob = shared.inner.store.content.put(shared.lease.id(), &bytes)?;
    Ok(Descriptor::new(kind, blob.digest, blob.size))
}

fn encoding(error: serde_json::Error) -> Fault {
    Fault::internal("cannot encode a document").with_source(error)
}

/// The names of an image as package URLs; one that has no name is called by nothing but its digest.
fn subjects(shared: &Shared, about: &About<'_>) -> Vec<String> {
    let tags = &shared.options.tags;
    let names = tags.iter().map(|tag| provenance::image_url(&tag.familiar(), about.platform));
    let names: Vec<String> = names.collect();
    match names.is_empty() {
        true => vec!["_".to_owned()],
        false => names,
    }
}
