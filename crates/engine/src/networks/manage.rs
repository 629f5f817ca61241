//! Acts: makes, finds, lists and removes networks.

use super::book::{Network, is_predefined};
use super::record::{Driver, NetworkRecord};
use super::request::{self, Subnet};
use super::{Inner, Networks};
use crate::model::{NetworkFilter, NetworkRequest, NetworkView, PoolRequest, Timestamp};
use ipnet::IpNet;
use naru_errdefs::{Fault, Kind};
use naru_kernel::failpoint;
use naru_network::ipam::{self, Gateway, Pool, PoolSpec};
use naru_network::link::SubnetLock;
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

/// How long another daemon of this host may take to choose a subnet.
const SUBNET_PATIENCE: Duration = Duration::from_secs(10);

impl Networks {
    /// Makes a network. Answers its ID and what the person should know.
    pub async fn create(&self, request: NetworkRequest) -> Result<(String, String), Fault> {
        self.inner.blocking(move |inner| inner.create(&request)).await
    }

    /// One network, by name, ID or a prefix of its ID.
    pub async fn inspect(&self, name: &str) -> Result<NetworkView, Fault> {
        let name = name.to_owned();
        self.inner
            .blocking(move |inner| {
                if name == "bridge" || name == "default" {
                    inner.ensure_default()?;
                }
                let book = inner.book();
                let network = book.find(&name)?;
                Ok(super::view::network(&book, network))
            })
            .await
    }

    /// The networks that a filter lets through, oldest first.
    pub fn list(&self, filter: &NetworkFilter) -> Vec<NetworkView> {
        let book = self.inner.book();
        let mut views: Vec<NetworkView> = book
            .networks
            .values()
            .filter(|network| super::view::admits(&book, network, filter))
            .map(|network| super::view::network(&book, network))
            .collect();
        views.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.name.cmp(&b.name)));
        views
    }

    /// Removes a network.
    pub async fn remove(&self, name: &str) -> Result<(), Fault> {
        let name = name.to_owned();
        self.inner.blocking(move |inner| inner.remove(&name)).await
    }

    /// Removes the networks that no container has, of those that a filter lets through. `used` are names of networks that
    /// containers which do not run belong to. Answers the names.
    pub async fn prune(
        &self,
        filter: NetworkFilter,
        used: std::collections::BTreeSet<String>,
    ) -> Result<Vec<String>, Fault> {
        let names = self
            .list(&filter)
            .into_iter()
            .filter(|view| !is_predefined(&view.name) && view.containers.is_empty())
            .filter(|view| !used.contains(&view.name))
            .map(|view| view.name)
            .collect::<Vec<_>>();
        self.inner
            .blocking(move |inner| {
                let mut removed = Vec::new();
                for name in names {
                    match inner.remove(&name) {
                        Ok(()) => removed.push(name),
                        // Somebody took it into use, or removed it, meanwhile.
                        Err(fault) if matches!(fault.kind(), Kind::Forbidden | Kind::NotFound) => {}
                        Err(fault) => return Err(fault),
                    }
                }
                Ok(removed)
            })
            .await
    }
}

impl Inner {
    /// Fills the book with what is recorded, and with the networks that need no record.
    pub(super) fn read_records(&self) -> Result<(), Fault> {
        let mut book = self.book();
        for (_, record) in self.records.list()? {
            match pools(&record) {
                Ok(pools) => {
                    book.networks.insert(record.id.clone(), Network::new(record, pools));
                }
                Err(fault) => super::report(
                    &format!("the record of network `{}` is left out", record.name),
                    &fault,
                ),
            }
        }
        for (name, driver) in
            [("bridge", Driver::Bridge), ("host", Driver::Host), ("none", Driver::Null)]
        {
            if !book.networks.values().any(|network| network.record.name == name) {
                let record = predefined(name, driver, &self.options.bridge);
                book.networks.insert(record.id.clone(), Network::new(record, Vec::new()));
            }
        }
        Ok(())
    }

    /// The default network has its subnet when it is first needed, so that a daemon without containers takes none.
    pub(super) fn ensure_default(&self) -> Result<String, Fault> {
        let id = self.book().find("bridge")?.record.id.clone();
        self.raise(&id)?;
        Ok(id)
    }

    fn create(&self, request: &NetworkRequest) -> Result<(String, String), Fault> {
        request::name(&request.name)?;
        let driver = request::driver(&request.driver)?;
        request::options(request, driver)?;
        let subnets = request::subnets(&request.ipam)?;
        let ipv4 = request.enable_ipv4.unwrap_or(true);
        let ipv6_asked = subnets.iter().any(|subnet| subnet.net.addr().is_ipv6());
        let ipv6 = request.enable_ipv6.unwrap_or(self.options.ipv6 || ipv6_asked);
        if !ipv4 && !ipv6 {
            return Err(Fault::invalid("IPv4 or IPv6 must be enabled"));
        }
        for (family, on) in [(true, ipv4), (false, ipv6)] {
            if !on && subnets.iter().any(|subnet| subnet.net.addr().is_ipv4() == family) {
                let name = if family { "IPv4" } else { "IPv6" };
                return Err(Fault::invalid(format!(
                    "{name} has a subnet, but is not enabled for this network"
                )));
            }
        }
        if ipv6 && !naru_network::link::ipv6_available() {
            return Err(Fault::unsupported("IPv6 is disabled on this host")
                .with_hint("boot the host with IPv6, or leave out `--ipv6`"));
        }
        let _change = self.change();
        self.check_free(&request.name)?;
        let id = crate::containers::new_id()?;
        let mut record = NetworkRecord {
            bridge: bridge_name(request, driver, &id),
            id: id.clone(),
            name: request.name.clone(),
            created: Timestamp::now(),
            driver,
            ipv4,
            ipv6,
            pools: Vec::new(),
            internal: request.internal,
            attachable: request.attachable,
            options: request.options.clone(),
            labels: request.labels.clone(),
            ipam_options: request.ipam_options.clone(),
        };
        if driver == Driver::Bridge && self.links()?.find(&record.bridge).is_ok() {
            return Err(Fault::conflict(format!(
                "the host has an interface `{}` already",
                record.bridge
            ))
            .with_hint("choose another name with `--opt com.docker.network.bridge.name=NAME`"));
        }
        let lock = SubnetLock::take(SUBNET_PATIENCE)?;
        record.pools = self.choose(&record, subnets)?;
        let network = Network::new(record.clone(), pools(&record)?);
        self.book().networks.insert(id.clone(), network);
        let made = self.raise_now(&id).and_then(|()| {
            failpoint::hit("network.before-record");
            Ok(self.records.put(&id, &record)?)
        });
        drop(lock);
        if let Err(fault) = made {
            self.lower(&id);
            self.book().networks.remove(&id);
            return Err(fault);
        }
        failpoint::hit("network.after-record");
        self.publish_event("create", &record, None);
        Ok((id, String::new()))
    }

    fn check_free(&self, name: &str) -> Result<(), Fault> {
        let taken = self.book().networks.values().any(|network| network.record.name == name);
        if taken {
            return Err(Fault::conflict(format!("network with name {name} already exists")));
        }
        Ok(())
    }

    /// The subnets of a new network: those asked for, and chosen ones for the families without. Called with the host's
    /// lock.
    pub(super) fn choose(
        &self,
        record: &NetworkRecord,
        asked: Vec<Subnet>,
    ) -> Result<Vec<PoolRequest>, Fault> {
        let own: Vec<IpNet> = self
            .book()
            .networks
            .values()
            .flat_map(|network| network.pools.iter().map(Pool::subnet))
            .collect();
        let mut taken = own.clone();
        if record.driver == Driver::Bridge {
            taken.extend(self.host_subnets(&own)?);
        }
        let mut list = Vec::new();
        for subnet in &asked {
            // What lies on the host's own interface overlaps with it by design.
            let others = if record.driver == Driver::Bridge { &taken } else { &own };
            ipam::check_free(subnet.net, others.iter())?;
            list.push(PoolRequest {
                subnet: subnet.net.to_string(),
                ip_range: subnet.range.map(|range| range.to_string()).unwrap_or_default(),
                gateway: subnet.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
                auxiliary: subnet
                    .auxiliary
                    .iter()
                    .map(|(name, address)| (name.clone(), address.to_string()))
                    .collect(),
            });
        }
        let has = |four: bool| asked.iter().any(|subnet| subnet.net.addr().is_ipv4() == four);
        if record.ipv4 && !has(true) {
            let defaults = if self.options.pools.is_empty() {
                ipam::default_pools()
            } else {
                self.options.pools.clone()
            };
            let subnet = ipam::choose_subnet(&defaults, &taken)?;
            list.push(PoolRequest { subnet: subnet.to_string(), ..PoolRequest::default() });
        }
        if record.ipv6 && !has(false) {
            let random = naru_kernel::random::bytes::<5>()
                .map_err(|error| Fault::io("cannot get random bytes", error))?;
            let subnet = ipam::unique_local(random, 0);
            list.push(PoolRequest { subnet: subnet.to_string(), ..PoolRequest::default() });
        }
        for pool in &mut list {
            if pool.gateway.is_empty() && !(record.internal && record.driver != Driver::Bridge) {
                let chosen = spec(record, pool)?;
                let gateway = Pool::new(chosen)?.gateway();
                pool.gateway = gateway.map(|address| address.to_string()).unwrap_or_default();
            }
        }
        Ok(list)
    }

    fn host_subnets(&self, own: &[IpNet]) -> Result<Vec<IpNet>, Fault> {
        let mut subnets = self.host_subnets.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(subnets.beside(self.links()?, own)?)
    }

    fn remove(&self, name: &str) -> Result<(), Fault> {
        let _change = self.change();
        let record = {
            let mut book = self.book();
            let network = book.find(name)?;
            let record = network.record.clone();
            if is_predefined(&record.name) {
                return Err(Fault::new(
                    Kind::Forbidden,
                    format!("{} is a pre-defined network and cannot be removed", record.name),
                ));
            }
            let mut members: Vec<String> = book
                .members(&record.id)
                .map(|(_, running, endpoint)| {
                    let id = crate::record::short(&endpoint.id);
                    format!("name:\"{}\" id:\"{id}\"", running.places.name)
                })
                .collect();
            members.sort();
            if !members.is_empty() {
                return Err(Fault::new(
                    Kind::Forbidden,
                    format!(
                        "error while removing network: network {} has active endpoints ({})",
                        record.name,
                        members.join(", ")
                    ),
                )
                .with_hint("stop these containers, or `network disconnect` them, first"));
            }
            if let Some(network) = book.networks.get_mut(&record.id) {
                network.leaving = true;
            }
            record
        };
        // The record goes first: what is left over of a network without one is swept.
        if let Err(error) = self.records.remove(&record.id) {
            if let Some(network) = self.book().networks.get_mut(&record.id) {
                network.leaving = false;
            }
            return Err(error.into());
        }
        failpoint::hit("network.after-forget");
        self.lower(&record.id);
        self.book().networks.remove(&record.id);
        self.publish_event("destroy", &record, None);
        Ok(())
    }
}

pub(super) fn predefined(name: &str, driver: Driver, bridge: &str) -> NetworkRecord {
    // The same everywhere, as long as it is not recorded: the name, spelled in hexadecimal and padded.
    let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    NetworkRecord {
        id: format!("{hex:0<64}"),
        name: name.to_owned(),
        created: Timestamp::now(),
        driver,
        ipv4: true,
        ipv6: false,
        pools: Vec::new(),
        internal: false,
        attachable: false,
        options: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        ipam_options: std::collections::BTreeMap::new(),
        bridge: if driver == Driver::Bridge { bridge.to_owned() } else { String::new() },
    }
}

fn bridge_name(request: &NetworkRequest, driver: Driver, id: &str) -> String {
    if driver != Driver::Bridge {
        return String::new();
    }
    match request.options.get(request::BRIDGE_NAME) {
        Some(name) => name.clone(),
        None => format!("br-{}", crate::record::short(id)),
    }
}

/// The addresses of a record, nothing taken yet.
pub(super) fn pools(record: &NetworkRecord) -> Result<Vec<Pool>, Fault> {
    record.pools.iter().map(|pool| Ok(Pool::new(spec(record, pool)?)?)).collect()
}

fn spec(record: &NetworkRecord, pool: &PoolRequest) -> Result<PoolSpec, Fault> {
    let bad = |text: &str| format!("`{text}` of network `{}` is no address", record.name);
    let subnet: IpNet = pool
        .subnet
        .parse()
        .map_err(|error| Fault::invalid(bad(&pool.subnet)).with_source(error))?;
    let address = |text: &str| -> Result<IpAddr, Fault> {
        text.parse::<IpAddr>().map_err(|error| Fault::invalid(bad(text)).with_source(error))
    };
    let mut spec =
        PoolSpec::new(format!("{} ({})", record.name, crate::record::short(&record.id)), subnet);
    if !pool.ip_range.is_empty() {
        let range = pool.ip_range.parse::<IpNet>();
        spec.range =
            Some(range.map_err(|error| Fault::invalid(bad(&pool.ip_range)).with_source(error))?);
    }
    if !pool.gateway.is_empty() {
        spec.gateway = Gateway::At(address(&pool.gateway)?);
    }
    for (name, text) in &pool.auxiliary {
        spec.auxiliary.insert(name.clone(), address(text)?);
    }
    Ok(spec)
}
