//! Acts: copies what a new, empty file system is about to cover into it (`tmpcopyup`).

use naru_kernel::node::{self, NodeKind, Status};
use naru_kernel::path::{self, OFlags};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// How deep directories may lie in each other.
const DEEPEST: usize = 128;

/// Copies the content of one directory into another.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let from = path::open_beneath(from, ".", flags)?;
    let to = path::open_beneath(to, ".", flags)?;
    copy_directory(&from, &to, 0)
}

fn copy_directory(from: &OwnedFd, to: &OwnedFd, depth: usize) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other(format!("directories lie deeper than {DEEPEST}")));
    }
    for name in node::list(from)? {
        let status = node::status_at(from, Path::new(&name))?;
        copy_entry(from, to, &name, &status, depth)?;
    }
    Ok(())
}

fn copy_entry(
    from: &OwnedFd,
    to: &OwnedFd,
    name: &OsStr,
    status: &Status,
    depth: usize,
) -> io::Result<()> {
    let path = Path::new(name);
    let directory = OFlags::RDONLY | OFlags::DIRECTORY;
    match status.kind {
        NodeKind::Directory => {
            node::make_directory(to, path, status.mode)?;
            let below = path::open_entry(to, path, directory)?;
            copy_directory(&path::open_entry(from, path, directory)?, &below, depth + 1)?;
        }
        NodeKind::File => {
            let mut source = File::from(path::open_entry(from, path, OFlags::RDONLY)?);
            let mut target = path::create_new(to, path, status.mode)?;
            io::copy(&mut source, &mut target)?;
        }
        NodeKind::Link => node::make_link(node::read_link(from, path)?, to, path)?,
        // Sockets, pipes and devices mean nothing without what made them.
        NodeKind::CharDevice | NodeKind::BlockDevice | NodeKind::Fifo | NodeKind::Socket => {
            return Ok(());
        }
    }
    node::set_owner_at(to.as_fd(), path, status.uid, status.gid)?;
    if status.kind != NodeKind::Link {
        // After the owner: a change of owner takes the set-user-ID bit away.
        node::set_mode_at(to.as_fd(), path, status.mode)?;
    }
    Ok(())
}
