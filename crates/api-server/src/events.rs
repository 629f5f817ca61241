//! Acts: what happens, as a stream of lines.

use crate::convert::filter;
use crate::reply::{self, Reply};
use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use naru_api_types::event::{Actor, Event};
use naru_api_types::{ApiVersion, Query};
use naru_engine::{EventStream, Events};
use naru_errdefs::Fault;
use std::convert::Infallible;

/// Streams events until the client goes away or `until` has passed.
pub(crate) fn stream(events: &Events, query: &Query, version: ApiVersion) -> Result<Reply, Fault> {
    let stream = events.subscribe(filter::events(query)?);
    let lines = futures_util::stream::unfold(stream, move |mut stream: EventStream| async move {
        let event = stream.next().await?;
        Some((Ok::<Bytes, Infallible>(line(&event, version)), stream))
    });
    Ok(reply::with_type(StatusCode::OK, "application/json", Body::from_stream(lines)))
}

fn line(event: &naru_engine::Event, version: ApiVersion) -> Bytes {
    let mut out = Event {
        r#type: event.kind.to_owned(),
        action: event.action.clone(),
        actor: Actor { id: event.id.clone(), attributes: event.attributes.clone() },
        scope: "local".to_owned(),
        time: event.time.seconds(),
        time_nano: event.time.0,
        ..Event::default()
    };
    // Clients before 1.52 read these.
    if version < ApiVersion::v1(52) && matches!(event.kind, "container" | "image") {
        out.status.clone_from(&event.action);
        out.id.clone_from(&event.id);
        if event.kind == "container" {
            out.from = event.attributes.get("image").cloned().unwrap_or_default();
        }
    }
    let mut bytes = serde_json::to_vec(&out).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}
