//! Pure: why a layer cannot be unpacked.

use crate::compression::CompressionError;
use crate::tar::TarError;
use naru_errdefs::{Failure, Kind};
use std::io;
use std::path::PathBuf;

/// Why a layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The archive is damaged, or says what no archive may say.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The stream cannot be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// A name leads out of the layer.
    #[error("entry `{path}` leaves the layer")]
    Escapes {
        /// The name as it is in the archive.
        path: String,
    },
    /// A name leads through too many directories, or is too long.
    #[error(
        "entry `{path}` is nested deeper than {limit} directories or longer than a path may be"
    )]
    TooDeep {
        /// The beginning of the name.
        path: String,
        /// The bound.
        limit: usize,
    },
    /// More entries than are let through.
    #[error("the layer has more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: u64,
    },
    /// The root of the layer is something else than a directory.
    #[error("the layer's root is not a directory")]
    RootNotDirectory,
    /// A name that looks like a whiteout and hides nothing that can be hidden.
    #[error("entry `{}` is not a valid whiteout", path.display())]
    BadWhiteout {
        /// The name.
        path: PathBuf,
    },
    /// A device that overlay file systems take for a deletion.
    #[error("entry `{}` is a character device 0:0, which an overlay takes for a deletion", path.display())]
    WhiteoutDevice {
        /// The name.
        path: PathBuf,
    },
    /// A parent of the name is no directory.
    #[error("`{}` is not a directory, but entries of the archive lie under it", path.display())]
    NotADirectory {
        /// The parent.
        path: PathBuf,
    },
    /// A parent of the name is a link to nothing in this layer.
    #[error("`{}` leads through a link to nothing in the layer, but entries of the archive lie under it", path.display())]
    DanglingParent {
        /// The parent.
        path: PathBuf,
    },
    /// A hard link to something that is in no layer.
    #[error("hard link `{}` points to `{}`, which is in no layer", path.display(), target.display())]
    MissingTarget {
        /// The link.
        path: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// A hard link to a directory.
    #[error("hard link `{}` points to `{}`, which is a directory", path.display(), target.display())]
    LinkToDirectory {
        /// The link.
        path: PathBuf,
        /// What it names.
        target: PathBuf,
    },
    /// The layer's directory cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of a layer below cannot be read.
    #[error("cannot read `{}` of a lower layer", path.display())]
    ReadLower {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An extended attribute cannot be set.
    #[error("cannot set the attribute `{attribute}` of `{}`", path.display())]
    Attribute {
        /// The file.
        path: PathBuf,
        /// The attribute.
        attribute: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Failure for ApplyError {
    fn kind(&self) -> Kind {
        match self {
            ApplyError::Tar(error) => error.kind(),
            ApplyError::Compression(error) => error.kind(),
            ApplyError::Write { source, .. } | ApplyError::Attribute { source, .. } => match source
                .kind()
            {
                // The archive chose these names.
                io::ErrorKind::InvalidFilename | io::ErrorKind::FileTooLarge => Kind::InvalidInput,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Kind::ResourceExhausted
                }
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                    Kind::Forbidden
                }
                _ => Kind::Internal,
            },
            ApplyError::ReadLower { .. } => Kind::Internal,
            _ => Kind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            ApplyError::Tar(error) => return error.hint(),
            ApplyError::Compression(error) => return error.hint(),
            ApplyError::Escapes { .. } => {
                "the archive is hostile or broken; make it again with paths relative to the image's root"
            }
            ApplyError::TooDeep { .. } | ApplyError::TooManyEntries { .. } => {
                "the archive is hostile or broken; an image this large has to be split into layers"
            }
            ApplyError::BadWhiteout { .. } => {
                "names that begin with `.wh.` are reserved for deletions; rename the file and build the image again"
            }
            ApplyError::WhiteoutDevice { .. } => {
                "remove the device from the image and build it again"
            }
            ApplyError::NotADirectory { .. } | ApplyError::DanglingParent { .. } => {
                "the entries of the archive contradict each other; make it again"
            }
            ApplyError::MissingTarget { .. } => {
                "the archive is incomplete; make it again with the link's target"
            }
            ApplyError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some space, for example with `naru system prune`"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}
