//! Pure: why a process could not be started, in the words that docker's clients know.

use naru_errdefs::{Failure, Kind};
use serde::{Deserialize, Serialize};

/// The class of a failed start; it decides between exit code 126, 127 and 125.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The command is not in the container's file system (127).
    NotFound,
    /// The command is there and cannot be executed (126).
    NotExecutable,
    /// The user or group is not known in the container.
    BadUser,
    /// The working directory cannot be entered.
    BadWorkdir,
    /// Anything else: a mount, a namespace, a limit.
    Other,
}

impl Reason {
    pub(crate) fn from_code(code: u8) -> Reason {
        match code {
            1 => Reason::NotFound,
            2 => Reason::NotExecutable,
            3 => Reason::BadUser,
            4 => Reason::BadWorkdir,
            _ => Reason::Other,
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Reason::NotFound => 1,
            Reason::NotExecutable => 2,
            Reason::BadUser => 3,
            Reason::BadWorkdir => 4,
            Reason::Other => 0,
        }
    }
}

/// A process could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct StartError {
    /// The class.
    pub reason: Reason,
    /// What was attempted and what went wrong, causes included: it has crossed a process border.
    pub message: String,
}

impl StartError {
    /// A failed start of the given class.
    pub fn new(reason: Reason, message: impl Into<String>) -> StartError {
        StartError { reason, message: message.into() }
    }

    /// A failure that is neither the command's, the user's nor the working directory's.
    pub fn other(message: impl Into<String>) -> StartError {
        StartError::new(Reason::Other, message)
    }
}

impl Failure for StartError {
    fn kind(&self) -> Kind {
        match self.reason {
            Reason::NotFound => Kind::CommandNotFound,
            Reason::NotExecutable => Kind::CommandNotExecutable,
            Reason::BadUser | Reason::BadWorkdir => Kind::InvalidInput,
            Reason::Other => Kind::Internal,
        }
    }
}
