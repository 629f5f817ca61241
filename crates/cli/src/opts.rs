//! Pure: the values of flags, one parser a file; nothing here touches the system but for what its doc says.

pub mod device;
pub mod duration;
pub mod env;
pub mod filter;
pub mod ipam;
pub mod keys;
pub mod memory;
pub mod mount;
pub mod names;
pub mod network;
pub mod place;
pub mod publish;
pub mod restart;
pub mod security;
pub mod timestamp;
pub mod ulimit;
pub mod volume;

/// Why a value is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OptError {
    /// What is wrong, worded as docker words it where it has words.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl OptError {
    /// An error without a hint.
    pub fn new(message: impl Into<String>) -> OptError {
        OptError { message: message.into(), hint: None }
    }

    /// The same error with what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> OptError {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::OptError;
    use std::fmt::Debug;

    /// One line of a table: what is written, and what it means or why it means nothing.
    pub(crate) fn check<T: Debug + PartialEq>(
        parser: impl Fn(&str) -> Result<T, OptError>,
        good: &[(&str, T)],
        bad: &[(&str, &str)],
    ) {
        for (text, expected) in good {
            match parser(text) {
                Ok(value) => assert_eq!(&value, expected, "{text}"),
                Err(error) => panic!("{text}: {error}"),
            }
        }
        for (text, message) in bad {
            match parser(text) {
                Ok(value) => panic!("{text} was taken as {value:?}"),
                Err(error) => {
                    assert!(
                        error.message.contains(message),
                        "{text}: {} lacks {message}",
                        error.message
                    );
                }
            }
        }
    }
}
