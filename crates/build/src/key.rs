//! Pure: the keys of the cache: digests of everything that decides what a vertex makes, and of nothing else.

use naru_oci::{Algorithm, ChainId, Digest, Digester};

/// The version of what goes into keys; another one finds nothing that was made before.
const VERSION: &str = "naru-build-1";

/// A key being put together. Every part has its length before it, so that no two lists of parts are the same bytes.
#[derive(Debug, Clone)]
pub(crate) struct KeyMaker {
    digester: Digester,
}

impl KeyMaker {
    /// The key of a vertex of this kind on a file system.
    pub(crate) fn new(kind: &str, parent: Option<ChainId>) -> KeyMaker {
        let mut key = KeyMaker { digester: Digester::new(Algorithm::Sha256) };
        key.text(VERSION);
        key.text(kind);
        key.text(&parent.map(|chain| chain.to_string()).unwrap_or_default());
        key
    }

    /// Adds a part.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut KeyMaker {
        self.digester.update(&(bytes.len() as u64).to_le_bytes());
        self.digester.update(bytes);
        self
    }

    /// Adds a part.
    pub(crate) fn text(&mut self, text: &str) -> &mut KeyMaker {
        self.bytes(text.as_bytes())
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, number: u64) -> &mut KeyMaker {
        self.bytes(&number.to_le_bytes())
    }

    /// Adds a list.
    pub(crate) fn list<T: AsRef<str>>(
        &mut self,
        list: impl IntoIterator<Item = T>,
    ) -> &mut KeyMaker {
        let texts: Vec<T> = list.into_iter().collect();
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text.as_ref());
        }
        self
    }

    /// The key, in hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        self.digester.finish().hex()
    }

    /// The same as a digest.
    pub(crate) fn digest(self) -> Digest {
        self.digester.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_lists_have_the_same_key() {
        let key = |lists: &[&[&str]]| {
            let mut key = KeyMaker::new("x", None);
            for list in lists {
                key.list(*list);
            }
            key.finish()
        };
        let all = [
            key(&[]),
            key(&[&[]]),
            key(&[&["a", "b"]]),
            key(&[&["ab"]]),
            key(&[&["a"], &["b"]]),
            key(&[&["a", "b"], &[]]),
            KeyMaker::new("y", None).finish(),
        ];
        for (number, one) in all.iter().enumerate() {
            assert!(all.iter().skip(number + 1).all(|other| other != one));
        }
    }
}
