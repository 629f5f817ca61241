//! Acts: reads the documents of an image from the store.

use naru_errdefs::{Fault, Kind};
use naru_oci::{Config, Digest, ManifestOrIndex};
use naru_store::{ImageRecord, Store};

/// Configs and manifests are no longer than this.
const LONGEST: u64 = 4 << 20;

/// An image's config.
pub(super) fn config(store: &Store, record: &ImageRecord) -> Result<Config, Fault> {
    let bytes = store.content.read(&record.config, LONGEST)?;
    serde_json::from_slice(&bytes).map_err(|source| {
        Fault::new(Kind::DataLoss, format!("the config of image `{}` is damaged", record.image_id))
            .with_hint("see what is wrong with `naru system verify`")
            .with_source(source)
    })
}

/// Whether all parts of an image are there, so that it can be saved.
pub(super) fn is_whole(store: &Store, record: &ImageRecord) -> Result<(), Fault> {
    let lost = |digest: &Digest| {
        Fault::new(
            Kind::DataLoss,
            format!(
                "image `{}` cannot be saved: its part `{digest}` is not in the store",
                record.image_id
            ),
        )
        .with_hint("load the image again; `naru system verify` says what else is wrong")
    };
    let manifest = store.content.read(&record.manifest, LONGEST)?;
    let ManifestOrIndex::Manifest(manifest) = ManifestOrIndex::parse(&manifest)? else {
        return Err(lost(&record.manifest));
    };
    for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
        store.content.open(&part.digest).map_err(|error| lost(&part.digest).with_source(error))?;
    }
    Ok(())
}
