//! Acts: makes and removes the directories of a cgroup.

use super::hierarchy::{Controller, Legacy, Unified, parse_controllers};
use super::{CgroupError, CgroupPath, libc_errno};
use naru_kernel::cgroup;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Directories made for one cgroup, so that a failure half way leaves none.
#[derive(Debug, Default)]
pub(crate) struct Made(Vec<PathBuf>);

impl Made {
    /// Removes them again. They are empty; whatever stops that does not matter beside the first error.
    pub(crate) fn undo(self) {
        for directory in self.0.iter().rev() {
            drop(std::fs::remove_dir(directory));
        }
    }
}

/// Writes a control file.
pub(crate) fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    cgroup::write(path, value).map_err(|source| CgroupError::Io {
        attempt: "write to",
        path: path.to_owned(),
        source,
    })
}

/// Reads a control file.
pub(crate) fn read(path: &Path) -> Result<String, CgroupError> {
    std::fs::read_to_string(path).map_err(|source| CgroupError::Io {
        attempt: "read",
        path: path.to_owned(),
        source,
    })
}

/// Makes the directory `path`, and those above it below `mount` where they are missing.
fn make(
    mount: &Path,
    path: &CgroupPath,
    prepare: impl Fn(&Path) -> Result<(), CgroupError>,
    made: &mut Made,
) -> Result<PathBuf, CgroupError> {
    let directory = mount.join(path.relative());
    let failed =
        |source| CgroupError::Io { attempt: "make the cgroup", path: directory.clone(), source };
    // Somebody may remove the empty parents while they are made; that ends, so a few rounds are enough.
    for _round in 0..16 {
        match std::fs::create_dir(&directory) {
            Ok(()) => {
                made.0.push(directory.clone());
                return Ok(directory);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                remove_tree(&directory).map_err(|source| {
                    if source.raw_os_error() == Some(libc_errno::BUSY) {
                        return CgroupError::InUse { path: path.as_str().to_owned() };
                    }
                    failed(source)
                })?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_parents(mount, &directory, &prepare)?;
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(ErrorKind::NotFound.into()))
}

fn make_parents(
    mount: &Path,
    directory: &Path,
    prepare: &impl Fn(&Path) -> Result<(), CgroupError>,
) -> Result<(), CgroupError> {
    let mut above: Vec<&Path> =
        directory.ancestors().skip(1).take_while(|above| *above != mount).collect();
    above.reverse();
    for parent in above {
        match std::fs::create_dir(parent) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // Removed again by somebody: the caller's next round begins anew.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(source) => {
                return Err(CgroupError::Io {
                    attempt: "make the cgroup",
                    path: parent.to_owned(),
                    source,
                });
            }
        }
        prepare(parent)?;
    }
    Ok(())
}

/// Makes the directory of a cgroup in a v1 hierarchy.
pub(crate) fn make_legacy(
    hierarchy: &Legacy,
    path: &CgroupPath,
    made: &mut Made,
) -> Result<PathBuf, CgroupError> {
    if !hierarchy.controllers.contains(&Controller::Cpuset) {
        return make(&hierarchy.mount, path, |_parent| Ok(()), made);
    }
    // A new cgroup has no processors and no memory, and nobody can enter it until it has.
    let directory = make(&hierarchy.mount, path, inherit_cpuset, made)?;
    let below_mount = directory.ancestors().take_while(|above| *above != hierarchy.mount.as_path());
    let mut from_top: Vec<&Path> = below_mount.collect();
    from_top.reverse();
    for level in from_top {
        inherit_cpuset(level)?;
    }
    Ok(directory)
}

fn inherit_cpuset(directory: &Path) -> Result<(), CgroupError> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = directory.join(file);
        if read(&own)?.trim().is_empty() {
            write(&own, read(&parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

/// Makes the directory of a cgroup on the unified hierarchy, with these controllers switched on for it.
pub(crate) fn make_unified(
    unified: &Unified,
    path: &CgroupPath,
    controllers: &[Controller],
    made: &mut Made,
) -> Result<PathBuf, CgroupError> {
    let directory = make(&unified.mount, path, |_parent| Ok(()), made)?;
    if !controllers.is_empty() {
        enable(unified, path, controllers)?;
    }
    Ok(directory)
}

/// Switches controllers on in everything above `path`, where they are not.
pub(crate) fn enable(
    unified: &Unified,
    path: &CgroupPath,
    controllers: &[Controller],
) -> Result<(), CgroupError> {
    if controllers.is_empty() {
        return Ok(());
    }
    let own = unified.mount.join(path.relative());
    let mut above: Vec<&Path> =
        own.ancestors().skip(1).take_while(|above| above.starts_with(&unified.mount)).collect();
    // The nearest one tells what is on; usually all of it.
    if let Some(parent) = above.first()
        && missing(&read(&parent.join("cgroup.subtree_control"))?, controllers).is_empty()
    {
        return Ok(());
    }
    above.reverse();
    for level in above {
        let control = level.join("cgroup.subtree_control");
        let missing = missing(&read(&control)?, controllers);
        if missing.is_empty() {
            continue;
        }
        let text: Vec<String> = missing.iter().map(|name| format!("+{name}")).collect();
        let text = text.join(" ");
        cgroup::write(&control, &text).map_err(|source| {
            if source.raw_os_error() == Some(libc_errno::BUSY) {
                let below = level.strip_prefix(&unified.mount).unwrap_or(level);
                return CgroupError::Busy {
                    path: format!("/{}", below.display()),
                    controllers: missing.join(" "),
                };
            }
            CgroupError::Io { attempt: "enable controllers in", path: control.clone(), source }
        })?;
    }
    Ok(())
}

/// The names of the controllers that `subtree_control` does not list.
fn missing(subtree_control: &str, controllers: &[Controller]) -> Vec<&'static str> {
    let on = parse_controllers(subtree_control);
    let mut missing: Vec<&'static str> = controllers
        .iter()
        .filter(|controller| !on.contains(controller))
        .filter_map(|controller| controller.unified_name())
        .collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// The directory and everything below it, the deepest first.
pub(crate) fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(current) = found.get(next).cloned() {
        next += 1;
        // What vanishes meanwhile is no concern.
        for entry in std::fs::read_dir(&current).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path());
            }
        }
    }
    found.reverse();
    found
}

/// Removes a directory and those below it. That there is none is fine; the first refusal is the result.
pub(crate) fn remove_tree(directory: &Path) -> io::Result<()> {
    // Only containers that were given their cgroups make some of their own, so the tree is looked at when needed.
    match remove_one(directory) {
        Err(error) if error.raw_os_error() == Some(libc_errno::BUSY) => {}
        done => return done,
    }
    for inner in tree(directory) {
        remove_one(&inner)?;
    }
    Ok(())
}

fn remove_one(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
