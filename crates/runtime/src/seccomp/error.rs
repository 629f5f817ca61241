//! Pure: what can be wrong with a profile.

use naru_errdefs::{Failure, Kind};

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// Not JSON, or of another shape.
    #[error("cannot read the seccomp profile")]
    Syntax(#[from] serde_json::Error),
    /// A value that cannot be right.
    #[error("the seccomp profile has an unusable {field}: `{value}`")]
    BadValue {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// Fields that exclude each other.
    #[error("the seccomp profile has both `{first}` and `{second}`")]
    Both {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Something that Naru does not do.
    #[error("the seccomp profile asks for {what}, which is not supported")]
    Unsupported {
        /// What.
        what: String,
    },
    /// It became too long for the kernel.
    #[error("the seccomp profile needs {instructions} instructions, and the kernel takes 4096")]
    TooLong {
        /// How many.
        instructions: usize,
    },
}

impl Failure for SeccompError {
    fn kind(&self) -> Kind {
        match self {
            SeccompError::Unsupported { .. } => Kind::Unsupported,
            _ => Kind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            SeccompError::Both { .. } => Some("leave one of them out".to_owned()),
            SeccompError::TooLong { .. } => Some("write fewer rules with arguments".to_owned()),
            SeccompError::Unsupported { .. } => {
                Some("change the profile, or use the built-in one".to_owned())
            }
            _ => None,
        }
    }
}
