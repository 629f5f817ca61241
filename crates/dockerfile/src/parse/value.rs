//! Pure: values as Go reads them: durations, sizes, lines of comma-separated fields.

use std::time::Duration;

/// A duration such as `1h30m` or `1.5s`. Negative ones are told apart from malformed ones: they are smaller than any minimum.
pub(crate) fn duration(text: &str) -> Result<Option<Duration>, String> {
    let malformed = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Some(Duration::ZERO));
    }
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(end).ok_or_else(malformed)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(malformed());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(end).ok_or_else(malformed)?;
        let nanos: u128 = match unit {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        let whole: u128 =
            if whole.is_empty() { 0 } else { whole.parse().map_err(|_too_big| malformed())? };
        total = whole
            .checked_mul(nanos)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(malformed)?;
        // Nanoseconds are as fine as it gets, so digits beyond the twentieth count for nothing.
        let mut scale = nanos;
        for digit in fraction.chars().take(20).filter_map(|c| c.to_digit(10)) {
            scale /= 10;
            total = total.saturating_add(scale.saturating_mul(u128::from(digit)));
        }
        rest = next;
    }
    // Go counts nanoseconds in 63 bits.
    let nanos = u64::try_from(total).ok().filter(|n| *n <= i64::MAX.unsigned_abs());
    let nanos = nanos.ok_or_else(malformed)?;
    Ok((!negative || nanos == 0).then(|| Duration::from_nanos(nanos)))
}

/// A size such as `64m` or `1.5GiB`, in bytes; all units are powers of 1024.
pub(crate) fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let shift = match unit.trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') {
        return None;
    }
    let unit = 1_u64.checked_shl(shift)?;
    let mut total = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let digits = fraction.get(..fraction.len().min(12)).unwrap_or(fraction);
    if !digits.is_empty() {
        let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
        let part = digits.parse::<u128>().ok()?.checked_mul(u128::from(unit))? / scale;
        total = total.checked_add(u64::try_from(part).ok()?)?;
    }
    Some(total)
}

/// The fields of one line of comma-separated values; a field in `"` may hold commas and, doubled, quotes.
pub(crate) fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let field;
        (field, rest) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let mut field = String::new();
                let mut rest = quoted;
                loop {
                    let (part, after) = rest
                        .split_once('"')
                        .ok_or_else(|| "extraneous or missing \" in quoted-field".to_owned())?;
                    field.push_str(part);
                    match after.strip_prefix('"') {
                        Some(more) => {
                            field.push('"');
                            rest = more;
                        }
                        None if after.is_empty() || after.starts_with(',') => break (field, after),
                        None => return Err("extraneous or missing \" in quoted-field".to_owned()),
                    }
                }
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                if field.contains('"') {
                    return Err("bare \" in non-quoted-field".to_owned());
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(fields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, fields, size};
    use std::time::Duration;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("0", 0),
            ("0ms", 0),
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            (".5m", 30_000),
            ("1h", 3_600_000),
            ("+2s", 2_000),
            ("1000000us", 1_000),
        ] {
            assert_eq!(duration(text), Ok(Some(Duration::from_millis(millis))), "{text}");
        }
        assert_eq!(duration("50ns"), Ok(Some(Duration::from_nanos(50))));
        assert_eq!(duration("-5s"), Ok(None));
        for text in ["", "5", "s", "5x", ".s", "1..5s", "-", "1e3s", "9999999999h", "5 s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        let long = "9".repeat(100_000);
        assert!(duration(&long).is_err());
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("100", 100),
            ("64b", 64),
            ("1k", 1024),
            ("1KB", 1024),
            ("1KiB", 1024),
            ("64m", 64 << 20),
            ("1.5g", 3 << 29),
            ("1 m", 1 << 20),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "m", "-1", "1x", "1kk", "1..5m", "99999999999p", ".5m"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn fields_are_split_at_commas_outside_quotes() {
        for (line, expected) in [
            ("a=b", vec!["a=b"]),
            ("a=b,c,d=", vec!["a=b", "c", "d="]),
            ("\"a=b,c\",d", vec!["a=b,c", "d"]),
            ("\"a=\"\"b\"\"\",", vec!["a=\"b\"", ""]),
            ("", vec![""]),
        ] {
            assert_eq!(fields(line).unwrap(), expected, "{line}");
        }
        for line in ["\"a", "a\"b", "\"a\"b"] {
            assert!(fields(line).is_err(), "{line}");
        }
    }
}
