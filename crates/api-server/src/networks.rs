//! Acts: networks: made, found, listed, removed; containers brought in and out.

use crate::body::Presence;
use crate::containers::create::typed;
use crate::convert::network as convert;
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::refuse;
use crate::reply::{self, Reply};
use http::StatusCode;
use naru_api_types::Query;
use naru_api_types::network::{
    LIST_FILTERS, Network, NetworkConnectRequest, NetworkCreateRequest, NetworkCreateResponse,
    NetworkDisconnectRequest, NetworkPruneResponse, PRUNE_FILTERS,
};
use naru_engine::{Containers, Networks};
use naru_errdefs::Fault;
use serde_json::Value;

/// The networks that the filters let through.
pub(crate) fn list(networks: &Networks, query: &Query) -> Result<Reply, Fault> {
    let filters = query.filters()?;
    filters.only(LIST_FILTERS)?;
    // Who lists wants to see networks, not their containers: docker leaves these out as well.
    let list: Vec<Network> = networks
        .list(&convert::filter(&filters)?)
        .into_iter()
        .map(|mut view| {
            view.containers.clear();
            convert::network(view)
        })
        .collect();
    Ok(reply::ok(&list))
}

/// One network, by name, ID or a prefix of its ID.
pub(crate) async fn inspect(networks: &Networks, name: &str, call: Call) -> Result<Reply, Refusal> {
    if let Some(scope) = call.query.text("scope")
        && scope != "local"
    {
        return Err(Fault::not_found(format!("network {name} not found")).into());
    }
    Ok(reply::ok(&convert::network(networks.inspect(name).await?)))
}

/// Makes a network.
pub(crate) async fn create(networks: &Networks, call: Call) -> Result<Reply, Refusal> {
    let value: Value = call.json(Presence::Required).await?;
    refuse::network(&value)?;
    let request: NetworkCreateRequest = typed(value)?;
    let (id, warning) = networks.create(convert::request(request)?).await?;
    Ok(reply::json(StatusCode::CREATED, &NetworkCreateResponse { id, warning }))
}

/// Removes a network.
pub(crate) async fn remove(networks: &Networks, name: &str) -> Result<Reply, Refusal> {
    networks.remove(name).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Removes networks that nobody uses.
pub(crate) async fn prune(
    networks: &Networks,
    containers: &Containers,
    call: Call,
) -> Result<Reply, Refusal> {
    let filters = call.query.filters()?;
    filters.only(PRUNE_FILTERS)?;
    let names = networks.prune(convert::filter(&filters)?, containers.used_networks()).await?;
    let networks_deleted = Some(names).filter(|names| !names.is_empty());
    Ok(reply::ok(&NetworkPruneResponse { networks_deleted }))
}

/// Brings a container in.
pub(crate) async fn connect(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let value: Value = call.json(Presence::Required).await?;
    refuse::connect(&value, NetworkConnectRequest::FIELDS)?;
    let request: NetworkConnectRequest = typed(value)?;
    let endpoint = request.endpoint_config.map(convert::endpoint).transpose()?.unwrap_or_default();
    containers.connect(name, &request.container, endpoint).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// Takes a container out.
pub(crate) async fn disconnect(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let value: Value = call.json(Presence::Required).await?;
    refuse::connect(&value, NetworkDisconnectRequest::FIELDS)?;
    let request: NetworkDisconnectRequest = typed(value)?;
    containers.disconnect(name, &request.container, request.force).await?;
    Ok(reply::empty(StatusCode::OK))
}
