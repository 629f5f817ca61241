//! Pure: answers, with the headers that every client expects.

use crate::error::Refusal;
use crate::hijack::Hijack;
use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA, SERVER};
use http::{HeaderMap, Response, StatusCode};
use naru_api_types::ApiVersion;
use naru_api_types::build::BUILD_FEATURE;
use serde::Serialize;

/// What the handling of a request leads to.
#[derive(Debug)]
pub(crate) enum Reply {
    /// An ordinary answer.
    Response(Response<Body>),
    /// The connection becomes a byte stream.
    Hijack(Hijack),
}

/// The headers of every answer.
pub(crate) fn common_headers(headers: &mut HeaderMap) {
    let version = HeaderValue::from_str(&ApiVersion::MAX.to_string());
    headers.insert("Api-Version", version.unwrap_or(HeaderValue::from_static("")));
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
    headers.insert("Ostype", HeaderValue::from_static("linux"));
    headers.insert(
        SERVER,
        HeaderValue::from_static(concat!("Naru/", env!("CARGO_PKG_VERSION"), " (linux)")),
    );
}

/// An answer of JSON with a line end, as the reference daemon ends it.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            with_type(status, "application/json", Body::from(bytes))
        }
        Err(error) => {
            tracing::error!(%error, "cannot write an answer as JSON");
            with_type(StatusCode::INTERNAL_SERVER_ERROR, "application/json", Body::empty())
        }
    }
}

/// 200 with JSON.
pub(crate) fn ok<T: Serialize>(value: &T) -> Reply {
    json(StatusCode::OK, value)
}

/// An answer with a body of some type.
pub(crate) fn with_type(status: StatusCode, media_type: &'static str, body: Body) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    Reply::Response(response)
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    Reply::Response(response)
}

/// 204.
pub(crate) fn no_content() -> Reply {
    empty(StatusCode::NO_CONTENT)
}

/// The answer of `/_ping`.
pub(crate) fn ping(with_body: bool) -> Reply {
    let body = if with_body { Body::from("OK") } else { Body::empty() };
    let reply = with_type(StatusCode::OK, "text/plain; charset=utf-8", body);
    let Reply::Response(mut response) = reply else { return reply };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    // Clients choose how to build by this; 1 means: not by a build session.
    headers.insert("Builder-Version", HeaderValue::from_static("1"));
    headers.insert(BUILD_FEATURE, HeaderValue::from_static("1"));
    headers.insert("Swarm", HeaderValue::from_static("inactive"));
    Reply::Response(response)
}

/// The answer that tells of a failure.
pub(crate) fn refusal(refusal: &Refusal) -> Reply {
    let (status, body) = refusal.parts();
    if status == StatusCode::NOT_MODIFIED {
        return empty(status);
    }
    json(status, &body)
}
