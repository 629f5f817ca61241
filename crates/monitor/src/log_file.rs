//! Acts: the log files of a process: appending, rotating, reading.
//!
//! ```text
//!   <path>        the newest records
//!   <path>.1      older ones, …
//!   <path>.<n-1>  the oldest; the next rotation replaces it
//! ```
//!
//! A rotation renames from the oldest to the newest, then creates a new file. Killed in between, it leaves one number
//! unused; the next rotation moves only the files below the first unused number, so none is dropped early.

mod reader;

pub use reader::{ReadOptions, Reader};

use crate::log_record;
use crate::protocol::{LogSpec, Stream};
use crate::takeover::Batch;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How long output is dropped without another try after the log could not be written.
const RETRY_AFTER: i64 = 1_000_000_000;

/// Output that could not be logged.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gap {
    /// How many bytes.
    pub bytes: u64,
    /// When the first of them came, in nanoseconds since 1970.
    pub since: i64,
    /// When writing is tried again.
    pub retry_at: i64,
    /// Why.
    pub reason: String,
}

impl Gap {
    /// The line that stands in the log in place of what is missing.
    fn marker(&self) -> String {
        format!(
            "naru: {} bytes of output since {} were not logged: {}\n",
            self.bytes,
            log_record::format_time(self.since),
            self.reason
        )
    }
}

/// The log of a process, open for appending.
#[derive(Debug)]
pub struct LogFile {
    spec: LogSpec,
    file: File,
    gap: Option<Gap>,
}

impl LogFile {
    /// Opens or creates the newest file.
    pub fn open(spec: &LogSpec, gap: Option<Gap>) -> io::Result<LogFile> {
        Ok(LogFile { spec: spec.clone(), file: append_to(&spec.path)?, gap })
    }

    /// The length of the newest file, whoever changed it.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// How many encoded bytes may be appended before the next rotation, and at least one record's worth if the file is
    /// empty.
    pub fn room(&self, length: u64) -> u64 {
        match self.spec.max_size {
            None => u64::MAX,
            Some(_) if length == 0 => u64::MAX,
            Some(max) => max.saturating_sub(length),
        }
    }

    /// The largest batch that makes sense: one that fits an empty file.
    pub fn capacity(&self) -> u64 {
        self.spec.max_size.unwrap_or(u64::MAX)
    }

    /// Makes the newest file an older one and begins another. The state must not speak of a batch in the old one.
    pub fn rotate(&mut self) -> io::Result<()> {
        if self.spec.max_files <= 1 {
            return self.file.set_len(0);
        }
        shift(&self.spec.path, self.spec.max_files)?;
        self.file = append_to(&self.spec.path)?;
        Ok(())
    }

    /// Appends a whole batch, or nothing of it.
    pub fn append(&mut self, bytes: &[u8], length: u64) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // What is there of the batch would be half a record. Shrinking needs no space.
            self.file.set_len(length)?;
            return Err(error);
        }
        Ok(())
    }

    /// Appends the rest of a batch of which `done` bytes are there. `bytes` is the whole batch, encoded again.
    pub fn finish(&mut self, batch: &Batch, bytes: &[u8], done: u64) -> io::Result<()> {
        let expected = batch.log_after - batch.log_before;
        let rest = usize::try_from(done).ok().and_then(|done| bytes.get(done..));
        match rest {
            Some(rest) if bytes.len() as u64 == expected => self.file.write_all(rest),
            // Another version encoded it: begin again.
            _ => {
                self.file.set_len(batch.log_before)?;
                self.file.write_all(bytes)
            }
        }
    }

    /// Whether output is to be dropped unseen, because writing failed a moment ago.
    pub fn is_backing_off(&self, now: i64) -> bool {
        self.gap.as_ref().is_some_and(|gap| now < gap.retry_at && now >= gap.since)
    }

    /// Notes that `bytes` of output are lost to the log. Whether it is the first loss of its kind.
    pub fn lose(&mut self, bytes: u64, now: i64, error: Option<&io::Error>) -> bool {
        let first = self.gap.is_none();
        let gap = self.gap.get_or_insert_with(|| Gap {
            bytes: 0,
            since: now,
            retry_at: 0,
            reason: String::new(),
        });
        gap.bytes += bytes;
        if let Some(error) = error {
            gap.retry_at = now.saturating_add(RETRY_AFTER);
            gap.reason = error.to_string();
        }
        first
    }

    /// Writes down what is missing, if something is.
    pub fn mark_gap(&mut self, now: i64) -> io::Result<()> {
        let Some(gap) = &self.gap else { return Ok(()) };
        let mut out = Vec::new();
        let time = log_record::format_time(now);
        log_record::encode(&mut out, Stream::Stderr, gap.marker().as_bytes(), &time);
        let length = self.length()?;
        self.append(&out, length)?;
        self.gap = None;
        Ok(())
    }

    /// What is missing and not yet written down.
    pub fn gap(&self) -> Option<&Gap> {
        self.gap.as_ref()
    }

    /// Where the newest records are.
    pub fn path(&self) -> &Path {
        &self.spec.path
    }
}

/// The path of an older file.
pub fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn shift(path: &Path, max_files: u32) -> io::Result<()> {
    let oldest = max_files - 1;
    let free = (1..oldest).find(|number| !rotated(path, *number).exists()).unwrap_or(oldest);
    for number in (1..free).rev() {
        rename_if_there(&rotated(path, number), &rotated(path, number + 1))?;
    }
    rename_if_there(path, &rotated(path, 1))
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests;
