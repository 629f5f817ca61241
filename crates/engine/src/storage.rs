//! Acts: the port to what is stored: images, snapshots, records. The engine's tests put a fake behind it.

mod disk;

pub(crate) use disk::{DiskStorage, put_aside, put_back};

use crate::record::Record;
use naru_errdefs::Fault;
use naru_oci::{ChainId, ContainerDefaults, ImageId};
use naru_runtime::Root;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image as `create` needs it.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Its ID.
    pub(crate) id: ImageId,
    /// Its layers; absent when it has none.
    pub(crate) chain: Option<ChainId>,
    /// Its platform's system.
    pub(crate) os: String,
    /// What containers of it start from.
    pub(crate) defaults: Arc<ContainerDefaults>,
}

/// The directories of an overlay, absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OverlayPaths {
    /// Read-only, the top one first.
    pub(crate) lower: Vec<PathBuf>,
    /// The writable one.
    pub(crate) upper: PathBuf,
    /// The overlay's own.
    pub(crate) work: PathBuf,
}

/// What is stored. Every call may block for as long as a disk does.
pub(crate) trait Storage: Debug + Send + Sync {
    /// The image of a name, an ID or a prefix of one.
    fn image(&self, text: &str) -> Result<Image, Fault>;

    /// Whether finding the image may take more than a look: it may have to be unpacked first.
    fn takes_long(&self, _text: &str) -> bool {
        false
    }

    /// The directories of an image's layers, the top one first.
    fn layers(&self, chain: Option<ChainId>) -> Result<Vec<PathBuf>, Fault>;

    /// The ID that a name stands for now.
    fn image_id(&self, text: &str) -> Option<ImageId>;

    /// Every container's record. One that cannot be read is reported and left out.
    fn records(&self) -> Result<Vec<Record>, Fault>;

    /// Stores a record; it is durable when this returns, unless it is ephemeral.
    fn put(&self, record: &Record) -> Result<(), Fault>;

    /// Removes a record; durable likewise.
    fn forget(&self, record: &Record) -> Result<(), Fault>;

    /// Makes a container's writable snapshot.
    fn prepare(&self, record: &Record) -> Result<OverlayPaths, Fault>;

    /// A container's snapshot, to be mounted.
    fn root(&self, record: &Record) -> Result<Root, Fault>;

    /// A container's snapshot, to be shown.
    fn paths(&self, record: &Record) -> Result<OverlayPaths, Fault>;

    /// Removes a container's snapshot; not an error when there is none.
    fn remove(&self, record: &Record) -> Result<(), Fault>;

    /// Removes snapshots and directories of containers that are not in the list.
    fn sweep(&self, ids: &[String]) -> Result<(), Fault>;

    /// Bytes in the writable layer, and in all layers.
    fn usage(&self, record: &Record) -> Result<(u64, u64), Fault>;
}

/// Lets an overlay be mounted another time. The mark of a mount that was not flushed keeps the kernel from it; but nothing
/// of what it held was meant to outlive a crash.
pub(crate) fn allow_another_mount(work: &Path) -> Result<(), Fault> {
    let mark = work.join("work/incompat");
    if mark.exists() {
        crate::places::remove_tree(&mark)?;
    }
    Ok(())
}
