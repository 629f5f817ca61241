//! Pure: which status a failure has. The only place that names one.

use http::StatusCode;
use naru_api_types::ErrorBody;
use naru_errdefs::{Fault, Kind};

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The engine or the reading of the request failed.
    Fault(Fault),
    /// A registry failed, or refused.
    Registry(Fault),
    /// The body is larger than any request of its kind needs.
    TooLarge {
        /// Bytes at most.
        limit: usize,
    },
    /// The rest of the body did not come.
    TimedOut,
}

impl<E: Into<Fault>> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal::Fault(error.into())
    }
}

impl Refusal {
    /// The same failure as one of a registry.
    pub(crate) fn of_registry(self) -> Refusal {
        match self {
            Refusal::Fault(fault) => Refusal::Registry(fault),
            other => other,
        }
    }

    /// Status and body.
    pub(crate) fn parts(&self) -> (StatusCode, ErrorBody) {
        match self {
            Refusal::Fault(fault) => (status(fault.kind()), ErrorBody::new(fault)),
            Refusal::Registry(fault) => (registry_status(fault.kind()), ErrorBody::new(fault)),
            Refusal::TooLarge { limit } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                body(format!("request body is larger than {limit} bytes"), Kind::InvalidInput),
            ),
            Refusal::TimedOut => (
                StatusCode::REQUEST_TIMEOUT,
                body(
                    "the rest of the request body did not arrive in time".to_owned(),
                    Kind::InvalidInput,
                ),
            ),
        }
    }
}

fn body(message: String, kind: Kind) -> ErrorBody {
    ErrorBody { message, kind: Some(kind.as_str().to_owned()), hint: None }
}

/// The status of a failure of a registry, as Docker gives it. 401 and 503 are not among them: clients would ask for a
/// password although nobody is there to type it, or take the daemon itself to be away.
fn registry_status(kind: Kind) -> StatusCode {
    match kind {
        // Registries say "denied" of what does not exist, too.
        Kind::Forbidden => StatusCode::NOT_FOUND,
        Kind::Unauthorized | Kind::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        other => status(other),
    }
}

/// The status of a kind.
pub(crate) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::AlreadyExists | Kind::Conflict => StatusCode::CONFLICT,
        // Docker answers 400 for a command that cannot be started, and its client looks at the text.
        Kind::InvalidInput | Kind::CommandNotFound | Kind::CommandNotExecutable => {
            StatusCode::BAD_REQUEST
        }
        Kind::NotModified => StatusCode::NOT_MODIFIED,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::ResourceExhausted => StatusCode::INSUFFICIENT_STORAGE,
        Kind::Cancelled | Kind::DataLoss | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_status_that_tells_of_a_failure() {
        for kind in Kind::ALL {
            assert!(status(kind).as_u16() >= 300, "{kind}");
        }
    }
}
