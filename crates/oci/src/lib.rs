//! The vocabulary of the three OCI specifications: digests, references, platforms, manifests, configs.
//!
//! Pure. Values only: this crate never touches the disk, the network or the clock. The runtime
//! specification's own structures come from `oci-spec` and are re-exported as [`runtime`].

mod config;
mod descriptor;
mod digest;
mod duration;
mod manifest;
pub mod media_type;
mod platform;
mod reference;
pub mod signal;

pub use config::{Config, ContainerDefaults, Healthcheck, History, RootFs};
pub use descriptor::Descriptor;
pub use digest::{
    Algorithm, ChainId, DiffId, Digest, Digester, ImageId, ParseDigestError, chain_ids,
};
pub use duration::go_duration;
pub use manifest::{Index, Manifest, ManifestKind, ManifestOrIndex, ParseManifestError};
pub use platform::{ParsePlatformError, Platform};
pub use reference::{ParseReferenceError, Reference, is_repository_name, is_tag_name};

/// The OCI runtime specification's structures, as `oci-spec` models them.
pub mod runtime {
    pub use oci_spec::runtime::*;
}
