//! Acts: a file that is read while another thread still writes it.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

#[derive(Debug, Default)]
struct State {
    length: u64,
    /// How it ended: whole, or not.
    end: Option<bool>,
}

/// What writer and reader share. The writer drops it when it gives up.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    read: AtomicU64,
}

/// How far the reader has come.
#[derive(Debug)]
pub(super) struct Position(Arc<Shared>);

impl Position {
    /// Bytes that were read.
    pub(super) fn read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }
}

/// The writer's side: says how far the file has come. Dropping it without [`Growing::finish`] is the reader's failure.
#[derive(Debug)]
pub(super) struct Growing {
    shared: Arc<Shared>,
}

/// The reader's side.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    shared: Arc<Shared>,
    at: u64,
}

/// A growing file and its reader, which begins at the start.
pub(super) fn growing(mut file: File, length: u64) -> io::Result<(Growing, Tail)> {
    file.rewind()?;
    let shared = Arc::new(Shared::default());
    let growing = Growing { shared: Arc::clone(&shared) };
    growing.reach(length);
    Ok((growing, Tail { file, shared, at: 0 }))
}

impl Growing {
    /// The file has this many bytes now.
    pub(super) fn reach(&self, length: u64) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.length = length;
        self.shared.changed.notify_one();
    }

    /// The file is whole.
    pub(super) fn finish(self) {
        self.end(true);
    }

    fn end(&self, whole: bool) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.end.get_or_insert(whole);
        self.shared.changed.notify_one();
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl Tail {
    /// For those who want to know how far this has come.
    pub(super) fn progress(&self) -> Position {
        Position(Arc::clone(&self.shared))
    }
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let there = loop {
            if state.length > self.at {
                break state.length - self.at;
            }
            match state.end {
                Some(true) => return Ok(0),
                Some(false) => {
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        "the download was given up",
                    ));
                }
                None => {}
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        let most = usize::try_from(there).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(buffer.get_mut(..most).unwrap_or_default())?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += u64::try_from(count).unwrap_or(0);
        self.shared.read.store(self.at, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_reader_sees_everything_that_is_written_and_its_end() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"abc").unwrap();
        let (growing, mut tail) = growing(file.reopen().unwrap(), 3).unwrap();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            tail.read_to_end(&mut all).map(|_| all)
        });
        for number in 0..1000_u64 {
            file.write_all(&number.to_le_bytes()).unwrap();
            growing.reach(3 + 8 * (number + 1));
        }
        growing.finish();
        let all = reader.join().unwrap().unwrap();
        assert_eq!(all.len(), 8003);
        assert!(all.starts_with(b"abc"));
    }

    #[test]
    fn a_writer_that_gives_up_is_a_failure_and_not_an_end() {
        let file = tempfile::tempfile().unwrap();
        let (growing, mut tail) = growing(file, 0).unwrap();
        drop(growing);
        assert!(tail.read(&mut [0; 8]).is_err());
    }
}
