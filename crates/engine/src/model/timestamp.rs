//! Pure: an instant as stored and shown.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant, in nanoseconds since the Unix epoch; shown as RFC 3339 with nanoseconds as Docker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// What Docker shows for "never".
    pub const NEVER: &'static str = "0001-01-01T00:00:00Z";

    /// The present instant.
    pub fn now() -> Timestamp {
        Timestamp::from_system(SystemTime::now())
    }

    /// An instant of the system's clock.
    pub(crate) fn from_system(at: SystemTime) -> Timestamp {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    /// The instant that many seconds after the epoch.
    pub fn from_seconds(seconds: i64) -> Timestamp {
        Timestamp(seconds.saturating_mul(1_000_000_000))
    }

    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(instant.unix_timestamp_nanos()).ok().map(Timestamp)
    }

    /// Whole seconds since the epoch.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The time from `earlier` to this instant, zero if it is not earlier.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As Docker writes it, or [`Timestamp::NEVER`].
    pub fn show(at: Option<Timestamp>) -> String {
        at.map_or_else(|| Timestamp::NEVER.to_owned(), |at| at.to_string())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
            instant.year(),
            u8::from(instant.month()),
            instant.day(),
            instant.hour(),
            instant.minute(),
            instant.second(),
            instant.nanosecond()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn an_instant_is_shown_with_nanoseconds_and_read_back() {
        let at = Timestamp(1_700_000_000_123_456_789);
        assert_eq!(at.to_string(), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(Timestamp::parse("2023-11-14T23:13:20.123456789+01:00"), Some(at));
        assert_eq!(Timestamp::show(None), "0001-01-01T00:00:00Z");
    }
}
