//! Pure: whether and when to ask again.

use std::time::Duration;

/// The longest pause between two attempts, whatever a registry asks for.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LARGEST_BACK_OFF: Duration = Duration::from_secs(10);

/// Whether a status says that asking again can help.
pub(crate) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The pause before the attempt after `failed` failed ones; `chance` (0 to 255) spreads clients that failed together over
/// the second half of it.
pub(crate) fn back_off(failed: u32, chance: u8) -> Duration {
    let full =
        FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(10)).min(LARGEST_BACK_OFF);
    full / 2 + full / 2 * u32::from(chance) / 255
}

/// What `Retry-After` asks for: seconds, or a date (RFC 9110 section 10.2.3). `now` is in seconds since 1970.
pub(crate) fn retry_after(value: &str, now: u64) -> Option<Duration> {
    let value = value.trim();
    let seconds = match value.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => http_date(value)?.saturating_sub(now),
    };
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// Seconds since 1970 of a date like `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<u64> {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = time::PrimitiveDateTime::parse(text, format).ok()?;
    u64::try_from(date.assume_utc().unix_timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        assert_eq!(back_off(1, 255), Duration::from_millis(250));
        assert_eq!(back_off(1, 0), Duration::from_millis(125));
        assert_eq!(back_off(3, 255), Duration::from_secs(1));
        for failed in 0..100 {
            assert!(back_off(failed, 255) <= LARGEST_BACK_OFF);
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("3", 0), Some(Duration::from_secs(3)));
        assert_eq!(retry_after(" 999999 ", 0), Some(LONGEST_PAUSE));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(date, 784_111_770), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(date, 784_111_999), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", 0), None);
    }
}
