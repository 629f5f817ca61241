//! Pure: the one place that turns what went wrong into a code, a status and a body (distribution-spec, "Error codes").

use http::StatusCode;
use naru_errdefs::{Fault, Kind, one_line};
use naru_store::StoreError;
use serde_json::{Value, json};

/// The codes of the specification, which are all that a status below 500 may have, and two for what is our own fault: the
/// specification has none for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The blob is not in the repository.
    BlobUnknown,
    /// The upload cannot go on like that.
    BlobUploadInvalid,
    /// There is no such upload.
    BlobUploadUnknown,
    /// The digest is none, or not that of the bytes.
    DigestInvalid,
    /// A manifest names what is not in the repository.
    ManifestBlobUnknown,
    /// The manifest is not valid.
    ManifestInvalid,
    /// There is no such manifest.
    ManifestUnknown,
    /// The name is outside the grammar.
    NameInvalid,
    /// There is no such repository.
    NameUnknown,
    /// A length is not what was said.
    SizeInvalid,
    /// Who is asking is not known.
    Unauthorized,
    /// Who is asking may not.
    Denied,
    /// The operation is not supported here.
    Unsupported,
    /// Too many requests.
    TooManyRequests,
    /// The registry cannot now.
    Unavailable,
    /// A fault of our own.
    Unknown,
}

impl Code {
    /// As on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::BlobUnknown => "BLOB_UNKNOWN",
            Code::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Code::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Code::DigestInvalid => "DIGEST_INVALID",
            Code::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Code::ManifestInvalid => "MANIFEST_INVALID",
            Code::ManifestUnknown => "MANIFEST_UNKNOWN",
            Code::NameInvalid => "NAME_INVALID",
            Code::NameUnknown => "NAME_UNKNOWN",
            Code::SizeInvalid => "SIZE_INVALID",
            Code::Unauthorized => "UNAUTHORIZED",
            Code::Denied => "DENIED",
            Code::Unsupported => "UNSUPPORTED",
            Code::TooManyRequests => "TOOMANYREQUESTS",
            Code::Unavailable => "UNAVAILABLE",
            Code::Unknown => "UNKNOWN",
        }
    }

    /// The status that goes with it, when nothing else is said.
    const fn status(self) -> StatusCode {
        match self {
            Code::BlobUnknown
            | Code::BlobUploadUnknown
            | Code::ManifestUnknown
            | Code::NameUnknown => StatusCode::NOT_FOUND,
            Code::BlobUploadInvalid
            | Code::DigestInvalid
            | Code::ManifestBlobUnknown
            | Code::ManifestInvalid
            | Code::NameInvalid
            | Code::SizeInvalid => StatusCode::BAD_REQUEST,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Denied => StatusCode::FORBIDDEN,
            Code::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What went wrong, as it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// One entry each: code, message, detail.
    pub errors: Vec<(Code, String, Value)>,
    /// Further headers, such as `Range` or `WWW-Authenticate`.
    pub headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// One error with its usual status.
    pub fn new(code: Code, message: impl Into<String>) -> Problem {
        Problem {
            status: code.status(),
            errors: vec![(code, message.into(), Value::Null)],
            headers: Vec::new(),
        }
    }

    /// The same with another status.
    pub fn with_status(mut self, status: StatusCode) -> Problem {
        self.status = status;
        self
    }

    /// The same with a header.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Problem {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with details of its last error.
    pub fn with_detail(mut self, detail: Value) -> Problem {
        if let Some(last) = self.errors.last_mut() {
            last.2 = detail;
        }
        self
    }

    /// The body: `{"errors": [{"code", "message", "detail"}]}`.
    pub fn body(&self) -> Vec<u8> {
        let errors: Vec<Value> = self
            .errors
            .iter()
            .map(|(code, message, detail)| match detail {
                Value::Null => json!({ "code": code.as_str(), "message": message }),
                detail => json!({ "code": code.as_str(), "message": message, "detail": detail }),
            })
            .collect();
        json!({ "errors": errors }).to_string().into_bytes()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::NoBlob { .. } => Problem::new(Code::BlobUnknown, error.to_string()),
            StoreError::NoUpload { .. } => {
                Problem::new(Code::BlobUploadUnknown, "blob upload unknown to registry")
            }
            StoreError::UploadBusy { .. } => {
                Problem::new(Code::BlobUploadInvalid, "another request writes this upload now")
                    .with_status(StatusCode::CONFLICT)
            }
            StoreError::Mismatch { expected, found } => {
                Problem::new(Code::DigestInvalid, "provided digest did not match uploaded content")
                    .with_detail(
                        json!({ "expected": expected.to_string(), "found": found.to_string() }),
                    )
            }
            error => Problem::from(Fault::from(error)),
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        let text = one_line(&fault);
        match fault.kind() {
            Kind::ResourceExhausted => {
                tracing::error!(error = %text, "the registry has no room");
                Problem::new(Code::Unavailable, "the registry has no space left")
                    .with_status(StatusCode::INSUFFICIENT_STORAGE)
            }
            Kind::Unavailable => Problem::new(Code::Unavailable, text),
            Kind::NotFound => Problem::new(Code::ManifestUnknown, text),
            Kind::Unauthorized | Kind::Forbidden => Problem::new(Code::Denied, text),
            _ => {
                // What is wrong with our own disk is not for strangers.
                tracing::error!(error = %text, "a request failed");
                Problem::new(Code::Unknown, "the registry failed; its log says why")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_shape_of_the_specification() {
        let problem = Problem::new(Code::NameInvalid, "bad").with_detail(json!({ "name": "X" }));
        assert_eq!(problem.status, StatusCode::BAD_REQUEST);
        let body: Value = serde_json::from_slice(&problem.body()).unwrap();
        assert_eq!(
            body,
            json!({"errors": [{"code": "NAME_INVALID", "message": "bad", "detail": {"name": "X"}}]})
        );
    }

    #[test]
    fn our_own_troubles_stay_in_the_log() {
        let fault = Fault::internal("cannot open `/secret/path`");
        let problem = Problem::from(fault);
        assert_eq!(problem.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!String::from_utf8(problem.body()).unwrap().contains("secret"));
    }
}
