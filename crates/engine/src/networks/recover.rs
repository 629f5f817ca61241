//! Acts: after a start of the daemon: places of running containers are taken over, and what is missing in the kernel is
//! put back. Forwarding goes on meanwhile; the table of rules is replaced as a whole, without an instant between.

use super::book::Running;
use super::record::{Driver, Places};
use super::{Inner, Networks, report};
use naru_errdefs::{Fault, ResultExt};
use naru_network::dns::ADDRESS;
use naru_network::firewall;
use naru_network::sandbox::{ResolverSockets, Sandbox};

impl Networks {
    /// Takes over the places of a container that runs. Failures are reported: the container runs on as it is.
    pub(crate) fn take_over(&self, id: &str) {
        if let Err(fault) = self.inner.take_over(id) {
            report(&format!("cannot take over the networks of container {id}"), &fault);
        }
    }

    /// All running containers were taken over: puts back what is missing in the kernel, and lets the resolver listen in
    /// their namespaces again. `processes` are their IDs and process numbers.
    pub(crate) fn settle(&self, processes: Vec<(String, u32)>) {
        if let Err(fault) = self.inner.settle(processes) {
            report("cannot put the networks right again", &fault);
        }
    }

    /// The daemon ends: without a container in them, bridges and rules go; they are put back at the next start.
    pub(crate) fn close(&self) {
        self.inner.close();
    }

    /// The process of a container runs and holds its namespace, so nobody else has to.
    pub(crate) fn let_go(&self, id: &str) {
        let held = self.inner.book().running.get_mut(id).and_then(|running| running.sandbox.take());
        drop(held);
    }
}

impl Inner {
    fn close(&self) {
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
        for id in &ids {
            self.lower(id);
        }
        if self.book().running.is_empty() {
            self.drop_firewall();
        }
    }

    fn take_over(&self, id: &str) -> Result<(), Fault> {
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
        // A network that is gone has nothing to say about its places any more.
        places.endpoints.retain(|endpoint| book.networks.contains_key(&endpoint.network));
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
        let running = Running { places, sandbox: None, reserved: Vec::new(), served: false };
        book.add(id, running);
        Ok(())
    }

    fn settle(&self, processes: Vec<(String, u32)>) -> Result<(), Fault> {
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
        self.later(move |inner| inner.settle_later(&processes, &needed, &others));
        Ok(())
    }

    /// What nobody waits for.
    fn settle_later(&self, processes: &[(String, u32)], needed: &[String], others: &[String]) {
        for (id, pid) in processes {
            if let Err(fault) = self.serve_running(id, *pid) {
                report(&format!("cannot answer names for container {id}"), &fault);
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
