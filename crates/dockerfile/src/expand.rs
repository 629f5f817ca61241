//! Pure: variable expansion and quote removal, word by word.

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {word:?}: {reason}")]
pub struct ExpandError {
    /// The word.
    pub word: String,
    /// What is wrong with it.
    pub reason: String,
}
