//! Acts: calls about networks.

use crate::connection::{Client, Content};
use naru_api_types::network::{
    Network, NetworkConnectRequest, NetworkCreateRequest, NetworkCreateResponse,
    NetworkDisconnectRequest, NetworkPruneResponse,
};
use naru_api_types::{Filters, Query, Route};
use naru_errdefs::Fault;

impl Client {
    /// Lists networks.
    pub async fn list_networks(&self, filters: &Filters) -> Result<Vec<Network>, Fault> {
        self.get(Route::NetworkList, &Query::new().with_filters(filters)).await
    }

    /// Creates a network.
    pub async fn create_network(
        &self,
        request: &NetworkCreateRequest,
    ) -> Result<NetworkCreateResponse, Fault> {
        self.json(Route::NetworkCreate, &Query::new(), Content::json(request)?).await
    }

    /// Everything about a network.
    pub async fn inspect_network(&self, name: &str) -> Result<Network, Fault> {
        self.get(Route::NetworkInspect { name: name.to_owned() }, &Query::new()).await
    }

    /// Removes a network.
    pub async fn remove_network(&self, name: &str) -> Result<(), Fault> {
        self.act(Route::NetworkRemove { name: name.to_owned() }, &Query::new()).await
    }

    /// Removes unused networks.
    pub async fn prune_networks(&self, filters: &Filters) -> Result<NetworkPruneResponse, Fault> {
        let query = Query::new().with_filters(filters);
        self.json(Route::NetworkPrune, &query, Content::None).await
    }

    /// Brings a container into a network.
    pub async fn connect_network(
        &self,
        name: &str,
        request: &NetworkConnectRequest,
    ) -> Result<(), Fault> {
        let route = Route::NetworkConnect { name: name.to_owned() };
        self.bytes(route, &Query::new(), Content::json(request)?).await.map(drop)
    }

    /// Takes a container out of a network.
    pub async fn disconnect_network(
        &self,
        name: &str,
        request: &NetworkDisconnectRequest,
    ) -> Result<(), Fault> {
        let route = Route::NetworkDisconnect { name: name.to_owned() };
        self.bytes(route, &Query::new(), Content::json(request)?).await.map(drop)
    }
}
