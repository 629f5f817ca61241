//! Acts: a running container comes into a network, or leaves one.

use super::{Inner, Networks, Wish};
use crate::record::Record;
use naru_errdefs::{Fault, Kind};
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

    /// The addresses of a running container.
    pub(crate) fn addresses(&self, id: &str) -> Vec<IpAddr> {
        let book = self.inner.book();
        book.running.get(id).map(|running| running.places.addresses()).unwrap_or_default()
    }

    /// Whether the resolver listens in a running container's namespace.
    pub(crate) fn is_served(&self, id: &str) -> bool {
        let book = self.inner.book();
        book.running.get(id).is_some_and(|running| running.served)
    }

    /// The names of a running container's interfaces.
    pub(crate) fn interfaces(&self, id: &str) -> Vec<String> {
        let book = self.inner.book();
        let places = book.running.get(id).map(|running| running.places.endpoints.as_slice());
        places.unwrap_or_default().iter().map(|place| place.interface.clone()).collect()
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
    fn connect(&self, record: &Record, wish: &Wish) -> Result<(), Fault> {
        let id = self.find_up(&wish.network)?;
        let (endpoints, has_exit) = {
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
            let has_exit = endpoints.iter().any(|endpoint| {
                book.networks.get(&endpoint.network).is_some_and(|network| !network.record.internal)
            });
            (endpoints, has_exit)
        };
        let pid = record.state.pid().ok_or_else(|| gone(record))?;
        let sandbox = Sandbox::of_process(pid)?;
        let internal = self.book().find(&wish.network)?.record.internal;
        let interface = self.interface(&id, &wish.request, &endpoints)?;
        let endpoint =
            self.plug(&sandbox, &id, &wish.request, (&interface, !has_exit && !internal))?;
        let places = {
            let mut book = self.book();
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
        let served = self.book().running.get(&record.id).is_some_and(|running| running.served);
        if self.uses_resolver(&places) && !served {
            self.serve_again(&record.id, &sandbox)?;
        }
        self.note(&record.id, &places)?;
        self.tell(&wish.network, "connect", &record.id);
        Ok(())
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
        let rules_moved = !places.published.is_empty();
        if rules_moved {
            // They led to the place that is gone, or to another one; the whole table is said anew.
            let state = self.rules();
            self.with_firewall(|firewall| Ok(firewall.rebuild(&state)?))?;
        }
        self.unplug(&Sandbox::of_process(pid)?, &endpoint, &places)?;
        if let Some(network) = self.book().networks.get_mut(&endpoint.network) {
            network.release(&endpoint);
        }
        self.note(id, &places)?;
        self.tell(network, "disconnect", id);
        Ok(())
    }
}

fn gone(record: &Record) -> Fault {
    Fault::conflict(format!("Container {} is not running", record.id))
}
