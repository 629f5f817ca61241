//! Acts: namespaces that are made ready before a container needs them, so that `run` does not wait for the kernel.

use super::record::{Driver, Endpoint};
use super::{Inner, Wish};
use crate::model::EndpointRequest;
use naru_errdefs::Fault;
use naru_network::sandbox::{ResolverSockets, Sandbox};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

/// How many wait for each network that is in use.
const WAITING: usize = 2;
/// For how many networks.
const NETWORKS: usize = 8;

/// A namespace with its place in one network.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) sockets: Option<ResolverSockets>,
    pub(super) endpoint: Endpoint,
}

impl Inner {
    /// One that waits for this network, if the container asks for nothing special. Another is made ready in its place.
    pub(super) fn take_ready(&self, wish: &Wish) -> Result<Option<Ready>, Fault> {
        let plain = EndpointRequest {
            aliases: wish.request.aliases.clone(),
            links: wish.request.links.clone(),
            gw_priority: wish.request.gw_priority,
            ..EndpointRequest::default()
        } == wish.request;
        let (id, ready, left) = {
            let mut book = self.book();
            let id = book.find(&wish.network)?.record.id.clone();
            let Some(network) = book.networks.get_mut(&id) else { return Ok(None) };
            network.warm = true;
            let ready = if plain { network.ready.pop_front() } else { None };
            (id, ready, network.ready.len())
        };
        self.refill(left, move |inner| inner.fill(&id));
        Ok(ready.map(|mut ready| {
            ready.endpoint.request = wish.request.clone();
            ready
        }))
    }

    /// Makes namespaces ready for a network that is in use, unless somebody does: a thousand starts need no thousand threads.
    pub(super) fn fill(&self, id: &str) {
        let begun = {
            let mut book = self.book();
            book.networks
                .get_mut(id)
                .is_some_and(|network| !std::mem::replace(&mut network.filling, true))
        };
        if begun {
            self.fill_up(id);
            if let Some(network) = self.book().networks.get_mut(id) {
                network.filling = false;
            }
        }
    }

    fn fill_up(&self, id: &str) {
        loop {
            let _filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
            let wants = {
                let book = self.book();
                let busy =
                    book.networks.values().filter(|network| !network.ready.is_empty()).count();
                match book.networks.get(id) {
                    Some(network)
                        if network.warm
                            && network.link.is_some()
                            && network.record.driver == Driver::Bridge
                            && network.ready.len() < WAITING
                            && (busy < NETWORKS || !network.ready.is_empty()) =>
                    {
                        (network.record.ipv6, network.has_names())
                    }
                    _ => return,
                }
            };
            match self.make_ready(id, wants) {
                Ok(ready) => {
                    let mut book = self.book();
                    match book.networks.get_mut(id) {
                        Some(network) if network.warm && network.ready.len() < WAITING => {
                            network.ready.push_back(ready);
                        }
                        Some(network) => {
                            network.release(&ready.endpoint);
                            return;
                        }
                        None => return,
                    }
                }
                Err(fault) => {
                    // Whoever needs one makes it, and is told.
                    tracing::debug!(
                        "cannot make a namespace ready: {}",
                        naru_errdefs::one_line(&fault)
                    );
                    return;
                }
            }
        }
    }

    /// Somebody asks for the address that a namespace has which only waits, or all are taken: what waits gives way.
    pub(super) fn make_room(&self, id: &str, request: &EndpointRequest, exhausted: bool) {
        // What is being made ready now waits afterwards.
        let _filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let given_up: Vec<Ready> = {
            let mut book = self.book();
            let Some(network) = book.networks.get_mut(id) else { return };
            let fixed = [request.ipv4.map(IpAddr::V4), request.ipv6.map(IpAddr::V6)];
            let has = |ready: &Ready| {
                ready.endpoint.addresses().any(|address| fixed.contains(&Some(address)))
            };
            let waiting = std::mem::take(&mut network.ready);
            let (mut given_up, mut kept): (Vec<_>, VecDeque<_>) = (Vec::new(), VecDeque::new());
            for ready in waiting {
                if has(&ready) {
                    given_up.push(ready);
                } else {
                    kept.push_back(ready);
                }
            }
            if given_up.is_empty() && exhausted {
                given_up.extend(kept.pop_front());
            }
            network.ready = kept;
            given_up
        };
        for ready in given_up {
            // The kernel takes the namespace apart later; nobody must answer for the address until then.
            let removed =
                self.links().and_then(|links| Ok(links.remove(&ready.endpoint.host_interface)?));
            if let Err(fault) = removed {
                super::report("cannot give up a namespace that waits", &fault);
            }
            self.give_back(&[ready.endpoint]);
        }
    }

    fn make_ready(&self, id: &str, wants: (bool, bool)) -> Result<Ready, Fault> {
        let (sandbox, sockets) = self.make_sandbox(wants)?;
        let interface = self.interface(id, &EndpointRequest::default(), &[])?;
        let internal = {
            let book = self.book();
            book.networks.get(id).is_some_and(|network| network.record.internal)
        };
        let endpoint = self.claim(id, &EndpointRequest::default(), &interface)?;
        let endpoint = self.plug_claimed(&sandbox, endpoint, !internal)?;
        Ok(Ready { sandbox: Arc::new(sandbox), sockets, endpoint })
    }
}
