//! Pure (but for what is remembered): the key sequence that ends an attachment and leaves the container running.

use bytes::{Bytes, BytesMut};
use naru_errdefs::Fault;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Watches the input of a terminal for the sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    /// Nothing is watched for.
    pub(crate) fn none() -> DetachKeys {
        DetachKeys::default()
    }

    /// Reads `ctrl-p,ctrl-q` or `a,b`; an empty text is `ctrl-p,ctrl-q`.
    pub(crate) fn parse(text: &str) -> Result<DetachKeys, Fault> {
        let text = if text.is_empty() { "ctrl-p,ctrl-q" } else { text };
        let bad = |part: &str| Fault::invalid(format!("Unknown character: '{part}'"));
        let mut keys = Vec::new();
        for part in text.split(',') {
            let key = match (part.as_bytes(), part.strip_prefix("ctrl-").map(str::as_bytes)) {
                ([key], _) => *key,
                (_, Some([key])) => match key {
                    b'a'..=b'z' => key - b'a' + 1,
                    b'@' => 0,
                    b'[' => 27,
                    b'\\' => 28,
                    b']' => 29,
                    b'^' => 30,
                    b'_' => 31,
                    _ => return Err(bad(part)),
                },
                (_, _) => match part {
                    "DEL" => 127,
                    _ => return Err(bad(part)),
                },
            };
            keys.push(key);
        }
        Ok(DetachKeys { keys, matched: 0 })
    }

    /// What of `input` goes on to the container, and whether the sequence is complete. The beginning of a sequence is
    /// held back until it is known whether it goes on.
    pub(crate) fn filter(&mut self, input: Bytes) -> (Bytes, bool) {
        if self.keys.is_empty() {
            return (input, false);
        }
        let mut out = BytesMut::with_capacity(input.len() + self.matched);
        for byte in input {
            loop {
                if self.keys.get(self.matched) == Some(&byte) {
                    self.matched += 1;
                    break;
                }
                if self.matched == 0 {
                    out.extend_from_slice(&[byte]);
                    break;
                }
                out.extend_from_slice(self.keys.get(..self.matched).unwrap_or_default());
                self.matched = 0;
            }
            if self.matched == self.keys.len() {
                return (out.freeze(), true);
            }
        }
        (out.freeze(), false)
    }
}

/// The sequences that execs were made with, until they are started.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExecKeys(Arc<Mutex<BTreeMap<String, DetachKeys>>>);

/// How many execs with a sequence of their own may wait for their start.
const WAITING: usize = 1024;

impl ExecKeys {
    /// Remembers the sequence of an exec, unless it is the usual one.
    pub(crate) fn remember(&self, id: &str, keys: DetachKeys) {
        if DetachKeys::parse("").is_ok_and(|usual| usual == keys) {
            return;
        }
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= WAITING {
            map.pop_first();
        }
        map.insert(id.to_owned(), keys);
    }

    /// The sequence of an exec that is started.
    pub(crate) fn take(&self, id: &str) -> Result<DetachKeys, Fault> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.remove(id).map_or_else(|| DetachKeys::parse(""), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &str, pieces: &[&str], want: &str, detached: bool) {
        let mut keys = DetachKeys::parse(keys).unwrap();
        let (mut out, mut ended) = (Vec::new(), false);
        for piece in pieces {
            let (bytes, now) = keys.filter(Bytes::copy_from_slice(piece.as_bytes()));
            out.extend_from_slice(&bytes);
            ended |= now;
        }
        assert_eq!((String::from_utf8(out).unwrap().as_str(), ended), (want, detached));
    }

    #[test]
    fn the_sequence_is_found_across_pieces_and_else_passed_on() {
        check("", &["ab\x10", "\x11"], "ab", true);
        check("", &["a\x10b"], "a\x10b", false);
        check("", &["\x10\x10\x11"], "\x10", true);
        check("a,b", &["xa", "c"], "xac", false);
        check("ctrl-],DEL", &["\x1d\x7f"], "", true);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["ctrl-", "ctrl-ab", "abc", "a,,b", "ctrl-1"] {
            assert!(DetachKeys::parse(text).is_err(), "{text}");
        }
    }
}
