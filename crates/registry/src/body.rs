//! Acts: takes bodies in, with bounds on their length and on how long they are silent.

use crate::problem::{Code, Problem};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::BodyExt;
use std::time::Duration;

/// How long a client may be silent, in either direction; in the extensions of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Silence(pub(crate) Duration);

impl Default for Silence {
    fn default() -> Silence {
        Silence(Duration::from_secs(60))
    }
}

impl Silence {
    /// What holds for a request.
    pub(crate) fn of(parts: &Parts) -> Silence {
        parts.extensions.get().copied().unwrap_or_default()
    }
}

/// The length that a request says its body has.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The next bytes of a body; none at its end. `code` says what is invalid when it does not come to its end.
pub(crate) async fn next(
    body: &mut Body,
    silence: Silence,
    code: Code,
) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = tokio::time::timeout(silence.0, body.frame()).await.map_err(|_late| {
            Problem::new(code, format!("nothing came for {} s", silence.0.as_secs()))
                .with_status(StatusCode::REQUEST_TIMEOUT)
                .with_header("connection", "close")
        })?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => {
                tracing::debug!(%error, "a client went away in the middle of a body");
                return Err(Problem::new(code, "the body broke off"));
            }
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data()
                    && !bytes.is_empty()
                {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

/// A whole body of at most `limit` bytes; none when it is longer, which is found out without reading it to its end.
pub(crate) async fn whole(
    parts: &Parts,
    body: &mut Body,
    limit: u64,
    code: Code,
) -> Result<Option<Bytes>, Problem> {
    let length = length(&parts.headers);
    if length.is_some_and(|length| length > limit) {
        return Ok(None);
    }
    let mut all = BytesMut::new();
    while let Some(bytes) = next(body, Silence::of(parts), code).await? {
        if all.is_empty() && length == Some(bytes.len() as u64) {
            return Ok(Some(bytes));
        }
        if all.len() as u64 + bytes.len() as u64 > limit {
            return Ok(None);
        }
        all.extend_from_slice(&bytes);
    }
    Ok(Some(all.freeze()))
}
