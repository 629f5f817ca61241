//! Requests for repositories of the cache: what must be asked of the upstream first, and what is not done there.
//!
//! Acts. What is here after the cache was asked is answered like everything else in the store.

use crate::answer::Answer;
use crate::cache::{BlobReader, Cache, CacheError, CachedBlob, Freshness, Place};
use crate::problem::{Code, Problem};
use crate::route::{Route, Target};
use crate::service::{Call, Outcome, Service};
use crate::{blobs, lists, manifests};
use axum::body::Body;
use axum::response::Response;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderValue, Method};
use naru_errdefs::{Failure as _, Fault, Kind};
use naru_oci::Digest;
use serde_json::json;

/// The answer to a request for a repository of the cache; none when there is nothing special about it.
pub(crate) async fn answer(
    service: &Service,
    (cache, place): (&Cache, &Place),
    route: &Route,
    // Exclusive, since a body cannot be shared among threads, and this waits.
    call: &mut Call,
) -> Option<Outcome> {
    let is_read = matches!(call.parts.method, Method::GET | Method::HEAD);
    match route {
        Route::Manifest { name, reference } if is_read => {
            if matches!(reference, Target::Neither(_)) {
                return None;
            }
            let found = match cache.manifest(place, &reference.to_string()).await {
                Ok(found) => found,
                Err(error) => return Some(refuse(&error, Code::ManifestUnknown, place)),
            };
            // By digest: the tag may move between here and there.
            let target = Target::Digest(found.descriptor.digest);
            Some(manifests::get(service, name, &target, call).map(|it| warn(it, &found.freshness)))
        }
        Route::Blob { digest, .. } if is_read => match cache.blob(place, digest).await {
            Ok(CachedBlob::Stored { .. }) => None,
            Ok(CachedBlob::Coming(reader)) => Some(coming(digest, reader, call)),
            Err(error) => Some(refuse(&error, Code::BlobUnknown, place)),
        },
        Route::Tags { name } => {
            let last = match call.query.page() {
                Ok((_, last)) => last,
                Err(problem) => return Some(Err(Box::new(problem))),
            };
            match cache.tags(place).await {
                Ok((tags, freshness)) => {
                    let mut tags = lists::after(tags.to_vec(), last);
                    let outcome = lists::tag_page(name, &mut tags, call);
                    Some(outcome.map(|it| warn(it, &freshness)))
                }
                Err(error) => Some(refuse(&error, Code::NameUnknown, place)),
            }
        }
        Route::Manifest { .. } | Route::Uploads { .. } | Route::Upload { .. }
            if call.parts.method != Method::DELETE =>
        {
            Some(refuse(&cache.refuse_push(place), Code::Denied, place))
        }
        _ => None,
    }
}

/// A blob that comes: its last byte leaves when it is verified, and a failure breaks the connection off.
fn coming(digest: &Digest, reader: BlobReader, call: &Call) -> Outcome {
    if let Some(size) = reader.total() {
        return blobs::give(digest, size, call, |first, length| {
            Ok(Body::from_stream(reader.stream(first, Some(first + length))))
        });
    }
    // Nobody knows its length: whole, and in chunks.
    let body =
        if call.is_head() { Body::empty() } else { Body::from_stream(reader.stream(0, None)) };
    let text = digest.to_string();
    let mut response = Answer::body(http::StatusCode::OK, blobs::MEDIA_TYPE, "0", body)
        .with(ETAG, &format!("\"{digest}\""))
        .with("docker-content-digest", &text)
        .with(ACCEPT_RANGES, "bytes")
        .done();
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(blobs::MEDIA_TYPE));
    Ok(response)
}

/// Says that an answer may be old.
fn warn(mut response: Response, freshness: &Freshness) -> Response {
    for warning in freshness.warnings() {
        if let Ok(value) = HeaderValue::from_str(&warning) {
            response.headers_mut().append("warning", value);
        }
    }
    if let Freshness::Stale { age, .. } = freshness {
        response.headers_mut().insert("age", HeaderValue::from(*age));
    }
    response
}

/// The cache's failure as a problem; `missing` is the code for what is not there.
fn refuse(error: &CacheError, missing: Code, place: &Place) -> Outcome {
    let text = match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    let problem = match (error.kind(), error.retry_after()) {
        (Kind::NotFound, _) => {
            Problem::new(missing, text).with_detail(json!({ "name": place.repository }))
        }
        (Kind::ResourceExhausted, Some(seconds)) => Problem::new(Code::TooManyRequests, text)
            .with_header("retry-after", seconds.to_string()),
        (Kind::Unauthorized | Kind::Forbidden, _) => Problem::new(Code::Denied, text),
        (Kind::Unavailable, seconds) => {
            let problem = Problem::new(Code::Unavailable, text);
            match seconds {
                Some(seconds) => problem.with_header("retry-after", seconds.to_string()),
                None => problem,
            }
        }
        _ => Problem::from(Fault::from(error.clone())),
    };
    Err(Box::new(problem))
}
