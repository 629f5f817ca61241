//! Pure: what can go wrong in a store that is open.

use crate::row::RowError;
use naru_errdefs::{Failure, Kind};
use naru_oci::{ChainId, Digest};
use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space is left for the store at `{}`", root.display())]
    Full {
        /// The data root.
        root: PathBuf,
    },
    /// The database refused.
    #[error("cannot write the store's database")]
    Database(#[source] DatabaseError),
    /// The store was closed, or its writer is gone.
    #[error("the store is closed")]
    Closed,
    /// A row cannot be read or made.
    #[error("cannot read the {table} record of `{key}`")]
    Row {
        /// The table.
        table: String,
        /// The key in it.
        key: String,
        /// Why not.
        #[source]
        source: RowError,
    },
    /// Something that a change relies on is not there.
    #[error("no such {table}: `{key}`")]
    Absent {
        /// What sort of thing.
        table: String,
        /// Its name.
        key: String,
    },
    /// Something that a change would make is there already.
    #[error("{table} `{key}` exists already")]
    Taken {
        /// What sort of thing.
        table: String,
        /// Its name.
        key: String,
    },
    /// The blob is not in the store.
    #[error("no such blob: `{digest}`")]
    NoBlob {
        /// Its digest.
        digest: Digest,
    },
    /// The store's record of a blob is there, its bytes are not.
    #[error("the bytes of blob `{digest}` are missing from the store")]
    LostBlob {
        /// Its digest.
        digest: Digest,
    },
    /// A blob is larger than the caller can take.
    #[error("blob `{digest}` has {size} bytes, more than the {limit} that are allowed here")]
    TooLarge {
        /// Its digest.
        digest: Digest,
        /// Its size.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The bytes are not those that were promised.
    #[error("the content has digest `{found}`, not `{expected}` as was promised")]
    Mismatch {
        /// What was promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Somebody else is writing the same resumable blob.
    #[error("blob `{digest}` is being written by somebody else")]
    Busy {
        /// Its digest.
        digest: Digest,
    },
    /// There is no such upload session, or not in this repository.
    #[error("no such upload: `{id}`")]
    NoUpload {
        /// Its number.
        id: String,
    },
    /// Somebody else is writing the same upload session.
    #[error("upload `{id}` is being written by somebody else")]
    UploadBusy {
        /// Its number.
        id: String,
    },
    /// The snapshot is not in the store.
    #[error("no such snapshot: `{chain}`")]
    NoSnapshot {
        /// Its chain ID.
        chain: ChainId,
    },
    /// What a change relied on was changed by somebody else meanwhile.
    #[error("the store was changed meanwhile")]
    Stale,
    /// The lease is unknown or has ended.
    #[error("the lease `{lease}` has ended")]
    NoLease {
        /// Its number.
        lease: u64,
    },
}

/// A failure inside the database, kept opaque so that its type stays in this crate.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(#[from] pub(crate) sled::Error);

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { action, path, source }
    }

    /// The failure again, for the others whose changes were in the same flush.
    pub(crate) fn again(&self, root: &Path) -> StoreError {
        match self {
            StoreError::Io { action, path, source } => {
                let source = match source.raw_os_error() {
                    Some(number) => io::Error::from_raw_os_error(number),
                    None => io::Error::new(source.kind(), source.to_string()),
                };
                StoreError::Io { action, path: path.clone(), source }
            }
            StoreError::Database(DatabaseError(source)) => {
                StoreError::Database(DatabaseError(source.clone()))
            }
            StoreError::Full { .. } => StoreError::Full { root: root.to_owned() },
            _ => StoreError::Closed,
        }
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        self.kind() == Kind::ResourceExhausted
    }
}

pub(crate) fn kind_of_io(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::ResourceExhausted,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Kind::Forbidden,
        _ => Kind::Internal,
    }
}

impl Failure for StoreError {
    fn kind(&self) -> Kind {
        match self {
            StoreError::Io { source, .. }
            | StoreError::Database(DatabaseError(sled::Error::Io(source))) => kind_of_io(source),
            StoreError::Full { .. } => Kind::ResourceExhausted,
            StoreError::Database(DatabaseError(sled::Error::Corruption { .. }))
            | StoreError::LostBlob { .. } => Kind::DataLoss,
            StoreError::Row { source: RowError::Newer { .. }, .. } => Kind::Unsupported,
            StoreError::Row { .. } => Kind::DataLoss,
            StoreError::Database(_) | StoreError::NoLease { .. } => Kind::Internal,
            StoreError::Closed => Kind::Unavailable,
            StoreError::Absent { .. }
            | StoreError::NoBlob { .. }
            | StoreError::NoUpload { .. }
            | StoreError::NoSnapshot { .. } => Kind::NotFound,
            StoreError::Taken { .. } => Kind::AlreadyExists,
            StoreError::TooLarge { .. } | StoreError::Mismatch { .. } => Kind::InvalidInput,
            StoreError::Busy { .. } | StoreError::UploadBusy { .. } | StoreError::Stale => {
                Kind::Conflict
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            StoreError::LostBlob { .. } => {
                Some("see what is damaged with `naru system verify`, and mend it with `naru system verify --repair`".to_owned())
            }
            StoreError::Row { source: RowError::Newer { .. }, .. } => {
                Some("start a version of naru at least as new as the one that wrote the store".to_owned())
            }
            error if error.is_full() => {
                Some("free some space, for example with `naru system prune`".to_owned())
            }
            _ => None,
        }
    }
}
