//! Acts: reads the body of a request, within limits of size and time.

use crate::error::Refusal;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use naru_errdefs::{Fault, Kind};
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// Bytes of a JSON body at most. The largest honest ones carry a seccomp profile (some 20 KiB).
pub(crate) const LIMIT: usize = 4 * 1024 * 1024;

/// Bytes that are read of a body that nobody wants, so that its sender comes to read the answer.
const DRAIN: u64 = 64 * 1024 * 1024;

/// A body that comes back when it is dropped before its end: a client that still writes does not read why it was
/// refused.
pub(crate) struct Unread {
    body: Option<Incoming>,
    back: Option<oneshot::Sender<Incoming>>,
}

impl Unread {
    /// The body, and where it comes back.
    pub(crate) fn new(body: Incoming) -> (Unread, oneshot::Receiver<Incoming>) {
        let (back, left) = oneshot::channel();
        (Unread { body: Some(body), back: Some(back) }, left)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take())
            && !body.is_end_stream()
        {
            // Nobody waiting for it is fine.
            drop(back.send(body));
        }
    }
}

impl Body for Unread {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.body.as_mut() {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Incoming::size_hint).unwrap_or_default()
    }
}

/// Reads and forgets what is left of a body, within limits.
pub(crate) async fn drain(mut body: Incoming, patience: Duration) {
    if body.size_hint().lower() > DRAIN {
        return;
    }
    let mut left = DRAIN;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(patience, body.frame()).await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(u64::try_from(length).unwrap_or(u64::MAX)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Reads the whole body.
pub(crate) async fn whole(mut body: Unread, patience: Duration) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > LIMIT as u64 {
        return Err(Refusal::TooLarge { limit: LIMIT });
    }
    let mut bytes = BytesMut::new();
    loop {
        let Ok(next) = tokio::time::timeout(patience, body.frame()).await else {
            // Its sender fell silent; there is nothing to wait for.
            body.back = None;
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
