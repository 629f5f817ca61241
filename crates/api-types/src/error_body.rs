//! Pure: the body of every refusal.

use naru_errdefs::{Fault, Kind, one_line};
use serde::{Deserialize, Serialize};

/// The request header of a client that wants every refusal as a status with this body. Without it, an exec that cannot
/// be started answers as the reference daemon does: with an upgrade, and the reason as output.
pub const PLAIN_REFUSALS: &str = "naru-plain-refusals";

/// The body of an answer with a status of 400 and more: the message all clients know, and two fields of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong, with its causes, in one line.
    #[serde(default)]
    pub message: String,
    /// The wire name of the [`Kind`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ErrorBody {
    /// The body that tells of this failure.
    pub fn new(fault: &Fault) -> ErrorBody {
        ErrorBody {
            message: one_line(fault),
            kind: Some(fault.kind().as_str().to_owned()),
            hint: fault.hint().map(str::to_owned),
        }
    }

    /// The failure that this body tells of; `kind` is used when the body names none.
    pub fn into_fault(self, kind: Kind) -> Fault {
        let kind = self.kind.as_deref().and_then(Kind::from_wire).unwrap_or(kind);
        let fault = Fault::new(kind, self.message);
        match self.hint {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_wire() {
        let fault = Fault::not_found("No such container: x").with_hint("look with `ps -a`");
        let text = serde_json::to_string(&ErrorBody::new(&fault)).unwrap();
        let back: ErrorBody = serde_json::from_str(&text).unwrap();
        let back = back.into_fault(Kind::Internal);
        assert_eq!(back.kind(), Kind::NotFound);
        assert_eq!(back.message(), "No such container: x");
        assert_eq!(back.hint(), Some("look with `ps -a`"));
    }

    #[test]
    fn a_body_of_another_daemon_is_understood() {
        let body: ErrorBody = serde_json::from_str(r#"{"message":"no"}"#).unwrap();
        assert_eq!(body.into_fault(Kind::Conflict).kind(), Kind::Conflict);
    }
}
