//! Acts: further processes.

use super::{attach, control};
use crate::body::Presence;
use crate::convert::{container as view, create as convert};
use crate::detach_keys::DetachKeys;
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::reply::{self, Reply};
use http::StatusCode;
use naru_api_types::container::{ExecCreateRequest, ExecStartRequest};
use naru_api_types::progress::IdResponse;
use naru_engine::{Containers, ExecStart};

pub(crate) async fn create(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let body: ExecCreateRequest = call.json(Presence::Required).await?;
    DetachKeys::parse(&body.detach_keys)?;
    let id = containers.exec_create(name, convert::exec(body)?).await?;
    Ok(reply::json(StatusCode::CREATED, &IdResponse { id }))
}

pub(crate) async fn start(containers: &Containers, id: &str, call: Call) -> Result<Reply, Refusal> {
    let version = call.version;
    let body: ExecStartRequest = call.json(Presence::Optional).await?;
    let start =
        ExecStart { detach: body.detach, console_size: convert::console(body.console_size)? };
    match containers.exec_start(id, start).await? {
        Some(attachment) => Ok(attach::hijack(attachment, DetachKeys::parse("")?, version)),
        None => Ok(reply::empty(StatusCode::OK)),
    }
}

pub(crate) async fn inspect(containers: &Containers, id: &str) -> Result<Reply, Refusal> {
    Ok(reply::ok(&view::exec(containers.exec_inspect(id).await?)))
}

pub(crate) async fn resize(
    containers: &Containers,
    id: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let (rows, columns) = control::size(&call.query)?;
    containers.exec_resize(id, rows, columns).await?;
    Ok(reply::empty(StatusCode::OK))
}
