//! Where bytes lie on disk, and the keys of the rows.
//!
//! Pure: paths and key formats; no other module makes either.
//!
//! ```text
//! <data root>/
//!   lock                        held by the one process that has the store open; its process id
//!   version                     `naru-store 1`; written last when a store is made
//!   sequence                    the number of the last group of changes, to find out that the database lost some
//!   db/                         sled: one tree of rows, `<table>/<key>` -> version byte + JSON
//!   content/
//!     blobs/<algorithm>/<hex>   committed blobs, read-only, named by their digest
//!     ingests/<n>               a blob being written; removed at open
//!     ingests/<algorithm>-<hex>.part
//!                               a blob being written that can be resumed; kept across restarts
//!     ingests/upload-<uuid>-<scope>-<algorithm>.part
//!                               an upload session of a repository (`scope` is a hash of its name), likewise
//!   snapshots/
//!     empty/                    the lower directory of containers without an image
//!     pending/<n>/fs            a layer being unpacked; removed at open
//!     <n>/fs                    a committed snapshot's files, or an active one's upper directory
//!     <n>/work                  overlayfs' own directory (active snapshots only)
//!     <n>/snapshot.json         a copy of the row, for the day the rows are lost
//!   images/<hex>.json           a copy of an image's rows, likewise
//!   records/<table>/<key>.json  a copy of a record, likewise
//!   repositories.log            what repositories hold, as a list of changes, likewise
//!   build/                      what builds keep beside the store; theirs alone (`build/src/context.rs`, `mounts.rs`)
//!   spill/<n>                   values too large for a row
//!   trash/<n>                   being removed; emptied at open
//!   db.damaged-<seconds>/       a database that could not be opened, moved aside
//! ```
//!
//! Truth is in the rows: a file without a row is not there, and is swept at the next open.

use naru_oci::{Algorithm, ChainId, Digest, ImageId, Reference};
use std::path::{Path, PathBuf};

/// The version of the layout above; a store of a higher one is refused.
pub const STORE_VERSION: u32 = 1;

/// What the version file starts with.
pub const STORE_NAME: &str = "naru-store";

/// The tables and what their keys are.
pub(crate) mod table {
    /// Committed blobs by digest.
    pub(crate) const BLOB: &str = "blob";
    /// Images by image ID.
    pub(crate) const IMAGE: &str = "image";
    /// Image names by normalised reference.
    pub(crate) const NAME: &str = "name";
    /// Committed snapshots by chain ID.
    pub(crate) const SNAPSHOT: &str = "snapshot";
    /// Active snapshots by the key their owner chose.
    pub(crate) const ACTIVE: &str = "active";
    /// Leases that outlive the process, by name.
    pub(crate) const LEASE: &str = "lease";
    /// What a repository holds: `<repository>@<digest>`.
    pub(crate) const MEMBER: &str = "member";
    /// Tags of repositories: `<repository>:<tag>`.
    pub(crate) const TAG: &str = "tag";
    /// Manifests that are about another one: `<repository>@<digest of the subject>@<digest>`.
    pub(crate) const REFERRER: &str = "referrer";
    /// What the vertices of builds made, by the digest of what they are made of.
    pub(crate) const CACHED_STEP: &str = "build";
    /// Records of other crates: `record:<table>`.
    pub(crate) const RECORD_PREFIX: &str = "record:";
}

/// The key of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new(table: &str, key: &str) -> Key {
        Key(format!("{table}/{key}"))
    }

    pub(crate) fn blob(digest: &Digest) -> Key {
        Key::new(table::BLOB, &digest.to_string())
    }

    pub(crate) fn image(id: &ImageId) -> Key {
        Key::new(table::IMAGE, &id.to_string())
    }

    pub(crate) fn name(reference: &Reference) -> Key {
        Key::new(table::NAME, &reference.to_string())
    }

    pub(crate) fn snapshot(chain: &ChainId) -> Key {
        Key::new(table::SNAPSHOT, &chain.to_string())
    }

    pub(crate) fn active(key: &str) -> Key {
        Key::new(table::ACTIVE, key)
    }

    pub(crate) fn lease(name: &str) -> Key {
        Key::new(table::LEASE, name)
    }

    pub(crate) fn member(repository: &str, digest: &Digest) -> Key {
        Key::new(table::MEMBER, &format!("{repository}@{digest}"))
    }

    pub(crate) fn tag(repository: &str, tag: &str) -> Key {
        Key::new(table::TAG, &format!("{repository}:{tag}"))
    }

    pub(crate) fn referrer(repository: &str, subject: &Digest, digest: &Digest) -> Key {
        Key::new(table::REFERRER, &format!("{repository}@{subject}@{digest}"))
    }

    pub(crate) fn cached_step(key: &str) -> Key {
        Key::new(table::CACHED_STEP, key)
    }

    pub(crate) fn record(table: &str, key: &str) -> Key {
        Key::new(&format!("{}{table}", table::RECORD_PREFIX), key)
    }

    /// The start of every key of a table.
    pub(crate) fn prefix(table: &str) -> String {
        format!("{table}/")
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Key> {
        let text = std::str::from_utf8(bytes).ok()?;
        text.contains('/').then(|| Key(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Table and key.
    pub(crate) fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }
}

/// The paths of one store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Layout {
        Layout { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn version(&self) -> PathBuf {
        self.root.join("version")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("db")
    }

    /// The one file of the database whose loss is the loss of all rows.
    pub(crate) fn database_log(&self) -> PathBuf {
        self.root.join("db/db")
    }

    pub(crate) fn repositories(&self) -> PathBuf {
        self.root.join("repositories.log")
    }

    pub(crate) fn sequence(&self) -> PathBuf {
        self.root.join("sequence")
    }

    pub(crate) fn damaged_database(&self, seconds: u64) -> PathBuf {
        self.root.join(format!("db.damaged-{seconds}"))
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("content/blobs")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.algorithm().as_str()).join(digest.hex())
    }

    pub(crate) fn ingests(&self) -> PathBuf {
        self.root.join("content/ingests")
    }

    pub(crate) fn ingest(&self, number: u64) -> PathBuf {
        self.ingests().join(number.to_string())
    }

    pub(crate) fn partial(&self, digest: &Digest) -> PathBuf {
        self.ingests().join(format!("{}-{}.part", digest.algorithm().as_str(), digest.hex()))
    }

    pub(crate) fn upload(&self, id: &str, scope: &str, algorithm: Algorithm) -> PathBuf {
        self.ingests().join(format!("upload-{id}-{scope}-{}.part", algorithm.as_str()))
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub(crate) fn empty_lower(&self) -> PathBuf {
        self.snapshots().join("empty")
    }

    pub(crate) fn pending(&self) -> PathBuf {
        self.snapshots().join("pending")
    }

    pub(crate) fn snapshot(&self, number: u64) -> PathBuf {
        self.snapshots().join(number.to_string())
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn image(&self, id: &ImageId) -> PathBuf {
        self.images().join(format!("{}.json", id.0.hex()))
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    /// The copy of a record; a key that is no plain file name has none.
    pub(crate) fn record(&self, table: &str, key: &str) -> Option<PathBuf> {
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() <= 200
                && !text.starts_with('.')
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        };
        (plain(table) && plain(key)).then(|| self.records().join(table).join(format!("{key}.json")))
    }

    pub(crate) fn spill(&self) -> PathBuf {
        self.root.join("spill")
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Every directory a store has, parents first.
    pub(crate) fn directories(&self) -> [PathBuf; 12] {
        [
            self.root.clone(),
            self.root.join("content"),
            self.blobs(),
            self.blobs().join("sha256"),
            self.blobs().join("sha512"),
            self.ingests(),
            self.snapshots(),
            self.pending(),
            self.images(),
            self.records(),
            self.spill(),
            self.trash(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_know_their_table() {
        let digest = Digest::of(b"");
        assert_eq!(Key::blob(&digest).parts(), ("blob", digest.to_string().as_str()));
        assert_eq!(Key::record("containers", "a/b").parts(), ("record:containers", "a/b"));
        assert_eq!(Key::from_bytes(b"nonsense"), None);
    }

    #[test]
    fn a_record_whose_key_is_a_path_has_no_copy() {
        let layout = Layout::new(Path::new("/r"));
        assert_eq!(layout.record("t", "a"), Some(PathBuf::from("/r/records/t/a.json")));
        for key in ["", "..", "a/b", ".a", "a\0"] {
            assert_eq!(layout.record("t", key), None, "{key:?}");
        }
    }
}
