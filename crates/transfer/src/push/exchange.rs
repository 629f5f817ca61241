//! Acts: one question to a registry about one repository, and its answer.
//!
//! Who we are, how the registry is reached and what it needs to believe us is the business of whoever implements
//! [`Exchange`]; what is asked, in which order and how often is the business of this module's users. Credentials go to the
//! registry's own host only, whatever address is asked.

use crate::remote::refusal;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use naru_errdefs::{Fault, Kind};
use reqwest::{Method, Response, Url};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Pieces in which a blob is read, unless it has to go slowly.
pub(crate) const PIECE: u64 = 256 << 10;
/// How long an upload may stand still.
const STALL: Duration = Duration::from_secs(60);
/// How long a registry may think once it has every byte: it may hash them all again.
const THINKING: u32 = 10;
/// How long a small answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest explanation of an error that is read.
const LONGEST_ERROR: usize = 64 << 10;

/// A question to a registry.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// What.
    pub(crate) method: Method,
    /// Where.
    pub(crate) target: Target,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// With what.
    pub(crate) payload: Payload,
    /// A repository of the same registry that has to be readable, too (for a mount).
    pub(crate) also: Option<String>,
}

/// The address of a question.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Below `/v2/<repository>/`, with its query.
    Path(String),
    /// Where the registry sent us.
    At(Url),
}

/// What goes with a question. All of it can be sent again.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// Nothing.
    Empty,
    /// A document.
    Bytes(Bytes),
    /// A part of a blob.
    Part(Part),
}

/// Told the position in the blob, as bytes are handed over.
pub(crate) type Watch = Arc<dyn Fn(u64) + Send + Sync>;

/// A blob from some byte to its end.
#[derive(Clone)]
pub(crate) struct Part {
    /// The blob.
    pub(crate) file: Arc<File>,
    /// Its first byte.
    pub(crate) from: u64,
    /// The blob's length.
    pub(crate) size: u64,
    /// How far it was handed over, over all attempts.
    pub(crate) sent: Arc<AtomicU64>,
    /// Who is told.
    pub(crate) watch: Watch,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part")
            .field("from", &self.from)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Part {
    /// The bytes, read as they are wanted, in pieces of at most so many.
    pub(crate) fn stream(
        &self,
        piece: u64,
    ) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + use<> {
        futures_util::stream::try_unfold((self.clone(), self.from), move |(part, at)| async move {
            if at >= part.size {
                return Ok(None);
            }
            let want = usize::try_from(piece.min(part.size - at)).unwrap_or(0);
            let file = Arc::clone(&part.file);
            let piece = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; want];
                file.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
            })
            .await
            .map_err(io::Error::other)??;
            let next = at + u64::try_from(piece.len()).unwrap_or(0);
            part.sent.store(next, Ordering::Relaxed);
            (part.watch)(next);
            Ok(Some((piece, (part, next))))
        })
    }
}

/// The way to one repository.
pub(crate) trait Exchange: Send + Sync {
    /// `host[:port]` of the registry.
    fn registry(&self) -> &str;

    /// The repository there.
    fn repository(&self) -> &str;

    /// Asks. Whatever the registry says is an answer; only what kept it from answering is a failure, of the kind
    /// `Unavailable` when asking again may help.
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Response, Fault>>;
}

impl Ask {
    /// A question without a body.
    pub(crate) fn new(method: Method, target: Target) -> Ask {
        Ask { method, target, headers: Vec::new(), payload: Payload::Empty, also: None }
    }

    /// With a further header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Ask {
        self.headers.push((name, value.into()));
        self
    }

    /// With a body.
    pub(crate) fn payload(mut self, payload: Payload) -> Ask {
        self.payload = payload;
        self
    }
}

/// Asks, and gives up on a registry that stands still.
pub(crate) async fn ask(wire: &dyn Exchange, ask: Ask) -> Result<Response, Fault> {
    let stalled = |what: &str| {
        Fault::new(Kind::Unavailable, format!("the registry `{}` {what}", wire.registry()))
    };
    let part = match &ask.payload {
        Payload::Part(part) => part.clone(),
        Payload::Empty | Payload::Bytes(_) => {
            return match tokio::time::timeout(PATIENCE, wire.ask(ask)).await {
                Ok(answer) => answer,
                Err(_) => Err(stalled("does not answer")),
            };
        }
    };
    let mut answer = wire.ask(ask);
    let (mut before, mut idle) = (part.sent.load(Ordering::Relaxed), 0);
    loop {
        if let Ok(answer) = tokio::time::timeout(STALL, &mut answer).await {
            return answer;
        }
        let now = part.sent.load(Ordering::Relaxed);
        idle = if now == before { idle + 1 } else { 0 };
        before = now;
        let most = if now >= part.size { THINKING } else { 1 };
        if idle >= most {
            return Err(stalled("took no more bytes of the upload"));
        }
    }
}

/// Why a registry said no, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status.
    pub(crate) status: u16,
    /// The first error's code; empty when there is none.
    pub(crate) code: String,
    /// For people.
    pub(crate) text: String,
}

/// Reads why a registry said no, within limits of size and time.
pub(crate) async fn read_refusal(answer: Response) -> Refusal {
    let status = answer.status().as_u16();
    let mut answer = answer;
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(piece)) = answer.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() > LONGEST_ERROR {
                break;
            }
        }
    };
    // What came until then is enough.
    tokio::time::timeout(Duration::from_secs(10), reading).await.ok();
    explain(status, &body)
}

/// Pure: the registry's errors in docker's words, or whatever else it says, shortened and without control characters.
fn explain(status: u16, body: &[u8]) -> Refusal {
    if let Some((code, text)) = refusal::code_and_words(body) {
        return Refusal { status, code, text };
    }
    let text = String::from_utf8_lossy(body);
    let text = if text.trim_start().starts_with('<') { "" } else { text.trim() };
    let text: String = text.chars().filter(|letter| !letter.is_control()).take(300).collect();
    let text = if text.is_empty() { refusal::of_status(status) } else { text };
    Refusal { status, code: String::new(), text }
}

/// A number to spread those who were turned away together.
pub(crate) fn chance() -> u8 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new()
        .build_hasher()
        .finish()
        .to_le_bytes()
        .first()
        .copied()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn errors_in_every_shape() {
        for (body, code, text) in [
            (&br#"{"errors":[{"code":"DENIED","message":"no"}]}"#[..], "DENIED", "denied: no"),
            (br#"{"errors":[{"code":"DENIED"}]}"#, "DENIED", "denied"),
            (br#"{"errors":[{"message":"no\u0007"}]}"#, "", "no"),
            (br#"{"errors":[]}"#, "", r#"{"errors":[]}"#),
            (b"<html>", "", "unexpected status 502"),
            (b"", "", "unexpected status 502"),
            (b"plain", "", "plain"),
        ] {
            let refusal = explain(502, body);
            assert_eq!((refusal.code.as_str(), refusal.text.as_str()), (code, text));
        }
        assert_eq!(explain(500, &[b'x'; 5000]).text.len(), 300);
        // A HEAD has no body to say why.
        assert_eq!(explain(401, b"").text, "unauthorized: authentication required");
        assert_eq!(explain(403, b"").text, "denied: requested access to the resource is denied");
    }
}
