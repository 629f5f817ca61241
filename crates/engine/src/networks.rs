//! Acts: networks: what is recorded of them, what stands behind them in the kernel, and the places of running containers.
//!
//! ```text
//! create     request ─▶ checked (pure) ─▶ subnet chosen under the host's lock ─▶ bridge, rules ─▶ record
//! enter      a namespace that waits ready (or made now) ─▶ addresses, ports, names ─▶ noted beside the run's files
//! leave      ports and names free at once; the kernel takes the namespace apart when its last process is gone
//! restart    notes of running containers ─▶ addresses, ports, names again; bridges and rules that are missing
//! ```
//!
//! What forwards packets is the kernel: while no daemon is there, everything but new names goes on.

mod bare;
mod book;
mod cable;
mod connect;
pub(crate) mod endpoint;
mod enter;
mod manage;
mod names;
pub(crate) mod ports;
mod publish;
mod ready;
pub(crate) mod record;
mod recover;
pub(crate) mod request;
mod sweep;
mod view;
mod watch;

pub(crate) use book::is_predefined;
pub(crate) use enter::{Entered, Wish};

use crate::events::{Event as Told, Events};
use crate::model::Timestamp;
use crate::places;
use book::Book;
use naru_errdefs::{Fault, one_line};
use naru_network::dns::{Resolver, Upstreams};
use naru_network::firewall::{Firewall, FirewallOptions, enable_forwarding, host_forward_policy};
use naru_network::host_dns::HostFiles;
use naru_network::ipam::DefaultPool;
use naru_network::link::{HostSubnets, Links};
use naru_network::resolv_conf::{Nameserver, Wishes};
use naru_store::Table;
use record::{NetworkRecord, Places};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;

/// What the daemon was told of networks.
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// The bridge of the default network.
    pub bridge: String,
    /// The name of the table of packet rules.
    pub table: String,
    /// Where subnets are chosen from; empty: docker's.
    pub pools: Vec<DefaultPool>,
    /// The subnet of the default network, with the bridge's own address; absent: chosen.
    pub bridge_address: Option<ipnet::IpNet>,
    /// Packets to published ports are let in from these sources only; absent: from all.
    pub allowed_sources: Option<Vec<ipnet::IpNet>>,
    /// The address that ports without one are published on; absent: all.
    pub publish_address: Option<std::net::IpAddr>,
    /// Whether networks have IPv6 unless asked otherwise.
    pub ipv6: bool,
    /// Bytes of the largest packet; 0: the kernel's choice.
    pub mtu: u32,
    /// Servers that containers ask instead of the host's.
    pub dns: Vec<std::net::IpAddr>,
}

impl NetworkOptions {
    /// What holds when nobody says anything. Daemons with other exec roots than the usual one have a bridge and a table of
    /// their own, so that any number of them run side by side.
    pub fn for_exec_root(exec_root: &Path) -> NetworkOptions {
        let (bridge, table) = if exec_root == Path::new(USUAL_EXEC_ROOT) {
            ("naru0".to_owned(), "naru".to_owned())
        } else {
            // FNV-1a: the same for the same path, everywhere and always.
            let hash = exec_root
                .as_os_str()
                .as_encoded_bytes()
                .iter()
                .fold(0x811c_9dc5_u32, |hash, byte| {
                    (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
                });
            (format!("nr-{hash:08x}"), format!("naru-{hash:08x}"))
        };
        NetworkOptions {
            bridge,
            table,
            pools: Vec::new(),
            bridge_address: None,
            allowed_sources: None,
            publish_address: None,
            ipv6: false,
            mtu: 0,
            dns: Vec::new(),
        }
    }
}

/// How long what is made ready in advance waits for the start that took the last one: longer than a start takes.
const REFILL_AFTER: Duration = Duration::from_millis(25);

impl NetworkOptions {
    /// Whether the default network is as these say.
    fn fit(&self, record: &NetworkRecord) -> bool {
        let address_fits = self.bridge_address.is_none_or(|address| {
            record.pools.iter().any(|pool| {
                pool.subnet == address.trunc().to_string()
                    && pool.gateway == address.addr().to_string()
            })
        });
        let ipv6 = self.ipv6 && naru_network::link::ipv6_available();
        address_fits && record.bridge == self.bridge && record.ipv6 == ipv6
    }
}

/// The exec root of the daemon that a client means when it names none.
const USUAL_EXEC_ROOT: &str = "/run/naru";

/// The service of networks.
#[derive(Debug, Clone)]
pub struct Networks {
    pub(crate) inner: Arc<Inner>,
}

/// What the verbs of networks share.
#[derive(Debug)]
pub(crate) struct Inner {
    me: Weak<Inner>,
    options: NetworkOptions,
    records: Table<NetworkRecord>,
    places: places::Places,
    events: Events,
    runtime: Handle,
    /// Held for moments only.
    book: Mutex<Book>,
    /// One network is made, raised or removed at a time.
    changing: Mutex<()>,
    links: OnceLock<Links>,
    host_subnets: Mutex<HostSubnets>,
    firewall: Mutex<Option<Firewall>>,
    resolver: OnceLock<Resolver>,
    host_files: HostFiles,
    watching: Mutex<bool>,
    bare: bare::Bare,
    /// One namespace is made ready at a time.
    filling: Mutex<()>,
}

impl Networks {
    /// Reads the records. Nothing is done in the kernel yet.
    pub(crate) fn open(parts: Parts) -> Result<Networks, Fault> {
        let inner = Arc::new_cyclic(|me| Inner {
            me: Weak::clone(me),
            options: parts.options,
            records: parts.records,
            places: parts.places,
            events: parts.events,
            runtime: parts.runtime,
            book: Mutex::default(),
            changing: Mutex::default(),
            links: OnceLock::new(),
            host_subnets: Mutex::default(),
            firewall: Mutex::new(None),
            resolver: OnceLock::new(),
            host_files: HostFiles::default(),
            watching: Mutex::new(false),
            bare: bare::Bare::default(),
            filling: Mutex::default(),
        });
        inner.read_records()?;
        Ok(Networks { inner })
    }
}

/// What the service is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) options: NetworkOptions,
    pub(crate) records: Table<NetworkRecord>,
    pub(crate) places: places::Places,
    pub(crate) events: Events,
    pub(crate) runtime: Handle,
}

impl Inner {
    /// The tables, for a moment.
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever makes, raises or removes a network holds it.
    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> Result<Arc<Inner>, Fault> {
        self.me
            .upgrade()
            .ok_or_else(|| Fault::new(naru_errdefs::Kind::Unavailable, "the daemon is stopping"))
    }

    /// The host's interfaces.
    fn links(&self) -> Result<&Links, Fault> {
        if let Some(links) = self.links.get() {
            return Ok(links);
        }
        let links = Links::open()?;
        Ok(self.links.get_or_init(|| links))
    }

    /// Does something with the table of packet rules, which is made when it is first needed.
    fn with_firewall<T>(
        &self,
        work: impl FnOnce(&mut Firewall) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut place = self.firewall.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            let options = FirewallOptions { explicit: self.options.allowed_sources.clone() };
            let mut firewall = Firewall::open(&self.options.table, options)?;
            let state = self.rules();
            firewall.rebuild(&state)?;
            for change in enable_forwarding(true, naru_network::link::ipv6_available())? {
                tracing::info!(
                    setting = %change.name,
                    before = %change.before,
                    after = %change.after,
                    "the host forwards packets for containers"
                );
            }
            for blocking in host_forward_policy().unwrap_or_default() {
                tracing::warn!(
                    family = blocking.family,
                    table = blocking.table,
                    chain = blocking.chain,
                    "the host's own firewall drops what is forwarded unless a rule of its own allows it: containers reach others, and are reached, only as it allows"
                );
            }
            *place = Some(firewall);
        }
        match place.as_mut() {
            Some(firewall) => work(firewall),
            None => Err(Fault::internal("the table of packet rules is not there")),
        }
    }

    /// Removes the table of packet rules, if it is ours to remove.
    fn drop_firewall(&self) {
        let mut place = self.firewall.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut firewall) = place.take()
            && let Err(error) = firewall.remove()
        {
            report("cannot remove the nftables table", &error.into());
        }
    }

    /// The resolver, which is started when a container first needs it.
    fn resolver(&self) -> &Resolver {
        self.resolver.get_or_init(|| Resolver::new(Arc::new(names::View(Weak::clone(&self.me)))))
    }

    /// Who is asked about names that are not ours.
    fn upstreams(&self, asker: &str) -> Arc<Upstreams> {
        let (mut wishes, inside_only) = {
            let book = self.book();
            let Some(running) = book.running.get(asker) else { return Arc::default() };
            let inside_only = running.places.endpoints.iter().all(|endpoint| {
                book.networks.get(&endpoint.network).is_none_or(|network| network.record.internal)
            });
            let Places { dns, dns_options, .. } = &running.places;
            let servers = dns.iter().filter_map(|text| text.parse().ok()).collect();
            let wishes = Wishes { servers, options: dns_options.clone(), ..Wishes::default() };
            (wishes, inside_only)
        };
        if inside_only {
            return Arc::default();
        }
        if wishes.servers.is_empty() {
            wishes.servers = self.daemon_servers();
        }
        self.host_files.view().upstreams_for(&wishes)
    }

    /// What the daemon was told to ask instead of the host's servers.
    pub(super) fn daemon_servers(&self) -> Vec<Nameserver> {
        let server = |address: &std::net::IpAddr| Nameserver { address: *address, zone: None };
        self.options.dns.iter().map(server).collect()
    }

    /// What the host's own files say of names.
    pub(crate) fn host_files(&self) -> &HostFiles {
        &self.host_files
    }

    fn publish_event(&self, action: &'static str, record: &NetworkRecord, container: Option<&str>) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), record.name.clone()),
            ("type".to_owned(), record.driver.as_str().to_owned()),
        ]);
        if let Some(container) = container {
            attributes.insert("container".to_owned(), container.to_owned());
        }
        self.events.publish(Told {
            time: Timestamp::now(),
            kind: "network",
            action: action.to_owned(),
            id: record.id.clone(),
            attributes,
        });
    }

    /// Does something later, off everybody's path. Failures are its own to report.
    fn later(&self, work: impl FnOnce(&Inner) + Send + 'static) {
        if let Some(me) = self.me.upgrade() {
            self.runtime.spawn_blocking(move || work(&me));
        }
    }

    /// Makes something ready again of which `left` still wait. While some do, a container that is being started right now
    /// has the processors and the kernel's locks for itself.
    fn refill(&self, left: usize, work: impl FnOnce(&Inner) + Send + 'static) {
        if left == 0 {
            return self.later(work);
        }
        let Some(me) = self.me.upgrade() else { return };
        let runtime = self.runtime.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(REFILL_AFTER).await;
            runtime.spawn_blocking(move || work(&me));
        });
    }

    /// Runs what may block on a thread that may be blocked.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let me = self.shared()?;
        match self.runtime.spawn_blocking(move || work(&me)).await {
            Ok(result) => result,
            Err(error) => Err(Fault::internal("a task of the engine was lost").with_source(error)),
        }
    }
}

/// Says a failure that nobody waits for.
fn report(what: &str, fault: &Fault) {
    tracing::warn!("{what}: {}", one_line(fault));
}
