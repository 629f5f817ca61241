//! Acts: reads the body of a request, within limits of size and time.

use crate::error::Refusal;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use naru_errdefs::{Fault, Kind};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Bytes of a JSON body at most. The largest honest ones carry a seccomp profile (some 20 KiB).
pub(crate) const LIMIT: usize = 4 * 1024 * 1024;

/// Reads the whole body.
pub(crate) async fn whole(mut body: Incoming, patience: Duration) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > LIMIT as u64 {
        return Err(Refusal::TooLarge { limit: LIMIT });
    }
    let mut bytes = BytesMut::new();
    loop {
        let Ok(next) = tokio::time::timeout(patience, body.frame()).await else {
            return Err(Refusal::TimedOut);
        };
        let Some(frame) = next else { return Ok(bytes.freeze()) };
        let frame = frame.map_err(|error| {
            Fault::new(Kind::Cancelled, "cannot read the request body").with_source(error)
        })?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > LIMIT {
                return Err(Refusal::TooLarge { limit: LIMIT });
            }
            bytes.extend_from_slice(&data);
        }
    }
}

/// Reads the body as JSON. An absent body is the zero value where `optional` says so.
pub(crate) fn parse<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    bytes: &[u8],
    presence: Presence,
) -> Result<T, Refusal> {
    check_type(headers, bytes)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return match presence {
            Presence::Optional => Ok(T::default()),
            Presence::Required => {
                Err(Fault::invalid("invalid JSON: got EOF while reading request body").into())
            }
        };
    }
    let mut stream = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(&mut stream)
        .map_err(|error| Fault::invalid(format!("invalid JSON: {error}")))?;
    stream.end().map_err(|_trailing| Fault::invalid("unexpected content after JSON"))?;
    Ok(value)
}

/// Whether a body must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// An absent body is the zero value.
    Optional,
    /// An absent body is refused.
    Required,
}

fn check_type(headers: &HeaderMap, bytes: &[u8]) -> Result<(), Fault> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        if bytes.is_empty() {
            return Ok(());
        }
        return Err(Fault::invalid("malformed Content-Type header (): mime: no media type"));
    };
    let shown = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let media_type = shown.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type == "application/json" || (bytes.is_empty() && media_type.is_empty()) {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "unsupported Content-Type header ({shown}): must be 'application/json'"
    )))
}
