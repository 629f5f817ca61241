//! Acts: the directories behind named and anonymous volumes.

use crate::model::{MountKind, MountPoint};
use crate::places::Places;
use crate::record::Record;
use crate::supervisor::Supervisor;
use naru_errdefs::{Fault, ResultExt};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Gives volumes their names and places.
pub(super) fn place(places: &Places, points: &mut [MountPoint]) -> Result<(), Fault> {
    for point in points.iter_mut().filter(|point| point.kind == MountKind::Volume) {
        let name = match &point.name {
            Some(name) => name.clone(),
            None => super::create::new_id()?,
        };
        point.source = places.volume(&name).to_string_lossy().into_owned();
        point.name = Some(name);
    }
    Ok(())
}

/// Makes the volumes that are not there yet, with what the image has at their places.
pub(super) fn fill(inner: &Supervisor, record: &Record) -> Result<(), Fault> {
    for point in record.mounts.iter().filter(|point| point.kind == MountKind::Volume) {
        let path = Path::new(&point.source);
        if path.is_dir() {
            continue;
        }
        let parent = path.parent().unwrap_or(path);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o701)
            .create(parent)
            .during(|| format!("cannot make the directory of volume `{}`", parent.display()))?;
        let made = fs::DirBuilder::new()
            .mode(0o755)
            .create(path)
            .during(|| format!("cannot make the directory of volume `{}`", path.display()))
            .and_then(|()| {
                if point.options.iter().any(|option| option == "nocopy") {
                    Ok(())
                } else {
                    copy_up(inner, record, point)
                }
            });
        if let Err(fault) = made {
            // A half-filled volume would be taken for a filled one.
            crate::places::remove_tree(parent)?;
            return Err(fault);
        }
    }
    Ok(())
}

/// Copies what the image has at the place of a volume into it, owners and modes included.
fn copy_up(inner: &Supervisor, record: &Record, point: &MountPoint) -> Result<(), Fault> {
    let Some(root) = inner.mount_quietly(record)? else { return Ok(()) };
    crate::tree::copy(&root, &point.destination, Path::new(&point.source)).map_err(|fault| {
        fault.context(format!("cannot fill the volume at `{}`", point.destination))
    })
}

/// Removes the volumes that were made for this container alone.
pub(super) fn remove_anonymous(inner: &Supervisor, record: &Record) -> Result<(), Fault> {
    for point in record.mounts.iter().filter(|point| point.anonymous) {
        if let Some(name) = &point.name {
            inner.places.remove_volume(name)?;
        }
    }
    Ok(())
}
