//! Pure: why an archive cannot be unpacked into a living directory.

use crate::apply::file::FillError;
use crate::compression::CompressionError;
use crate::tar::TarError;
use naru_errdefs::{Failure, Kind};
use std::io;
use std::path::{Path, PathBuf};

/// Why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The archive is damaged, or says what no archive may say.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The stream cannot be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// A name leads out of the destination.
    #[error("`{path}` is outside of the destination")]
    Outside {
        /// The name as it is in the archive.
        path: String,
    },
    /// A hard link to what is outside of the destination.
    #[error("invalid hardlink `{}` -> `{target}`: it is outside of the destination", path.display())]
    LinkOutside {
        /// The link.
        path: PathBuf,
        /// What it names.
        target: String,
    },
    /// A hard link to what is not there.
    #[error("cannot link `{}` to `{}`", path.display(), target.display())]
    MissingTarget {
        /// The link.
        path: PathBuf,
        /// What it names.
        target: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A name leads through too many directories, or is too long.
    #[error("`{path}` is nested deeper than {limit} directories or longer than a path may be")]
    TooDeep {
        /// The beginning of the name.
        path: String,
        /// The bound.
        limit: usize,
    },
    /// More entries than are let through.
    #[error("the archive has more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: u64,
    },
    /// Something else would take the place of a directory.
    #[error("cannot overwrite directory \"{}\" with non-directory \"{}\"", path.display(), destination.display())]
    OverDirectory {
        /// The directory.
        path: PathBuf,
        /// Where the archive is unpacked.
        destination: PathBuf,
    },
    /// A directory would take the place of something else.
    #[error("cannot overwrite non-directory \"{}\" with directory \"{}\"", path.display(), destination.display())]
    OverOther {
        /// What is there.
        path: PathBuf,
        /// Where the archive is unpacked.
        destination: PathBuf,
    },
    /// The destination cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ExtractError {
    pub(super) fn fill(error: FillError, path: &Path) -> ExtractError {
        match error {
            FillError::Tar(error) => ExtractError::Tar(error),
            FillError::Write(source) => ExtractError::Write { path: path.to_owned(), source },
        }
    }
}

impl Failure for ExtractError {
    fn kind(&self) -> Kind {
        match self {
            ExtractError::Tar(error) => error.kind(),
            ExtractError::Compression(error) => error.kind(),
            ExtractError::Write { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Kind::ResourceExhausted
                }
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                    Kind::Forbidden
                }
                _ => Kind::InvalidInput,
            },
            _ => Kind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ExtractError::Tar(error) => error.hint(),
            ExtractError::Compression(error) => error.hint(),
            ExtractError::Outside { .. } | ExtractError::LinkOutside { .. } => Some(
                "make the archive again with names relative to the directory it is copied to"
                    .to_owned(),
            ),
            ExtractError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free some space, for example with `naru system prune`".to_owned())
            }
            _ => None,
        }
    }
}
