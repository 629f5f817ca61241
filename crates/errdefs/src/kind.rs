//! Pure: the coarse classes of failure that callers may branch on.

use std::fmt;

/// The coarse class of a failure. Callers match kinds; only the crate that made an error matches its variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The named thing does not exist.
    NotFound,
    /// The name or place is taken by something of the same sort.
    AlreadyExists,
    /// The thing exists, but its present state forbids the operation.
    Conflict,
    /// The request is malformed or asks for something that cannot be.
    InvalidInput,
    /// The thing is already in the state that was asked for.
    NotModified,
    /// Who is asking is not known.
    Unauthorized,
    /// Who is asking is known, and may not.
    Forbidden,
    /// Understood, but this build or this host cannot do it.
    Unsupported,
    /// Something needed is away for now; trying again can help.
    Unavailable,
    /// A limit or the disk is exhausted.
    ResourceExhausted,
    /// Whoever asked went away, or asked to stop.
    Cancelled,
    /// Stored data is damaged or lost.
    DataLoss,
    /// A fault of our own.
    Internal,
    /// The command of a container is not in its file system (exit code 127).
    CommandNotFound,
    /// The command of a container cannot be executed (exit code 126).
    CommandNotExecutable,
}

impl Kind {
    /// Every kind, for tables and tests.
    pub const ALL: [Kind; 15] = [
        Kind::NotFound,
        Kind::AlreadyExists,
        Kind::Conflict,
        Kind::InvalidInput,
        Kind::NotModified,
        Kind::Unauthorized,
        Kind::Forbidden,
        Kind::Unsupported,
        Kind::Unavailable,
        Kind::ResourceExhausted,
        Kind::Cancelled,
        Kind::DataLoss,
        Kind::Internal,
        Kind::CommandNotFound,
        Kind::CommandNotExecutable,
    ];

    /// The name used on the wire (the `kind` field of an error body).
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::NotFound => "not-found",
            Kind::AlreadyExists => "already-exists",
            Kind::Conflict => "conflict",
            Kind::InvalidInput => "invalid-input",
            Kind::NotModified => "not-modified",
            Kind::Unauthorized => "unauthorized",
            Kind::Forbidden => "forbidden",
            Kind::Unsupported => "unsupported",
            Kind::Unavailable => "unavailable",
            Kind::ResourceExhausted => "resource-exhausted",
            Kind::Cancelled => "cancelled",
            Kind::DataLoss => "data-loss",
            Kind::Internal => "internal",
            Kind::CommandNotFound => "command-not-found",
            Kind::CommandNotExecutable => "command-not-executable",
        }
    }

    /// The kind with this wire name.
    pub fn from_wire(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_wire(kind.as_str()), Some(kind));
        }
    }
}
