//! Acts: the volumes of a container that is being made: named, held, made and filled.

use crate::model::{MountKind, MountPoint, VolumeRequest};
use crate::record::Record;
use crate::spec::mounts;
use crate::supervisor::Supervisor;
use crate::volumes::book::Hold;
use crate::volumes::driver::Backing;
use crate::volumes::{self, volume_name};
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_kernel::node;
use naru_kernel::path::{self, OFlags, proc_path};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The mounts of the containers that a new one names (`--volumes-from`).
pub(super) fn inherited(inner: &Supervisor, from: &[String]) -> Result<Vec<MountPoint>, Fault> {
    let mut list = Vec::new();
    for text in from {
        let (name, writable) = mounts::parse_volumes_from(text)?;
        let other = inner.find(name)?;
        let points = other.seat().record.mounts.clone();
        list.extend(mounts::inherit(&points, writable));
    }
    Ok(list)
}

/// Gives volumes their names and places, and images their IDs. What is held stays until the container is in sight.
pub(super) fn place(inner: &Supervisor, points: &mut [MountPoint]) -> Result<Vec<Hold>, Fault> {
    let mut holds = Vec::new();
    for point in points.iter_mut() {
        match point.kind {
            MountKind::Volume => holds.push(place_one(inner, point)?),
            MountKind::Image => {
                let name = point.name.as_deref().unwrap_or_default();
                // Clients would take a missing one for the container's own image, and fetch that.
                let image = inner.storage.image(name).map_err(|fault| match fault.kind() {
                    Kind::NotFound => Fault::invalid(fault.message()),
                    _ => fault,
                })?;
                point.source = image.id.to_string();
                point.image = Some(image.id);
            }
            MountKind::Bind | MountKind::Tmpfs => {}
        }
    }
    Ok(holds)
}

fn place_one(inner: &Supervisor, point: &mut MountPoint) -> Result<Hold, Fault> {
    let wanted = volumes::record(VolumeRequest {
        name: point.name.clone().unwrap_or_default(),
        driver: String::new(),
        options: point.volume_options.clone(),
        labels: point.volume_labels.clone(),
    })?;
    let (hold, record) = inner.volumes.hold(wanted)?;
    point.source = inner.volumes.directory(&record.name).to_string_lossy().into_owned();
    point.name = Some(record.name);
    Ok(hold)
}

/// Makes the volumes that are not there yet, and fills those that are empty with what the image has at their places.
pub(super) fn fill(inner: &Supervisor, record: &Record) -> Result<(), Fault> {
    for point in &record.mounts {
        let Some(name) = volume_name(point) else { continue };
        inner.volumes.alone(name, || fill_one(inner, record, point, name))?;
    }
    Ok(())
}

fn fill_one(
    inner: &Supervisor,
    record: &Record,
    point: &MountPoint,
    name: &str,
) -> Result<(), Fault> {
    let volume = inner.volumes.get(name).ok_or_else(|| volumes::missing(name))?;
    let data = inner.volumes.directory(name);
    let plain = matches!(volumes::backing(&volume)?, Backing::Directory);
    let copied = plain && point.subpath.is_none() && !point.has("nocopy");
    if !data.is_dir() {
        return inner.volumes.make_directory(name, |part| {
            if copied { copy_up(inner, record, point, part) } else { Ok(()) }
        });
    }
    if copied && is_empty(&data)? && inner.volume_users(name, &record.id).is_empty() {
        return inner.volumes.make_directory(name, |part| {
            // An empty volume's own owner and mode stay when the image has nothing there.
            keep_owner(&data, part)?;
            copy_up(inner, record, point, part)
        });
    }
    if point.has("nocopy") {
        return Ok(());
    }
    // What others may have mounted already, or what is mounted from elsewhere, is filled in its place. What lives in
    // memory is not there before a container runs.
    if matches!(volumes::backing(&volume)?, Backing::FileSystem(new) if new.volatile) {
        return Ok(());
    }
    let Some(target) = target(inner, &volume, point)? else { return Ok(()) };
    let path = proc_path(target.as_fd());
    if is_empty(&path)? { copy_up(inner, record, point, &path) } else { Ok(()) }
}

/// The directory that is filled, open. What is not there yet, or is a file, is not filled.
fn target(
    inner: &Supervisor,
    volume: &crate::model::VolumeRecord,
    point: &MountPoint,
) -> Result<Option<OwnedFd>, Fault> {
    let whole = inner.open_volume(volume)?;
    match &point.subpath {
        None => Ok(Some(whole)),
        // The start says what is wrong with it.
        Some(subpath) => {
            Ok(path::open_in_root(&whole, subpath, OFlags::RDONLY | OFlags::DIRECTORY).ok())
        }
    }
}

fn is_empty(directory: &Path) -> Result<bool, Fault> {
    let mut entries =
        std::fs::read_dir(directory).during(|| format!("cannot read `{}`", directory.display()))?;
    Ok(entries.next().is_none())
}

fn keep_owner(from: &Path, to: &Path) -> Result<(), Fault> {
    let failed = || format!("cannot set the owner of `{}`", to.display());
    let from = path::open_directory(from).during(failed)?;
    let status = node::status(&from).during(failed)?;
    let to = path::open_directory(to).during(failed)?;
    node::set_owner(&to, status.uid, status.gid)
        .and_then(|()| node::set_mode(&to, status.mode))
        .during(failed)
}

/// The container's record is there: its volumes stay. Those that go with a container that goes when it ends are not
/// written down.
pub(super) fn finish(inner: &Supervisor, record: &Record, holds: &[Hold]) -> Result<(), Fault> {
    for hold in holds {
        let anonymous = inner.volumes.get(&hold.name).is_some_and(|volume| volume.anonymous);
        if !(record.is_ephemeral() && anonymous) {
            inner.volumes.keep(&hold.name)?;
        }
    }
    Ok(())
}

/// Takes back what a failed creation has made.
pub(super) fn undo(inner: &Supervisor, holds: &[Hold]) -> Result<(), Fault> {
    holds.iter().try_for_each(|hold| inner.volumes.undo(hold))
}

/// Copies what the image has at the place of a volume, owners and modes included.
fn copy_up(
    inner: &Supervisor,
    record: &Record,
    point: &MountPoint,
    target: &Path,
) -> Result<(), Fault> {
    let Some(root) = inner.mount_quietly(record)? else { return Ok(()) };
    crate::tree::copy(&root, &point.destination, target).map_err(|fault| {
        fault.context(format!("cannot fill the volume at `{}`", point.destination))
    })?;
    naru_kernel::fs::syncfs(target).during(|| format!("cannot sync `{}`", target.display()))
}
