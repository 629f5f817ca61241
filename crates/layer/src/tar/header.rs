//! Pure: one 512-byte header block to fields and back. `tar`'s header structures name the bytes; numbers are read
//! here, because negative and huge ones must be told apart from honest ones.

use ::tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

/// Headers and data come in blocks of this many bytes.
pub const BLOCK: usize = 512;

/// A header's numbers, before any extension has its say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Permission bits.
    pub mode: Option<i64>,
    /// Owner.
    pub uid: Option<i64>,
    /// Group.
    pub gid: Option<i64>,
    /// Bytes of data that follow.
    pub size: Option<i64>,
    /// Seconds since 1970.
    pub mtime: Option<i64>,
    /// Device numbers.
    pub device: (Option<i64>, Option<i64>),
}

/// Whether the block is all zeros, which ends an archive.
pub fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// Whether the checksum is right; some old writers summed signed bytes.
pub fn checksum_fits(block: &[u8; BLOCK]) -> bool {
    // The field of the sum itself counts as spaces.
    let (mut unsigned, mut signed) = (8 * i64::from(b' '), 8 * i64::from(b' '));
    for byte in block.iter().take(148).chain(block.iter().skip(156)) {
        unsigned += i64::from(*byte);
        signed += i64::from(byte.cast_signed());
    }
    let stored = block.get(148..156).and_then(number);
    stored == Some(unsigned) || stored == Some(signed)
}

/// The numbers of a header.
pub fn numbers(header: &Header) -> Numbers {
    let old = header.as_old();
    let device = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (number(&ustar.dev_major), number(&ustar.dev_minor)),
        (None, Some(gnu)) => (number(&gnu.dev_major), number(&gnu.dev_minor)),
        (None, None) => (Some(0), Some(0)),
    };
    Numbers {
        mode: number(&old.mode),
        uid: number(&old.uid),
        gid: number(&old.gid),
        size: number(&old.size),
        mtime: number(&old.mtime),
        device,
    }
}

/// The header's own name: with the prefix that ustar has.
pub fn name(header: &Header) -> Vec<u8> {
    let old = until_nul(&header.as_old().name);
    match header.as_ustar().map(|ustar| until_nul(&ustar.prefix)) {
        Some(prefix) if !prefix.is_empty() => [prefix, b"/", old].concat(),
        _ => old.to_vec(),
    }
}

/// The header's own link target.
pub fn link_name(header: &Header) -> Vec<u8> {
    until_nul(&header.as_old().linkname).to_vec()
}

/// Offsets and lengths as an archive spells them, unchecked.
pub type Pairs = Vec<(i64, i64)>;

/// The part of a GNU sparse map that is in the header: the pairs, the file's real size, and whether more blocks of
/// the map follow.
pub fn gnu_sparse(header: &Header) -> Option<(Pairs, i64, bool)> {
    let gnu = header.as_gnu()?;
    Some((sparse_pairs(&gnu.sparse)?, number(&gnu.realsize)?, gnu.isextended[0] != 0))
}

/// A further block of a GNU sparse map.
pub fn gnu_sparse_extension(block: &[u8; BLOCK]) -> Option<(Pairs, bool)> {
    let mut extension = GnuExtSparseHeader::new();
    extension.as_mut_bytes().copy_from_slice(block);
    Some((sparse_pairs(&extension.sparse)?, extension.isextended[0] != 0))
}

fn sparse_pairs(slots: &[GnuSparseHeader]) -> Option<Pairs> {
    let used = slots.iter().take_while(|slot| slot.offset[0] != 0 || slot.numbytes[0] != 0);
    used.map(|slot| Some((number(&slot.offset)?, number(&slot.numbytes)?))).collect()
}

/// A numeric field: octal digits, or GNU's base 256 when the first bit is set. An empty field is 0; `None` is a field
/// that is not a number or does not fit.
pub fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        // Two's complement, big endian; the first bit is only the mark, the second is the sign.
        let mut value = match first & 0x40 != 0 {
            true => i128::from(first.cast_signed()),
            false => i128::from(first & 0x7f),
        };
        for byte in field.iter().skip(1) {
            value = value * 256 + i128::from(*byte);
            if i64::try_from(value).is_err() {
                return None;
            }
        }
        return i64::try_from(value).ok();
    }
    let text = field.split(|byte| *byte == 0).next()?.trim_ascii();
    let mut value = 0i64;
    for digit in text {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value = value.checked_mul(8)?.checked_add(i64::from(digit))?;
    }
    Some(value)
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_notation() {
        let check =
            |field: &[u8], expected: Option<i64>| assert_eq!(number(field), expected, "{field:?}");
        check(b"0000644\0", Some(0o644));
        check(b"   644 \0", Some(0o644));
        check(b"\0\0\0\0\0\0\0\0", Some(0));
        check(b"        ", Some(0));
        check(b"77777777777", Some(0o77777777777));
        check(b"0000689\0", None);
        check(b"-1\0\0\0\0\0\0", None);
        check(b"\x80\0\0\0\x01\0\0\0", Some(1 << 24));
        check(&[0xff; 12], Some(-1));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], Some(-2));
        check(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], None);
        check(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Some(i64::MAX));
        check(&[0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], None);
        check(b"", None);
    }
}
