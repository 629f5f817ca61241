//! Pure: which parts of a sparse file an archive holds; the four notations of GNU tar.

use super::header::Pairs;
use super::pax::Records;

/// No honest file has more pieces.
const MOST_SEGMENTS: usize = 1 << 20;

/// The pieces of a file that have data, in order, and how long it is with its holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseMap {
    /// Offset and length of each piece.
    pub segments: Vec<(u64, u64)>,
    /// The file's length.
    pub size: u64,
}

/// Where the map of a sparse file is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notation {
    /// In the PAX header (0.0 and 0.1).
    Header(Pairs, u64),
    /// In front of the data (1.0); the number is the file's length.
    Data(u64),
}

impl SparseMap {
    /// A map whose pieces are in order, do not overlap and lie in the file.
    pub fn checked(pairs: &[(i64, i64)], size: u64) -> Option<SparseMap> {
        if pairs.len() > MOST_SEGMENTS || i64::try_from(size).is_err() {
            return None;
        }
        let mut segments = Vec::with_capacity(pairs.len());
        let mut end = 0u64;
        for (offset, length) in pairs {
            let (offset, length) = (u64::try_from(*offset).ok()?, u64::try_from(*length).ok()?);
            if offset < end {
                return None;
            }
            end = offset.checked_add(length)?;
            if end > size {
                return None;
            }
            // An empty piece only marks where the file ends.
            if length > 0 {
                segments.push((offset, length));
            }
        }
        Some(SparseMap { segments, size })
    }

    /// How many bytes of data the archive holds for it.
    pub fn stored(&self) -> u64 {
        self.segments.iter().map(|(_, length)| length).sum()
    }
}

/// A sparse map, or the records that lead to it, make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What the PAX records say about holes; `None` for an ordinary file.
pub fn notation(records: &Records) -> Result<Option<Notation>, Malformed> {
    let find = |key: &str| {
        records.iter().rev().find(|(name, _)| name == key.as_bytes()).map(|(_, value)| value)
    };
    let length = |key: &str| match find(key) {
        None => Ok(None),
        Some(value) => {
            decimal(value).and_then(|size| u64::try_from(size).ok()).map(Some).ok_or(Malformed)
        }
    };
    if let Some(major) = find("GNU.sparse.major") {
        let minor = find("GNU.sparse.minor").map(Vec::as_slice);
        if (major.as_slice(), minor) != (b"1", Some(b"0")) {
            return Err(Malformed);
        }
        return Ok(Some(Notation::Data(length("GNU.sparse.realsize")?.ok_or(Malformed)?)));
    }
    let Some(size) = length("GNU.sparse.size")? else { return Ok(None) };
    let mut numbers = Vec::new();
    if let Some(map) = find("GNU.sparse.map") {
        for number in map.split(|byte| *byte == b',').filter(|text| !text.is_empty()) {
            numbers.push(decimal(number).ok_or(Malformed)?);
        }
    } else {
        let pieces = records
            .iter()
            .filter(|(key, _)| key == b"GNU.sparse.offset" || key == b"GNU.sparse.numbytes");
        for (index, (key, value)) in pieces.enumerate() {
            // Offsets and lengths take turns.
            let expected: &[u8] =
                if index % 2 == 0 { b"GNU.sparse.offset" } else { b"GNU.sparse.numbytes" };
            if key != expected {
                return Err(Malformed);
            }
            numbers.push(decimal(value).ok_or(Malformed)?);
        }
    }
    Ok(Some(Notation::Header(pairs(&numbers).ok_or(Malformed)?, size)))
}

/// Reads a 1.0 map as far as the bytes go: `None` when more bytes are needed, otherwise the pairs.
#[derive(Debug, Default)]
pub struct MapText {
    text: Vec<u8>,
}

impl MapText {
    /// Takes one more block in; answers the pairs once the map is whole.
    pub fn push(&mut self, block: &[u8]) -> Result<Option<Pairs>, Malformed> {
        self.text.extend_from_slice(block);
        let mut lines = self.text.split(|byte| *byte == b'\n');
        // What follows the last newline is unfinished, or padding.
        let whole = self.text.iter().filter(|byte| **byte == b'\n').count();
        if whole == 0 {
            return if self.text.len() > 64 { Err(Malformed) } else { Ok(None) };
        }
        let count = lines
            .next()
            .and_then(decimal)
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(Malformed)?;
        if count > MOST_SEGMENTS {
            return Err(Malformed);
        }
        if whole < 1 + count * 2 {
            return if self.text.len() > 64 * (2 + count * 2) { Err(Malformed) } else { Ok(None) };
        }
        let numbers: Option<Vec<i64>> = lines.take(count * 2).map(decimal).collect();
        Ok(Some(numbers.as_deref().and_then(pairs).ok_or(Malformed)?))
    }
}

/// Writes a 1.0 map, padded to whole blocks.
pub fn format_map(map: &SparseMap) -> Vec<u8> {
    let mut text = format!("{}\n", map.segments.len());
    for (offset, length) in &map.segments {
        text.push_str(&format!("{offset}\n{length}\n"));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(super::header::BLOCK), 0);
    bytes
}

fn pairs(numbers: &[i64]) -> Option<Pairs> {
    let chunks = numbers.chunks(2);
    chunks
        .map(|pair| if let [offset, length] = pair { Some((*offset, *length)) } else { None })
        .collect()
}

fn decimal(text: &[u8]) -> Option<i64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_lie_are_refused() {
        let check = |pairs: &[(i64, i64)], size, fits: bool| {
            assert_eq!(SparseMap::checked(pairs, size).is_some(), fits, "{pairs:?} in {size}");
        };
        check(&[], 0, true);
        check(&[(0, 10), (20, 10), (30, 0)], 30, true);
        check(&[(0, 10), (5, 10)], 30, false);
        check(&[(20, 1), (0, 1)], 30, false);
        check(&[(0, 31)], 30, false);
        check(&[(-1, 2)], 30, false);
        check(&[(0, -2)], 30, false);
        check(&[(i64::MAX, i64::MAX)], u64::MAX, false);
    }

    #[test]
    fn a_map_in_front_of_the_data_is_read_block_by_block() {
        let map =
            SparseMap { segments: (0..100).map(|n| (n * 10_000, 512)).collect(), size: 10_000_000 };
        let text = format_map(&map);
        assert!(text.len() > 512 && text.len().is_multiple_of(512));
        let mut reader = MapText::default();
        let mut found = None;
        for block in text.chunks(512) {
            assert!(found.is_none());
            found = reader.push(block).unwrap();
        }
        assert_eq!(SparseMap::checked(&found.unwrap(), map.size), Some(map));
        assert!(MapText::default().push(b"-1\n0\n").is_err());
        assert!(MapText::default().push(b"99999999999\n").is_err());
        assert!(MapText::default().push(&[b'1'; 512]).is_err());
    }

    #[test]
    fn the_three_pax_notations() {
        let records = |pairs: &[(&str, &str)]| -> Records {
            pairs.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect()
        };
        assert_eq!(notation(&records(&[])), Ok(None));
        let zero = records(&[
            ("GNU.sparse.size", "100"),
            ("GNU.sparse.numblocks", "1"),
            ("GNU.sparse.offset", "10"),
            ("GNU.sparse.numbytes", "20"),
        ]);
        assert_eq!(notation(&zero), Ok(Some(Notation::Header(vec![(10, 20)], 100))));
        let one = records(&[("GNU.sparse.size", "100"), ("GNU.sparse.map", "10,20,30,40")]);
        assert_eq!(notation(&one), Ok(Some(Notation::Header(vec![(10, 20), (30, 40)], 100))));
        let data =
            [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "5")];
        assert_eq!(notation(&records(&data)), Ok(Some(Notation::Data(5))));
        assert!(
            notation(&records(&[("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0")])).is_err()
        );
        assert!(notation(&records(&[("GNU.sparse.size", "-1")])).is_err());
        assert!(
            notation(&records(&[("GNU.sparse.size", "1"), ("GNU.sparse.map", "1,2,3")])).is_err()
        );
    }
}
