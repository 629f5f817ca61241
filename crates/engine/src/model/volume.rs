//! Pure: volumes in the engine's words.

use super::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The label that tells a volume without a name of its own from others, as Docker writes it.
pub(crate) const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// A volume that somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeRequest {
    /// Empty: a random one.
    pub name: String,
    /// `local` or empty.
    pub driver: String,
    /// Options of the driver: `type`, `device`, `o`, `size`.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// What is stored of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeRecord {
    /// Its name.
    pub(crate) name: String,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// Options of the driver.
    #[serde(default)]
    pub(crate) options: Option<BTreeMap<String, String>>,
    /// Labels.
    #[serde(default)]
    pub(crate) labels: Option<BTreeMap<String, String>>,
    /// Whether it was made without a name.
    #[serde(default)]
    pub(crate) anonymous: bool,
}

/// A volume as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeView {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its directory on the host.
    pub mountpoint: PathBuf,
    /// Options of the driver.
    pub options: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// How much room it takes and how many containers have it; when asked for.
    pub usage: Option<VolumeUsage>,
}

/// How much room a volume takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeUsage {
    /// Bytes; absent for what is mounted elsewhere.
    pub size: Option<u64>,
    /// Containers that have it.
    pub containers: u64,
}

/// Which volumes are listed. Within a field any match counts (of labels, all must match); every field that is not empty
/// must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeFilter {
    /// Parts of names.
    pub name: Vec<String>,
    /// Drivers.
    pub driver: Vec<String>,
    /// `key` or `key=value`.
    pub label: Vec<String>,
    /// Whether no container has it.
    pub dangling: Option<bool>,
}

/// Which of the unused volumes are pruned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumePruneFilter {
    /// Named ones too.
    pub all: bool,
    /// `key` or `key=value`; all must match.
    pub label: Vec<String>,
    /// `key` or `key=value`; none may match.
    pub label_not: Vec<String>,
}
