//! Acts: files as an archive, written by a thread of its own while it is sent.

use super::digests;
use super::walk::{Found, Kind};
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::times::FileTime;
use naru_layer::tar::{Entry, EntryKind, Writer};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// One entry of the archive.
#[derive(Debug)]
pub struct Piece {
    /// Its name in the archive.
    pub name: PathBuf,
    /// What it is.
    pub found: Found,
    /// Its content, where it does not come from the directory.
    pub follow: Option<Vec<u8>>,
}

/// An archive on its way.
#[derive(Debug)]
pub struct Packed {
    /// Its bytes.
    pub bytes: File,
    failed: Arc<Mutex<Option<Fault>>>,
}

impl Packed {
    /// Why it ends before its end, if it does; whoever reads it only sees that.
    pub fn failure(&self) -> Failure {
        Failure(Arc::clone(&self.failed))
    }
}

/// Why an archive ended early.
#[derive(Debug, Clone)]
pub struct Failure(Arc<Mutex<Option<Fault>>>);

impl Failure {
    /// The reason, if there is one.
    pub fn take(&self) -> Option<Fault> {
        self.0.lock().ok()?.take()
    }
}

/// The archive of these pieces, with their files below `root`.
pub fn stream(root: &Path, pieces: Vec<Piece>) -> Result<Packed, Fault> {
    let starting = || "cannot send the build context".to_owned();
    let (reader, writer) = io::pipe().during(starting)?;
    let root = root.to_owned();
    let failed = Arc::new(Mutex::new(None));
    let told = Arc::clone(&failed);
    std::thread::Builder::new()
        .name("pack".to_owned())
        .spawn(move || {
            let out = BufWriter::with_capacity(256 << 10, writer);
            if let Err(fault) = write(&root, pieces, out)
                && let Ok(mut told) = told.lock()
            {
                *told = Some(fault);
            }
        })
        .during(starting)?;
    Ok(Packed { bytes: File::from(std::os::fd::OwnedFd::from(reader)), failed })
}

fn write(root: &Path, pieces: Vec<Piece>, out: impl Write) -> Result<(), Fault> {
    let sending = || "cannot send the build context".to_owned();
    let mut writer = Writer::new(out);
    let mut buffer = vec![0; 256 << 10];
    for piece in pieces {
        let Piece { name, found, follow } = piece;
        writer.start(&entry(&name, &found)).during(sending)?;
        if let Some(text) = follow {
            writer.data(&text).during(sending)?;
            continue;
        }
        if found.kind != Kind::File {
            continue;
        }
        let reading = || format!("cannot read `{}` of the build context", found.path.display());
        let mut file = digests::open(&root.join(&found.path)).during(reading)?.take(found.size);
        let mut left = found.size;
        loop {
            let count = file.read(&mut buffer).during(reading)?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            writer.data(bytes).during(sending)?;
            left = left.saturating_sub(count as u64);
        }
        if left > 0 {
            return Err(digests::changed(&found.path));
        }
    }
    writer.finish().and_then(|mut out| out.flush()).during(sending)
}

/// Pure: an entry as docker's client writes it: everything is root's.
fn entry(name: &Path, found: &Found) -> Entry {
    let mut bytes = name.as_os_str().as_bytes().to_vec();
    let kind = match &found.kind {
        Kind::Directory => {
            bytes.push(b'/');
            EntryKind::Directory
        }
        Kind::File => EntryKind::File,
        Kind::Link(target) => EntryKind::Link(target.as_bytes().to_vec()),
    };
    Entry {
        modified: FileTime {
            seconds: found.modified.div_euclid(1_000_000_000),
            nanoseconds: u32::try_from(found.modified.rem_euclid(1_000_000_000)).unwrap_or(0),
        },
        attributes: found.attributes.clone(),
        stored: found.size,
        ..Entry::new(bytes, kind, found.mode & 0o7777)
    }
}
