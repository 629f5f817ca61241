//! Acts: processes, use of resources, and the file system of a container.

use crate::convert::container as convert;
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::reply::{self, Reply};
use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use naru_api_types::container::TopResponse;
use naru_engine::{Containers, Stats};
use naru_errdefs::{Fault, one_line};
use std::convert::Infallible;
use std::io;
use std::time::Duration;

pub(crate) async fn top(containers: &Containers, name: &str, call: Call) -> Result<Reply, Refusal> {
    let top = containers.top(name, call.query.text("ps_args").unwrap_or("-ef")).await?;
    Ok(reply::ok(&TopResponse { titles: top.titles, processes: top.processes }))
}

/// Between two looks at a container.
const PERIOD: Duration = Duration::from_secs(1);

pub(crate) async fn stats(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let view = containers.inspect(name, false).await?;
    let (stream, one_shot) = (call.query.flag_or("stream", true), call.query.flag("one-shot"));
    if stream && one_shot {
        return Err(Fault::invalid("cannot have stream=true and one-shot=true").into());
    }
    let looks =
        Looks { containers: containers.clone(), id: view.id, name: view.name, before: None };
    if stream {
        let lines = futures_util::stream::unfold((looks, true), |(mut looks, first)| async move {
            if !first {
                tokio::time::sleep(PERIOD).await;
            }
            let line = looks.next().await.ok()?;
            Some((Ok::<Bytes, Infallible>(line), (looks, false)))
        });
        return Ok(reply::with_type(StatusCode::OK, "application/json", Body::from_stream(lines)));
    }
    let mut looks = looks;
    let mut line = looks.next().await?;
    if !one_shot && looks.before.is_some() {
        tokio::time::sleep(PERIOD).await;
        line = looks.next().await?;
    }
    Ok(reply::with_type(StatusCode::OK, "application/json", Body::from(line)))
}

struct Looks {
    containers: Containers,
    id: String,
    name: String,
    before: Option<Stats>,
}

impl Looks {
    async fn next(&mut self) -> Result<Bytes, Fault> {
        let now = self.containers.stats(&self.id).await?;
        let stats = convert::stats((&self.id, &self.name), now.as_ref(), self.before.as_ref());
        self.before = now;
        let mut bytes = serde_json::to_vec(&stats).unwrap_or_default();
        bytes.push(b'\n');
        Ok(bytes.into())
    }
}

pub(crate) async fn export(containers: &Containers, name: &str) -> Result<Reply, Refusal> {
    let export = containers.export(name).await?;
    let pieces = futures_util::stream::unfold(export, |mut export| async move {
        let piece = export.next().await?.map_err(|fault| {
            tracing::warn!(error = %one_line(&fault), "an export broke off");
            io::Error::other(one_line(&fault))
        });
        Some((piece, export))
    });
    Ok(reply::with_type(StatusCode::OK, "application/octet-stream", Body::from_stream(pieces)))
}
