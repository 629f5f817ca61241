//! Acts: takes bodies in, with bounds on their length and on how long they are silent.

use crate::problem::{Code, Problem};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use std::time::Duration;

/// How long a client may be silent in the middle of a body.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// The length that a request says its body has.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The next bytes of a body; none at its end.
pub(crate) async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = tokio::time::timeout(SILENCE, body.frame()).await.map_err(|_late| {
            Problem::new(
                Code::BlobUploadInvalid,
                format!("nothing came for {} s", SILENCE.as_secs()),
            )
            .with_status(StatusCode::REQUEST_TIMEOUT)
        })?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => {
                tracing::debug!(%error, "a client went away in the middle of a body");
                return Err(Problem::new(Code::BlobUploadInvalid, "the body broke off"));
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
    headers: &HeaderMap,
    body: &mut Body,
    limit: u64,
) -> Result<Option<Bytes>, Problem> {
    if length(headers).is_some_and(|length| length > limit) {
        return Ok(None);
    }
    let mut all = BytesMut::new();
    while let Some(bytes) = next(body).await? {
        if all.is_empty() && length(headers) == Some(bytes.len() as u64) {
            return Ok(Some(bytes));
        }
        if all.len() as u64 + bytes.len() as u64 > limit {
            return Ok(None);
        }
        all.extend_from_slice(&bytes);
    }
    Ok(Some(all.freeze()))
}
