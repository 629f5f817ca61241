//! Pure: PAX records, `length key=value\n`, in and out; and times as decimals.

use naru_kernel::times::FileTime;

/// The records of one extended header, in order.
pub type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads all records; `None` when the bytes are not records.
pub fn parse(mut bytes: &[u8]) -> Option<Records> {
    let mut records = Records::new();
    while !bytes.is_empty() {
        // Some writers pad the last record with NULs.
        if bytes.iter().all(|byte| *byte == 0) {
            break;
        }
        let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
        let digits = std::str::from_utf8(bytes.get(..space)?).ok()?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let length: usize = digits.parse().ok()?;
        let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
        if key.is_empty() {
            return None;
        }
        records.push((key.to_vec(), value.to_vec()));
        bytes = bytes.get(length..)?;
    }
    Some(records)
}

/// Writes one record.
pub fn append(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if digits(length) != digits(rest) {
        length = rest + digits(length);
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Reads a time such as `1700000000.123456789` or `-1.5`; digits beyond the nanosecond are dropped.
pub fn parse_time(text: &[u8]) -> Option<FileTime> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let negative = whole.starts_with('-');
    let seconds: i64 = whole.parse().ok()?;
    let nanoseconds = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    if negative && nanoseconds > 0 {
        return Some(FileTime {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        });
    }
    Some(FileTime { seconds, nanoseconds })
}

/// Writes a time, with no more digits than it needs.
pub fn format_time(time: FileTime) -> String {
    if time.nanoseconds == 0 {
        return time.seconds.to_string();
    }
    let (sign, seconds, nanoseconds) = if time.seconds < 0 {
        ("-", (time.seconds + 1).unsigned_abs(), 1_000_000_000 - time.nanoseconds)
    } else {
        ("", time.seconds.unsigned_abs(), time.nanoseconds)
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn malformed_records_are_refused() {
        for bytes in [
            &b"x"[..],
            b"5 a=b\n",
            b"6 a=b",
            b"7 a=b\n",
            b"6 =bb\n",
            b"6 abc\n",
            b"+6 a=b\n",
            b"99999999999999999999999 a=b\n",
            b"0 a=b\n",
            b"2 a=b\n",
        ] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
        assert_eq!(parse(b"6 a=b\n\0\0"), Some(vec![(b"a".to_vec(), b"b".to_vec())]));
        assert_eq!(parse(b"5 a=\n"), Some(vec![(b"a".to_vec(), Vec::new())]));
    }

    #[test]
    fn times_before_1970_have_fractions_too() {
        let time = |seconds, nanoseconds| Some(FileTime { seconds, nanoseconds });
        assert_eq!(parse_time(b"12"), time(12, 0));
        assert_eq!(parse_time(b"12.5"), time(12, 500_000_000));
        assert_eq!(parse_time(b"-0.25"), time(-1, 750_000_000));
        assert_eq!(parse_time(b"-1.5"), time(-2, 500_000_000));
        assert_eq!(parse_time(b"1.0000000019"), time(1, 1));
        assert_eq!(parse_time(b"99999999999999999999"), None);
        assert_eq!(parse_time(b"1e5"), None);
    }

    proptest! {
        #[test]
        fn records_survive(records in proptest::collection::vec(("[a-zA-Z.]{1,20}", proptest::collection::vec(any::<u8>(), 0..1200)), 0..5)) {
            let records: Records = records.into_iter().map(|(key, value)| (key.into_bytes(), value)).collect();
            let mut bytes = Vec::new();
            for (key, value) in &records {
                append(&mut bytes, key, value);
            }
            prop_assert_eq!(parse(&bytes), Some(records));
        }

        #[test]
        fn times_survive(seconds in -5_000_000_000i64..5_000_000_000, nanoseconds in 0u32..1_000_000_000) {
            let time = FileTime { seconds, nanoseconds };
            prop_assert_eq!(parse_time(format_time(time).as_bytes()), Some(time));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            drop(parse(&bytes));
            let _ = parse_time(&bytes);
        }
    }
}
