//! Acts: list, inspect and prune.

use crate::convert::{container as convert, filter};
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::reply::{self, Reply};
use naru_api_types::container::{ContainerSummary, PruneResponse};
use naru_engine::{Containers, Timestamp};

pub(crate) async fn list(containers: &Containers, call: Call) -> Result<Reply, Refusal> {
    let found = containers.list(&filter::list(&call.query)?).await?;
    let found: Vec<ContainerSummary> = found.into_iter().map(convert::summary).collect();
    Ok(reply::ok(&found))
}

pub(crate) async fn inspect(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let view = containers.inspect(name, call.query.flag("size")).await?;
    Ok(reply::ok(&convert::inspect(view, call.version)))
}

pub(crate) async fn prune(containers: &Containers, call: Call) -> Result<Reply, Refusal> {
    let pruned = containers.prune(&filter::prune(&call.query, Timestamp::now())?).await?;
    Ok(reply::ok(&PruneResponse {
        containers_deleted: crate::convert::some(pruned.deleted),
        space_reclaimed: pruned.space_reclaimed,
    }))
}
