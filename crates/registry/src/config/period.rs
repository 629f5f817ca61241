//! Lengths of time in configuration files. Pure.

use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// A length of time, written as a number of `s`, `m`, `h` or `d` (`90s`, `5m`, `24h`, `30d`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl Period {
    /// Reads `5m`; none when it is not a whole number with a unit, or is too long to be meant.
    pub fn parse(text: &str) -> Option<Period> {
        let unit = text.chars().last()?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return None,
        };
        let number = text.strip_suffix(unit)?;
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let total = number.parse::<u64>().ok()?.checked_mul(seconds)?;
        // A thousand years.
        (total <= 1000 * 366 * 24 * 60 * 60).then(|| Period(Duration::from_secs(total)))
    }

    /// How many seconds.
    pub fn seconds(self) -> u64 {
        self.0.as_secs()
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
        let text = String::deserialize(deserializer)?;
        Period::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is not a length of time (write 90s, 5m, 24h or 30d)"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Period;

    #[test]
    fn numbers_with_units_only() {
        for (text, seconds) in
            [("0s", 0), ("90s", 90), ("5m", 300), ("24h", 86_400), ("2d", 172_800)]
        {
            assert_eq!(Period::parse(text).map(Period::seconds), Some(seconds), "{text}");
        }
        for text in [
            "",
            "s",
            "5",
            "-5s",
            "+5s",
            "5 s",
            "5ms",
            "1.5h",
            "5S",
            "99999999999999999999s",
            "999999999d",
            "5ä",
        ] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }
}
