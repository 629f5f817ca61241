//! Pure: between the words of the API and those of the engine.

pub(crate) mod build;
pub(crate) mod container;
pub(crate) mod create;
pub(crate) mod filter;
pub(crate) mod image;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod registry;
pub(crate) mod system;
pub(crate) mod volume;

use naru_engine::Timestamp;
use naru_errdefs::Fault;

/// Reads an instant as clients write it: seconds, seconds with a fraction, or RFC 3339. An absent one and zero are none.
pub(crate) fn instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Fault> {
    let Some(text) = text.filter(|text| !text.is_empty() && *text != "0") else { return Ok(None) };
    let parsed = Timestamp::parse(text).or_else(|| {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let nanoseconds: i64 = format!("{fraction:0<9}").parse().ok()?;
        let whole = Timestamp::from_seconds(seconds.parse().ok()?);
        whole.0.checked_add(nanoseconds).map(Timestamp)
    });
    match parsed {
        Some(Timestamp(0)) => Ok(None),
        Some(at) => Ok(Some(at)),
        None => Err(Fault::invalid(format!("invalid value for \"{name}\": `{text}`")).with_hint(
            "an instant is RFC 3339, as 2026-01-31T12:00:00Z, or seconds since 1970 with up to nine digits behind the point",
        )),
    }
}

/// The same counted by the engine without a sign; more than fits is as much as fits.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `None` for what is empty, as the wire has `null` there.
pub(crate) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { None } else { Some(list) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_three_forms() {
        let read = |text| instant("since", Some(text)).unwrap();
        assert_eq!(read("1700000000"), Some(Timestamp::from_seconds(1_700_000_000)));
        assert_eq!(read("1700000000.000000001"), Some(Timestamp(1_700_000_000_000_000_001)));
        assert_eq!(read("1700000000.5"), Some(Timestamp(1_700_000_000_500_000_000)));
        assert_eq!(read("2023-11-14T22:13:20Z"), Some(Timestamp::from_seconds(1_700_000_000)));
        assert_eq!(read(""), None);
        assert_eq!(read("0"), None);
        for text in ["yesterday", "1.x", "1.0000000001", "-"] {
            assert!(instant("since", Some(text)).is_err(), "{text}");
        }
    }
}
