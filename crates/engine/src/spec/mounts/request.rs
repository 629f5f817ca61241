//! Pure: a `--mount` as a mount point.

use super::{clean, empty};
use crate::model::{BindOptions, MountKind, MountPoint, MountRequest, Propagation};
use naru_errdefs::Fault;
use std::path::{Component, Path};

/// A `--mount` as a mount point.
pub(super) fn of_request(request: &MountRequest) -> Result<MountPoint, Fault> {
    let kind = request.kind.as_str();
    let refuse =
        |why: &str| Err(Fault::invalid(format!("invalid mount config for type \"{kind}\": {why}")));
    if request.target.is_empty() {
        return refuse("field Target must not be empty");
    }
    if !request.target.starts_with('/') {
        return refuse(&format!(
            "invalid mount path: '{}' mount path must be absolute",
            request.target
        ));
    }
    if clean(&request.target) == "/" {
        return refuse("invalid specification: destination can't be '/'");
    }
    if request.kind != MountKind::Bind && request.bind.is_some() {
        return refuse("field BindOptions must not be specified");
    }
    if request.kind != MountKind::Tmpfs && request.tmpfs.is_some() {
        return refuse("field TmpfsOptions must not be specified");
    }
    let of_volumes = request.volume_no_copy
        || request.volume_labels.is_some()
        || request.volume_options.is_some()
        || !request.volume_driver.is_empty();
    if request.kind != MountKind::Volume && of_volumes {
        return refuse("field VolumeOptions must not be specified");
    }
    let mut point = empty(request.kind);
    point.destination = clean(&request.target);
    point.writable = !request.read_only;
    match request.kind {
        MountKind::Bind => {
            if request.source.is_empty() {
                return refuse("field Source must not be empty");
            }
            if !request.source.starts_with('/') {
                return refuse(&format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    request.source
                ));
            }
            let options = request.bind.clone().unwrap_or_default();
            point.source = clean(&request.source);
            point.propagation = Some(options.propagation.unwrap_or(Propagation::RPrivate));
            point.non_recursive = options.non_recursive;
            if options.create_source {
                point.options.push("create".to_owned());
            } else {
                point.options.push("must-exist".to_owned());
            }
            read_only_below(request, &options, &mut point).map_err(|why| {
                Fault::invalid(format!("invalid mount config for type \"bind\": {why}"))
            })?;
        }
        MountKind::Volume => {
            // What Docker shows of every volume that was asked for.
            "z".clone_into(&mut point.mode);
            if request.source.is_empty() {
                point.anonymous = true;
            } else {
                crate::volumes::check_name(&request.source)?;
                point.name = Some(request.source.clone());
            }
            if !matches!(request.volume_driver.as_str(), "" | "local") {
                return Err(crate::volumes::no_driver(&request.source, &request.volume_driver));
            }
            if !request.subpath.is_empty() {
                if request.source.is_empty() {
                    return refuse("must not set Subpath when using anonymous volumes");
                }
                if !is_local(&request.subpath) {
                    return refuse("subpath must be a relative path within the volume");
                }
                point.subpath = Some(request.subpath.clone());
            }
            point.volume_labels.clone_from(&request.volume_labels);
            point.volume_options.clone_from(&request.volume_options);
            if request.volume_no_copy {
                point.options.push("nocopy".to_owned());
            }
        }
        MountKind::Image => {
            if request.source.is_empty() {
                return refuse("field Source must not be empty");
            }
            if !request.subpath.is_empty() {
                if !is_local(&request.subpath) {
                    return refuse("subpath must be a relative path within the image");
                }
                point.subpath = Some(request.subpath.clone());
            }
            point.name = Some(request.source.clone());
            point.writable = false;
        }
        MountKind::Tmpfs => {
            if !request.source.is_empty() {
                return refuse("field Source must not be specified");
            }
            point.options = tmpfs_options("")?;
            if let Some(options) = &request.tmpfs {
                if options.size > 0 {
                    point.options.push(format!("size={}", options.size));
                }
                if options.mode != 0 {
                    point.options.push(format!("mode={:o}", options.mode));
                }
                point.options.extend(options.options.iter().cloned());
            }
        }
    }
    Ok(point)
}

/// What becomes of the mounts below a read-only bind.
fn read_only_below(
    request: &MountRequest,
    options: &BindOptions,
    point: &mut MountPoint,
) -> Result<(), &'static str> {
    if options.read_only_non_recursive && options.read_only_force_recursive {
        return Err("ReadOnlyNonRecursive and ReadOnlyForceRecursive exclude each other");
    }
    if options.read_only_non_recursive {
        if !request.read_only {
            return Err(
                "mount is not read-only, so BindOptions.ReadOnlyNonRecursive means nothing",
            );
        }
        point.options.push("writable-below".to_owned());
    }
    if options.read_only_force_recursive {
        if !request.read_only {
            return Err(
                "mount is not read-only, so BindOptions.ReadOnlyForceRecursive means nothing",
            );
        }
        if options.propagation.is_some_and(|propagation| propagation != Propagation::RPrivate) {
            return Err("BindOptions.ReadOnlyForceRecursive requires the propagation rprivate");
        }
    }
    Ok(())
}

/// Whether a path, by its letters, leads nowhere else. What its links do is seen when it is opened.
fn is_local(path: &str) -> bool {
    !path.contains('\0')
        && Path::new(path)
            .components()
            .all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
}

const TMPFS_FLAGS: [&str; 22] = [
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "rw",
    "ro",
    "sync",
    "async",
    "dirsync",
    "remount",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "mand",
    "nomand",
];
const TMPFS_KEYS: [&str; 6] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"];

/// Options of a tmpfs mount, over the defaults.
pub(super) fn tmpfs_options(text: &str) -> Result<Vec<String>, Fault> {
    let mut options: Vec<String> =
        ["noexec", "nosuid", "nodev"].iter().map(|&flag| flag.to_owned()).collect();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let key = option.split_once('=').map(|(key, _)| key);
        let known = match key {
            Some(key) => TMPFS_KEYS.contains(&key) || key == "mpol",
            None => TMPFS_FLAGS.contains(&option),
        };
        if !known {
            return Err(Fault::invalid(format!("Invalid tmpfs option [\"{option}\"]")));
        }
        let opposite =
            option.strip_prefix("no").map_or_else(|| format!("no{option}"), str::to_owned);
        options.retain(|other| *other != opposite && other != option);
        options.push(option.to_owned());
    }
    Ok(options)
}
