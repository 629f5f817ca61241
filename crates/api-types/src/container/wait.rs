//! Pure: the end of a container, and the small answers of the other calls.

use crate::wire::wire;
use std::str::FromStr;

/// What a wait waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// It does not run, which may hold already.
    #[default]
    NotRunning,
    /// It ends once more.
    NextExit,
    /// It is gone.
    Removed,
}

impl WaitCondition {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            WaitCondition::NotRunning => "not-running",
            WaitCondition::NextExit => "next-exit",
            WaitCondition::Removed => "removed",
        }
    }
}

impl FromStr for WaitCondition {
    type Err = BadCondition;

    fn from_str(text: &str) -> Result<WaitCondition, BadCondition> {
        match text {
            "" | "not-running" => Ok(WaitCondition::NotRunning),
            "next-exit" => Ok(WaitCondition::NextExit),
            "removed" => Ok(WaitCondition::Removed),
            _ => Err(BadCondition { text: text.to_owned() }),
        }
    }
}

/// Not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid condition: \"{text}\"")]
pub struct BadCondition {
    text: String,
}

impl naru_errdefs::Failure for BadCondition {
    fn kind(&self) -> naru_errdefs::Kind {
        naru_errdefs::Kind::InvalidInput
    }
}

wire! {
    /// How a container ended.
    pub struct WaitResponse {
        /// The exit code.
        pub status_code: i64,
        /// Why the wait failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<WaitError>,
    }

    /// Why a wait failed.
    pub struct WaitError {
        /// In words.
        pub message: String,
    }

    /// Processes of a container, as a table.
    pub struct TopResponse {
        /// The columns.
        pub titles: Vec<String>,
        /// The rows.
        pub processes: Vec<Vec<String>>,
    }

    /// What an update did.
    pub struct UpdateResponse {
        /// What the person should know.
        pub warnings: Option<Vec<String>>,
    }

    /// What a prune removed.
    pub struct PruneResponse {
        /// IDs.
        pub containers_deleted: Option<Vec<String>>,
        /// Bytes.
        pub space_reclaimed: u64,
    }

    /// One path that a container changed.
    pub struct Change {
        /// 0 modified, 1 added, 2 deleted.
        pub kind: u8,
        /// The path.
        pub path: String,
    }
}
