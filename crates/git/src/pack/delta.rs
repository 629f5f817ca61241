//! Pure: differences between objects (gitformat-pack, "Deltified representation").

use super::PackError;

const BAD: PackError = PackError::Damaged("a difference that is none");

/// A number of seven bits a byte, the low ones first.
fn number(bytes: &[u8]) -> Result<(u64, &[u8]), PackError> {
    let mut value = 0u64;
    let mut rest = bytes;
    for shift in (0..63).step_by(7) {
        let Some((byte, after)) = rest.split_first() else { return Err(BAD) };
        rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value, rest));
        }
    }
    Err(BAD)
}

/// How many bytes a difference makes.
pub(super) fn target_size(delta: &[u8]) -> Result<u64, PackError> {
    let (_, rest) = number(delta)?;
    Ok(number(rest)?.0)
}

/// Makes an object from what it is a difference to. Its size was checked by whoever calls.
pub(super) fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, PackError> {
    let (source, rest) = number(delta)?;
    let (target, mut rest) = number(rest)?;
    if source != base.len() as u64 {
        return Err(PackError::Damaged("a difference to something else"));
    }
    let target = usize::try_from(target).map_err(|_large| BAD)?;
    let mut made: Vec<u8> = Vec::new();
    while let Some((op, after)) = rest.split_first() {
        rest = after;
        let piece = if op & 0x80 == 0 {
            let count = usize::from(*op);
            if count == 0 {
                return Err(BAD);
            }
            let piece = rest.get(..count).ok_or(BAD)?;
            rest = rest.get(count..).unwrap_or_default();
            piece
        } else {
            let mut field = |bits: std::ops::Range<u32>| -> Result<usize, PackError> {
                let mut value = 0usize;
                for (place, bit) in bits.enumerate() {
                    if op & (1 << bit) != 0 {
                        let (byte, after) = rest.split_first().ok_or(BAD)?;
                        rest = after;
                        value |= usize::from(*byte) << (8 * place);
                    }
                }
                Ok(value)
            };
            let start = field(0..4)?;
            let count = match field(4..7)? {
                0 => 0x10000,
                count => count,
            };
            let end = start.checked_add(count).ok_or(BAD)?;
            base.get(start..end).ok_or(BAD)?
        };
        if piece.len() > target - made.len() {
            return Err(PackError::Damaged("a difference that makes more than it says"));
        }
        made.extend_from_slice(piece);
    }
    if made.len() == target { Ok(made) } else { Err(BAD) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_copy_and_insert() {
        let base = b"hello world";
        // Six bytes from 0, "naru", five bytes from 6.
        let delta = [&[11, 15, 0x90, 6, 4][..], b"naru", &[0x91, 6, 5]].concat();
        assert_eq!(target_size(&delta).unwrap(), 15);
        assert_eq!(apply(base, &delta).unwrap(), b"hello naruworld");
        for bad in [
            &[][..],
            &[11],
            &[0x80; 12],
            &[10, 0],
            &[11, 1],
            &[11, 1, 0],
            &[11, 4, 4, b'x'],
            &[11, 0, 1, b'x'],
            &[11, 200, 0x91, 6, 200],
            &[11, 1, 0xff, 1],
            &[11, 1, 0x8f, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(apply(base, bad).is_err(), "{bad:?}");
        }
    }
}
