//! Who did what: one line of JSON for each request. Acts: a thread of its own writes, so that no request waits for the disk.
//!
//! The file is bounded: when it is full it becomes `FILE.1`, and the oldest goes. Lines wait for the disk in a bounded queue; when
//! that is full too (a disk that hangs), lines are lost, and a line says how many as soon as one can be written again.

use crate::config::Bytes;
use naru_errdefs::{Fault, ResultExt};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Lines that wait for the disk, at most.
const WAITING: usize = 4096;
/// Longest user name, repository and reference that a line has, in bytes; what was sent may be longer, and is cut.
const LONGEST_TEXT: usize = 512;

/// The section `audit` of the registry's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AuditConfig {
    /// The file.
    pub file: PathBuf,
    /// How large it may become (default 16m; at least 4k).
    pub max_size: Option<Bytes>,
    /// How many older ones are kept (default 4; at most 100).
    pub max_files: Option<u32>,
}

/// One request, as the audit has it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Entry<'a> {
    /// Who; none for anonymous ones. Of a failed login: whom they claimed to be is not written, as it may be a password.
    pub user: Option<&'a str>,
    /// From where; none for what came through the daemon that the registry is in.
    pub peer: Option<IpAddr>,
    /// What: `pull`, `push`, `delete`, `catalog`, `admin`, `login`, `token`.
    pub action: &'a str,
    /// In which repository; empty for the registry as a whole.
    pub repository: &'a str,
    /// The tag or digest.
    pub reference: &'a str,
    /// The answer's status; 499 when the client went away before there was one.
    pub status: u16,
    /// Bytes of the answer's or the request's body, whichever is larger.
    pub bytes: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    #[serde(flatten)]
    entry: Entry<'a>,
}

/// The audit log. A cheap clone; the last one to go waits until everything is written.
#[derive(Debug, Clone)]
pub struct Audit(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    lines: Option<SyncSender<String>>,
    lost: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so.
            writer.join().ok();
        }
    }
}

impl Audit {
    /// Opens the file, made when it is not there.
    pub fn open(config: &AuditConfig) -> Result<Audit, Fault> {
        let most = config.max_size.map_or(16 << 20, |size| size.0);
        let kept = config.max_files.unwrap_or(4);
        if most < 4096 || kept > 100 {
            return Err(Fault::invalid(
                "invalid `audit`: `max-size` is at least 4k, `max-files` at most 100",
            ));
        }
        let during = || format!("cannot open the audit log `{}`", config.file.display());
        let file = Rotated::open(config.file.clone(), most, kept).during(during)?;
        let (lines, waiting) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let writer = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write_all(file, &waiting, &counted))
            .during(|| "cannot start the audit log's thread".to_owned())?;
        Ok(Audit(Arc::new(Queue { lines: Some(lines), lost, writer: Some(writer) })))
    }

    /// Writes a line, in a moment.
    pub fn record(&self, entry: Entry<'_>) {
        let entry = Entry {
            user: entry.user.map(cut),
            repository: cut(entry.repository),
            reference: cut(entry.reference),
            ..entry
        };
        let Some(line) = line(OffsetDateTime::now_utc(), entry) else { return };
        let Some(lines) = &self.0.lines else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = lines.try_send(line) {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Pure: one line, with its end.
fn line(now: OffsetDateTime, entry: Entry<'_>) -> Option<String> {
    let time = now.format(&Rfc3339).ok()?;
    let mut line = serde_json::to_string(&Line { time: &time, entry }).ok()?;
    line.push('\n');
    Some(line)
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or(text)
}

fn write_all(mut file: Rotated, lines: &Receiver<String>, lost: &AtomicU64) {
    let mut failed = false;
    for line in lines {
        let missing = lost.swap(0, Ordering::Relaxed);
        let mut text = line;
        if missing > 0 {
            text.insert_str(0, &format!("{{\"lost\":{missing}}}\n"));
        }
        match file.write(text.as_bytes()) {
            Ok(()) => failed = false,
            Err(error) => {
                lost.fetch_add(missing + 1, Ordering::Relaxed);
                if !failed {
                    failed = true;
                    tracing::error!(%error, file = %file.path.display(), "the audit log cannot be written; lines are lost");
                }
            }
        }
    }
}

/// A file that becomes `NAME.1` when it is full.
#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    most: u64,
    kept: u32,
    file: File,
    size: u64,
}

impl Rotated {
    fn open(path: PathBuf, most: u64, kept: u32) -> io::Result<Rotated> {
        let (file, size) = open_to_append(&path)?;
        Ok(Rotated { path, most, kept, file, size })
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if self.size > 0 && self.size.saturating_add(length) > self.most {
            self.rotate()?;
        }
        match self.file.write_all(text) {
            Ok(()) => {
                self.size = self.size.saturating_add(length);
                Ok(())
            }
            Err(error) => {
                // A part of a line may be there: it is taken back, or ended by the next open.
                self.file.set_len(self.size).ok();
                Err(error)
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |at: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{at}"));
            PathBuf::from(name)
        };
        for at in (1..self.kept).rev() {
            match std::fs::rename(numbered(at), numbered(at + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.kept == 0 {
            std::fs::remove_file(&self.path)?;
        } else {
            std::fs::rename(&self.path, numbered(1))?;
        }
        (self.file, self.size) = open_to_append(&self.path)?;
        Ok(())
    }
}

/// Opens a log at its end; a line that a crash cut off is ended first.
fn open_to_append(path: &Path) -> io::Result<(File, u64)> {
    let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut size = file.metadata()?.len();
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::net::Ipv4Addr;

    fn entry(reference: &str) -> Entry<'_> {
        Entry {
            user: Some("ann"),
            peer: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            action: "push",
            repository: "ann/app",
            reference,
            status: 201,
            bytes: 12,
        }
    }

    fn config(path: &Path, max_size: u64) -> AuditConfig {
        AuditConfig { file: path.to_owned(), max_size: Some(Bytes(max_size)), max_files: Some(2) }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_says_who_did_what() {
        let line = line(OffsetDateTime::UNIX_EPOCH, entry("v1")).unwrap();
        assert_eq!(
            line,
            "{\"time\":\"1970-01-01T00:00:00Z\",\"user\":\"ann\",\"peer\":\"127.0.0.1\",\"action\":\"push\",\"repository\":\"ann/app\",\"reference\":\"v1\",\"status\":201,\"bytes\":12}\n"
        );
    }

    #[test]
    fn everything_is_written_when_the_last_one_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        naru_kernel::fs::write_atomic(&path, b"{\"cut\":", 0o600).unwrap();
        let audit = Audit::open(&config(&path, 1 << 20)).unwrap();
        let other = audit.clone();
        for at in 0..500 {
            other.record(entry(&format!("{at}\"\n{}", "ä".repeat(600))));
        }
        drop((audit, other));
        let text = std::fs::read_to_string(&path).unwrap();
        let mut all = text.lines();
        assert_eq!(all.next(), Some("{\"cut\":"));
        let all: Vec<Value> = all.map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(all.len(), 500);
        assert!(all[499]["reference"].as_str().unwrap().starts_with("499\"\n"));
        assert!(all[499]["reference"].as_str().unwrap().len() <= LONGEST_TEXT);
    }

    #[test]
    fn the_file_is_bounded_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let audit = Audit::open(&config(&path, 4096)).unwrap();
        for at in 0..200 {
            audit.record(entry(&at.to_string()));
        }
        drop(audit);
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["audit.log", "audit.log.1", "audit.log.2"]);
        let mut last = 200;
        for name in names {
            let path = dir.path().join(name);
            assert!(std::fs::metadata(&path).unwrap().len() <= 4096);
            // From file to file the lines go on without a gap.
            for line in lines(&path).iter().rev() {
                last -= 1;
                assert_eq!(line["reference"], last.to_string());
            }
        }
    }

    #[test]
    fn a_disk_that_hangs_keeps_nobody_waiting() {
        let (lines, waiting) = sync_channel(2);
        let lost = Arc::new(AtomicU64::new(0));
        let audit =
            Audit(Arc::new(Queue { lines: Some(lines), lost: Arc::clone(&lost), writer: None }));
        for at in 0..5 {
            audit.record(entry(&at.to_string()));
        }
        assert_eq!(lost.load(Ordering::Relaxed), 3);
        drop(audit);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        write_all(Rotated::open(path.clone(), 4096, 1).unwrap(), &waiting, &lost);
        let lines = self::lines(&path);
        assert_eq!((lines.len(), lines[0]["lost"].as_u64()), (3, Some(3)));
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let full = Path::new("/dev/full");
        let Ok(mut file) = Rotated::open(full.to_owned(), 4096, 1) else { return };
        assert!(file.write(b"x\n").is_err());
        assert_eq!(file.size, 0);
    }
}
