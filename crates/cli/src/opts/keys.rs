//! Pure: `--detach-keys` (`ctrl-p,ctrl-q`) as bytes, and the search for them in what is typed.

use super::OptError;

/// Control-P, Control-Q.
pub const DEFAULT: &[u8] = &[16, 17];

/// The bytes of a key sequence.
pub fn parse(text: &str) -> Result<Vec<u8>, OptError> {
    text.split(',')
        .map(|key| {
            let one = |key: &str| match key.as_bytes() {
                [byte] => Some(*byte),
                _ => None,
            };
            if let Some(byte) = one(key) {
                return Ok(byte);
            }
            let control = key.strip_prefix("ctrl-").and_then(one);
            match control {
                Some(byte @ b'a'..=b'z') => Ok(byte - b'a' + 1),
                Some(b'@') => Ok(0),
                Some(byte @ b'['..=b'_') => Ok(byte - b'@'),
                _ => Err(OptError::new(format!("invalid detach keys ({text}): Unknown character: '{key}'"))
                    .with_hint("write letters or `ctrl-` and a letter or one of `@[\\]^_`, with commas between, as in `ctrl-p,ctrl-q`")),
            }
        })
        .collect()
}

/// Watches typed bytes for the sequence.
#[derive(Debug, Clone)]
pub struct Watch {
    keys: Vec<u8>,
    matched: usize,
}

/// What to do with a piece of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What goes on to the container.
    pub pass: Vec<u8>,
    /// Whether the sequence is complete.
    pub detach: bool,
}

impl Watch {
    /// Watches for these bytes; an empty sequence never matches.
    pub fn new(keys: Vec<u8>) -> Watch {
        Watch { keys, matched: 0 }
    }

    /// Takes a piece of input. Bytes that may begin the sequence are held back until it is clear what they are.
    pub fn feed(&mut self, input: &[u8]) -> Seen {
        let mut pass = Vec::with_capacity(input.len());
        for byte in input {
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return Seen { pass, detach: true };
                }
                continue;
            }
            pass.extend(self.keys.iter().take(self.matched));
            self.matched = usize::from(self.keys.len() > 1 && self.keys.first() == Some(byte));
            if self.matched == 0 {
                pass.push(*byte);
            }
        }
        Seen { pass, detach: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::tests::check;

    #[test]
    fn sequences() {
        check(
            parse,
            &[
                ("ctrl-p,ctrl-q", vec![16, 17]),
                ("a", vec![b'a']),
                ("ctrl-@,x", vec![0, b'x']),
                ("ctrl-[", vec![27]),
                ("ctrl-_", vec![31]),
            ],
            &[("ctrl-", "Unknown character: 'ctrl-'"), ("shift-a,a", "shift-a"), ("", "Unknown")],
        );
    }

    #[test]
    fn the_sequence_is_found_across_pieces_and_the_rest_passes() {
        let mut watch = Watch::new(DEFAULT.to_vec());
        assert_eq!(watch.feed(b"ls\x10"), Seen { pass: b"ls".to_vec(), detach: false });
        assert_eq!(watch.feed(b"x"), Seen { pass: b"\x10x".to_vec(), detach: false });
        assert_eq!(watch.feed(b"\x10\x10"), Seen { pass: b"\x10".to_vec(), detach: false });
        assert_eq!(watch.feed(b"\x11y"), Seen { pass: vec![], detach: true });
    }

    #[test]
    fn a_single_key_detaches_at_once() {
        let mut watch = Watch::new(vec![b'q']);
        assert_eq!(watch.feed(b"aqb"), Seen { pass: b"a".to_vec(), detach: true });
    }

    #[test]
    fn no_keys_never_detach() {
        let mut watch = Watch::new(Vec::new());
        assert_eq!(watch.feed(b"\x10\x11"), Seen { pass: b"\x10\x11".to_vec(), detach: false });
    }
}
