//! Acts: writes the data of one file, with holes where the archive has holes or long runs of zeros.

use super::ApplyError;
use crate::tar::{Entry, Reader, TarError};
use naru_kernel::sparse::set_length;
use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Aligned runs of zeros this long become holes: most archives spell holes out.
const HOLE: usize = 32 * 1024;

/// Files with this many bytes begin to go to the disk at once.
const EARLY: u64 = 256 << 10;

/// Why a file's data did not arrive.
#[derive(Debug)]
pub(crate) enum FillError {
    /// The archive's fault.
    Tar(TarError),
    /// The file system's.
    Write(io::Error),
}

impl FillError {
    pub(super) fn at(self, path: &Path) -> ApplyError {
        match self {
            FillError::Tar(error) => ApplyError::Tar(error),
            FillError::Write(source) => ApplyError::Write { path: path.to_owned(), source },
        }
    }
}

/// Writes the entry's data to an empty file.
pub(crate) fn fill<R: BufRead>(
    file: &File,
    archive: &mut Reader<R>,
    entry: &Entry,
) -> Result<(), FillError> {
    let whole = [(0, entry.stored)];
    let segments = entry.sparse.as_ref().map_or(&whole[..], |map| map.segments.as_slice());
    let mut end = 0;
    for (offset, length) in segments {
        let (mut at, mut left) = (*offset, *length);
        while left > 0 {
            let bytes = archive.fill().map_err(FillError::Tar)?;
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let bytes = bytes.get(..count).unwrap_or_default();
            if let Some(written) = write(file, bytes, at).map_err(FillError::Write)? {
                end = written;
            }
            archive.consume(count);
            at += count as u64;
            left -= count as u64;
        }
    }
    if end >= EARLY {
        // The disk works while the next entries are unpacked; otherwise all of it waits for the sync at the end.
        naru_kernel::fs::start_writeback(file, 0, end).ok();
    }
    if end < entry.size() {
        set_length(file, entry.size()).map_err(FillError::Write)?;
    }
    Ok(())
}

/// Writes bytes, leaving out long runs of zeros; says up to where something was written.
fn write(file: &File, bytes: &[u8], at: u64) -> io::Result<Option<u64>> {
    if bytes.len() < HOLE {
        file.write_all_at(bytes, at)?;
        return Ok(Some(at + bytes.len() as u64));
    }
    // Runs are aligned in the file; only the first and the last of what has come may be shorter. What lies between
    // holes is written at once.
    let hole = HOLE as u64;
    let lead = usize::try_from((hole - at % hole) % hole).unwrap_or_default();
    let mut end = None;
    let mut put = |from: usize, to: usize| -> io::Result<()> {
        if let Some(piece) = bytes.get(from..to).filter(|piece| !piece.is_empty()) {
            file.write_all_at(piece, at + from as u64)?;
            end = Some(at + to as u64);
        }
        Ok(())
    };
    let (mut from, mut run, mut next) = (0, 0, lead);
    while run < bytes.len() {
        next = next.min(bytes.len());
        if bytes.get(run..next).is_some_and(|run| run.iter().all(|byte| *byte == 0)) {
            put(from, run)?;
            from = next;
        }
        (run, next) = (next, next + HOLE);
    }
    put(from, bytes.len())?;
    Ok(end)
}
