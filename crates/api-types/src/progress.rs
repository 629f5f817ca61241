//! Pure: the lines of progress that load, import and pull answer with, one JSON object a line.

use crate::wire::wire;
use naru_errdefs::{Fault, Kind, one_line};
use serde::{Deserialize, Serialize};

/// One line of progress. A line with `error` ends the stream: the operation failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressLine {
    /// Text to print as it is, with its own line end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// What is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How far it got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// The rendered bar of old clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Which layer or image it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What went wrong, with the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ErrorDetail>,
    /// A value for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aux: Option<serde_json::Value>,
}

impl ProgressLine {
    /// Text to print.
    pub fn stream(text: impl Into<String>) -> ProgressLine {
        ProgressLine { stream: Some(text.into()), ..ProgressLine::default() }
    }

    /// A status, perhaps about one layer.
    pub fn status(text: impl Into<String>, id: Option<String>) -> ProgressLine {
        ProgressLine { status: Some(text.into()), id, ..ProgressLine::default() }
    }

    /// The end: it failed.
    pub fn error(fault: &Fault) -> ProgressLine {
        let message = one_line(fault);
        let error_detail = ErrorDetail {
            code: None,
            message: message.clone(),
            kind: Some(fault.kind().as_str().to_owned()),
            hint: fault.hint().map(str::to_owned),
        };
        ProgressLine {
            error: Some(message),
            error_detail: Some(error_detail),
            ..ProgressLine::default()
        }
    }

    /// The failure that this line tells of, if it does.
    pub fn failure(&self) -> Option<Fault> {
        let detail = self.error_detail.as_ref();
        let message = self.error.as_deref().or(detail.map(|detail| &*detail.message))?;
        let kind = detail.and_then(|detail| Kind::from_wire(detail.kind.as_deref()?));
        let fault = Fault::new(kind.unwrap_or(Kind::InvalidInput), message);
        Some(match detail.and_then(|detail| detail.hint.as_deref()) {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        })
    }
}

/// How far an operation got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressDetail {
    /// Bytes so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// Bytes in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// The failure in a line of progress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A status code, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// What went wrong.
    #[serde(default)]
    pub message: String,
    /// The kind of the failure (an extension of ours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What to do about it (an extension of ours).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

wire! {
    /// The answer that names what was made.
    pub struct IdResponse {
        /// What was made.
        #[serde(rename = "Id")]
        pub id: String,
    }
}
