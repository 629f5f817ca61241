//! Acts: brings a container into a network, or takes it out of one, whether it runs or not.

use super::Containers;
use crate::lifecycle::State;
use crate::model::EndpointRequest;
use crate::networks::{Entered, Wish, endpoint};
use crate::record::Record;
use crate::supervisor::Supervisor;
use naru_errdefs::{Fault, Kind, ResultExt};

impl Containers {
    /// Brings it into a network.
    pub async fn connect(
        &self,
        network: &str,
        name: &str,
        request: EndpointRequest,
    ) -> Result<(), Fault> {
        let inner = &self.inner;
        let network = inner.networks.name_of(network)?;
        if matches!(network.as_str(), "host" | "none") {
            return Err(Fault::new(
                Kind::Forbidden,
                "container cannot be disconnected from host network or connected to host network",
            ));
        }
        endpoint::check(&network, &request)?;
        for option in endpoint::meaningless(&request) {
            tracing::warn!(
                network,
                option,
                "an option of an endpoint has no meaning here: it is kept, and does nothing"
            );
        }
        let container = inner.find(name)?;
        let _turn = container.turn.lock().await;
        let record = {
            let seat = container.seat();
            let record = &seat.record;
            if matches!(record.state, State::Removing { .. } | State::Dead { .. }) {
                return Err(Fault::conflict(format!(
                    "Container {} is marked for removal and cannot be connected or disconnected to the network",
                    record.id
                )));
            }
            if record.host.network_mode.starts_with("container:") {
                return Err(Fault::invalid(
                    "container sharing network namespace with another container or host cannot be connected to any other network",
                ));
            }
            if record.networks.contains_key("host") || record.networks.contains_key("none") {
                return Err(Fault::new(
                    Kind::Forbidden,
                    "container cannot be connected to multiple networks with one of the networks in private (none) mode",
                ));
            }
            if matches!(record.host.network_mode.as_str(), "host" | "none") {
                return Err(Fault::new(
                    Kind::Forbidden,
                    format!(
                        "container {} was made without networks of its own, and cannot be connected to one",
                        record.id
                    ),
                )
                .with_hint("make it anew with `--network`"));
            }
            if record.networks.contains_key(&network) {
                return Err(Fault::new(
                    Kind::Forbidden,
                    format!(
                        "endpoint with name {} already exists in network {network}",
                        record.name
                    ),
                ));
            }
            record.clone()
        };
        let mut wish = Wish { network: network.clone(), request };
        let is_primary = || match record.host.network_mode.as_str() {
            "" | "default" => network == "bridge",
            mode => inner.networks.name_of(mode).is_ok_and(|name| name == network),
        };
        // The container's own address belongs to the network of its mode, however often it leaves that and comes back.
        if wish.request.mac.is_empty() && is_primary() {
            wish.request.mac.clone_from(&record.config.mac_address);
        }
        if record.state.pid().is_some() {
            let (record, wish) = (record.clone(), wish.clone());
            let work = move |inner: &Supervisor| {
                changing_hosts(inner, &record, || inner.networks.connect(&record, &wish))?;
                asking_us(inner, &record)
            };
            inner.blocking(work).await?;
        }
        container.seat().record.networks.insert(network, wish.request);
        inner.save(&container).await
    }

    /// Takes it out of a network. With `force` one that does not exist (any more) is fine.
    pub async fn disconnect(&self, network: &str, name: &str, force: bool) -> Result<(), Fault> {
        let inner = &self.inner;
        let network = inner.networks.name_of(network)?;
        let container = match inner.find(name) {
            Err(fault) if force && fault.kind() == Kind::NotFound => return Ok(()),
            found => found?,
        };
        let _turn = container.turn.lock().await;
        let record = {
            let seat = container.seat();
            if network == "host" {
                return Err(Fault::new(
                    Kind::Forbidden,
                    "container cannot be disconnected from host network or connected to host network",
                ));
            }
            if !seat.record.networks.contains_key(&network) {
                return Err(Fault::new(
                    Kind::Forbidden,
                    format!(
                        "container {} is not connected to the network {network}",
                        seat.record.id
                    ),
                ));
            }
            seat.record.clone()
        };
        if let Some(pid) = record.state.pid() {
            let gone = network.clone();
            let work = move |inner: &Supervisor| {
                changing_hosts(inner, &record, || inner.networks.disconnect(&record.id, pid, &gone))
            };
            inner.blocking(work).await?;
        }
        container.seat().record.networks.remove(&network);
        inner.save(&container).await
    }

    /// Names of networks that containers belong to which do not run.
    pub fn used_networks(&self) -> std::collections::BTreeSet<String> {
        let containers = self.inner.table().all();
        containers
            .iter()
            .flat_map(|container| {
                container.seat().record.networks.keys().cloned().collect::<Vec<_>>()
            })
            .collect()
    }
}

/// A container that began on the default network asks the host's servers, which do not know the names of the network that it
/// is in now: it is to ask our resolver. One that has written its own `resolv.conf` keeps it.
fn asking_us(inner: &Supervisor, record: &Record) -> Result<(), Fault> {
    if !inner.networks.is_served(&record.id) {
        return Ok(());
    }
    let entered = Entered { resolver: true, ..Entered::default() };
    let path = inner.places.file(record, "resolv.conf");
    naru_network::in_place::change(&path, |text| {
        if naru_network::resolv_conf::is_ours(text) {
            inner.resolv_conf(record, Some(&entered))
        } else {
            text.to_owned()
        }
    })
    .map(drop)
    .during(|| format!("cannot change `{}`", path.display()))
}

/// Does something that changes a container's addresses, and says so in its hosts file.
fn changing_hosts(
    inner: &Supervisor,
    record: &Record,
    work: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Fault> {
    let entries = || {
        let addresses = inner.networks.addresses(&record.id);
        let domain = &record.config.domainname;
        crate::host_files::own_entries(&record.hostname(), domain, Some(&addresses))
    };
    let before = entries();
    work()?;
    let after = entries();
    let path = inner.places.file(record, "hosts");
    naru_network::in_place::change(&path, |text| naru_network::hosts::update(text, &before, &after))
        .map(drop)
        .during(|| format!("cannot change `{}`", path.display()))
}
