//! Acts: takes contexts in: archives to a tree and contents, hashed as they pass.

use super::tree::clean;
use super::{BuildContext, Content, Files, Node, Tree};
use naru_errdefs::{Fault, ResultExt};
use naru_layer::tar::{Entry, EntryKind, Reader};
use naru_layer::{Compression, Limits};
use naru_oci::{Algorithm, Digest, Digester};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Files up to this size are held in memory until it is known whether they are here already.
const SMALL: u64 = 256 << 10;
/// The most entries of a context.
const MOST_ENTRIES: usize = 2_000_000;

/// A context as an archive.
pub(super) fn archive(files: &Files, archive: impl Read + Send) -> Result<BuildContext, Fault> {
    let limits = limits();
    let mut reader = open(archive, &limits)?;
    let hold = Arc::new(files.hold());
    let mut tree = Tree::default();
    while let Some(entry) = reader.next_entry()? {
        if tree.len() >= MOST_ENTRIES {
            return Err(Fault::invalid(format!(
                "the build context has more than {MOST_ENTRIES} entries"
            ))
            .with_hint("leave out what is not needed with a `.dockerignore`"));
        }
        add(files, &mut reader, &entry, &mut tree)?;
    }
    reader.drain(limits.unpacked)?;
    Ok(BuildContext { tree: Arc::new(tree), files: files.clone(), hold })
}

/// Contents that were found missing.
pub(super) fn contents(files: &Files, archive: impl Read + Send) -> Result<(), Fault> {
    let limits = limits();
    let mut reader = open(archive, &limits)?;
    while let Some(entry) = reader.next_entry()? {
        let (digest, _) = file(files, &mut reader, &entry)?;
        let claimed = String::from_utf8_lossy(&entry.name);
        if claimed.split('-').next() != Some(digest.hex().as_str()) {
            return Err(Fault::invalid(format!(
                "a file of the context is not what was announced: `{claimed}` has the digest `{digest}`"
            ))
            .with_hint("the file may have changed while the context was sent; build again"));
        }
    }
    reader.drain(limits.unpacked)?;
    Ok(())
}

/// What is in an archive, whatever it is compressed with.
fn open<'a>(
    archive: impl Read + Send + 'a,
    limits: &Limits,
) -> Result<Reader<impl BufRead + 'a>, Fault> {
    let (compression, input) = Compression::peek(archive)?;
    let decoder =
        compression.decoder(input, limits).during(|| "cannot read the build context".to_owned())?;
    Ok(Reader::new(BufReader::with_capacity(256 << 10, decoder)))
}

fn limits() -> Limits {
    Limits { unpacked: u64::MAX / 2, ..Limits::standard() }
}

fn add<R: BufRead>(
    files: &Files,
    reader: &mut Reader<R>,
    entry: &Entry,
    tree: &mut Tree,
) -> Result<(), Fault> {
    let path = clean(&entry.name).ok_or_else(|| {
        Fault::invalid(format!("`{}` leads out of the build context", entry.shown()))
    })?;
    if path.is_empty() {
        return Ok(());
    }
    let content = match &entry.kind {
        EntryKind::Directory => Content::Directory,
        EntryKind::Link(target) => Content::Link(target.clone()),
        EntryKind::File => {
            let (digest, size) = file(files, reader, entry)?;
            Content::File { digest, size }
        }
        EntryKind::HardLink(target) => {
            let linked = clean(target).and_then(|target| tree.get(&target).cloned());
            let node = linked.ok_or_else(|| {
                Fault::invalid(format!(
                    "`{}` of the build context links to a file that is not in it",
                    entry.shown()
                ))
            })?;
            tree.insert(path, node);
            return Ok(());
        }
        // Nothing that a COPY could give away: docker's clients do not send them.
        EntryKind::CharDevice(..) | EntryKind::BlockDevice(..) | EntryKind::Fifo => return Ok(()),
    };
    let node = Node {
        content,
        mode: entry.mode,
        modified: entry.modified,
        attributes: entry.attributes.clone(),
    };
    tree.insert(path, node);
    Ok(())
}

/// The present entry's data becomes a content.
fn file<R: BufRead>(
    files: &Files,
    reader: &mut Reader<R>,
    entry: &Entry,
) -> Result<(Digest, u64), Fault> {
    if entry.sparse.is_some() {
        return Err(Fault::unsupported(format!(
            "`{}` is a sparse entry of the build context, which is not supported",
            entry.shown()
        ))
        .with_hint("send the context without `--sparse`"));
    }
    let staging = files.staging();
    let kept = keep(files, reader, entry, &staging);
    if kept.is_err() {
        // Whoever sent it has gone, or the disk is full: the part of it that came is of no use.
        fs::remove_file(&staging).ok();
    }
    kept
}

/// The same, by way of a file that is not there yet.
fn keep<R: BufRead>(
    files: &Files,
    reader: &mut Reader<R>,
    entry: &Entry,
    staging: &Path,
) -> Result<(Digest, u64), Fault> {
    let size = entry.stored;
    let failed = || format!("cannot keep `{}` of the build context", entry.shown());
    if size <= SMALL {
        let bytes = reader.read_all(SMALL)?.unwrap_or_default();
        let digest = Digest::of(&bytes);
        let place = files.path(&digest, entry.mode);
        if fs::symlink_metadata(&place).is_err() {
            let mut file = naru_kernel::fs::create_new(staging, 0o600).during(failed)?;
            file.write_all(&bytes).during(failed)?;
            files.publish(&file, staging, &place, (entry.mode, entry.modified)).during(failed)?;
        }
        return Ok((digest, size));
    }
    let mut file = naru_kernel::fs::create_new(staging, 0o600).during(failed)?;
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut behind = 0;
    let mut done = 0;
    loop {
        let piece = reader.fill()?;
        if piece.is_empty() {
            break;
        }
        digester.update(piece);
        file.write_all(piece).during(failed)?;
        let count = piece.len();
        done += count as u64;
        reader.consume(count);
        if done - behind >= 8 << 20 {
            // Only a head start for the layer that takes it.
            naru_kernel::fs::start_writeback(&file, behind, done - behind).ok();
            behind = done;
        }
    }
    let digest = digester.finish();
    let place = files.path(&digest, entry.mode);
    files.publish(&file, staging, &place, (entry.mode, entry.modified)).during(failed)?;
    Ok((digest, size))
}
