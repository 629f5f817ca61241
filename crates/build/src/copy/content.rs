//! Acts: the digest of what is copied: paths, kinds, modes, owners, attributes, link targets and contents; no times. Attributes of
//! a context are not copied, so they do not count.

use super::Piece;
use super::put::{Excluded, read_failed};
use super::view::{Found, Sort, View, os};
use crate::context::{Content, Node};
use crate::key::KeyMaker;
use crate::way::joined;
use naru_errdefs::Fault;
use naru_kernel::path::{OFlags, open_in_root};
use naru_kernel::{pinned, xattr};
use naru_layer::whiteout::is_reserved_attribute;
use naru_oci::{Algorithm, Digest, Digester};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// The digest of pieces. Their own names count where they may become names in the image.
pub(super) fn digest(
    pieces: &[Piece],
    excluded: Option<Excluded<'_>>,
    with_names: bool,
) -> Result<String, Fault> {
    let mut key = KeyMaker::new("content", None);
    for piece in pieces {
        let name = if with_names {
            &piece.asked
        } else {
            piece.asked.rsplit(|b| *b == b'/').next().unwrap_or(&piece.asked)
        };
        let is_directory = piece.found.sort == Sort::Directory;
        if with_names {
            parents(&mut key, piece)?;
        }
        key.bytes(if is_directory && !with_names { b"" } else { name });
        key.number(u64::from(piece.unpack));
        one(&mut key, &piece.view, &piece.path, &piece.found)?;
        if !is_directory {
            continue;
        }
        match &piece.view {
            View::Context(context) => {
                context_tree(&mut key, context, (&piece.path, &piece.prefix), excluded);
            }
            View::Root(_) => {
                tree(&mut key, &piece.view, (&piece.path, &piece.prefix), excluded)?;
            }
        }
    }
    Ok(key.finish())
}

/// The directories that come along with a piece.
fn parents(key: &mut KeyMaker, piece: &Piece) -> Result<(), Fault> {
    let failed = |error| read_failed(&piece.path, error);
    let ends = piece.asked.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    for (end, _) in ends {
        let above = piece.asked.get(..end).unwrap_or_default();
        let Some(path) = piece.view.resolve(above).map_err(failed)? else { continue };
        let Some(found) = piece.view.look(&path).map_err(failed)? else { continue };
        key.bytes(above);
        one(key, &piece.view, &path, &found)?;
    }
    Ok(())
}

/// A directory of a context: all of it is in memory, in order.
fn context_tree(
    key: &mut KeyMaker,
    context: &crate::BuildContext,
    (path, prefix): (&[u8], &[u8]),
    excluded: Option<Excluded<'_>>,
) {
    let start = if path.is_empty() { 0 } else { path.len() + 1 };
    let mut left_out: Option<Vec<u8>> = None;
    for (full, node) in context.tree.below(path) {
        let below = joined(prefix, full.get(start..).unwrap_or_default());
        if left_out.as_ref().is_some_and(|out| full.starts_with(out)) {
            continue;
        }
        let is_directory = node.content == Content::Directory;
        if excluded.is_some_and(|excluded| excluded(&below, is_directory)) {
            if is_directory {
                left_out = Some([full, b"/"].concat());
            }
            continue;
        }
        key.bytes(&below);
        of_node(key, node);
    }
}

fn of_node(key: &mut KeyMaker, node: &Node) {
    key.number(u64::from(node.mode));
    match &node.content {
        Content::Directory => key.text("directory"),
        Content::File { digest, .. } => key.text("file").text(&digest.hex()),
        Content::Link(target) => key.text("link").bytes(target),
    };
    attributes(key, &[]);
}

fn attributes(key: &mut KeyMaker, attributes: &[(Vec<u8>, Vec<u8>)]) {
    key.number(attributes.len() as u64);
    for (name, value) in attributes {
        key.bytes(name).bytes(value);
    }
}

fn tree(
    key: &mut KeyMaker,
    view: &View,
    (path, relative): (&[u8], &[u8]),
    excluded: Option<Excluded<'_>>,
) -> Result<(), Fault> {
    let failed = |error| read_failed(path, error);
    for name in view.names(path).map_err(failed)? {
        let (full, below) = (joined(path, &name), joined(relative, &name));
        let Some(found) = view.look(&full).map_err(failed)? else { continue };
        let is_directory = found.sort == Sort::Directory;
        if excluded.is_some_and(|excluded| excluded(&below, is_directory)) {
            continue;
        }
        key.bytes(&below);
        one(key, view, &full, &found)?;
        if is_directory {
            tree(key, view, (&full, &below), excluded)?;
        }
    }
    Ok(())
}

fn one(key: &mut KeyMaker, view: &View, path: &[u8], found: &Found) -> Result<(), Fault> {
    match view {
        View::Context(context) => {
            if let Some(node) = context.tree.get(path) {
                of_node(key, node);
            }
        }
        View::Root(root) => {
            of_file(key, root, path, found).map_err(|error| read_failed(path, error))?;
        }
    }
    Ok(())
}

fn of_file(key: &mut KeyMaker, root: &OwnedFd, path: &[u8], found: &Found) -> io::Result<()> {
    key.number(u64::from(found.mode));
    key.number(u64::from(found.owner.0)).number(u64::from(found.owner.1));
    let mut held = None;
    match &found.sort {
        Sort::Directory => {
            key.text("directory");
            held = Some(open_in_root(root, os(path), OFlags::PATH | OFlags::NOFOLLOW)?);
        }
        Sort::File { .. } => {
            let opened = open_in_root(root, os(path), OFlags::RDONLY | OFlags::NOFOLLOW)?;
            let mut file = File::from(opened);
            key.text("file").text(&hash(&mut file)?.hex());
            held = Some(file.into());
        }
        Sort::Link(target) => {
            key.text("link").bytes(target);
        }
        Sort::Special { kind, rdev } => {
            key.text(&format!("{kind:?} {rdev:?}"));
        }
    }
    if let Some(held) = held {
        let file = pinned::reopen(&held, OFlags::RDONLY)?;
        let names = xattr::list(&file)?;
        let names = names.into_iter().filter(|name| !is_reserved_attribute(name));
        let list: io::Result<Vec<_>> =
            names.map(|name| xattr::get(&file, &name).map(|value| (name, value))).collect();
        attributes(key, &list?);
    }
    Ok(())
}

fn hash(file: &mut File) -> io::Result<Digest> {
    let mut digester = Digester::new(Algorithm::Sha256);
    digester.read(file)?;
    Ok(digester.finish())
}
