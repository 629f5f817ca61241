//! Acts: logs as a stream.

use crate::convert::instant;
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::hijack::framed_bytes;
use crate::reply::{self, Reply};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use naru_api_types::{ApiVersion, Query, frame};
use naru_engine::{Containers, LogOptions, LogRecord, LogStream, Tail};
use naru_errdefs::{Fault, one_line};
use std::io;

pub(crate) async fn logs(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let options = options(&call.query)?;
    let details = call.query.flag("details");
    let timestamps = call.query.flag("timestamps");
    let logs = containers.logs(name, options).await?;
    let framed = !logs.tty;
    let media_type = match (framed, call.version >= ApiVersion::v1(42)) {
        (true, true) => frame::MULTIPLEXED,
        (true, false) | (false, _) => frame::RAW,
    };
    let pieces = futures_util::stream::unfold(logs, move |mut logs: LogStream| async move {
        let piece = match logs.next().await? {
            Ok(record) => Ok(piece(&record, timestamps, details, framed)),
            Err(fault) => {
                tracing::warn!(error = %one_line(&fault), "a log could not be read further");
                Err(io::Error::other(one_line(&fault)))
            }
        };
        Some((piece, logs))
    });
    Ok(reply::with_type(StatusCode::OK, media_type, Body::from_stream(pieces)))
}

fn options(query: &Query) -> Result<LogOptions, Fault> {
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(Fault::invalid("Bad parameters: you must choose at least one stream"));
    }
    let tail = match query.text("tail") {
        None | Some("all") => Tail::All,
        // A count that is no number, or a negative one, means everything; clients rely on it.
        Some(text) => text.parse().map_or(Tail::All, Tail::Last),
    };
    Ok(LogOptions {
        stdout,
        stderr,
        follow: query.flag("follow"),
        since: instant("since", query.get("since"))?,
        until: instant("until", query.get("until"))?,
        tail,
    })
}

fn piece(record: &LogRecord, timestamps: bool, details: bool, framed: bool) -> Bytes {
    let mut line = BytesMut::with_capacity(record.bytes.len() + 32);
    if timestamps {
        line.extend_from_slice(record.time.to_string().as_bytes());
        line.extend_from_slice(b" ");
    }
    if details {
        // No attributes are logged with a line; what separates them from it is there all the same.
        line.extend_from_slice(b" ");
    }
    line.extend_from_slice(&record.bytes);
    if framed { framed_bytes(record.stream, &line) } else { line.freeze() }
}
