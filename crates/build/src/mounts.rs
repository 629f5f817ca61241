//! Acts: what a build keeps beside the store: cache mounts, which stay from build to build, and directories for one step.
//!
//! ```text
//! <place>/mounts/<digest of the ID>[.n]/fs     a cache mount; `id` beside it says whose
//! <place>/run/<random>/                       what one step needs; emptied when a builder is opened
//! ```

use crate::directories::{make, remove};
use crate::layer::random;
use naru_dockerfile::Sharing;
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_oci::Digest;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Sweeps what steps of an earlier process left.
pub(crate) fn clear(place: &Path) -> Result<(), Fault> {
    remove(&place.join("run"))?;
    make(&place.join("run"), 0o700)?;
    make(&place.join("mounts"), 0o700)
}

/// A directory for one step; it goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(place: &Path) -> Result<Scratch, Fault> {
        let path = place.join("run").join(random()?.get(..24).unwrap_or("scratch"));
        make(&path, 0o700)?;
        Ok(Scratch(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(fault) = remove(&self.0) {
            tracing::warn!(
                "cannot sweep after a step of a build: {}",
                naru_errdefs::one_line(&fault)
            );
        }
    }
}

/// Cache mounts that are in use: how many use each directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct InUse {
    users: Arc<Mutex<BTreeMap<PathBuf, usize>>>,
    left: Arc<Notify>,
}

/// A cache mount in use.
#[derive(Debug)]
pub(crate) struct CacheMount {
    place: PathBuf,
    all: InUse,
    /// Whether it was made now.
    pub(crate) is_new: bool,
}

impl CacheMount {
    /// The directory that is mounted.
    pub(crate) fn dir(&self) -> PathBuf {
        self.place.join("fs")
    }
}

impl Drop for CacheMount {
    fn drop(&mut self) {
        let mut users = self.all.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = users.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.place);
            }
        }
        drop(users);
        self.all.left.notify_waiters();
    }
}

impl InUse {
    /// Whether a cache mount's directory is in use.
    pub(crate) fn is_used(&self, place: &Path) -> bool {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).contains_key(place)
    }

    /// The cache mount of an ID, made when it is missing; who shares it is what `sharing` says.
    pub(crate) async fn take(
        &self,
        place: &Path,
        id: &str,
        sharing: Sharing,
        (mode, uid, gid): (u32, u32, u32),
    ) -> Result<CacheMount, Fault> {
        let name = Digest::of(id.as_bytes()).hex();
        let first = place.join("mounts").join(&name);
        let mut number = 0;
        loop {
            let place = match number {
                0 => first.clone(),
                number => first.with_file_name(format!("{name}.{number}")),
            };
            let left = self.left.notified();
            let taken = {
                let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
                let count = users.entry(place.clone()).or_default();
                let free = *count == 0 || sharing == Sharing::Shared;
                if free {
                    *count += 1;
                }
                free
            };
            if taken {
                let mut mount =
                    CacheMount { place: place.clone(), all: self.clone(), is_new: false };
                let dir = mount.dir();
                if !dir.exists() {
                    mount.is_new = true;
                    make(&place, 0o700)?;
                    let failed = || format!("cannot make the cache mount `{id}`");
                    naru_kernel::fs::write_replace(&place.join("id"), id.as_bytes(), 0o600)
                        .during(failed)?;
                    make(&dir, 0o700)?;
                    std::os::unix::fs::chown(&dir, Some(uid), Some(gid)).during(failed)?;
                    fs::set_permissions(&dir, PermissionsExt::from_mode(mode)).during(failed)?;
                }
                return Ok(mount);
            }
            match sharing {
                Sharing::Private => number += 1,
                Sharing::Shared | Sharing::Locked => left.await,
            }
        }
    }
}

/// The cache mounts there are: directory, ID, bytes, when used last.
pub(crate) fn list(place: &Path) -> Result<Vec<(PathBuf, String, u64, u64)>, Fault> {
    let dir = place.join("mounts");
    let entries = fs::read_dir(&dir).during(|| format!("cannot read `{}`", dir.display()))?;
    let mut list = Vec::new();
    for entry in entries.flatten() {
        let place = entry.path();
        let id = fs::read_to_string(place.join("id")).unwrap_or_default();
        let bytes = naru_store::usage_of(&place.join("fs")).map_or(0, |usage| usage.bytes);
        let used = fs::metadata(place.join("id"))
            .and_then(|found| found.modified())
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_secs());
        list.push((place, id, bytes, used));
    }
    Ok(list)
}

/// Removes a cache mount that nobody uses.
pub(crate) fn discard(all: &InUse, place: &Path) -> Result<(), Fault> {
    if all.is_used(place) {
        return Err(Fault::new(Kind::Conflict, "a build uses the cache mount"));
    }
    remove(place)
}
