//! Acts: after a start of the daemon: places of running containers are taken over, and what is missing in the kernel is
//! put back. Forwarding goes on meanwhile; the table of rules is replaced as a whole, without an instant between.

use super::book::Running;
use super::record::{Driver, Places};
use super::{Inner, Networks, report};
use crate::record::Record;
use naru_errdefs::{Fault, ResultExt};
use naru_network::dns::ADDRESS;
use naru_network::firewall;
use naru_network::sandbox::{ResolverSockets, Sandbox};

impl Networks {
    /// Takes over the places of a container that runs. Failures are reported: the container runs on as it is.
    pub(crate) fn take_over(&self, record: &Record) {
        if let Err(fault) = self.inner.take_over(record) {
            let id = &record.id;
            report(&format!("cannot take over the networks of container {id}"), &fault);
        }
    }

    /// A start that was cut in two has noted places, and no process came to them.
    pub(crate) fn forget(&self, id: &str) {
        self.inner.forget(id);
    }

    /// All running containers were taken over, and these are they: removes what was being made or removed when the last
    /// daemon was killed, puts back what is missing in the kernel, and lets the resolver listen in their namespaces again.
    pub(crate) fn settle(&self, running: Vec<Record>) {
        if let Err(fault) = self.inner.settle(running) {
            report("cannot put the networks right again", &fault);
        }
    }

    /// The daemon ends: without a container in them, bridges and rules go; they are put back at the next start.
    pub(crate) fn close(&self) {
        self.inner.close();
    }

    /// The process of a container runs and holds its namespace, so nobody else has to.
    pub(crate) fn let_go(&self, id: &str, pid: Option<u32>) {
        let held = self.inner.book().running.get_mut(id).and_then(|running| {
            running.pid = pid;
            running.sandbox.take()
        });
        drop(held);
    }
}

impl Inner {
    fn close(&self) {
        self.bare.close();
        let ids: Vec<String> = {
            let mut book = self.book();
            let used: std::collections::BTreeSet<String> = book
                .running
                .values()
                .flat_map(|running| running.places.endpoints.iter())
                .map(|endpoint| endpoint.network.clone())
                .collect();
            for network in book.networks.values_mut() {
                network.ready.clear();
            }
            let up = book.networks.iter().filter(|(_, network)| network.link.is_some());
            up.map(|(id, _)| id.clone()).filter(|id| !used.contains(id)).collect()
        };
        let (bridges, others): (Vec<String>, Vec<String>) =
            ids.into_iter().partition(|id| self.is_bridge(id));
        for id in &others {
            self.lower(id);
        }
        let nobody = self.book().running.is_empty();
        let names = self.let_go_of(&bridges);
        if nobody {
            self.drop_firewall();
        }
        let removed = self.remove_bridges(&names, nobody);
        if let Err(fault) = removed {
            report("cannot remove the bridges of networks", &fault);
        }
    }

    fn is_bridge(&self, id: &str) -> bool {
        let book = self.book();
        book.networks.get(id).is_some_and(|network| network.record.driver == Driver::Bridge)
    }

    /// Their bridges are no longer up as far as we are concerned. Answers names and numbers.
    fn let_go_of(&self, ids: &[String]) -> Vec<(String, u32)> {
        let mut book = self.book();
        let mut list = Vec::new();
        for id in ids {
            if let Some(network) = book.networks.get_mut(id)
                && let Some(index) = network.link.take()
            {
                network.warm = false;
                list.push((network.record.bridge.clone(), index));
            }
        }
        list
    }

    /// Removes bridges, all at once: one by one the kernel would need longer than who ends a daemon waits.
    fn remove_bridges(&self, bridges: &[(String, u32)], without_rules: bool) -> Result<(), Fault> {
        if bridges.is_empty() {
            return Ok(());
        }
        if !without_rules {
            self.with_firewall(|firewall| {
                bridges.iter().try_for_each(|(name, _)| Ok(firewall.remove_network(name)?))
            })?;
        }
        let indexes: Vec<u32> = bridges.iter().map(|(_, index)| *index).collect();
        Ok(self.links()?.remove_together(&indexes)?)
    }

    fn take_over(&self, record: &Record) -> Result<(), Fault> {
        let id = record.id.as_str();
        let path = self.places.network(id);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(Fault::io(format!("cannot read `{}`", path.display()), error));
            }
        };
        let mut places: Places = serde_json::from_slice(&bytes).map_err(|error| {
            Fault::internal(format!("`{}` is damaged", path.display())).with_source(error)
        })?;
        let mut book = self.book();
        // A network that is gone has nothing to say about its places any more, and what the record does not know was being
        // connected or disconnected when the daemon was killed.
        places.endpoints.retain(|endpoint| {
            let network = book.networks.get(&endpoint.network);
            network.is_some_and(|network| record.networks.contains_key(&network.record.name))
        });
        for endpoint in &places.endpoints {
            let Some(network) = book.networks.get_mut(&endpoint.network) else { continue };
            for address in endpoint.addresses() {
                if let Some(pool) = network.pool(address.is_ipv4())
                    && let Err(error) = pool.claim(address)
                {
                    tracing::warn!(container = id, "its address {address}: {error}");
                }
            }
        }
        for port in &places.published {
            book.ports.take(port, id);
        }
        let running = Running {
            places,
            sandbox: None,
            reserved: Vec::new(),
            served: false,
            pid: record.state.pid().filter(|pid| *pid > 0),
        };
        book.add(id, running);
        Ok(())
    }

    fn settle(&self, running: Vec<Record>) -> Result<(), Fault> {
        if let Err(fault) = self.follow_options() {
            report("cannot number the default network anew", &fault);
        }
        let (needed, others) = {
            let book = self.book();
            let (mut needed, mut others) = (Vec::new(), Vec::new());
            for network in book.networks.values() {
                let record = &network.record;
                // The default network without a subnet was never used.
                if record.driver == Driver::Bridge && record.pools.is_empty() {
                    continue;
                }
                let place = if book.members(&record.id).next().is_some() {
                    &mut needed
                } else {
                    &mut others
                };
                place.push(record.id.clone());
            }
            (needed, others)
        };
        for id in &needed {
            // One that cannot be put back (its parent is gone, somebody else has its bridge's name) harms no other.
            if let Err(fault) = self.raise(id) {
                report("cannot put a network right again", &fault);
            }
        }
        let none = needed.is_empty()
            && !others.iter().any(|id| {
                let book = self.book();
                book.networks.get(id).is_some_and(|network| network.record.driver == Driver::Bridge)
            });
        if none {
            self.sweep_rules();
        }
        self.sweep_links()?;
        for record in &running {
            self.complete(record);
        }
        self.later(move |inner| inner.settle_later(&running, &needed, &others));
        Ok(())
    }

    /// What nobody waits for.
    fn settle_later(&self, running: &[Record], needed: &[String], others: &[String]) {
        for record in running {
            if let Some(pid) = record.state.pid()
                && let Err(fault) = self.serve_running(&record.id, pid)
            {
                report(&format!("cannot answer names for container {}", record.id), &fault);
            }
        }
        for id in others {
            let recorded = self.book().networks.get(id).is_some_and(|network| {
                !matches!(network.record.driver, Driver::Host | Driver::Null)
            });
            if recorded && let Err(fault) = self.raise(id) {
                report("cannot put a network right again", &fault);
            }
        }
        for id in needed {
            if let Some(network) = self.book().networks.get_mut(id) {
                network.warm = true;
            }
            self.fill(id);
        }
    }

    /// The resolver listens again in a running container's namespace, and its ports are kept from others again.
    fn serve_running(&self, id: &str, pid: u32) -> Result<(), Fault> {
        let Some(places) = self.book().running.get(id).map(|running| running.places.clone()) else {
            return Ok(());
        };
        let mut reserved = Vec::new();
        for port in &places.published {
            let Some(proto) = super::publish::proto(&port.protocol) else { continue };
            match firewall::reserve(port.host_ip, proto, port.host_port) {
                Ok(socket) => reserved.push(socket),
                Err(error) => tracing::warn!(
                    container = id,
                    "another program has taken the published port {}: {error}",
                    port.host_port
                ),
            }
        }
        if let Some(running) = self.book().running.get_mut(id) {
            running.reserved = reserved;
        }
        if self.uses_resolver(&places) {
            self.serve_again(id, &Sandbox::of_process(pid)?)?;
        }
        Ok(())
    }

    /// The resolver listens in a namespace with new sockets.
    pub(super) fn serve_again(&self, id: &str, sandbox: &Sandbox) -> Result<(), Fault> {
        let sockets = sandbox.open_resolver()?;
        self.serve_names(id, Some(sockets));
        let is_there = match self.book().running.get_mut(id) {
            Some(running) => {
                running.served = true;
                true
            }
            None => false,
        };
        if !is_there {
            // It has ended meanwhile; the sockets would keep its namespace.
            self.resolver().leave(id);
        }
        Ok(())
    }

    /// The resolver listens in a namespace. What fails is reported: addresses work all the same.
    pub(super) fn serve_names(&self, id: &str, sockets: Option<ResolverSockets>) {
        let Some(sockets) = sockets else { return };
        let served = self
            .resolver()
            .serve(id, sockets.udp, sockets.tcp)
            .during(|| format!("cannot answer names at {ADDRESS} of container {id}"));
        if let Err(fault) = served {
            report("the resolver", &fault);
        }
    }
}
