//! Pure: sizes, durations and moments as docker prints them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Powers of 1000 with this many significant digits (`7.8MB`).
fn scaled(size: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut size = size;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or("");
    while size >= base
        && let Some(next) = units.next()
    {
        size /= base;
        unit = next;
    }
    format!("{}{unit}", significant(size, digits))
}

/// Go's `%.Ng`, for values below ten million.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let whole = {
        let mut count = 0;
        let mut rest = value.abs();
        while rest >= 1.0 {
            rest /= 10.0;
            count += 1;
        }
        count
    };
    let text = format!("{value:.*}", digits.saturating_sub(whole));
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    };
    // `%.4g` of 1024 stays 1024, of 10240 becomes 1.024e+04; sizes are divided before they come that far.
    text
}

const DECIMAL: &[&str] = &["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const BINARY: &[&str] = &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `units.HumanSize`: powers of 1000, four digits.
pub fn human_size(size: i64) -> String {
    scaled(as_float(size), 1000.0, DECIMAL, 4)
}

/// `units.HumanSizeWithPrecision(_, 3)`, as lists of images and containers print it.
pub fn short_size(size: i64) -> String {
    scaled(as_float(size), 1000.0, DECIMAL, 3)
}

/// `units.BytesSize`: powers of 1024, four digits.
pub fn bytes_size(size: f64) -> String {
    scaled(size, 1024.0, BINARY, 4)
}

/// A whole number for arithmetic whose result is rounded for print anyway.
#[expect(clippy::cast_precision_loss, reason = "four digits are printed")]
pub fn as_float(number: i64) -> f64 {
    number as f64
}

/// `units.HumanDuration`: "About a minute", "3 hours".
pub fn human_duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match seconds {
        i64::MIN..=0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..=59 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// "3 hours ago", or "N/A" for no moment at all.
pub fn ago(moment: Option<i64>, now: i64) -> String {
    match moment {
        Some(moment) => format!("{} ago", human_duration(now - moment)),
        None => "N/A".to_owned(),
    }
}

/// The seconds since 1970 of an RFC 3339 text; nothing for Go's zero time.
pub fn seconds(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    (moment.year() > 1).then(|| moment.unix_timestamp())
}

/// `2026-01-02 15:04:05 +0000 UTC`, as Go prints a time.
pub fn go_time(seconds: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] +0000 UTC");
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|moment| moment.format(&format).ok())
        .unwrap_or_default()
}

/// An RFC 3339 text as Go prints a time: `2026-01-02 15:04:05.5 +0000 UTC`, fractions without zeros at the end.
pub fn go_moment(text: &str) -> String {
    let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) else { return text.to_owned() };
    let moment = moment.to_offset(time::UtcOffset::UTC);
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let seconds = moment.format(&format).unwrap_or_default();
    let fraction = format!(".{:09}", moment.nanosecond());
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{seconds}{fraction} +0000 UTC")
}

/// `2026-01-02T15:04:05Z`.
pub fn rfc3339(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// `2026-01-02T15:04:05.123456789Z`, always with nine digits.
pub fn rfc3339_nano(nanos: i128) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]Z");
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|moment| moment.format(&format).ok())
        .unwrap_or_default()
}

/// `Tue Nov 24 00:38:16 2026`, as `version` prints a build time.
pub fn ansic(text: &str) -> String {
    let format = format_description!(
        "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
    );
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|moment| moment.format(&format).ok())
        .unwrap_or_else(|| text.to_owned())
}

/// The first `length` characters.
pub fn truncate(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}

/// At most `length` characters; `…` stands for what was cut.
pub fn ellipsis(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    match length {
        0 => String::new(),
        1 => truncate(text, 1),
        _ => format!("{}…", truncate(text, length - 1)),
    }
}

/// An ID without its algorithm, shortened to twelve digits.
pub fn short_id(id: &str) -> String {
    truncate(id.strip_prefix("sha256:").unwrap_or(id), 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (size, human, short) in [
            (0, "0B", "0B"),
            (1, "1B", "1B"),
            (999, "999B", "999B"),
            (1000, "1kB", "1kB"),
            (1234, "1.234kB", "1.23kB"),
            (9_876_543, "9.877MB", "9.88MB"),
            (77_800_000, "77.8MB", "77.8MB"),
            (124_999_999, "125MB", "125MB"),
            (1_500_000_000, "1.5GB", "1.5GB"),
        ] {
            assert_eq!(human_size(size), human, "{size}");
            assert_eq!(short_size(size), short, "{size}");
        }
        for (size, text) in [
            (0.0, "0B"),
            (1023.0, "1023B"),
            (1024.0, "1KiB"),
            (1_572_864.0, "1.5MiB"),
            (8_589_934_592.0, "8GiB"),
            (2_044_723.2, "1.95MiB"),
        ] {
            assert_eq!(bytes_size(size), text, "{size}");
        }
    }

    #[test]
    fn durations() {
        for (seconds, text) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (180, "3 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (3600 * 47, "47 hours"),
            (3600 * 48, "2 days"),
            (86_400 * 13, "13 days"),
            (86_400 * 14, "2 weeks"),
            (86_400 * 59, "8 weeks"),
            (86_400 * 60, "2 months"),
            (86_400 * 365 * 3, "3 years"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
        assert_eq!(ago(Some(100), 145), "45 seconds ago");
        assert_eq!(ago(None, 0), "N/A");
    }

    #[test]
    fn moments() {
        assert_eq!(seconds("2023-11-14T22:13:20.123Z"), Some(1_700_000_000));
        assert_eq!(seconds("0001-01-01T00:00:00Z"), None);
        assert_eq!(seconds("x"), None);
        assert_eq!(go_time(1_700_000_000), "2023-11-14 22:13:20 +0000 UTC");
        assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339_nano(1_700_000_000_000_000_005), "2023-11-14T22:13:20.000000005Z");
        assert_eq!(ansic("2023-11-14T22:13:20Z"), "Tue Nov 14 22:13:20 2023");
    }

    #[test]
    fn cuts() {
        assert_eq!(ellipsis("abcdef", 4), "abc…");
        assert_eq!(ellipsis("abcd", 4), "abcd");
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(truncate("äöü", 2), "äö");
    }
}
