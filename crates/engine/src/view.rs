//! Acts: a container's root as its processes see it, with volumes, binds and (while it runs) everything else that is
//! mounted there; for looking and for writing, without a change to the host's mounts.
//!
//! Of a running container it is the root of its mount namespace. Of a stopped one it is put together in a mount
//! namespace of its own, which goes when the view does.

use crate::model::MountPoint;
use crate::record::Record;
use crate::supervisor::Supervisor;
use crate::volumes::Stand;
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_kernel::mount::{self, Change, NewFileSystem, attribute};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::{self, OFlags};
use naru_kernel::{namespace, pidfd};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A container's root.
#[derive(Debug)]
pub(crate) struct View {
    /// Where everything is resolved from.
    pub(crate) root: OwnedFd,
    /// Keeps what is mounted there.
    _mounts: Option<OwnedFd>,
}

/// Something of the host's that is seen at a place in the container.
#[derive(Debug)]
struct Bind {
    source: Source,
    place: PathBuf,
    recursive: bool,
    read_only: bool,
}

/// Where it comes from.
#[derive(Debug)]
enum Source {
    /// A path of the host.
    Path(PathBuf),
    /// A mount that is attached nowhere.
    Mount(OwnedFd),
}

impl Source {
    fn exists(&self) -> bool {
        match self {
            Source::Path(path) => path.exists(),
            Source::Mount(_) => true,
        }
    }

    fn tree(&self, recursive: bool) -> io::Result<OwnedFd> {
        match self {
            Source::Path(path) => mount::clone_path(path, recursive),
            Source::Mount(mount) => mount.try_clone(),
        }
    }
}

impl Supervisor {
    /// The root of a running container. `NotFound` when the process has ended meanwhile.
    pub(crate) fn live_view(&self, record: &Record, pid: u32) -> Result<View, Fault> {
        let gone = || {
            Fault::new(Kind::NotFound, format!("container {} has just ended", record.short_id()))
        };
        let process = pidfd::open(pid).map_err(|_ended| gone())?;
        let mounts = namespace::open(format!("/proc/{pid}/ns/mnt")).map_err(|_ended| gone())?;
        // The number may be somebody else's by now: it has to be one of the container's, and alive still.
        let parent = &record.host.resources.cgroup_parent;
        let is_ours = self.launcher.processes(&record.id, parent)?.contains(&pid);
        let failed = || format!("cannot look into container {}", record.short_id());
        if !is_ours || pidfd::has_ended(&process).during(failed)? {
            return Err(gone());
        }
        let own = namespace::open("/proc/self/ns/mnt").during(failed)?;
        if namespace::identity(own.as_fd()).during(failed)?
            == namespace::identity(mounts.as_fd()).during(failed)?
        {
            return Err(Fault::internal("a container has the mounts of the daemon"));
        }
        let root = namespace::root_of(&mounts).during(failed)?;
        Ok(View { root, _mounts: Some(mounts) })
    }

    /// The root of a stopped container, for reading; nothing when it lacks a place that something is mounted on.
    pub(crate) fn resting_view(&self, record: &Record) -> Result<Option<View>, Fault> {
        let Some(root) = self.mount_quietly(record)? else {
            return Err(Fault::not_found(format!("container {} has no root", record.id)));
        };
        let binds: Vec<Bind> = self
            .binds(record)?
            .into_iter()
            .filter(|bind| bind.source.exists())
            .map(|bind| Bind { read_only: true, ..bind })
            .collect();
        let view = assemble(root, &binds, false);
        match view {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            view => view.map(Some).during(|| assembling(record)),
        }
    }

    /// The root of a stopped container, for writing. Nobody may start it while there is one: the caller has its turn.
    pub(crate) fn writable_view(&self, record: &Record) -> Result<View, Fault> {
        self.make_sources(&record.mounts)?;
        // Clears the mark of a mount that was not flushed, where that may be.
        self.storage.root(record)?;
        let paths = self.storage.paths(record)?;
        let full = |path: &Path| Some(path.to_string_lossy().into_owned());
        let mut options: Vec<(String, Option<String>)> =
            paths.lower.iter().map(|layer| ("lowerdir+".to_owned(), full(layer))).collect();
        options.push(("upperdir".to_owned(), full(&paths.upper)));
        options.push(("workdir".to_owned(), full(&paths.work)));
        let overlay =
            NewFileSystem { kind: "overlay", source: "naru", options: &options, attributes: 0 };
        let root = mount::new_file_system(&overlay).during(|| assembling(record))?;
        assemble(root, &self.binds(record)?, true).during(|| assembling(record))
    }

    /// What of the host is seen in a container, outer places first. A tmpfs has nothing to show while nothing runs.
    fn binds(&self, record: &Record) -> Result<Vec<Bind>, Fault> {
        let covered = |inside: &str| {
            record.mounts.iter().any(|point| Path::new(&point.destination) == Path::new(inside))
        };
        let files = self
            .files_of(&record.id)
            .into_iter()
            .filter(|(inside, outside)| !covered(inside) && outside.exists())
            .map(|(inside, outside)| Bind {
                source: Source::Path(outside),
                place: inside.into(),
                recursive: false,
                read_only: record.host.readonly_rootfs,
            });
        let mut binds: Vec<Bind> = files.collect();
        for point in &record.mounts {
            binds.extend(match self.stand_for(point)? {
                Stand::Nothing => None,
                Stand::Source => Some(of_point(point, Source::Path(PathBuf::from(&point.source)))),
                Stand::Mount(mount) => Some(of_point(point, Source::Mount(mount))),
                Stand::Path(prepared) => {
                    let bind = of_point(point, Source::Path(prepared.source));
                    let read_only = bind.read_only || prepared.options.iter().any(|o| o == "ro");
                    Some(Bind { recursive: prepared.recursive, read_only, ..bind })
                }
            });
        }
        Ok(binds)
    }
}

fn assembling(record: &Record) -> String {
    format!("cannot put the root of container {} together", record.short_id())
}

fn of_point(point: &MountPoint, source: Source) -> Bind {
    Bind {
        source,
        place: PathBuf::from(&point.destination),
        recursive: !point.non_recursive,
        read_only: !point.writable,
    }
}

/// Puts a root and what is mounted on it together where nobody else sees it.
fn assemble(root: OwnedFd, binds: &[Bind], make_places: bool) -> io::Result<View> {
    if binds.is_empty() {
        return Ok(View { root, _mounts: None });
    }
    namespace::with_own_mounts(move || {
        let mounts = namespace::own_mounts()?;
        // Before the host's own tree is let go of.
        let trees = binds
            .iter()
            .map(|bind| bind.source.tree(bind.recursive))
            .collect::<io::Result<Vec<OwnedFd>>>()?;
        mount::attach(&root, namespace::open_root()?)?;
        mount::pivot_into(&root)?;
        for (bind, tree) in binds.iter().zip(&trees) {
            let is_directory = node::status(tree)?.kind == NodeKind::Directory;
            let place = match path::open_in_root(&root, &bind.place, OFlags::PATH) {
                Err(error) if make_places && error.kind() == io::ErrorKind::NotFound => {
                    make_place(&root, &bind.place, is_directory)
                }
                place => place,
            }?;
            if bind.read_only {
                let change =
                    Change { set: attribute::READ_ONLY, recursive: true, ..Change::default() };
                mount::set_attributes(tree.as_fd(), change)?;
            }
            mount::attach(tree, place)?;
        }
        Ok(View { root, _mounts: Some(mounts) })
    })
}

/// Makes a directory or an empty file with the directories that lead to it, as the start of the container would.
fn make_place(root: &OwnedFd, place: &Path, is_directory: bool) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let mut walked = PathBuf::from("/");
    let mut dir = path::open_in_root(root, &walked, flags)?;
    let mut parts = place.strip_prefix("/").unwrap_or(place).iter().peekable();
    while let Some(part) = parts.next() {
        walked.push(part);
        let is_last = parts.peek().is_none();
        let wanted = if is_last { OFlags::PATH } else { flags };
        dir = match path::open_in_root(root, &walked, wanted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if is_last && !is_directory {
                    path::create_new(&dir, part, 0o755)?;
                } else {
                    node::make_directory(&dir, part, 0o755)?;
                }
                path::open_in_root(root, &walked, wanted)?
            }
            found => found?,
        };
    }
    Ok(dir)
}
