//! Acts: bodies of answers, counted as the connection takes their bytes, and not by what their heads promise.

use crate::metrics::Metrics;
use axum::body::Body;
use bytes::{Buf, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A body whose bytes count when they are sent.
pub(super) struct SentBody {
    body: Body,
    metrics: Arc<Metrics>,
}

impl SentBody {
    pub(super) fn new(body: Body, metrics: &Arc<Metrics>) -> SentBody {
        SentBody { body, metrics: Arc::clone(metrics) }
    }
}

impl HttpBody for SentBody {
    type Data = Sending;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Sending>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let sending = |bytes| Sending { bytes, metrics: Arc::clone(&self.metrics) };
        frame.map_ok(|frame| frame.map_data(sending))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of a body on their way: the connection takes them as far as the socket has room. They may be a whole blob, of which a client
/// that goes away gets next to nothing.
pub(super) struct Sending {
    bytes: Bytes,
    metrics: Arc<Metrics>,
}

impl Buf for Sending {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.metrics.sent(u64::try_from(count).unwrap_or(u64::MAX));
    }
}
