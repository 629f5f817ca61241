//! Pure: whether a text is a manifest that we take, and what it needs.

use crate::problem::{Code, Problem};
use naru_oci::{Descriptor, Digest, ManifestOrIndex, media_type};
use naru_store::Member;
use std::collections::BTreeMap;

/// A manifest that is well formed.
pub(super) struct Checked {
    pub(super) media_type: String,
    pub(super) member: Member,
    /// What has to be in the repository, each once.
    pub(super) needed: Vec<Needed>,
}

/// A part that has to be there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) is_manifest: bool,
}

fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(Code::ManifestInvalid, message)
}

/// The media type of a manifest that is stored without one.
pub(super) fn media_type_of(bytes: &[u8]) -> String {
    let (inside, usual) = match ManifestOrIndex::parse(bytes) {
        Ok(ManifestOrIndex::Manifest(manifest)) => (manifest.media_type, media_type::OCI_MANIFEST),
        Ok(ManifestOrIndex::Index(index)) => (index.media_type, media_type::OCI_INDEX),
        Err(_) => (None, "application/octet-stream"),
    };
    inside.unwrap_or_else(|| usual.to_owned())
}

/// Checks a manifest against its `Content-Type`. What it names is looked up by the caller.
pub(super) fn validate(content_type: Option<&str>, bytes: &[u8]) -> Result<Checked, Problem> {
    let said = content_type
        .map(|text| text.split(';').next().unwrap_or_default().trim().to_owned())
        .filter(|text| !text.is_empty());
    if let Some(said) = &said
        && !media_type::is_manifest(said)
        && !media_type::is_index(said)
    {
        return Err(invalid(format!(
            "`{}` is no media type of manifests that are taken here",
            said.chars().take(160).collect::<String>()
        )));
    }
    let document = ManifestOrIndex::parse(bytes)
        .map_err(|error| invalid(naru_errdefs::one_line(&naru_errdefs::Fault::from(error))))?;
    let (version, inside, usual) = match &document {
        ManifestOrIndex::Manifest(manifest) => {
            (manifest.schema_version, manifest.media_type.clone(), media_type::OCI_MANIFEST)
        }
        ManifestOrIndex::Index(index) => {
            (index.schema_version, index.media_type.clone(), media_type::OCI_INDEX)
        }
    };
    if version != 2 {
        return Err(invalid(format!("schemaVersion is {version} and must be 2")));
    }
    if let (Some(said), Some(inside)) = (&said, &inside)
        && said != inside
    {
        return Err(invalid(format!(
            "the Content-Type is `{said}`, but the manifest says `{inside}`"
        )));
    }
    let media_type = inside.or(said).unwrap_or_else(|| usual.to_owned());
    let is_index = matches!(document, ManifestOrIndex::Index(_));
    if is_index != media_type::is_index(&media_type) {
        return Err(invalid(format!("the document is no `{media_type}`")));
    }
    let mut member = Member::manifest(media_type.clone(), bytes.len() as u64);
    let mut needed: BTreeMap<Digest, Needed> = BTreeMap::new();
    let mut need = |part: &Descriptor, is_manifest| {
        let entry = Needed { digest: part.digest, size: part.size, is_manifest };
        match needed.insert(part.digest, entry) {
            Some(before) if before.size != part.size => Err(Problem::new(
                Code::SizeInvalid,
                format!("`{}` has two lengths in the manifest", part.digest),
            )),
            _ => Ok(()),
        }
    };
    match document {
        ManifestOrIndex::Manifest(manifest) => {
            need(&manifest.config, false)?;
            for layer in manifest.layers.iter().filter(|layer| !is_elsewhere(layer)) {
                need(layer, false)?;
            }
            member.subject = manifest.subject.map(|subject| subject.digest);
            // A manifest without a type of its own is of the type of its config (distribution-spec, "Listing referrers").
            let own = manifest.artifact_type.filter(|kind| !kind.is_empty());
            member.artifact_type = Some(own.unwrap_or(manifest.config.media_type));
        }
        ManifestOrIndex::Index(index) => {
            for entry in &index.manifests {
                need(entry, true)?;
            }
            member.subject = index.subject.map(|subject| subject.digest);
            member.artifact_type = index.artifact_type.filter(|kind| !kind.is_empty());
        }
    }
    Ok(Checked { media_type, member, needed: needed.into_values().collect() })
}

/// Layers that are fetched from elsewhere, and that nobody has to push (image-spec, "Non-distributable layers").
fn is_elsewhere(layer: &Descriptor) -> bool {
    layer.media_type.contains(".nondistributable.") || layer.media_type.contains(".foreign.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn part(kind: &str, size: u64) -> serde_json::Value {
        json!({ "mediaType": kind, "digest": format!("sha256:{HEX}"), "size": size })
    }

    fn problem(content_type: Option<&str>, document: &serde_json::Value) -> Code {
        match validate(content_type, document.to_string().as_bytes()) {
            Ok(_) => panic!("{document} was taken"),
            Err(problem) => problem.errors[0].0,
        }
    }

    #[test]
    fn a_manifest_says_what_it_needs_and_what_it_is() {
        let text = json!({
            "schemaVersion": 2,
            "config": part("application/x", 0),
            "layers": [part("application/vnd.oci.image.layer.nondistributable.v1.tar", 7)],
            "subject": part(media_type::OCI_MANIFEST, 9),
        });
        let checked = validate(None, text.to_string().as_bytes()).unwrap();
        assert_eq!(checked.media_type, media_type::OCI_MANIFEST);
        assert_eq!(checked.needed.len(), 1);
        assert_eq!(checked.member.artifact_type.as_deref(), Some("application/x"));
        assert!(checked.member.subject.is_some());
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let good = json!({ "schemaVersion": 2, "config": part("x", 0), "layers": [] });
        assert_eq!(problem(Some("text/html"), &good), Code::ManifestInvalid);
        assert_eq!(problem(Some(media_type::OCI_INDEX), &good), Code::ManifestInvalid);
        let index =
            json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [] });
        assert_eq!(problem(Some(media_type::DOCKER_LIST), &index), Code::ManifestInvalid);
        for bad in [
            json!({}),
            json!([]),
            json!("x"),
            json!({ "schemaVersion": 1, "name": "x" }),
            json!({ "schemaVersion": 3, "config": part("x", 0), "layers": [] }),
            json!({ "schemaVersion": 2, "config": part("x", 0), "layers": [], "manifests": [] }),
            json!({ "schemaVersion": 2, "config": { "digest": "sha256:0" }, "layers": [] }),
        ] {
            assert_eq!(problem(None, &bad), Code::ManifestInvalid, "{bad}");
        }
        let twice = json!({ "schemaVersion": 2, "config": part("x", 0), "layers": [part("y", 1)] });
        assert_eq!(problem(None, &twice), Code::SizeInvalid);
    }
}
