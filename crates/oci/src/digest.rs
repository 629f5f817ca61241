//! Pure: digests of bytes and the identifiers made of them.
//!
//! Rules: OCI image-spec, `descriptor.md` (digest grammar) and `config.md` (diffID, chainID, image ID).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use std::fmt;
use std::io;
use std::str::FromStr;

/// The hash functions that OCI registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, the one everybody uses.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// How many bytes a hash has.
    pub const fn size(self) -> usize {
        match self {
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    }
}

/// Algorithm and hash of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    // SHA-256 uses the first half; the rest stays zero, so derived comparisons hold.
    bytes: [u8; 64],
}

impl Digest {
    /// The SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::of_as(Algorithm::Sha256, bytes)
    }

    /// The digest of `bytes` in an algorithm.
    pub fn of_as(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut digester = Digester::new(algorithm);
        digester.update(bytes);
        digester.finish()
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash in lower-case hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.bytes.get(..self.algorithm.size()).unwrap_or_default())
    }

    /// The first twelve hexadecimal digits, as lists show them.
    pub fn short(&self) -> String {
        let mut digits = self.hex();
        digits.truncate(12);
        digits
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// There is no `algorithm:` part.
    #[error("`{text}` is not a digest: it has no `algorithm:` part")]
    NoAlgorithm {
        /// The text.
        text: String,
    },
    /// The algorithm is not one of those OCI registers.
    #[error("`{text}` is not a digest: the algorithm is neither `sha256` nor `sha512`")]
    UnknownAlgorithm {
        /// The text.
        text: String,
    },
    /// The hash has the wrong length or other characters than lower-case hexadecimal digits.
    #[error("`{text}` is not a digest: the hash is not {expected} lower-case hexadecimal digits")]
    BadHash {
        /// The text.
        text: String,
        /// How many digits the algorithm has.
        expected: usize,
    },
}

impl naru_errdefs::Failure for ParseDigestError {
    fn kind(&self) -> naru_errdefs::Kind {
        naru_errdefs::Kind::InvalidInput
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Digest, ParseDigestError> {
        let quoted = || text.chars().take(160).collect::<String>();
        let (name, digits) =
            text.split_once(':').ok_or_else(|| ParseDigestError::NoAlgorithm { text: quoted() })?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(ParseDigestError::UnknownAlgorithm { text: quoted() }),
        };
        let expected = algorithm.size() * 2;
        let bad = || ParseDigestError::BadHash { text: quoted(), expected };
        if digits.len() != expected || digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(bad());
        }
        let mut bytes = [0u8; 64];
        let target = bytes.get_mut(..algorithm.size()).ok_or_else(bad)?;
        if hex::decode_to_slice(digits, target).is_err() {
            return Err(bad());
        }
        Ok(Digest { algorithm, bytes })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// As much of a reader is taken in at once.
const PIECE: usize = 256 << 10;

/// Hashes bytes as they pass.
#[derive(Debug, Clone)]
pub struct Digester(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Digester {
    /// A digester that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Digester {
        Digester(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes more bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// Takes in all that a reader gives until it ends; says how many bytes that was.
    pub fn read(&mut self, reader: &mut dyn io::Read) -> io::Result<u64> {
        let mut buffer = vec![0; PIECE];
        let mut size = 0;
        loop {
            let count = reader.read(&mut buffer)?;
            let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
                return Ok(size);
            };
            self.update(piece);
            size += count as u64;
        }
    }

    /// The digest of all bytes seen.
    pub fn finish(self) -> Digest {
        let mut bytes = [0u8; 64];
        let algorithm = match self.0 {
            State::Sha256(state) => {
                for (to, from) in bytes.iter_mut().zip(state.finalize()) {
                    *to = from;
                }
                Algorithm::Sha256
            }
            State::Sha512(state) => {
                for (to, from) in bytes.iter_mut().zip(state.finalize()) {
                    *to = from;
                }
                Algorithm::Sha512
            }
        };
        Digest { algorithm, bytes }
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, ParseDigestError> {
                text.parse().map($name)
            }
        }
    };
}

identifier!(
    /// Digest of an *uncompressed* layer.
    DiffId
);
identifier!(
    /// Digest of a stack of diffIDs: names the file system that the stack makes.
    ChainId
);
identifier!(
    /// Digest of an image's config.
    ImageId
);

impl ChainId {
    /// The chain of one layer.
    pub fn first(layer: DiffId) -> ChainId {
        ChainId(layer.0)
    }

    /// The chain of a layer on what is below it, if anything is.
    pub fn on(parent: Option<ChainId>, layer: DiffId) -> ChainId {
        parent.map_or_else(|| ChainId::first(layer), |parent| parent.then(layer))
    }

    /// The chain with one more layer on top: `SHA256(parent + " " + diffID)`.
    pub fn then(self, layer: DiffId) -> ChainId {
        ChainId(Digest::of(format!("{self} {layer}").as_bytes()))
    }
}

/// The chain after each layer, bottom first.
pub fn chain_ids(layers: &[DiffId]) -> Vec<ChainId> {
    let mut chains: Vec<ChainId> = Vec::with_capacity(layers.len());
    for layer in layers {
        chains.push(ChainId::on(chains.last().copied(), *layer));
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
    }

    #[test]
    fn texts_that_are_not_digests_are_refused() {
        for text in [
            "",
            "sha256",
            "sha256:",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
            "sha256:../../../../etc/passwd0000000000000000000000000000000000000000000",
            "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    // The example of image-spec `config.md`: ChainID(A|B) = Digest(ChainID(A) + " " + DiffID(B)).
    #[test]
    fn a_chain_of_one_layer_is_its_diff_id() {
        let layer = DiffId(Digest::of(b"a"));
        assert_eq!(chain_ids(&[layer]), [ChainId(layer.0)]);
        let upper = DiffId(Digest::of(b"b"));
        let expected = Digest::of(format!("{layer} {upper}").as_bytes());
        assert_eq!(chain_ids(&[layer, upper]).last(), Some(&ChainId(expected)));
    }

    #[test]
    fn a_reader_is_taken_in_to_its_end() {
        let bytes = vec![7; PIECE + 1];
        let mut digester = Digester::new(Algorithm::Sha256);
        // What comes in pieces counts as one.
        let (first, rest) = bytes.split_at(3);
        digester.update(first);
        assert_eq!(digester.read(&mut &*rest).unwrap(), rest.len() as u64);
        assert_eq!(digester.read(&mut io::empty()).unwrap(), 0);
        assert_eq!(digester.finish(), Digest::of(&bytes));
    }

    proptest! {
        #[test]
        fn a_digest_survives_its_text(bytes in proptest::collection::vec(any::<u8>(), 0..64), long in any::<bool>()) {
            let mut digester = Digester::new(if long { Algorithm::Sha512 } else { Algorithm::Sha256 });
            digester.update(&bytes);
            let digest = digester.finish();
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        }
    }
}
