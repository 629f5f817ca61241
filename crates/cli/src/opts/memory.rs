//! Pure: sizes as people write them (`512m`, `1.5g`, `2GiB`), powers of 1024 (`units.RAMInBytes`).

use super::OptError;

/// A size in bytes.
pub fn parse(text: &str) -> Result<i64, OptError> {
    let refuse = || {
        OptError::new(format!("invalid size: '{text}'"))
            .with_hint("write a number and a unit, as in `512m`, `1.5g` or `1024` (bytes)")
    };
    let number_ends = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(number_ends).ok_or_else(refuse)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(refuse()),
    };
    if unit == "ib" {
        return Err(refuse());
    }
    let factor = 1024_i64.pow(power);
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(factor).ok_or_else(refuse);
    }
    fraction(number, factor).ok_or_else(refuse)
}

/// A decimal fraction times a factor, rounded down, without going through floating point.
pub(crate) fn fraction(number: &str, factor: i64) -> Option<i64> {
    let (whole, part) = number.split_once('.')?;
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: String = part.chars().take(15).collect();
    let scale = 10_i128.pow(u32::try_from(part.len()).ok()?);
    let part: i128 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let bytes = i128::from(whole) * i128::from(factor) + part * i128::from(factor) / scale;
    i64::try_from(bytes).ok()
}

/// The same, where `-1` stands for no limit (`--memory-swap`).
pub fn parse_swap(text: &str) -> Result<i64, OptError> {
    if text == "-1" { Ok(-1) } else { parse(text) }
}

/// A number of CPUs (`1.5`) in billionths of one.
pub fn parse_cpus(text: &str) -> Result<i64, OptError> {
    let refuse = || {
        OptError::new(format!("failed to parse {text} as a rational number"))
            .with_hint("write how many CPUs the container may use, as in `0.5` or `2`")
    };
    let part = text.split_once('.').map_or("", |(_, part)| part);
    if part.len() > 9 {
        return Err(OptError::new("value is too precise"));
    }
    let cpus = match text.parse::<i64>() {
        Ok(whole) => whole.checked_mul(1_000_000_000),
        Err(_) => fraction(text, 1_000_000_000),
    };
    cpus.filter(|cpus| *cpus >= 0).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use crate::opts::tests::check;

    #[test]
    fn sizes() {
        check(
            super::parse,
            &[
                ("0", 0),
                ("42", 42),
                ("42b", 42),
                ("1k", 1024),
                ("1K", 1024),
                ("1kb", 1024),
                ("1KiB", 1024),
                ("512m", 512 << 20),
                ("1.5g", 3 << 29),
                (".5g", 1 << 29),
                ("1 GB", 1 << 30),
                ("2t", 2 << 40),
                ("1p", 1 << 50),
            ],
            &[
                ("", "invalid size: ''"),
                ("abc", "invalid size: 'abc'"),
                ("-1", "invalid size: '-1'"),
                ("1x", "invalid size: '1x'"),
                ("1ib", "invalid size: '1ib'"),
                ("1.2.3m", "invalid size"),
                ("99999999999999999999", "invalid size"),
                ("9000000p", "invalid size"),
                ("m", "invalid size"),
                ("1é", "invalid size"),
            ],
        );
        check(super::parse_swap, &[("-1", -1), ("1g", 1 << 30)], &[("-2", "invalid size")]);
    }

    #[test]
    fn cpus() {
        check(
            super::parse_cpus,
            &[("0.5", 500_000_000), ("2", 2_000_000_000), ("1.25", 1_250_000_000), ("0", 0)],
            &[
                ("a", "failed to parse a as a rational number"),
                ("-1", "failed to parse"),
                ("0.1234567891", "too precise"),
                ("", "failed to parse"),
                ("99999999999999", "failed to parse"),
            ],
        );
    }
}
