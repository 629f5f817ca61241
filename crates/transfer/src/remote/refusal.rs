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
    let envelope: Envelope = serde_json::from_slice(body).ok()?;
    let said: Vec<String> = envelope
        .errors
        .iter()
        .take(5)
        .map(|entry| {
            let code = entry.code.to_ascii_lowercase().replace('_', " ");
            let message: String =
                entry.message.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
            if message.is_empty() { code } else { format!("{code}: {message}") }
        })
        .collect();
    (!said.is_empty()).then(|| said.join("\n"))
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
    fault_with_pause((attempt, host), status, body, None)
}

/// The same with the pause that the registry asked for.
pub(crate) fn fault_with_pause(
    (attempt, host): (&str, &str),
    status: u16,
    body: &[u8],
    pause: Option<std::time::Duration>,
) -> Fault {
    let said = words(body).unwrap_or_else(|| match status {
        401 => "unauthorized: authentication required".to_owned(),
        403 => "denied: requested access to the resource is denied".to_owned(),
        429 => "toomanyrequests: too many requests".to_owned(),
        status => format!("unexpected status {status}"),
    });
    let mut said = Fault::new(kind_of(status), said);
    if let Some(pause) = pause {
        said = said.with_source(AskedPause(pause));
    }
    let fault = said.context(format!("cannot {attempt} at `{host}`"));
    match status {
        401 | 403 => fault.with_hint(format!(
            "log in with `naru login {host}`, and see that this user may do it"
        )),
        429 => fault.with_hint(
            "wait, log in (registered users may fetch more), or set up a mirror with `registry-mirrors`",
        ),
        500..=599 => fault.with_hint(format!("`{host}` has trouble of its own; try again later")),
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
