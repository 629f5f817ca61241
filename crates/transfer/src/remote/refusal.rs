//! Pure: what a registry's refusal means to a person.

use naru_errdefs::{Fault, Kind};
use serde::Deserialize;

/// More of an error's body is not read.
pub(crate) const BODY_LIMIT: usize = 64 << 10;
/// More of one message is not shown.
const SHOWN: usize = 500;

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    errors: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Docker's words for the errors in a body: `manifest unknown: manifest unknown`.
pub(crate) fn words(body: &[u8]) -> Option<String> {
    code_and_words(body).map(|(_, words)| words)
}

/// The same, with the code of the first error.
pub(crate) fn code_and_words(body: &[u8]) -> Option<(String, String)> {
    let envelope: Envelope = serde_json::from_slice(body).ok()?;
    let clean = |text: &str| -> String {
        text.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect()
    };
    let said: Vec<String> = envelope
        .errors
        .iter()
        .take(5)
        .map(|entry| {
            let code = clean(&entry.code).to_ascii_lowercase().replace('_', " ");
            match (code.is_empty(), clean(&entry.message)) {
                (_, message) if message.is_empty() => code,
                (true, message) => message,
                (false, message) => format!("{code}: {message}"),
            }
        })
        .filter(|said| !said.is_empty())
        .collect();
    let code = envelope.errors.first().map(|entry| clean(&entry.code)).unwrap_or_default();
    (!said.is_empty()).then(|| (code, said.join("\n")))
}

/// What a refusal without a word of its own says, as docker says it.
pub(crate) fn of_status(status: u16) -> String {
    match status {
        401 => "unauthorized: authentication required".to_owned(),
        403 => "denied: requested access to the resource is denied".to_owned(),
        429 => "toomanyrequests: too many requests".to_owned(),
        status => format!("unexpected status {status}"),
    }
}

/// What `ratelimit-limit` and `ratelimit-remaining` say to a person: `0 of 100 requests in 6 h are left`.
pub(crate) fn limits(limit: &str, remaining: &str) -> Option<String> {
    let number = |text: &str| text.split(';').next()?.trim().parse::<u64>().ok();
    let (most, left) = (number(limit)?, number(remaining)?);
    let window =
        limit.split(';').find_map(|part| part.trim().strip_prefix("w=")?.parse::<u64>().ok());
    let window = match window {
        Some(seconds) if seconds % 3600 == 0 => format!(" in {} h", seconds / 3600),
        Some(seconds) => format!(" in {} s", seconds),
        None => String::new(),
    };
    Some(format!("{left} of {most} requests{window} are left"))
}

/// The class of failure that a status stands for.
pub(crate) fn kind_of(status: u16) -> Kind {
    match status {
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        404 | 410 => Kind::NotFound,
        405 | 501 => Kind::Unsupported,
        409 => Kind::Conflict,
        413 | 429 | 507 => Kind::ResourceExhausted,
        400 | 406 | 415 | 416 | 422 => Kind::InvalidInput,
        _ => Kind::Unavailable,
    }
}

/// That a registry asked for a pause (`Retry-After`), somewhere in the causes of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("asked to come back after {} s", .0.as_secs())]
pub struct AskedPause(pub std::time::Duration);

/// A registry's refusal as our own failure. `attempt` says what was asked for.
pub(crate) fn fault(attempt: &str, host: &str, status: u16, body: &[u8]) -> Fault {
    fault_with((attempt, host), status, body, (None, None))
}

/// The same with the pause that the registry asked for, and how much it lets us ask.
pub(crate) fn fault_with(
    (attempt, host): (&str, &str),
    status: u16,
    body: &[u8],
    (pause, limits): (Option<std::time::Duration>, Option<String>),
) -> Fault {
    let said = words(body).unwrap_or_else(|| of_status(status));
    let said = match limits {
        Some(limits) => format!("{said} ({limits})"),
        None => said,
    };
    let mut said = Fault::new(kind_of(status), said);
    if let Some(pause) = pause {
        said = said.with_source(AskedPause(pause));
    }
    let fault = said.context(format!("cannot {attempt} at `{host}`"));
    match status {
        401 | 403 => fault.with_hint(format!(
            "log in with `naru login{}`, and see that this user may do it",
            login_words(host)
        )),
        429 => fault.with_hint(
            "wait, log in (registered users may fetch more), or set up a mirror with `registry-mirrors`",
        ),
        500..=599 => fault.with_hint(format!("`{host}` has trouble of its own; try again later")),
        _ => fault,
    }
}

/// The registry as `naru login` is told it; Docker Hub needs no word.
pub(crate) fn login_words(host: &str) -> String {
    if host == "docker.io" || host.ends_with(".docker.io") {
        return String::new();
    }
    format!(" {host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_in_words() {
        let said = |limit, left| limits(limit, left);
        assert_eq!(
            said("100;w=21600", "0;w=21600").as_deref(),
            Some("0 of 100 requests in 6 h are left")
        );
        assert_eq!(said("10;w=90", "3").as_deref(), Some("3 of 10 requests in 90 s are left"));
        assert_eq!(said("10", "3").as_deref(), Some("3 of 10 requests are left"));
        assert_eq!(said("many", "3"), None);
    }

    #[test]
    fn errors_are_said_as_docker_says_them() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        assert_eq!(words(body).as_deref(), Some("manifest unknown: manifest unknown"));
        assert_eq!(words(b"<html>"), None);
        assert_eq!(words(br#"{"errors":[]}"#), None);
        assert_eq!(words(br#"{"errors":[{"code":"DENIED"}]}"#).as_deref(), Some("denied"));
    }

    #[test]
    fn a_page_instead_of_an_error_is_not_shown() {
        let fault = fault("fetch the manifest", "r.example", 502, b"<html>Bad Gateway</html>");
        assert_eq!(fault.kind(), Kind::Unavailable);
        assert!(!naru_errdefs::one_line(&fault).contains("html"));
    }
}
