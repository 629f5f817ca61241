//! Pure: `--since` and `--until`: a duration before now, a date, or seconds since 1970.

use super::OptError;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

/// A moment as the API takes it (`seconds.nanoseconds`). A date without a zone is taken as UTC.
pub fn parse(text: &str, now: OffsetDateTime) -> Result<String, OptError> {
    if let Ok(ago) = super::duration::parse(text)
        && text != "0"
    {
        return Ok(shown(now - ago));
    }
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Ok(text.to_owned());
    }
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| {
        let plain = text.trim_end_matches('Z');
        let seconds = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
        let parts =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond]");
        let minutes = format_description!("[year]-[month]-[day]T[hour]:[minute]");
        PrimitiveDateTime::parse(plain, &seconds)
            .or_else(|_| PrimitiveDateTime::parse(plain, &parts))
            .or_else(|_| PrimitiveDateTime::parse(plain, &minutes))
            .or_else(|_| {
                Date::parse(plain, format_description!("[year]-[month]-[day]")).map(Date::midnight)
            })
            .ok()
            .map(PrimitiveDateTime::assume_utc)
    });
    moment.map(shown).ok_or_else(|| {
        OptError::new(format!("failed to parse value as time or duration: {text:?}"))
            .with_hint("write a duration before now (`10m`), a date (`2026-01-02T15:04:05Z`), or seconds since 1970")
    })
}

fn shown(moment: OffsetDateTime) -> String {
    format!("{}.{:09}", moment.unix_timestamp(), moment.nanosecond())
}

#[cfg(test)]
mod tests {
    use crate::opts::tests::check;
    use time::OffsetDateTime;

    #[test]
    fn moments() {
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        let text = |text: &str| text.to_owned();
        check(
            |value| super::parse(value, now),
            &[
                ("10m", text("1699999400.000000000")),
                ("0", text("0")),
                ("1700000000.5", text("1700000000.5")),
                ("2023-11-14T22:13:20Z", text("1700000000.000000000")),
                ("2023-11-14T23:13:20+01:00", text("1700000000.000000000")),
                ("2023-11-14T22:13:20", text("1700000000.000000000")),
                ("2023-11-14T22:13:20.5", text("1700000000.500000000")),
                ("2023-11-14T22:13", text("1699999980.000000000")),
                ("2023-11-14", text("1699920000.000000000")),
            ],
            &[("", "failed to parse"), ("yesterday", "failed to parse"), ("2023-13-01", "failed")],
        );
    }
}
