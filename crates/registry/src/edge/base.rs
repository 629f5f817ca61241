//! The protocol's first route, `/v2/`: whether this is a registry, and whether who asks is known. Everything below it is refused as
//! unsupported. Acts.

use super::{Done, Edge, Protocol};
use crate::access::{Denied, Peer};
use crate::metrics::Operation;
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Answers `/v2/`.
#[derive(Debug)]
pub struct Base(Edge);

impl Base {
    /// Behind an edge.
    pub fn new(edge: Edge) -> Base {
        Base(edge)
    }
}

impl Protocol for Base {
    fn answer(&self, request: Request<Incoming>, peer: Peer) -> BoxFuture<'static, Response<Body>> {
        let edge = self.0.clone();
        Box::pin(async move {
            let start = Instant::now();
            let (parts, _body) = request.into_parts();
            let (user, response) = match edge.gate.admit(&parts, &peer, &[]).await {
                Ok(identity) if parts.uri.path() == "/v2/" => {
                    (identity.user, respond(StatusCode::OK, "{}".to_owned()))
                }
                Ok(identity) => {
                    let status = StatusCode::NOT_FOUND;
                    (identity.user, error(status, "UNSUPPORTED", "this operation is unsupported"))
                }
                Err(denied) => (None, refuse(&denied)),
            };
            count(&edge, user.as_ref(), &peer, response.status().as_u16(), start.elapsed());
            response
        })
    }
}

fn count(edge: &Edge, user: Option<&Arc<str>>, peer: &Peer, status: u16, took: Duration) {
    edge.done(Done {
        operation: Operation::Base,
        action: None,
        user: user.map(|user| &**user),
        peer,
        repository: "",
        reference: "",
        status,
        bytes_in: 0,
        bytes_out: 0,
        took,
    });
}

/// Pure: the answer to who is not let in.
fn refuse(denied: &Denied) -> Response<Body> {
    match denied {
        Denied::Unauthorized { challenge } => {
            let mut response =
                error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
            if let Ok(challenge) = HeaderValue::from_str(challenge) {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            response
        }
        Denied::Forbidden => {
            error(StatusCode::FORBIDDEN, "DENIED", "requested access to the resource is denied")
        }
        Denied::Throttled { retry_after } => {
            let message = "too many failed logins";
            let mut response = error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*retry_after));
            response
        }
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = json!({"errors": [{"code": code, "message": message, "detail": null}]});
    respond(status, body.to_string())
}

fn respond(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    response
}
