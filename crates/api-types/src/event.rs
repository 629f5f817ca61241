//! Pure: what happened, as a stream of JSON objects.

use crate::Map;
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// The action, for old clients.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The ID, for old clients.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The image, for old clients.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// To what sort of thing.
    #[serde(rename = "Type")]
    pub r#type: String,
    /// What.
    #[serde(rename = "Action")]
    pub action: String,
    /// To which one.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// Always `local`.
    pub scope: String,
    /// When, in seconds.
    pub time: i64,
    /// When, in nanoseconds.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// What an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Actor {
    /// Its ID.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name, labels and more.
    #[serde(rename = "Attributes")]
    pub attributes: Map<String>,
}
