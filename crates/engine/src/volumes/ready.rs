//! Acts: makes ready what a container mounts and that no plain path of the host stands for: file systems behind volumes,
//! directories inside volumes, images. All of it is detached: mounted nowhere on the host, and handed to the container's
//! init by a descriptor of ours, which it finds under `/proc`.
//!
//! A file system behind a volume is one for all containers that run with it. Nobody has to hold it for them: who comes later
//! gets a copy of the mount from a container that runs, out of its mount namespace. So it lives as long as somebody uses
//! it, as in Docker, and neither the end of this daemon nor a new one is noticed.

use super::driver::{Backing, FileSystem};
use super::volume_name;
use crate::model::{MountKind, MountPoint, VolumeRecord};
use crate::record::Record;
use crate::spec::Prepared;
use crate::supervisor::Supervisor;
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::mount::{self, NewFileSystem, attribute};
use naru_kernel::path::{self, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What a container mounts, made ready. To be kept until the container's process is there.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// Where it is found, by its place in the container.
    pub(crate) found: BTreeMap<String, Prepared>,
    mounts: Vec<OwnedFd>,
    turns: Vec<tokio::sync::OwnedMutexGuard<()>>,
}

/// What stands for a mount point on the host.
#[derive(Debug)]
pub(crate) enum Stand {
    /// Its source, as it is.
    Source,
    /// Another path.
    Path(Prepared),
    /// A detached mount.
    Mount(OwnedFd),
    /// Nothing while no container runs with it.
    Nothing,
}

impl Ready {
    fn add(&mut self, point: &MountPoint, mount: OwnedFd) {
        let source =
            PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), mount.as_raw_fd()));
        let prepared = Prepared { source, recursive: true, options: Vec::new() };
        self.found.insert(point.destination.clone(), prepared);
        self.mounts.push(mount);
    }
}

impl Supervisor {
    /// Makes ready what a container is about to mount.
    pub(crate) async fn make_ready(&self, record: &Record) -> Result<Ready, Fault> {
        let mut ready = Ready::default();
        let mut wanted = false;
        let mut names = BTreeSet::new();
        for point in &record.mounts {
            match point.kind {
                MountKind::Volume => {
                    let volume = volume_name(point).and_then(|name| self.volumes.get(name));
                    let Some(volume) = volume else {
                        return Err(super::missing(point.name.as_deref().unwrap_or_default()));
                    };
                    let plain = matches!(super::backing(&volume)?, Backing::Directory);
                    wanted |= !plain || point.subpath.is_some();
                    if !plain {
                        names.insert(volume.name);
                    }
                }
                MountKind::Image => wanted = true,
                MountKind::Bind | MountKind::Tmpfs => {}
            }
        }
        if !wanted {
            return Ok(ready);
        }
        // In the order of their names, so that no two wait for each other.
        for name in names {
            ready.turns.push(self.volumes.mounting(&name).lock_owned().await);
        }
        let record = record.clone();
        self.blocking(move |inner| {
            for point in &record.mounts {
                inner.make_one_ready(&record, point, &mut ready)?;
            }
            Ok(ready)
        })
        .await
    }

    fn make_one_ready(
        &self,
        record: &Record,
        point: &MountPoint,
        ready: &mut Ready,
    ) -> Result<(), Fault> {
        match self.stand(&record.id, point)? {
            Stand::Source | Stand::Nothing => {}
            Stand::Path(prepared) => {
                ready.found.insert(point.destination.clone(), prepared);
            }
            Stand::Mount(mount) => ready.add(point, mount),
        }
        Ok(())
    }

    /// What stands for a mount point of a container that does not run, for whoever looks at it.
    pub(crate) fn stand_for(&self, point: &MountPoint) -> Result<Stand, Fault> {
        self.stand("", point)
    }

    /// What stands for a mount point; `owner` is the container that is about to run with it, or nobody.
    fn stand(&self, owner: &str, point: &MountPoint) -> Result<Stand, Fault> {
        match point.kind {
            MountKind::Bind => Ok(Stand::Source),
            MountKind::Tmpfs => Ok(Stand::Nothing),
            MountKind::Image => Ok(Stand::Mount(self.image_mount(point)?)),
            MountKind::Volume => self.stand_of_volume(owner, point),
        }
    }

    fn stand_of_volume(&self, owner: &str, point: &MountPoint) -> Result<Stand, Fault> {
        let name = point.name.as_deref().unwrap_or_default();
        let volume = self.volumes.get(name).ok_or_else(|| super::missing(name))?;
        let shown = self.volumes.directory(name);
        Ok(match (super::backing(&volume)?, &point.subpath) {
            (Backing::Directory, None) => Stand::Source,
            (Backing::Directory, Some(subpath)) => {
                Stand::Mount(inside(&shown, None, subpath, &shown)?)
            }
            (Backing::Bind { source, recursive, options }, None) => {
                check_source(&shown, &source)?;
                Stand::Path(Prepared { source, recursive, options })
            }
            (Backing::Bind { source, .. }, Some(subpath)) => {
                check_source(&shown, &source)?;
                Stand::Mount(inside(&source, None, subpath, &shown)?)
            }
            (Backing::FileSystem(new), subpath) => {
                if owner.is_empty() && new.volatile && self.running_users(name, "").is_empty() {
                    return Ok(Stand::Nothing);
                }
                let whole = self.shared_mount(&volume, &new, owner)?;
                match subpath {
                    None => Stand::Mount(whole),
                    Some(subpath) => Stand::Mount(inside(&shown, Some(whole), subpath, &shown)?),
                }
            }
        })
    }

    /// The root of what stands behind a volume, open: what the volume's content is to whoever looks at it now.
    pub(crate) fn open_volume(&self, volume: &VolumeRecord) -> Result<OwnedFd, Fault> {
        let shown = self.volumes.directory(&volume.name);
        let open = |path: &Path| {
            path::open_directory(path).during(|| format!("cannot open `{}`", path.display()))
        };
        match super::backing(volume)? {
            Backing::Directory => open(&shown),
            Backing::Bind { source, .. } => {
                check_source(&shown, &source)?;
                open(&source)
            }
            Backing::FileSystem(new) => self.shared_mount(volume, &new, ""),
        }
    }

    /// The file system behind a volume: of a container that runs with it, or a new one.
    fn shared_mount(
        &self,
        volume: &VolumeRecord,
        new: &FileSystem,
        but: &str,
    ) -> Result<OwnedFd, Fault> {
        let mark = self.places.mounted(&volume.name);
        if let Ok(device) = std::fs::read_to_string(&mark)
            && let Some(mount) =
                self.mount_of_others(&volume.name, device.trim(), but, new.volatile)?
        {
            return Ok(mount);
        }
        let shown = self.volumes.directory(&volume.name);
        let mount = new_mount(new).map_err(|error| mount_failed(&shown, new, error))?;
        // Who only looks into it (`but` nobody) leaves no trace.
        if !but.is_empty() {
            let device = device_of(&mount)
                .during(|| format!("cannot look at the file system of volume `{}`", volume.name))?;
            crate::places::make_private(&self.places.mounts())?;
            naru_kernel::fs::write_replace(&mark, device.as_bytes(), 0o600)
                .during(|| format!("cannot write `{}`", mark.display()))?;
        }
        Ok(mount)
    }

    /// A copy of what the containers have that run with a volume; `None` when none does.
    fn mount_of_others(
        &self,
        name: &str,
        device: &str,
        but: &str,
        volatile: bool,
    ) -> Result<Option<OwnedFd>, Fault> {
        let mut in_part = false;
        for pid in self.running_users(name, but) {
            match of_process(pid, device) {
                Ok(Some(mount)) => return Ok(Some(mount)),
                Ok(None) => in_part = true,
                // Who is gone has nothing. Of who is there, it must not be taken for granted.
                Err(error) if self.running_users(name, but).contains(&pid) => {
                    return Err(Fault::io(
                        format!("cannot copy the mount of volume `{name}` from process {pid}"),
                        error,
                    ));
                }
                Err(_gone) => {}
            }
        }
        // Elsewhere a second mount shows the same files.
        if volatile && in_part && !self.running_users(name, but).is_empty() {
            return Err(Fault::conflict(format!(
                "volume {name} lives in memory, and whoever runs with it has a part of it only"
            ))
            .with_hint(
                "stop them first, or keep a container running that mounts the whole volume",
            ));
        }
        Ok(None)
    }

    /// The processes of containers that run with a volume.
    fn running_users(&self, name: &str, but: &str) -> Vec<u32> {
        let users = self.volume_users(name, but);
        let table = self.table();
        let containers: Vec<_> = users.iter().filter_map(|id| table.by_id(id)).collect();
        drop(table);
        containers.iter().filter_map(|container| container.seat().record.state.pid()).collect()
    }

    /// The layers of an image, read-only.
    fn image_mount(&self, point: &MountPoint) -> Result<OwnedFd, Fault> {
        let shown = point.name.clone().unwrap_or_default();
        let missing = || Fault::not_found(format!("No such image: {shown}"));
        let id = point.image.ok_or_else(missing)?;
        let image = self.storage.image(&id.to_string())?;
        let layers = self.storage.layers(image.chain)?;
        let whole = crate::tree::overlay(&layers)
            .map_err(|fault| fault.context(format!("cannot mount image `{shown}`")))?;
        match &point.subpath {
            None => Ok(whole),
            Some(subpath) => inside(Path::new(&shown), Some(whole), subpath, Path::new(&shown)),
        }
    }
}

/// A directory or file inside a volume as a mount of its own. Links on the way lead nowhere else, whoever swaps what
/// meanwhile: it is opened once, and the open thing is what is mounted. `mount` is what is looked into, if it is mounted
/// nowhere.
fn inside(
    root: &Path,
    mount: Option<OwnedFd>,
    subpath: &str,
    shown: &Path,
) -> Result<OwnedFd, Fault> {
    let copied = match mount {
        Some(mount) => mount::clone_inside(mount, Path::new(subpath)),
        None => path::open_directory(root)
            .and_then(|root| path::open_in_root(&root, subpath, OFlags::PATH))
            .and_then(|place| mount::clone_tree(&place, "", true)),
    };
    copied.map_err(|error| {
        let place = shown.join(subpath);
        Fault::invalid(format!("cannot access path {}: {}", place.display(), plain(&error)))
            .with_hint("it must be there when the container starts, inside the volume")
    })
}

/// The words of the C library for an error, without the number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().collect::<String>() + letters.as_str()
    })
}

fn check_source(shown: &Path, source: &Path) -> Result<(), Fault> {
    match std::fs::metadata(source) {
        Ok(_there) => Ok(()),
        Err(error) => Err(Fault::invalid(format!(
            "error while mounting volume '{0}': failed to mount local volume: mount {1}:{0}: {2}",
            shown.display(),
            source.display(),
            plain(&error)
        ))),
    }
}

fn mount_failed(shown: &Path, new: &FileSystem, error: io::Error) -> Fault {
    let data: Vec<String> = new
        .options
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        })
        .collect();
    let data = if data.is_empty() { String::new() } else { format!(", data: {}", data.join(",")) };
    Fault::invalid(format!(
        "error while mounting volume '{0}': failed to mount local volume: mount {1}:{0}{data}: {2}",
        shown.display(),
        new.device,
        plain(&error)
    ))
    .with_source(error)
}

fn new_mount(new: &FileSystem) -> io::Result<OwnedFd> {
    let mut options = new.options.clone();
    if matches!(new.kind.as_str(), "nfs" | "nfs4" | "cifs") {
        for (name, value) in &mut options {
            if let (true, Some(host)) = (name == "addr", value) {
                *host = address_of(host)?;
            }
        }
    }
    if new.kind == "overlay" {
        options = overlay_options(options);
    }
    mount::new_file_system(&NewFileSystem {
        kind: &new.kind,
        source: &new.device,
        options: &options,
        attributes: new.attributes,
    })
}

/// The kernel takes at most 255 bytes a value, so the layers go one by one.
fn overlay_options(options: Vec<(String, Option<String>)>) -> Vec<(String, Option<String>)> {
    options
        .into_iter()
        .flat_map(|(name, value)| match value {
            Some(layers) if name == "lowerdir" && !layers.contains("::") => layers
                .split(':')
                .map(|layer| ("lowerdir+".to_owned(), Some(layer.to_owned())))
                .collect(),
            value => vec![(name, value)],
        })
        .collect()
}

/// The kernel takes addresses only.
fn address_of(host: &str) -> io::Result<String> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(host.to_owned());
    }
    let found = (host, 0).to_socket_addrs()?.next();
    let none = || io::Error::other(format!("no address of `{host}` is known"));
    Ok(found.ok_or_else(none)?.ip().to_string())
}

/// The number that tells a mounted file system from others.
fn device_of(mount: &OwnedFd) -> io::Result<String> {
    let device = naru_kernel::node::status(mount.as_fd())?.device;
    Ok(naru_kernel::mountinfo::device_text(device))
}

/// A copy of the mount of a file system that a container's process has, if it has it from the top.
fn of_process(pid: u32, device: &str) -> io::Result<Option<OwnedFd>> {
    let namespace = naru_kernel::namespace::open(format!("/proc/{pid}/ns/mnt"))?;
    let text = std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    let mounts = naru_kernel::mountinfo::parse(&text);
    let found = mounts.iter().find(|mount| mount.device == device && mount.root == Path::new("/"));
    let Some(found) = found else { return Ok(None) };
    let copy = mount::clone_elsewhere(namespace, &found.mount_point)?;
    if device_of(&copy)? != device {
        return Ok(None);
    }
    // Its user may have it read-only; whoever comes now decides anew.
    let clear = attribute::READ_ONLY;
    mount::set_attributes(copy.as_fd(), mount::Change { clear, ..mount::Change::default() })?;
    Ok(Some(copy))
}
