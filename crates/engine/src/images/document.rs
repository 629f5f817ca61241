//! Acts: reads the documents of an image from the store.

use naru_errdefs::{Fault, Kind};
use naru_oci::Config;
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
