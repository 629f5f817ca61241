//! Pure: bytes of processes as text: a character that is cut between two pieces waits for its rest.

use std::collections::HashMap;

/// The beginnings of characters that wait, by vertex and stream.
#[derive(Debug, Default)]
pub(super) struct Texts(HashMap<(u32, bool), Vec<u8>>);

impl Texts {
    /// The text of a piece, together with what waited.
    pub(super) fn take(&mut self, vertex: u32, stderr: bool, bytes: &[u8]) -> String {
        let waiting = self.0.entry((vertex, stderr)).or_default();
        let mut all = std::mem::take(waiting);
        all.extend_from_slice(bytes);
        let cut = unfinished(&all);
        *waiting = all.split_off(all.len() - cut);
        String::from_utf8_lossy(&all).into_owned()
    }

    /// What waits for a rest that never comes.
    pub(super) fn end(&mut self, vertex: u32) -> [(bool, String); 2] {
        [false, true].map(|stderr| {
            let bytes = self.0.remove(&(vertex, stderr)).unwrap_or_default();
            (stderr, String::from_utf8_lossy(&bytes).into_owned())
        })
    }
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(4).enumerate() {
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if back + 1 < length { back + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_whole() {
        let text = "añ→😀b";
        for size in 1..=text.len() {
            let mut texts = Texts::default();
            let mut got = String::new();
            for piece in text.as_bytes().chunks(size) {
                got.push_str(&texts.take(1, false, piece));
            }
            assert_eq!(got, text, "{size}");
            assert_eq!(texts.end(1), [(false, String::new()), (true, String::new())]);
        }
    }

    #[test]
    fn what_is_no_text_is_shown_as_such() {
        let mut texts = Texts::default();
        assert_eq!(texts.take(1, false, b"\xff\xfe"), "\u{fffd}\u{fffd}");
        assert_eq!(texts.take(1, false, b"a\xe2\x86"), "a");
        assert_eq!(texts.take(1, true, b"x"), "x");
        assert_eq!(texts.end(1)[0], (false, "\u{fffd}".to_owned()));
    }
}
