//! Pure: what can be wrong with a tar archive.

use naru_errdefs::{Failure, Kind};
use std::io;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream itself failed.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// The stream ends inside an entry.
    #[error("the archive ends in the middle of an entry; it is truncated")]
    Truncated,
    /// Not a tar header.
    #[error("the archive has a corrupt header at byte {offset}")]
    BadHeader {
        /// Where the header begins.
        offset: u64,
    },
    /// A number that is negative, too large, or no number.
    #[error("entry `{entry}` has an invalid `{field}`")]
    BadNumber {
        /// The entry.
        entry: String,
        /// The field.
        field: &'static str,
    },
    /// A name that no file can have.
    #[error("an entry of the archive has an unusable name `{name}`")]
    BadName {
        /// The name.
        name: String,
    },
    /// A header that extends the next one is larger than any honest one.
    #[error("an extended header of the archive is larger than {limit} bytes")]
    HeaderTooLarge {
        /// The bound.
        limit: u64,
    },
    /// A PAX header that is not made of records.
    #[error("the archive has a malformed PAX header at byte {offset}")]
    BadPax {
        /// Where the header begins.
        offset: u64,
    },
    /// A sparse map that does not fit its file.
    #[error("entry `{entry}` has a malformed sparse map")]
    BadSparseMap {
        /// The entry.
        entry: String,
    },
    /// An entry type that cannot be kept.
    #[error("entry `{entry}` has the unsupported type `{flag}`")]
    UnsupportedType {
        /// The entry.
        entry: String,
        /// The type flag.
        flag: char,
    },
}

impl Failure for TarError {
    fn kind(&self) -> Kind {
        match self {
            TarError::Read(error) => kind_of(error),
            TarError::UnsupportedType { .. } => Kind::Unsupported,
            _ => Kind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            TarError::Truncated => "copy or make the archive again; it arrived incomplete",
            TarError::BadHeader { .. } | TarError::BadPax { .. } => {
                "check that the file is a tar archive and was copied whole"
            }
            TarError::UnsupportedType { .. } => "make the archive again with `tar --format=pax`",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// The kind of a stream's failure: whatever a decoder finds wrong is the input's fault.
pub(crate) fn kind_of(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Kind::InvalidInput
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory => {
            Kind::ResourceExhausted
        }
        _ => Kind::Internal,
    }
}

/// A name for messages: readable, and not longer than a line.
pub(crate) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut shown: String = text.chars().take(300).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}
