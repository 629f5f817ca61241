//! Pure: how answers are put together.

use crate::problem::Problem;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};

/// An answer being put together.
pub(crate) struct Answer {
    response: Response<Body>,
}

impl Answer {
    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Answer {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let answer = Answer { response };
        if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            return answer;
        }
        answer.with(CONTENT_LENGTH, "0")
    }

    /// An answer with a body of a media type; `head` leaves the body out and keeps its length.
    pub(crate) fn bytes(status: StatusCode, media_type: &str, bytes: Bytes, head: bool) -> Answer {
        let length = bytes.len().to_string();
        let body = if head { Body::empty() } else { Body::from(bytes) };
        Answer::body(status, media_type, &length, body)
    }

    /// JSON.
    pub(crate) fn json(value: &serde_json::Value, head: bool) -> Answer {
        Answer::bytes(StatusCode::OK, "application/json", value.to_string().into(), head)
    }

    /// An answer with a body of a length.
    pub(crate) fn body(status: StatusCode, media_type: &str, length: &str, body: Body) -> Answer {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Answer { response }.with(CONTENT_TYPE, media_type).with(CONTENT_LENGTH, length)
    }

    /// The same with a header; a value that cannot be one is left out.
    pub(crate) fn with(mut self, name: impl TryInto<HeaderName>, value: &str) -> Answer {
        if let (Ok(name), Ok(value)) = (name.try_into(), HeaderValue::from_str(value)) {
            self.response.headers_mut().append(name, value);
        }
        self
    }

    pub(crate) fn done(self) -> Response<Body> {
        self.response
    }
}

/// A problem as an answer.
pub(crate) fn problem(problem: &Problem, head: bool) -> Response<Body> {
    let mut answer = Answer::bytes(problem.status, "application/json", problem.body().into(), head);
    for (name, value) in &problem.headers {
        answer = answer.with(*name, value);
    }
    answer.done()
}
