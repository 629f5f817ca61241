//! Pure: durations as Go writes them (`1h30m`, `1.5s`, `300ms`); there are no days.

use super::OptError;
use std::time::Duration;

/// A duration.
pub fn parse(text: &str) -> Result<Duration, OptError> {
    let refuse = || {
        OptError::new(format!("time: invalid duration {text:?}"))
            .with_hint("write it as in `300ms`, `30s`, `5m` or `1h30m`")
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(refuse());
    }
    let mut nanos: i64 = 0;
    while !rest.is_empty() {
        let ends = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(ends).ok_or_else(refuse)?;
        let ends = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(ends).ok_or_else(refuse)?;
        let factor = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => {
                return Err(OptError::new(format!("time: missing unit in duration {text:?}"))
                    .with_hint(format!("did you mean `{text}s`?")));
            }
            _ => {
                return Err(OptError::new(format!(
                    "time: unknown unit {unit:?} in duration {text:?}"
                )));
            }
        };
        let part = match number.parse::<i64>() {
            Ok(whole) => whole.checked_mul(factor),
            Err(_) => super::memory::fraction(number, factor),
        };
        nanos = part.and_then(|part| nanos.checked_add(part)).ok_or_else(refuse)?;
        rest = after;
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_negative| refuse())
}

#[cfg(test)]
mod tests {
    use crate::opts::tests::check;
    use std::time::Duration;

    #[test]
    fn durations() {
        check(
            super::parse,
            &[
                ("0", Duration::ZERO),
                ("1s", Duration::from_secs(1)),
                ("1.5s", Duration::from_millis(1500)),
                ("300ms", Duration::from_millis(300)),
                ("1h30m", Duration::from_secs(5400)),
                ("2m0.5s", Duration::from_millis(120_500)),
                ("1us1ns", Duration::from_nanos(1001)),
            ],
            &[
                ("", "invalid duration"),
                ("5", "missing unit in duration \"5\""),
                ("1d", "unknown unit \"d\""),
                ("s", "invalid duration"),
                ("-1s", "unknown unit"),
                ("9999999999h", "invalid duration"),
            ],
        );
    }
}
