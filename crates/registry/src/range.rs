//! Pure: ranges of blobs that are read, and of pieces that are written.

/// What a `Range` header asks of a blob (RFC 9110 section 14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// All of it: no range, or one that is not understood and so is ignored.
    Whole,
    /// From the first to the last byte, both included.
    Part(u64, u64),
    /// Nothing that is there.
    Nothing,
}

/// One range of bytes of a blob of `size`; several at once are answered with the whole, as is allowed.
pub(crate) fn asked(header: Option<&str>, size: u64) -> Asked {
    let Some(range) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Asked::Whole;
    };
    if range.contains(',') {
        return Asked::Whole;
    }
    let Some((first, last)) = range.split_once('-') else { return Asked::Whole };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Asked::Whole,
        (true, false) => match number(last) {
            Some(0) => Asked::Nothing,
            Some(count) if size > 0 => Asked::Part(size.saturating_sub(count), size - 1),
            Some(_) => Asked::Nothing,
            None => Asked::Whole,
        },
        (false, open) => {
            let Some(first) = number(first) else { return Asked::Whole };
            let last = if open { Some(u64::MAX) } else { number(last) };
            match last {
                // Invalid: a server may refuse it (RFC 9110 section 14.2), which says more than the whole blob would.
                Some(last) if last < first => Asked::Nothing,
                Some(_) if first >= size => Asked::Nothing,
                Some(last) => Asked::Part(first, last.min(size - 1)),
                None => Asked::Whole,
            }
        }
    }
}

/// First and last byte of a piece's `Content-Range`: `^[0-9]+-[0-9]+$`, or as HTTP writes it.
pub(crate) fn piece(header: &str) -> Option<(u64, u64)> {
    let range = header.trim();
    let range = range.strip_prefix("bytes ").or(range.strip_prefix("bytes=")).unwrap_or(range);
    let range = range.split('/').next().unwrap_or_default();
    let (first, last) = range.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_of_blobs() {
        for (header, expected) in [
            (None, Asked::Whole),
            (Some("bytes=0-3"), Asked::Part(0, 3)),
            (Some("bytes=4-"), Asked::Part(4, 9)),
            (Some("bytes=9-99"), Asked::Part(9, 9)),
            (Some("bytes=-3"), Asked::Part(7, 9)),
            (Some("bytes=-30"), Asked::Part(0, 9)),
            (Some("bytes=10-"), Asked::Nothing),
            (Some("bytes=-0"), Asked::Nothing),
            (Some("bytes=5-4"), Asked::Nothing),
            (Some("bytes=500-0"), Asked::Nothing),
            (Some("bytes=0-1,3-4"), Asked::Whole),
            (Some("lines=1-2"), Asked::Whole),
            (Some("bytes=a-b"), Asked::Whole),
            (Some("bytes=+1-2"), Asked::Whole),
        ] {
            assert_eq!(asked(header, 10), expected, "{header:?}");
        }
        assert_eq!(asked(Some("bytes=0-"), 0), Asked::Nothing);
    }

    #[test]
    fn ranges_of_pieces() {
        assert_eq!(piece("0-9"), Some((0, 9)));
        assert_eq!(piece("bytes 5-9/10"), Some((5, 9)));
        for bad in ["", "9", "9-5", "-5", "5-", "a-b", "0-99999999999999999999999", "0--1"] {
            assert_eq!(piece(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_blob(header in "bytes=[0-9-]{0,12}", size in 0u64..2000) {
            if let Asked::Part(first, last) = asked(Some(&header), size) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}
