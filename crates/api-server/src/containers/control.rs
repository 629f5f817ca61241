//! Acts: what changes the state of a container.

use crate::dispatch::Call;
use crate::error::Refusal;
use crate::reply::{self, Reply};
use http::StatusCode;
use naru_api_types::Query;
use naru_engine::{Containers, RemoveOptions, StopOptions};
use naru_errdefs::Fault;

pub(crate) async fn start(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    if call.query.text("checkpoint").is_some() {
        return Err(Fault::unsupported("`checkpoint` is not supported")
            .with_hint("start the container without it")
            .into());
    }
    // An empty object is what some clients send for nothing.
    let body = call.bytes().await?;
    if body.len() > 2 {
        return Err(Fault::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        )
        .into());
    }
    containers.start(name).await?;
    Ok(reply::no_content())
}

fn stop_options(query: &Query) -> Result<StopOptions, Fault> {
    Ok(StopOptions { timeout: query.number("t")?, signal: query.text("signal").map(str::to_owned) })
}

pub(crate) async fn stop(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    containers.stop(name, stop_options(&call.query)?).await?;
    Ok(reply::no_content())
}

pub(crate) async fn restart(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    containers.restart(name, stop_options(&call.query)?).await?;
    Ok(reply::no_content())
}

pub(crate) async fn kill(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    containers.kill(name, call.query.text("signal")).await?;
    Ok(reply::no_content())
}

pub(crate) async fn pause(containers: &Containers, name: &str) -> Result<Reply, Refusal> {
    containers.pause(name).await?;
    Ok(reply::no_content())
}

pub(crate) async fn unpause(containers: &Containers, name: &str) -> Result<Reply, Refusal> {
    containers.unpause(name).await?;
    Ok(reply::no_content())
}

/// The size that the parameters `h` and `w` name.
pub(crate) fn size(query: &Query) -> Result<(u16, u16), Fault> {
    let side = |name: &str| -> Result<u16, Fault> {
        let number = query.number(name)?.unwrap_or(0);
        u16::try_from(number).map_err(|_range| {
            Fault::invalid(format!("invalid resize {name}: {number} is out of range"))
        })
    };
    Ok((side("h")?, side("w")?))
}

pub(crate) async fn resize(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let (rows, columns) = size(&call.query)?;
    containers.resize(name, rows, columns).await?;
    Ok(reply::empty(StatusCode::OK))
}

pub(crate) async fn rename(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let Some(new_name) = call.query.text("name") else {
        return Err(Fault::invalid("Neither old nor new names may be empty").into());
    };
    containers.rename(name, new_name).await?;
    Ok(reply::no_content())
}

pub(crate) async fn remove(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    if call.query.flag("link") {
        containers.unlink(name).await?;
        return Ok(reply::no_content());
    }
    let options = RemoveOptions { force: call.query.flag("force"), volumes: call.query.flag("v") };
    containers.remove(name, options).await?;
    Ok(reply::no_content())
}
