//! Pure: why an archive cannot be loaded.

use naru_errdefs::{Failure, Kind};
use naru_oci::{Digest, ParseManifestError, ParseReferenceError};
use std::collections::BTreeSet;

/// Why the documents of an archive make no image.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Nothing in it says that it is an image.
    #[error("the archive is not an image: it has neither `manifest.json` nor `index.json`")]
    NotAnArchive,
    /// It names no image, or none that can be run.
    #[error("the archive has no image in it")]
    NoImage,
    /// It has others.
    #[error("the archive has no image `{name}` in it")]
    NoSuchImage {
        /// The name.
        name: String,
        /// The names that it has.
        there: BTreeSet<String>,
    },
    /// It has several.
    #[error("the archive has several images in it")]
    WhichImage {
        /// The names that it has.
        there: BTreeSet<String>,
    },
    /// A part is missing.
    #[error("the archive refers to `{name}`, which is not in it")]
    Missing {
        /// The part.
        name: String,
    },
    /// A document is not what it should be.
    #[error("`{name}` in the archive is not valid JSON of its kind")]
    Json {
        /// The document.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A manifest is not one.
    #[error("the archive has an invalid manifest `{digest}`")]
    Manifest {
        /// The manifest.
        digest: Digest,
        /// Why.
        #[source]
        source: ParseManifestError,
    },
    /// An index leads in circles or too deep.
    #[error("the index `{digest}` in the archive is nested too deep, or in a circle")]
    IndexTooDeep {
        /// The index.
        digest: Digest,
    },
    /// A name outside the grammar.
    #[error("the archive names an image `{name}`")]
    BadName {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: ParseReferenceError,
    },
    /// A document or file is longer than it may be.
    #[error("`{name}` in the archive is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        name: String,
        /// The bound.
        limit: u64,
    },
    /// Two files of a name that decides.
    #[error("the archive has `{name}` twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// Another length than its descriptor says.
    #[error("`{name}` in the archive has {found} bytes instead of {expected}")]
    WrongSize {
        /// The file.
        name: String,
        /// What the descriptor says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Another digest than its name or descriptor says.
    #[error("`{name}` in the archive has the digest `{found}` instead of `{expected}`")]
    WrongDigest {
        /// The file.
        name: String,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// Configuration and manifest disagree.
    #[error("the image's configuration has {config} layers, but the archive has {archive}")]
    LayerCount {
        /// In the configuration.
        config: usize,
        /// In the archive.
        archive: usize,
    },
    /// A layer unpacks to something else than the configuration says.
    #[error(
        "layer `{layer}` unpacks to `{found}`, but the image's configuration says `{expected}`"
    )]
    WrongLayer {
        /// The layer.
        layer: Digest,
        /// What the configuration says.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
}

impl Failure for LoadError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        if let LoadError::NoSuchImage { there, .. } | LoadError::WhichImage { there } = self {
            let names: Vec<String> = there.iter().take(8).map(|name| format!("`{name}`")).collect();
            return Some(if names.is_empty() {
                "its images have no names; name none".to_owned()
            } else {
                format!("name one that it has: {}", names.join(", "))
            });
        }
        let text = match self {
            LoadError::NotAnArchive => {
                "`load` takes what `naru save`, `docker save` or `skopeo copy` wrote; for a root file system use `naru import`"
            }
            LoadError::Missing { .. } => "the archive is incomplete; save the image again",
            LoadError::WrongSize { .. }
            | LoadError::WrongDigest { .. }
            | LoadError::WrongLayer { .. } => {
                "the archive is damaged or was tampered with; fetch or save it again"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}
