//! Pure: one blob's way to a registry (distribution-spec, "Pushing blobs").
//!
//! ```text
//!            ┌───── 201: mounted ────────────────────────────────┐
//! Begin ─────┤                                                   ▼
//!   ▲        └ 202 ▶ Send ──── 202, all is there ──▶ Finish ─▶ Done
//!   │                 │ ▲  ╲── 202, less is there ─╮    │
//!   │    dropped, 5xx │ │                          │    │ dropped, 5xx
//!   │                 ▼ │ 204: so far          ◀───╯    │
//!   └──── 4xx ───── Status ◀──── 416 ────────────────────┘
//! ```
//!
//! What a registry has is asked, never assumed. Whatever it forgot is begun anew. `Budget` says when to give up.

use reqwest::Url;
use std::time::Duration;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask for an upload, perhaps for a mount.
    Begin,
    /// Ask how far it got.
    Status {
        /// The upload.
        at: Url,
    },
    /// Send the bytes from there on.
    Send {
        /// The upload.
        at: Url,
        /// The first byte.
        from: u64,
    },
    /// Name the digest, which ends it.
    Finish {
        /// The upload.
        at: Url,
    },
    /// It is there.
    Done {
        /// Nothing had to be sent.
        mounted: bool,
    },
}

/// What a registry answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// 201: the blob is there.
    Created,
    /// 202 or 204: the upload goes on at `at`, and has this many bytes.
    Open {
        /// Where, when it said so.
        at: Option<Url>,
        /// How far, when it said so.
        offset: Option<u64>,
    },
    /// 400, 404 at an upload: it does not know it, or not like this.
    Lost,
    /// 416: it stands elsewhere. What came before the connection broke may still have been on its way when it was asked.
    Elsewhere,
    /// The connection broke, or the registry is busy (429, 5xx).
    Dropped,
}

/// Why there is no next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nonsense {
    /// An upload without an address.
    NoLocation,
    /// It says to have more than there is.
    TooFar,
    /// It forgets an upload that it has just given out.
    NeverOpen,
}

/// The next step. `size` is the blob's.
pub(crate) fn next(step: &Step, heard: Heard, size: u64) -> Result<Step, Nonsense> {
    let open = |at: Url, offset: u64| match offset.cmp(&size) {
        std::cmp::Ordering::Less => Ok(Step::Send { at, from: offset }),
        std::cmp::Ordering::Equal => Ok(Step::Finish { at }),
        std::cmp::Ordering::Greater => Err(Nonsense::TooFar),
    };
    match (step, heard) {
        (Step::Done { mounted }, _) => Ok(Step::Done { mounted: *mounted }),
        (Step::Begin, Heard::Created) => Ok(Step::Done { mounted: true }),
        (Step::Begin, Heard::Open { at: Some(at), .. }) => {
            // A new upload is empty; an empty blob needs no bytes.
            open(at, 0)
        }
        (Step::Begin, Heard::Open { at: None, .. }) => Err(Nonsense::NoLocation),
        (Step::Begin, Heard::Lost | Heard::Elsewhere) => Err(Nonsense::NeverOpen),
        (Step::Begin, Heard::Dropped) => Ok(Step::Begin),
        // A registry may end it with the last byte already when the digest was named.
        (Step::Send { .. } | Step::Finish { .. }, Heard::Created) => {
            Ok(Step::Done { mounted: false })
        }
        (Step::Send { at, .. }, Heard::Open { at: moved, offset }) => {
            // One that does not say how far it got has taken what it said yes to.
            open(moved.unwrap_or_else(|| at.clone()), offset.unwrap_or(size))
        }
        (Step::Status { at }, Heard::Open { at: moved, offset }) => match offset {
            Some(offset) => open(moved.unwrap_or_else(|| at.clone()), offset),
            // Not knowing how far is as good as nothing.
            None => Ok(Step::Begin),
        },
        // Some answer the last request with 202 until the bytes have settled.
        (Step::Finish { at }, Heard::Open { at: moved, .. }) => {
            Ok(Step::Status { at: moved.unwrap_or_else(|| at.clone()) })
        }
        (Step::Status { .. }, Heard::Created | Heard::Elsewhere) => Ok(Step::Begin),
        (Step::Status { .. } | Step::Send { .. } | Step::Finish { .. }, Heard::Lost) => {
            Ok(Step::Begin)
        }
        (Step::Send { at, .. } | Step::Finish { at }, Heard::Dropped | Heard::Elsewhere)
        | (Step::Status { at }, Heard::Dropped) => Ok(Step::Status { at: at.clone() }),
    }
}

/// How often something may fail in a row. What got further counts as success.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    attempts: u32,
    failures: u32,
    furthest: u64,
}

/// The longest wait between two attempts, and the longest `Retry-After` that is obeyed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const SHORTEST_WAIT: Duration = Duration::from_millis(250);

impl Budget {
    /// So many attempts in a row.
    pub(crate) fn new(attempts: u32) -> Budget {
        Budget { attempts: attempts.max(1), failures: 0, furthest: 0 }
    }

    /// It got that far.
    pub(crate) fn reached(&mut self, offset: u64) {
        if offset > self.furthest {
            self.furthest = offset;
            self.failures = 0;
        }
    }

    /// It failed; how long to wait before the next attempt, or that there is none. `asked` is the registry's
    /// `Retry-After`; `chance` (0 to 255) spreads those who were turned away together.
    pub(crate) fn failed(&mut self, asked: Option<Duration>, chance: u8) -> Option<Duration> {
        self.failures += 1;
        if self.failures >= self.attempts {
            return None;
        }
        let doubled = SHORTEST_WAIT.saturating_mul(1 << (self.failures - 1).min(10));
        let spread = doubled.mul_f64(0.5 + f64::from(chance) / 255.0);
        Some(asked.unwrap_or(spread).min(LONGEST_WAIT))
    }
}

#[cfg(test)]
mod tests;
