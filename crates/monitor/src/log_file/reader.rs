//! Acts: reads the records of a process's log files, oldest first, and goes on when more have come.

use super::rotated;
use crate::log_record::{self, Record};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

const CHUNK: usize = 64 * 1024;

/// The longest line that is looked at; a record of ours has at most six bytes for each of 16 Ki.
const MAX_LINE: usize = 1024 * 1024;

/// Which records are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Only the last so many of what is there at first. `None`: all.
    pub tail: Option<u64>,
    /// Only those of this time, in nanoseconds since 1970, or later.
    pub since: Option<i64>,
    /// Only those of this time or earlier; nothing comes after the first later one.
    pub until: Option<i64>,
}

/// Reads records. It holds at most one open file and half a line.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    options: ReadOptions,
    file: Option<Opened>,
    buffer: Vec<u8>,
    /// Where in `buffer` the next line begins.
    at: usize,
    ended: bool,
}

#[derive(Debug)]
struct Opened {
    file: File,
    inode: u64,
    /// Where in the file the bytes after `buffer` begin.
    offset: u64,
}

impl Reader {
    /// Begins with the oldest wanted record. It is no error if there is no log yet.
    pub fn open(path: &Path, options: ReadOptions) -> io::Result<Reader> {
        let mut reader = Reader {
            path: path.to_owned(),
            options,
            file: None,
            buffer: Vec::new(),
            at: 0,
            ended: false,
        };
        reader.file = match options.tail {
            Some(count) => tail(path, count)?,
            None => reader.oldest()?,
        };
        Ok(reader)
    }

    /// The next record, over rotations; `None` when there is none now (wait for a change of the directory and ask again)
    /// or ever ([`Reader::has_ended`]). What is no record is skipped.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        while !self.ended {
            let Some(line) = self.line()? else { return Ok(None) };
            let Some(record) = log_record::decode(&line) else { continue };
            if self.options.until.is_some_and(|until| record.time > until) {
                self.ended = true;
            } else if self.options.since.is_none_or(|since| record.time >= since) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Whether nothing can come any more, because a record after `until` was seen.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.fill()? {
                continue;
            }
            // The file is at its end; it has a successor if another one has its name now.
            if !self.advance()? {
                return Ok(None);
            }
        }
    }

    /// A complete line of the buffer.
    fn take_line(&mut self) -> Option<Vec<u8>> {
        let rest = self.buffer.get(self.at..)?;
        let newline = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest.get(..newline)?.to_vec();
        self.at += newline + 1;
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        Some(line)
    }

    /// Reads more of the open file; whether there was more.
    fn fill(&mut self) -> io::Result<bool> {
        let Some(opened) = &mut self.file else { return Ok(false) };
        let length = opened.file.metadata()?.len();
        if length < opened.offset {
            // It was cut: a rotation with a single file, or somebody's hand.
            opened.offset = 0;
            self.buffer.clear();
            self.at = 0;
        }
        if self.buffer.len() - self.at > MAX_LINE {
            self.buffer.clear();
            self.at = 0;
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let start = self.buffer.len();
        self.buffer.resize(start + CHUNK, 0);
        let target = self.buffer.get_mut(start..).unwrap_or_default();
        let count = opened.file.read_at(target, opened.offset);
        self.buffer.truncate(start + count.as_ref().map_or(0, |count| *count));
        let count = count?;
        opened.offset += count as u64;
        Ok(count > 0)
    }

    /// Goes on to the file that follows the open one; whether there is one.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(current) = &self.file else {
            self.file = self.oldest()?;
            return Ok(self.file.is_some());
        };
        let newest = open(&self.path, 0)?;
        if newest.as_ref().is_none_or(|newest| newest.inode == current.inode) {
            return Ok(false);
        }
        // The writer has left the open file for good, so what it holds now is all; it may have grown since the last look.
        if self.fill()? {
            return Ok(true);
        }
        self.buffer.clear();
        self.at = 0;
        self.file = self.successor()?;
        Ok(self.file.is_some())
    }

    fn successor(&self) -> io::Result<Option<Opened>> {
        let current = self.file.as_ref().map(|opened| opened.inode);
        // From the newest back: the one before (in this order) ours is the one after it in time.
        let mut newer = open(&self.path, 0)?;
        for number in 1.. {
            let Some(older) = open(&rotated(&self.path, number), 0)? else {
                // A rotation that is under way, or was killed, leaves the first number unused.
                if number == 1 {
                    continue;
                }
                break;
            };
            if Some(older.inode) == current {
                return Ok(newer);
            }
            newer = Some(older);
        }
        // Ours was dropped: the oldest that is left comes next.
        Ok(newer)
    }

    fn oldest(&self) -> io::Result<Option<Opened>> {
        let mut found = open(&self.path, 0)?;
        for number in 1.. {
            match open(&rotated(&self.path, number), 0)? {
                Some(older) => found = Some(older),
                None if number == 1 => {}
                None => break,
            }
        }
        Ok(found)
    }
}

fn open(path: &Path, offset: u64) -> io::Result<Option<Opened>> {
    match File::open(path) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            Ok(Some(Opened { file, inode, offset }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Finds where the last `count` records begin.
fn tail(path: &Path, count: u64) -> io::Result<Option<Opened>> {
    let mut wanted = count;
    let mut found = None;
    for number in 0.. {
        let name = if number == 0 { path.to_owned() } else { rotated(path, number) };
        let Some(mut opened) = open(&name, 0)? else {
            if number <= 1 {
                continue;
            }
            break;
        };
        let (offset, missing) = seek_lines(&opened.file, wanted)?;
        opened.offset = offset;
        wanted = missing;
        found = Some(opened);
        if wanted == 0 {
            break;
        }
    }
    Ok(found)
}

/// Where the last `wanted` complete lines of `file` begin, and how many of them it does not have.
fn seek_lines(file: &File, wanted: u64) -> io::Result<(u64, u64)> {
    let mut end = file.metadata()?.len();
    let mut buffer = vec![0; CHUNK];
    // The newline that ends the line before the wanted ones is the (wanted + 1)th from the end.
    let mut seen = 0;
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let length = usize::try_from(end - start).map_err(io::Error::other)?;
        let chunk = buffer.get_mut(..length).unwrap_or_default();
        file.read_exact_at(chunk, start)?;
        for (index, _) in chunk.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if seen == wanted {
                return Ok((start + index as u64 + 1, 0));
            }
            seen += 1;
        }
        end = start;
    }
    Ok((0, wanted - seen))
}
