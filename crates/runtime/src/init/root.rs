//! Acts: the container's root: mounted, and places made inside it.

use super::Attempt;
use crate::plan::{Plan, Propagation, Root};
use crate::start_error::StartError;
use naru_kernel::mount::{self, Change, NewFileSystem, attribute, propagation};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::{self, OFlags};
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// The kernel takes one page of options, with a zero at the end.
const OPTIONS_LIMIT: usize = 4095;

/// Mounts the root somewhere in this mount namespace and returns it. `prepared` is the root as a detached mount.
pub(super) fn mount(plan: &Plan, prepared: Option<&OwnedFd>) -> Result<OwnedFd, StartError> {
    let shared =
        matches!(plan.root_propagation, Propagation::Shared | Propagation::RecursiveShared);
    // With mounts that spread to the host, only the place that the root is attached to is cut off.
    let (bits, recursive) =
        if shared { (propagation::PRIVATE, false) } else { plan.root_propagation.kernel() };
    let change = Change { propagation: bits, recursive, ..Change::default() };
    mount::set_attributes_at("/", change).attempt(|| "cut the mounts off from the host")?;
    if let (Root::Overlay { base, upper, .. }, None, false) = (&plan.root, prepared, shared)
        && let Some(options) =
            overlay_options(&plan.root).filter(|text| text.len() <= OPTIONS_LIMIT)
    {
        // One call, in the directory that the short names are relative to; on top of the upper directory, because any
        // place will do and this one is there.
        std::env::set_current_dir(base).attempt(|| format!("enter `{}`", base.display()))?;
        mount::mount_at("overlay", "overlay", upper, &options).attempt(|| {
            format!("mount the container's root from `{}` ({options})", base.display())
        })?;
        return path::open_directory(upper).attempt(|| "open the container's root");
    }
    let tree = match prepared {
        Some(tree) => tree.try_clone().attempt(|| "copy a descriptor")?,
        None => prepare(&plan.root)?,
    };
    // Absolute paths still lead to the host: lookups begin below what is mounted on the root itself.
    let place = path::open_directory("/").attempt(|| "open `/`")?;
    mount::attach(&tree, place).attempt(|| "attach the container's root")?;
    Ok(tree)
}

/// The root as a detached mount.
pub(crate) fn prepare(root: &Root) -> Result<OwnedFd, StartError> {
    match root {
        Root::Directory(directory) => mount::clone_path(directory, true)
            .and_then(|tree| match node::status(&tree)?.kind {
                NodeKind::Directory => Ok(tree),
                _ => Err(io::ErrorKind::NotADirectory.into()),
            })
            .attempt(|| format!("open the container's root `{}`", directory.display())),
        Root::Overlay { base, lower, upper, work, volatile } => {
            let full = |path: &PathBuf| base.join(path).to_string_lossy().into_owned();
            let option = |name: &str, value: String| (name.to_owned(), Some(value));
            // One by one, because the kernel takes no more than 256 bytes a value otherwise.
            let mut options =
                lower.iter().map(|layer| option("lowerdir+", full(layer))).collect::<Vec<_>>();
            options.push(option("upperdir", full(upper)));
            options.push(option("workdir", full(work)));
            if *volatile {
                options.push(("volatile".to_owned(), None));
            }
            let new = NewFileSystem {
                kind: "overlay",
                source: "overlay",
                options: &options,
                attributes: 0,
            };
            mount::new_file_system(&new)
                .attempt(|| format!("mount the container's root from `{}`", base.display()))
        }
    }
}

/// The options of an overlay for `mount(2)`, or nothing for a name that is not text.
fn overlay_options(root: &Root) -> Option<String> {
    let Root::Overlay { lower, upper, work, volatile, .. } = root else { return None };
    let mut options = String::from("lowerdir=");
    for (number, layer) in lower.iter().enumerate() {
        if number > 0 {
            options.push(':');
        }
        options.push_str(&escape(layer)?);
    }
    write!(options, ",upperdir={},workdir={}", escape(upper)?, escape(work)?).ok()?;
    if *volatile {
        options.push_str(",volatile");
    }
    Some(options)
}

/// Commas part options and colons part layers.
fn escape(path: &Path) -> Option<String> {
    let mut text = String::new();
    for letter in path.to_str()?.chars() {
        if matches!(letter, ',' | ':' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    Some(text)
}

/// Makes the root of this mount namespace read-only; mounts on it stay as they are.
pub(super) fn make_read_only() -> Result<(), StartError> {
    let change = Change { set: attribute::READ_ONLY, ..Change::default() };
    mount::set_attributes_at("/", change).attempt(|| "make the root read-only")
}

/// Opens a directory of the container, making what is missing of it. Links are followed inside the root.
pub(super) fn make_directories(root: &OwnedFd, directory: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match path::open_in_root(root, directory, flags) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    let mut so_far = PathBuf::from("/");
    let mut current = path::open_in_root(root, &so_far, flags)?;
    for component in directory.components() {
        let Component::Normal(name) = component else { continue };
        so_far.push(name);
        current = match path::open_in_root(root, &so_far, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match node::make_directory(&current, Path::new(name), 0o755) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => path::open_in_root(root, &so_far, flags)?,
                }
            }
            result => result?,
        };
    }
    Ok(current)
}

/// Opens anything of the container that is not a directory, making an empty file when there is nothing.
pub(super) fn make_file(root: &OwnedFd, file: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match path::open_in_root(root, file, flags) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    let (parent, name) = parent_and_name(file)?;
    let parent = make_directories(root, parent)?;
    match path::create_new(&parent, name, 0o644) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => path::open_in_root(root, file, flags),
    }
}

/// Like [`make_file`], and fails when the name is a link.
pub(super) fn file_without_links(root: &OwnedFd, file: &Path) -> io::Result<OwnedFd> {
    let (parent, name) = parent_and_name(file)?;
    let parent = make_directories(root, parent)?;
    match path::create_new(&parent, name, 0o620) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let place = path::open_entry(&parent, name, OFlags::PATH | OFlags::CLOEXEC)?;
    if node::status(place.as_fd())?.kind == NodeKind::Link {
        return Err(io::Error::other("it is a link"));
    }
    Ok(place)
}

pub(super) fn parent_and_name(path: &Path) -> io::Result<(&Path, &Path)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, Path::new(name))),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
