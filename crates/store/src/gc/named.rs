//! Pure: what a row keeps from the collector.

use crate::StoreError;
use crate::build_cache::CachedStep;
use crate::images::{ImageRow, NameRow};
use crate::journal::decode;
use crate::leases::{Held, LeaseRow};
use crate::schema::{Key, table};
use crate::snapshots::{ActiveRow, SnapshotRow};
use naru_oci::Digest;

/// The tables whose rows name things.
pub(super) const TABLES: [&str; 6] =
    [table::IMAGE, table::NAME, table::ACTIVE, table::LEASE, table::MEMBER, table::CACHED_STEP];

/// What a row names.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// All of it.
    pub(crate) things: Vec<Held>,
    /// Those of it that an image needs to be manifests.
    pub(super) manifests: Vec<Digest>,
}

/// What a row names. A snapshot's row names its parent; that counts while somebody makes it, for later the snapshot refers to
/// it.
pub(crate) fn named(key: &Key, bytes: &[u8]) -> Result<Named, StoreError> {
    let mut named = Named::default();
    match key.parts().0 {
        table::IMAGE => {
            let image = decode::<ImageRow>(key, bytes)?;
            named.manifests = vec![image.manifest, image.target.digest];
            named.things.push(Held::Blob(image.config));
            named.things.extend(image.chain.map(Held::Snapshot));
        }
        table::NAME => named.manifests.push(decode::<NameRow>(key, bytes)?.target.digest),
        table::ACTIVE => {
            let active = decode::<ActiveRow>(key, bytes)?;
            named.things.extend(active.parent.map(Held::Snapshot));
        }
        table::SNAPSHOT => {
            let snapshot = decode::<SnapshotRow>(key, bytes)?;
            named.things.extend(snapshot.parent.map(Held::Snapshot));
        }
        table::LEASE => named.things.extend(decode::<LeaseRow>(key, bytes)?.holds),
        table::CACHED_STEP => {
            named.things.extend(decode::<CachedStep>(key, bytes)?.holds());
        }
        table::MEMBER => {
            let digest = key.parts().1.rsplit_once('@').and_then(|(_, digest)| digest.parse().ok());
            named.things.extend(digest.map(Held::Blob));
        }
        _ => {}
    }
    named.things.extend(named.manifests.iter().copied().map(Held::Blob));
    Ok(named)
}
