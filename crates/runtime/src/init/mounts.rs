//! Acts: the mounts of a plan, in order, each attached to a directory or file that is held open.

use super::{Attempt, root};
use crate::plan::mounts::may_cover_proc;
use crate::plan::{CgroupMount, IdMaps, MountAttributes, MountPlan, MountWhat, Propagation};
use crate::start_error::StartError;
use naru_kernel::mount::{self, Change, NewFileSystem, attribute};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::{self, OFlags};
use naru_kernel::{clone, namespace, reap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Makes all mounts below the root.
pub(super) fn mount_all(mounts: &[MountPlan], root: &OwnedFd) -> Result<(), StartError> {
    for plan in mounts {
        let place = plan.destination.display();
        match &plan.what {
            MountWhat::Bind { source, recursive, maps } => {
                let what = || format!("bind `{}` to `{place}`", source.display());
                let tree = source_tree(source, *recursive).attempt(what)?;
                bind(plan, &tree, maps.as_ref(), root).attempt(what)?;
            }
            MountWhat::FileSystem { kind, source, options } => {
                let new =
                    NewFileSystem { kind, source, options, attributes: first_attributes(plan) };
                file_system(plan, &new, root).attempt(|| format!("mount {kind} on `{place}`"))?;
            }
            MountWhat::Cgroup(cgroup) => {
                self::cgroup(plan, cgroup, root)
                    .attempt(|| format!("mount the cgroups on `{place}`"))?;
            }
        }
    }
    Ok(())
}

/// What could not be done at once: a `/dev` that is to be read-only had to be filled first.
pub(super) fn finish(mounts: &[MountPlan], root: &OwnedFd) -> Result<(), StartError> {
    for plan in mounts.iter().filter(|plan| is_late(plan)) {
        let place = OFlags::PATH | OFlags::CLOEXEC;
        path::open_in_root(root, &plan.destination, place)
            .and_then(|place| {
                let set = attribute::READ_ONLY;
                mount::set_attributes(place.as_fd(), Change { set, ..Change::default() })
            })
            .attempt(|| format!("make `{}` read-only", plan.destination.display()))?;
    }
    Ok(())
}

/// A copy of what is bound. What is attached nowhere (the caller's descriptor stands for it, under `/proc`) cannot be copied
/// from another mount namespace, and is taken as it is.
fn source_tree(source: &Path, recursive: bool) -> io::Result<OwnedFd> {
    match mount::clone_path(source, recursive) {
        Err(error)
            if error.kind() == io::ErrorKind::InvalidInput && source.starts_with("/proc") =>
        {
            mount::open_mount(source)
        }
        result => result,
    }
}

fn is_late(plan: &MountPlan) -> bool {
    plan.destination == Path::new("/dev")
        && plan.attributes.set & attribute::READ_ONLY != 0
        && matches!(plan.what, MountWhat::FileSystem { .. })
}

fn first_attributes(plan: &MountPlan) -> u64 {
    if is_late(plan) || plan.copy_up {
        plan.attributes.set & !attribute::READ_ONLY
    } else {
        plan.attributes.set
    }
}

fn bind(plan: &MountPlan, tree: &OwnedFd, maps: Option<&IdMaps>, root: &OwnedFd) -> io::Result<()> {
    let target = match node::status(tree)?.kind {
        NodeKind::Directory => root::make_directories(root, &plan.destination)?,
        _ => root::make_file(root, &plan.destination)?,
    };
    check_not_in_proc(plan, tree, &target)?;
    if let Some(maps) = maps {
        let user_namespace = user_namespace(maps)?;
        let change = Change {
            set: attribute::ID_MAP,
            user_namespace: Some(user_namespace.as_fd()),
            ..Change::default()
        };
        mount::set_attributes(tree.as_fd(), change)?;
    }
    set_attributes(tree, &plan.attributes)?;
    mount::attach(tree, target)?;
    // A copy that hangs nowhere has no peers, so how it spreads is decided once it is in its place.
    spread(tree, plan.propagation)
}

/// Whatever way led there, procfs is not covered, but for the few files that only say how big the machine is.
fn check_not_in_proc(plan: &MountPlan, tree: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    let in_proc = |fd: &OwnedFd| Ok::<_, io::Error>(mount::magic(fd)? == mount::PROC_MAGIC);
    let allowed = match plan.destination.strip_prefix("/proc") {
        Ok(below) if below.as_os_str().is_empty() => in_proc(tree)?,
        Ok(below) => may_cover_proc(below),
        Err(_) => !in_proc(target)?,
    };
    if allowed {
        return Ok(());
    }
    Err(covers_proc(&plan.destination))
}

/// In runc's words.
fn covers_proc(destination: &Path) -> io::Error {
    let place = destination.display();
    io::Error::other(if destination == Path::new("/proc") {
        format!("\"{place}\" cannot be mounted because it is not of type proc")
    } else {
        format!("\"{place}\" cannot be mounted because it is inside /proc")
    })
}

fn set_attributes(tree: &OwnedFd, attributes: &MountAttributes) -> io::Result<()> {
    if attributes.set_recursive | attributes.clear_recursive != 0 {
        let change = Change {
            set: attributes.set_recursive,
            clear: attributes.clear_recursive,
            recursive: true,
            ..Change::default()
        };
        mount::set_attributes(tree.as_fd(), change)?;
    }
    if attributes.set | attributes.clear != 0 {
        let change = Change { set: attributes.set, clear: attributes.clear, ..Change::default() };
        mount::set_attributes(tree.as_fd(), change)?;
    }
    Ok(())
}

fn spread(tree: &OwnedFd, propagation: Option<Propagation>) -> io::Result<()> {
    let Some(propagation) = propagation else { return Ok(()) };
    let (bits, recursive) = propagation.kernel();
    let change = Change { propagation: bits, recursive, ..Change::default() };
    mount::set_attributes(tree.as_fd(), change)
}

fn file_system(plan: &MountPlan, new: &NewFileSystem<'_>, root: &OwnedFd) -> io::Result<()> {
    let target = root::make_directories(root, &plan.destination)?;
    if matches!(new.kind, "proc" | "sysfs") {
        // What isolation rests on must be where its name says, not where an image's link leads.
        mount::open_without_links(root, &plan.destination).map_err(|error| {
            if path::met_link(&error) { io::Error::other("the way there is a link") } else { error }
        })?;
    } else if mount::magic(&target)? == mount::PROC_MAGIC && !plan.destination.starts_with("/proc")
    {
        return Err(covers_proc(&plan.destination));
    }
    let mut options = new.options.to_vec();
    if new.kind == "tmpfs" && !options.iter().any(|(name, _)| name == "mode") {
        // As the directory below, so that covering it changes nothing else.
        let below = node::status(&target)?;
        options.push(("mode".to_owned(), Some(format!("{:o}", below.mode & 0o7777))));
    }
    let tree = mount::new_file_system(&NewFileSystem { options: &options, ..*new })?;
    if plan.copy_up {
        super::copy_up::copy(&target, &tree)?;
        set_attributes(&tree, &plan.attributes)?;
    }
    mount::attach(&tree, target)?;
    spread(&tree, plan.propagation)
}

fn cgroup(plan: &MountPlan, cgroup: &CgroupMount, root: &OwnedFd) -> io::Result<()> {
    let target = root::make_directories(root, &plan.destination)?;
    let (hierarchies, links) = match cgroup {
        CgroupMount::Unified { source } => {
            let tree = match source {
                Some(source) => mount::clone_path(source, false)?,
                None => mount::new_file_system(&NewFileSystem {
                    kind: "cgroup2",
                    source: "cgroup",
                    options: &[],
                    attributes: 0,
                })?,
            };
            set_attributes(&tree, &plan.attributes)?;
            return mount::attach(tree, target);
        }
        CgroupMount::Hierarchies { hierarchies, links } => (hierarchies, links),
    };
    let directory = mount::new_file_system(&NewFileSystem {
        kind: "tmpfs",
        source: "tmpfs",
        options: &[("mode".to_owned(), Some("755".to_owned()))],
        attributes: plan.attributes.set & !attribute::READ_ONLY,
    })?;
    mount::attach(&directory, target)?;
    for (name, source) in hierarchies {
        node::make_directory(&directory, Path::new(name), 0o755)?;
        let tree = mount::clone_path(source, false)?;
        set_attributes(&tree, &plan.attributes)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        mount::attach(tree, path::open_entry(&directory, name, flags)?)?;
    }
    for (link, name) in
        links.iter().filter(|(_, name)| hierarchies.iter().any(|(known, _)| known == name))
    {
        node::make_link(Path::new(name), &directory, Path::new(link))?;
    }
    set_attributes(&directory, &plan.attributes)
}

/// A user namespace with these maps, for a mount that shifts owners: a process is born in it, and only its namespace is
/// kept.
fn user_namespace(maps: &IdMaps) -> io::Result<OwnedFd> {
    let (ours, theirs) = naru_kernel::channel::pair()?;
    let child = clone::spawn(clone::flags::USER, None, || {
        drop(naru_kernel::channel::receive(&theirs, &mut [0; 1]));
        0
    })?;
    let (uids, gids) = maps.texts();
    let made = reap::number_in_proc(&child.pidfd).and_then(|pid| {
        namespace::write_maps(pid, &uids, &gids)?;
        namespace::open(format!("/proc/{pid}/ns/user"))
    });
    drop(naru_kernel::channel::send(&ours, b"x", None));
    reap::wait(&child.pidfd)?;
    made
}
