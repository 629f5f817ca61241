//! Acts: takes bodies in, with bounds on their length and on how long they are silent, and counts what came.

use crate::problem::{Code, Problem};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long a client may be silent, in either direction; in the extensions of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Silence(pub(crate) Duration);

impl Default for Silence {
    fn default() -> Silence {
        Silence(Duration::from_secs(60))
    }
}

/// Bytes in a second below which a client is as good as silent: one byte now and then would hold a session for ever.
const SLOWEST: u64 = 1024;

/// The length that a request says its body has.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that counts the bytes that are taken of it, whatever its head says.
pub(crate) struct Counting<B> {
    body: B,
    count: Arc<AtomicU64>,
}

impl<B> Counting<B> {
    pub(crate) fn new(body: B, count: &Arc<AtomicU64>) -> Counting<B> {
        Counting { body, count: Arc::clone(count) }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Counting<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            self.count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that arrives, and how long it has been waited for.
pub(crate) struct Arrival {
    silence: Duration,
    code: Code,
    waited: Duration,
    bytes: u64,
}

impl Arrival {
    /// The body of a request; `code` says what is invalid when it does not come to its end.
    pub(crate) fn of(parts: &Parts, code: Code) -> Arrival {
        let Silence(silence) = parts.extensions.get().copied().unwrap_or_default();
        Arrival { silence, code, waited: Duration::ZERO, bytes: 0 }
    }

    /// How long its next bytes may take: no longer than a silence, and beyond one no slower than [`SLOWEST`] altogether.
    fn patience(&self) -> Duration {
        let earned = Duration::from_millis(self.bytes.saturating_mul(1000) / SLOWEST);
        self.silence.saturating_add(earned).saturating_sub(self.waited).min(self.silence)
    }

    /// Its next bytes; none at its end.
    pub(crate) async fn next(&mut self, body: &mut Body) -> Result<Option<Bytes>, Problem> {
        loop {
            let since = Instant::now();
            let frame = tokio::time::timeout(self.patience(), body.frame()).await;
            self.waited = self.waited.saturating_add(since.elapsed());
            let frame = frame.map_err(|_late| {
                let silence = self.silence.as_secs();
                Problem::new(self.code, format!("nothing came for {silence} s, or next to nothing"))
                    .with_status(StatusCode::REQUEST_TIMEOUT)
                    .with_header("connection", "close")
            })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    tracing::debug!(%error, "a client went away in the middle of a body");
                    return Err(Problem::new(self.code, "the body broke off"));
                }
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data()
                        && !bytes.is_empty()
                    {
                        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
                        return Ok(Some(bytes));
                    }
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
    let mut arrival = Arrival::of(parts, code);
    while let Some(bytes) = arrival.next(body).await? {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_earned() {
        let second = Duration::from_secs(1);
        for (waited, bytes, expected) in [
            (0, 0, 60),
            (59, 0, 1),
            (60, 0, 0),
            (61, 1024, 0),
            (60, 2048, 2),
            (3600, 4_000_000, 60),
            (u64::MAX, u64::MAX, 0),
        ] {
            let waited = Duration::from_secs(waited);
            let arrival = Arrival { silence: second * 60, code: Code::Unknown, waited, bytes };
            assert_eq!(arrival.patience(), second * expected, "{waited:?} {bytes}");
        }
    }
}
