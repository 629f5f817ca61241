//! Acts: a request for a token, counted and noted at its end, whichever that is.
//!
//! The connection of a client that goes away is dropped with everything that waits; its password may have been looked at all the same.

use super::Edge;
use crate::access::audit::Entry;
use crate::access::{Peer, TOKEN_PATH, TokenUser};
use crate::watch::GONE;
use bytes::Bytes;
use http::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A request for a token that has arrived.
pub(super) struct NotedToken {
    edge: Edge,
    peer: Peer,
    begun: Instant,
    received: Arc<AtomicU64>,
    user: Option<Arc<str>>,
    status: u16,
    sent: u64,
}

impl Edge {
    /// What notes a request at its end, if that is for a token; `received` is where its bytes are counted.
    pub(super) fn noted(
        &self,
        path: &str,
        peer: &Peer,
        received: &Arc<AtomicU64>,
    ) -> Option<NotedToken> {
        (path == TOKEN_PATH).then(|| NotedToken {
            edge: self.clone(),
            peer: peer.clone(),
            begun: Instant::now(),
            received: Arc::clone(received),
            user: None,
            status: GONE,
            sent: 0,
        })
    }
}

impl NotedToken {
    /// It is answered.
    pub(super) fn answered(&mut self, response: &Response<Bytes>) {
        self.user = response.extensions().get::<TokenUser>().map(|user| Arc::clone(&user.0));
        self.status = response.status().as_u16();
        self.sent = u64::try_from(response.body().len()).unwrap_or(u64::MAX);
    }
}

impl Drop for NotedToken {
    fn drop(&mut self) {
        let received = self.received.load(Ordering::Relaxed);
        self.edge.metrics.answered("token", self.status, self.begun.elapsed());
        self.edge.metrics.received(received);
        let Some(audit) = &self.edge.audit else { return };
        audit.record(Entry {
            user: self.user.as_deref(),
            peer: Some(self.peer.address),
            action: "token",
            repository: "",
            reference: "",
            status: self.status,
            bytes: received.max(self.sent),
        });
    }
}
