//! Acts: further processes.

use super::control;
use crate::body::Presence;
use crate::convert::{container as view, create as convert};
use crate::detach_keys::{DetachKeys, ExecKeys};
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::hijack::Hijack;
use crate::reply::{self, Reply};
use http::StatusCode;
use naru_api_types::ApiVersion;
use naru_api_types::container::{ExecCreateRequest, ExecStartRequest};
use naru_api_types::progress::IdResponse;
use naru_engine::{Containers, ExecStart};
use naru_errdefs::{Kind, one_line};

pub(crate) async fn create(
    containers: &Containers,
    keys: &ExecKeys,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let body: ExecCreateRequest = call.json(Presence::Required).await?;
    let own = DetachKeys::parse(&body.detach_keys)?;
    let id = containers.exec_create(name, convert::exec(body)?).await?;
    keys.remember(&id, own);
    Ok(reply::json(StatusCode::CREATED, &IdResponse { id }))
}

pub(crate) async fn start(
    containers: &Containers,
    keys: &ExecKeys,
    id: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let (named, plain) = (call.version >= ApiVersion::v1(42), call.plain_refusals());
    let body: ExecStartRequest = call.json(Presence::Optional).await?;
    let start =
        ExecStart { detach: body.detach, console_size: convert::console(body.console_size)? };
    let keys = keys.take(id)?;
    match containers.exec_start(id, start).await {
        Ok(Some(attachment)) => {
            // Whether there are frames is what the client says now, not what it said when it made the exec.
            let mut carried = Hijack::new(attachment, keys, named);
            carried.framed = !body.tty;
            Ok(Reply::Hijack(carried))
        }
        Ok(None) => Ok(reply::empty(StatusCode::OK)),
        Err(fault) if plain || body.detach || !is_about_the_command(fault.kind()) => {
            Err(fault.into())
        }
        Err(fault) => {
            // The reference daemon starts the process after the upgrade and tells of a failure there: clients print
            // it and take the exit code from an inspection. A status would be all they show of a refusal.
            Ok(Reply::Hijack(Hijack::failed(&one_line(&fault), body.tty, named)))
        }
    }
}

/// Whether the exec was found and could have been started, had it been another command.
fn is_about_the_command(kind: Kind) -> bool {
    !matches!(kind, Kind::NotFound | Kind::Conflict | Kind::Unsupported | Kind::Unavailable)
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
