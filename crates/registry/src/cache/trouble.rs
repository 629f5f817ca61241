//! Pure: why the cache cannot give what was asked for; one answer for everybody who waited for it.

use crate::upstream::retry_after;
use naru_errdefs::{Failure, Fault, Kind, one_line};
use naru_store::StoreError;

/// Why the cache cannot give what was asked for. Kinds: `NotFound` (the upstream says so), `Unauthorized` and `Forbidden` (the
/// upstream does not let *us* in), `ResourceExhausted` (its rate limit, or our disk), `Unavailable` (it is away, or what it
/// gives is not what it promised), `Cancelled` (a fetch that nobody waited for any more).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CacheError {
    kind: Kind,
    message: String,
    hint: Option<String>,
    retry_after: Option<u64>,
}

impl CacheError {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> CacheError {
        CacheError { kind, message: message.into(), hint: None, retry_after: None }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> CacheError {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn with_retry_after(mut self, seconds: u64) -> CacheError {
        self.retry_after = Some(seconds);
        self
    }

    /// What an upstream failed with.
    pub(super) fn of_upstream(upstream: &str, fault: &Fault) -> CacheError {
        let error = CacheError {
            kind: fault.kind(),
            message: format!("the upstream `{upstream}` fails: {}", one_line(fault)),
            hint: None,
            retry_after: retry_after(fault),
        };
        match fault.kind() {
            Kind::Unauthorized | Kind::Forbidden => error.with_hint(format!(
                "see that the repository exists there and that `credentials` of `{upstream}` may read it"
            )),
            Kind::ResourceExhausted => {
                error.with_hint(format!("wait, or give `{upstream}` a user with `credentials`"))
            }
            _ => error,
        }
    }

    /// An upstream that does not keep its word: a wrong digest or length, or no manifest at all.
    pub(super) fn lie(upstream: &str, what: impl std::fmt::Display) -> CacheError {
        CacheError::new(Kind::Unavailable, format!("the upstream `{upstream}` {what}"))
            .with_hint("nothing of it was stored; see what stands between us and the upstream")
    }

    pub(super) fn missing(repository: &str, reference: &str) -> CacheError {
        CacheError::new(
            Kind::NotFound,
            format!("the upstream of `{repository}` has no `{reference}`"),
        )
    }

    /// After how many seconds asking again can help, when that is known.
    pub fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// Whether this says nothing about the thing itself, only about who was asked: the upstream is away or wants a pause.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::ResourceExhausted | Kind::Internal)
    }
}

impl Failure for CacheError {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

impl From<StoreError> for CacheError {
    fn from(error: StoreError) -> CacheError {
        let fault = Fault::from(error);
        CacheError {
            kind: fault.kind(),
            message: format!("the cache cannot use its store: {}", one_line(&fault)),
            hint: fault.hint().map(str::to_owned),
            retry_after: None,
        }
    }
}
