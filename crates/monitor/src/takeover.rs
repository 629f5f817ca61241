//! Pure: the state by which a monitor goes on where another was killed, between any two instructions.
//!
//! The spool of a stream is a file in memory to which output is only ever appended, so a position in it is the count of
//! bytes of the stream since the start, and its size is what was taken from the container, moved by the kernel in one
//! step with the taking. Memory before what everybody has read is given back by punching holes; positions stay.
//!
//! ```text
//!   container ──pipe──▶ spool  [ holes │ logged … to be logged │ … size )
//!   1. splice           size grows by what the pipe loses
//!   2. write the state  "bytes a..b of this stream become log bytes c..d, with this time"
//!   3. append           the log grows from c to d
//!   4. punch            memory before b is given back
//! ```
//!
//! Killed after 1: the state speaks of an older batch, which the log has whole. After 2: the log ends at c, so the batch
//! is encoded again from the spool, with the time of the state, and appended. Within 3: the log ends between c and d, and
//! because encoding is repeatable, only the rest is appended. After 3: the log ends at d. Anything else: somebody
//! changed the file, and the batch counts as written.

use crate::protocol::{Exit, ExitStatus, Stream};

/// The bytes that the state file has.
pub const LENGTH: usize = 128;

const MAGIC: u64 = 0x6e61_7275_6d6f_6e31;
const EXIT_AT: usize = 80;

/// Output that becomes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Which stream's.
    pub stream: Stream,
    /// The first byte.
    pub from: u64,
    /// The first byte that is not part of it any more.
    pub to: u64,
    /// The length of the log before.
    pub log_before: u64,
    /// The length of the log after.
    pub log_after: u64,
    /// The time of the records.
    pub time: i64,
}

/// The state of a process's logging.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// For each stream, the position up to which it was logged before `batch`.
    pub logged: [u64; 2],
    /// What was about to be logged last.
    pub batch: Option<Batch>,
}

/// What a successor finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// For each stream, the position up to which it is logged, once `unfinished` is.
    pub logged: [u64; 2],
    /// What is still to be appended: the batch, and how many of its encoded bytes are there already.
    pub unfinished: Option<(Batch, u64)>,
}

/// What remains to be done, given the length that the log really has.
pub fn resume(state: &State, log_length: u64) -> Resume {
    let mut logged = state.logged;
    let Some(batch) = state.batch else {
        return Resume { logged, unfinished: None };
    };
    *slot(&mut logged, batch.stream) = batch.to;
    let within = (batch.log_before..batch.log_after).contains(&log_length);
    let unfinished = within.then(|| (batch, log_length - batch.log_before));
    Resume { logged, unfinished }
}

/// The element of a stream.
pub fn slot<T>(pair: &mut [T; 2], stream: Stream) -> &mut T {
    let [stdout, stderr] = pair;
    match stream {
        Stream::Stdout => stdout,
        Stream::Stderr => stderr,
    }
}

/// The state as bytes; they are written in one call, which is not interrupted by a signal.
pub fn encode(state: &State) -> [u8; EXIT_AT] {
    let [stdout, stderr] = state.logged;
    let (kind, batch) = match state.batch {
        None => (0, [0; 5]),
        Some(batch) => {
            let kind = match batch.stream {
                Stream::Stdout => 1,
                Stream::Stderr => 2,
            };
            let time = u64::from_ne_bytes(batch.time.to_ne_bytes());
            (kind, [batch.from, batch.to, batch.log_before, batch.log_after, time])
        }
    };
    let [from, to, before, after, time] = batch;
    words([MAGIC, stdout, stderr, kind, from, to, before, after, time, 0])
}

/// Reads the state; an empty or foreign file is a fresh state.
pub fn decode(bytes: &[u8]) -> State {
    let word = |index: usize| read_word(bytes, index * 8);
    if word(0) != MAGIC {
        return State::default();
    }
    let stream = match word(3) {
        1 => Some(Stream::Stdout),
        2 => Some(Stream::Stderr),
        _ => None,
    };
    let batch = stream.map(|stream| Batch {
        stream,
        from: word(4),
        to: word(5),
        log_before: word(6),
        log_after: word(7),
        time: i64::from_ne_bytes(word(8).to_ne_bytes()),
    });
    State { logged: [word(1), word(2)], batch }
}

/// The exit as bytes, and where in the state file they belong: written before the process is reaped.
pub fn encode_exit(exit: &Exit) -> (u64, [u8; 24]) {
    let (kind, value) = match exit.status {
        ExitStatus::Code(code) => (1, code),
        ExitStatus::Signal(signal) => (2, signal),
        ExitStatus::Unknown => (3, 0),
    };
    let value = u64::from_ne_bytes(i64::from(value).to_ne_bytes());
    (EXIT_AT as u64, words([kind, value, u64::from_ne_bytes(exit.at.to_ne_bytes())]))
}

/// The exit that a predecessor kept, if the process had ended by then.
pub fn decode_exit(bytes: &[u8]) -> Option<Exit> {
    let word =
        |index: usize| i64::from_ne_bytes(read_word(bytes, EXIT_AT + index * 8).to_ne_bytes());
    let value = i32::try_from(word(1)).ok()?;
    let status = match word(0) {
        1 => ExitStatus::Code(value),
        2 => ExitStatus::Signal(value),
        3 => ExitStatus::Unknown,
        _ => return None,
    };
    Some(Exit { status, at: word(2) })
}

fn words<const WORDS: usize, const BYTES: usize>(values: [u64; WORDS]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (target, value) in bytes.chunks_exact_mut(8).zip(values) {
        target.copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

fn read_word(bytes: &[u8], at: usize) -> u64 {
    let word: Option<[u8; 8]> = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    word.map_or(0, u64::from_ne_bytes)
}

#[cfg(test)]
mod tests;
