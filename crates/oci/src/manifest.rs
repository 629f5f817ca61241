//! Pure: the manifest of one image and the index of several (image-spec, `manifest.md` and `image-index.md`).

use crate::{Descriptor, Platform, media_type};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lists the config and the layers of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The manifest's own media type; OCI leaves it out at times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The kind of an artifact that is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image's configuration.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// The manifest this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free key/value pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// An OCI manifest of an image.
    pub fn oci(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// Lists manifests by platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The index's own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The kind of an artifact that is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// The manifest this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free key/value pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// An OCI index.
    pub fn oci(manifests: Vec<Descriptor>) -> Index {
        Index {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The manifest for a platform: the first that serves it; an entry without platform serves when it is alone.
    pub fn choose(&self, wanted: &Platform) -> Option<&Descriptor> {
        let images =
            || self.manifests.iter().filter(|entry| media_type::is_manifest(&entry.media_type));
        images()
            .find(|entry| entry.platform.as_ref().is_some_and(|platform| platform.serves(wanted)))
            .or_else(|| match self.manifests.as_slice() {
                [only] if only.platform.is_none() => Some(only),
                _ => None,
            })
    }
}

/// Whether a document is a manifest or an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestKind {
    /// One image.
    Manifest,
    /// Several, by platform.
    Index,
}

/// A manifest document of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestOrIndex {
    /// One image.
    Manifest(Box<Manifest>),
    /// Several, by platform.
    Index(Box<Index>),
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ParseManifestError {
    /// Not JSON, or JSON of another shape.
    #[error("the manifest is not valid JSON of its kind")]
    Json(#[source] serde_json::Error),
    /// Neither `schemaVersion` 2 nor a media type we know.
    #[error("the manifest is neither an image manifest nor an index")]
    UnknownKind,
    /// Docker's first manifest schema.
    #[error("the manifest has schema version 1, which registries dropped in 2021")]
    SchemaOne,
}

impl naru_errdefs::Failure for ParseManifestError {
    fn kind(&self) -> naru_errdefs::Kind {
        match self {
            ParseManifestError::Json(_) | ParseManifestError::UnknownKind => {
                naru_errdefs::Kind::InvalidInput
            }
            ParseManifestError::SchemaOne => naru_errdefs::Kind::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ParseManifestError::SchemaOne => {
                Some("push the image again with a current tool".to_owned())
            }
            ParseManifestError::Json(_) | ParseManifestError::UnknownKind => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
}

impl ManifestOrIndex {
    /// Reads a document, telling the kinds apart by media type or, without one, by their fields. A document that
    /// claims to be both is refused, as image-spec asks (CVE-2021-41190).
    pub fn parse(bytes: &[u8]) -> Result<ManifestOrIndex, ParseManifestError> {
        let probe: Probe = serde_json::from_slice(bytes).map_err(ParseManifestError::Json)?;
        if probe.schema_version == 1 {
            return Err(ParseManifestError::SchemaOne);
        }
        let kind = match (&probe.media_type, probe.manifests.is_some(), probe.layers.is_some()) {
            (_, true, true) => return Err(ParseManifestError::UnknownKind),
            (Some(name), false, true) if media_type::is_manifest(name) => ManifestKind::Manifest,
            (Some(name), true, false) if media_type::is_index(name) => ManifestKind::Index,
            (None, false, true) => ManifestKind::Manifest,
            (None, true, false) => ManifestKind::Index,
            _ => return Err(ParseManifestError::UnknownKind),
        };
        match kind {
            ManifestKind::Manifest => serde_json::from_slice(bytes)
                .map(|manifest| ManifestOrIndex::Manifest(Box::new(manifest)))
                .map_err(ParseManifestError::Json),
            ManifestKind::Index => serde_json::from_slice(bytes)
                .map(|index| ManifestOrIndex::Index(Box::new(index)))
                .map_err(ParseManifestError::Json),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

    #[test]
    fn the_kinds_are_told_apart() {
        let manifest = format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":[]}}"#);
        assert!(matches!(
            ManifestOrIndex::parse(manifest.as_bytes()),
            Ok(ManifestOrIndex::Manifest(_))
        ));
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(ManifestOrIndex::parse(index.as_bytes()), Ok(ManifestOrIndex::Index(_))));
        let both = format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":[],"manifests":[]}}"#);
        assert!(matches!(
            ManifestOrIndex::parse(both.as_bytes()),
            Err(ParseManifestError::UnknownKind)
        ));
        assert!(matches!(
            ManifestOrIndex::parse(br#"{"schemaVersion":1}"#),
            Err(ParseManifestError::SchemaOne)
        ));
        assert!(ManifestOrIndex::parse(b"<html>").is_err());
    }
}
