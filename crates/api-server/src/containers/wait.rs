//! Acts: wait. The head of the answer goes out once the wait is registered, so that a client that starts the
//! container after it has the head cannot miss the end.

use crate::dispatch::Call;
use crate::error::Refusal;
use crate::reply::{self, Reply};
use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use naru_api_types::ApiVersion;
use naru_api_types::container::{WaitCondition, WaitError, WaitResponse};
use naru_engine::{self as engine, Containers};
use std::convert::Infallible;

pub(crate) fn wait(containers: &Containers, name: &str, call: &Call) -> Result<Reply, Refusal> {
    // Before 1.30 there was one condition only.
    let condition = if call.version < ApiVersion::v1(30) {
        WaitCondition::NotRunning
    } else {
        call.query.get("condition").unwrap_or_default().parse()?
    };
    let condition = match condition {
        WaitCondition::NotRunning => engine::WaitCondition::NotRunning,
        WaitCondition::NextExit => engine::WaitCondition::NextExit,
        WaitCondition::Removed => engine::WaitCondition::Removed,
    };
    let wait = containers.wait(name, condition)?;
    let line = futures_util::stream::once(async move {
        let outcome = wait.await;
        let answer = WaitResponse {
            status_code: outcome.code,
            error: outcome.error.map(|message| WaitError { message }),
        };
        let mut bytes = serde_json::to_vec(&answer).unwrap_or_default();
        bytes.push(b'\n');
        Ok::<Bytes, Infallible>(bytes.into())
    });
    Ok(reply::with_type(StatusCode::OK, "application/json", Body::from_stream(line)))
}
