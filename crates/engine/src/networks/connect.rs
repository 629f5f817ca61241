//! Acts: a running container comes into a network, or leaves one.

use super::record::{Endpoint, Places};
use super::{Inner, Networks, Wish};
use crate::record::Record;
use naru_errdefs::{Fault, Kind};
use naru_kernel::failpoint;
use naru_network::sandbox::Sandbox;
use std::net::IpAddr;

impl Networks {
    /// The name of a network that can be connected to, in the words of the record.
    pub(crate) fn name_of(&self, text: &str) -> Result<String, Fault> {
        let book = self.inner.book();
        Ok(book.find(text)?.record.name.clone())
    }

    /// Brings a running container into one more network. May block.
    pub(crate) fn connect(&self, record: &Record, wish: &Wish) -> Result<(), Fault> {
        self.inner.connect(record, wish)
    }

    /// Takes a running container out of a network. May block.
    pub(crate) fn disconnect(&self, id: &str, pid: u32, network: &str) -> Result<(), Fault> {
        self.inner.disconnect(id, pid, network)
    }

    /// Whether a running container has interfaces of its own.
    pub(crate) fn has_places(&self, id: &str) -> bool {
        self.inner.book().running.contains_key(id)
    }

    /// The addresses of a running container.
    pub(crate) fn addresses(&self, id: &str) -> Vec<IpAddr> {
        let book = self.inner.book();
        book.running.get(id).map(|running| running.places.addresses()).unwrap_or_default()
    }

    /// Whether our resolver answers in a container.
    pub(crate) fn is_served(&self, id: &str) -> bool {
        self.inner.is_served(id)
    }

    /// A container has another name now.
    pub(crate) fn rename(&self, id: &str, name: &str) {
        let mut book = self.inner.book();
        let Some(mut running) = book.running.remove(id) else { return };
        for endpoint in &running.places.endpoints {
            book.remove_names(id, &endpoint.network);
        }
        running.places.name = name.to_owned();
        let places = running.places.clone();
        book.add(id, running);
        drop(book);
        if let Err(fault) = self.inner.note(id, &places) {
            super::report("cannot note a container's new name", &fault);
        }
    }
}

impl Inner {
    /// Whether the resolver listens in a running container's namespace.
    pub(super) fn is_served(&self, id: &str) -> bool {
        let book = self.book();
        book.running.get(id).is_some_and(|running| running.served)
    }

    pub(super) fn connect(&self, record: &Record, wish: &Wish) -> Result<(), Fault> {
        let id = self.find_up(&wish.network)?;
        let endpoints = {
            let book = self.book();
            let running = book.running.get(&record.id).ok_or_else(|| gone(record))?;
            let endpoints = running.places.endpoints.clone();
            if endpoints.iter().any(|endpoint| endpoint.network == id) {
                return Err(Fault::new(
                    Kind::Forbidden,
                    format!(
                        "endpoint with name {} already exists in network {}",
                        record.name, wish.network
                    ),
                ));
            }
            endpoints
        };
        let pid = record.state.pid().ok_or_else(|| gone(record))?;
        let sandbox = Sandbox::of_process(pid)?;
        let interface = self.interface(&id, &wish.request, &endpoints)?;
        let endpoint = self.plug(&sandbox, &id, &wish.request, (&interface, false))?;
        let places = {
            let mut book = self.book();
            if let Err(fault) = book.stays(std::iter::once(&endpoint)) {
                drop(book);
                self.give_back(&[endpoint]);
                return Err(fault);
            }
            let added = book.running.get_mut(&record.id).map(|running| {
                running.places.endpoints.push(endpoint.clone());
                running.places.clone()
            });
            if let Some(places) = &added {
                book.add_names(&record.id, places, &endpoint);
            }
            added
        };
        let Some(places) = places else {
            // It ended meanwhile, and its namespace with it.
            self.give_back(&[endpoint]);
            return Err(gone(record));
        };
        let settled = self.settle_in(&record.id, &sandbox, (&endpoints, &places));
        if let Err(fault) = settled {
            // All or nothing: who is told that it failed may try again.
            if let Err(other) = self.disconnect(&record.id, pid, &wish.network) {
                super::report("connecting failed, and cleaning up failed too", &other);
            }
            return Err(fault);
        }
        self.tell(&wish.network, "connect", &record.id);
        Ok(())
    }

    /// What follows from a new place: where the default routes lead, published ports with them, names, and the note.
    fn settle_in(
        &self,
        id: &str,
        sandbox: &Sandbox,
        (before, places): (&[Endpoint], &Places),
    ) -> Result<(), Fault> {
        self.lead_out(sandbox, before, &places.endpoints)?;
        self.rebuild_rules(places)?;
        if self.uses_resolver(places) && !self.is_served(id) {
            self.serve_again(id, sandbox)?;
        }
        failpoint::hit("connect.before-note");
        self.note(id, places)?;
        failpoint::hit("connect.after-note");
        Ok(())
    }

    /// Published ports may lead to another place than before: the whole table is said anew.
    fn rebuild_rules(&self, places: &Places) -> Result<(), Fault> {
        if places.published.is_empty() {
            return Ok(());
        }
        // Read with the table held, or what somebody publishes meanwhile would be lost.
        self.with_firewall(|firewall| Ok(firewall.rebuild(&self.rules())?))
    }

    fn disconnect(&self, id: &str, pid: u32, network: &str) -> Result<(), Fault> {
        let network_id = self.book().find(network)?.record.id.clone();
        let (endpoint, places) = {
            let mut book = self.book();
            let Some(running) = book.running.get_mut(id) else { return Ok(()) };
            let place = running.places.endpoints.iter().position(|one| one.network == network_id);
            let Some(place) = place else { return Ok(()) };
            let endpoint = running.places.endpoints.remove(place);
            let places = running.places.clone();
            book.remove_names(id, &network_id);
            (endpoint, places)
        };
        let rebuilt = self.rebuild_rules(&places);
        failpoint::hit("disconnect.before-unplug");
        let unplugged = Sandbox::of_process(pid)
            .map_err(Fault::from)
            .and_then(|sandbox| self.unplug(&sandbox, &endpoint, &places));
        failpoint::hit("disconnect.before-note");
        self.give_back(&[endpoint]);
        rebuilt.and(unplugged)?;
        self.note(id, &places)?;
        failpoint::hit("disconnect.after-note");
        self.tell(network, "disconnect", id);
        Ok(())
    }
}

fn gone(record: &Record) -> Fault {
    Fault::conflict(format!("Container {} is not running", record.id))
}
