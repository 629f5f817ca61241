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

/// Makes the volumes that are not there yet, with what the image has at their places. What was made is marked until
/// [`finish`], so that a crash before the container's record leaves none behind.
pub(super) fn fill(
    inner: &Supervisor,
    record: &Record,
    made: &mut Vec<String>,
) -> Result<(), Fault> {
    for point in record.mounts.iter().filter(|point| point.kind == MountKind::Volume) {
        let (Some(name), path) = (&point.name, Path::new(&point.source)) else { continue };
        if path.is_dir() {
            continue;
        }
        made.push(name.clone());
        let failed = |what: &Path| format!("cannot make volume `{name}` at `{}`", what.display());
        let place = inner.places.volume_place(name);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o701).create(&place).during(|| failed(&place))?;
        let mark = inner.places.volume_mark(name);
        fs::File::create(&mark).during(|| failed(&mark))?;
        let part = place.join("part");
        crate::places::remove_tree(&part)?;
        fs::DirBuilder::new().mode(0o755).create(&part).during(|| failed(&part))?;
        if !point.options.iter().any(|option| option == "nocopy") {
            copy_up(inner, record, point, &part)?;
        }
        // Whole or not at all: half a volume would be taken for a filled one.
        fs::rename(&part, path).during(|| failed(path))?;
    }
    Ok(())
}

/// The container's record is there: its volumes stay.
pub(super) fn finish(inner: &Supervisor, made: &[String]) -> Result<(), Fault> {
    for name in made {
        let mark = inner.places.volume_mark(name);
        fs::remove_file(&mark).during(|| format!("cannot remove `{}`", mark.display()))?;
    }
    Ok(())
}

/// Removes what [`fill`] has made.
pub(super) fn undo(inner: &Supervisor, made: &[String]) -> Result<(), Fault> {
    made.iter().try_for_each(|name| inner.places.remove_volume(name))
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
    })
}
