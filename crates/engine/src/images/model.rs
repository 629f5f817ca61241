//! Pure: the words of the image service.

use crate::Timestamp;
use naru_oci::{Config, Descriptor, DiffId, ImageId, Reference};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A container as the image service sees it: what it was made of, and whether it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUser {
    /// 64 hexadecimal digits.
    pub container: String,
    /// Its image.
    pub image: ImageId,
    /// The image as it was asked for.
    pub name: String,
    /// Whether it runs (or is paused or restarting).
    pub running: bool,
}

/// Which images a list shows. Within a field any match counts; every field that is not empty must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFilter {
    /// Patterns of names (`debian`, `*/x:1*`).
    pub reference: Vec<String>,
    /// `Some(true)`: only those without a name; `Some(false)`: only those with one.
    pub dangling: Option<bool>,
    /// `key` or `key=value`; all must match.
    pub label: Vec<String>,
    /// Made before this image.
    pub before: Vec<String>,
    /// Made after this image.
    pub since: Vec<String>,
    /// Made before this instant.
    pub until: Option<Timestamp>,
}

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// The image ID.
    pub id: ImageId,
    /// Names with a tag, as a person writes them.
    pub repo_tags: Vec<String>,
    /// Names with a digest, as a person writes them.
    pub repo_digests: Vec<String>,
    /// The image it was built on, when that is known.
    pub parent: Option<ImageId>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Bytes of all layers, unpacked.
    pub size: u64,
    /// Bytes of those layers that other images have, too.
    pub shared_size: u64,
    /// Free key/value pairs.
    pub labels: BTreeMap<String, String>,
    /// How many containers are made of it.
    pub containers: usize,
}

/// Everything about an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageView {
    /// The image ID.
    pub id: ImageId,
    /// Names with a tag.
    pub repo_tags: Vec<String>,
    /// Names with a digest.
    pub repo_digests: Vec<String>,
    /// The image it was built on, when that is known.
    pub parent: Option<ImageId>,
    /// Its configuration.
    pub config: Config,
    /// What its name points at.
    pub target: Descriptor,
    /// Bytes of all layers, unpacked.
    pub size: u64,
    /// Its layers, bottom first.
    pub layers: Vec<DiffId>,
    /// The directories of its layers, top first.
    pub lower_dirs: Vec<PathBuf>,
    /// When it was last given a name.
    pub last_tagged: Option<Timestamp>,
}

/// One step in the making of an image, newest first in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The image, for the newest step; the steps below have no image of their own.
    pub id: Option<ImageId>,
    /// When.
    pub created: Option<Timestamp>,
    /// The command.
    pub created_by: String,
    /// Names of the image.
    pub tags: Vec<String>,
    /// Bytes of the step's layer, unpacked.
    pub size: u64,
    /// Free text.
    pub comment: String,
}

/// One thing that went with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// A name.
    Untagged(String),
    /// An image or a layer, by digest.
    Deleted(String),
}

/// How `remove` removes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveImageOptions {
    /// Remove it although it has several names or a stopped container is made of it.
    pub force: bool,
}

/// Which images `prune` removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePruneFilter {
    /// Only those without a name. The default; otherwise all that no container is made of.
    pub dangling: bool,
    /// Only those made before this instant.
    pub until: Option<Timestamp>,
    /// `key` or `key=value` that must match.
    pub label: Vec<String>,
    /// `key` or `key=value` that must not match.
    pub label_not: Vec<String>,
}

impl Default for ImagePruneFilter {
    fn default() -> ImagePruneFilter {
        ImagePruneFilter { dangling: true, until: None, label: Vec::new(), label_not: Vec::new() }
    }
}

/// What `prune` removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedImages {
    /// Names, images and layers.
    pub deleted: Vec<Deleted>,
    /// Bytes.
    pub space_reclaimed: u64,
}

/// What `import` makes of a root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportRequest {
    /// The name it gets.
    pub reference: Option<Reference>,
    /// Instructions that change its configuration (`CMD ["sh"]`).
    pub changes: Vec<String>,
    /// A comment for its history.
    pub message: String,
    /// `os/arch[/variant]`; the host's when absent.
    pub platform: Option<String>,
}

/// The form of a saved archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SaveFormat {
    /// One that both `docker load` and OCI tools read.
    #[default]
    Docker,
    /// An OCI image layout.
    Oci,
}

/// What images take on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagesUsage {
    /// Bytes of all layers, unpacked, each once.
    pub layers_size: u64,
    /// Bytes of all blobs.
    pub content_size: u64,
    /// The images.
    pub images: Vec<ImageSummary>,
}

/// One thing that is wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong; and why it could not be repaired, when that was asked for.
    pub message: String,
    /// How it was repaired.
    pub repair: Option<String>,
}
