//! Acts: namespaces that are made ready before a container needs them, so that `run` does not wait for the kernel.

use super::record::{Driver, Endpoint};
use super::{Inner, Wish};
use crate::model::EndpointRequest;
use naru_errdefs::Fault;
use naru_network::sandbox::{ResolverSockets, Sandbox};
use std::sync::Arc;

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
        let (id, ready) = {
            let mut book = self.book();
            let id = book.find(&wish.network)?.record.id.clone();
            let Some(network) = book.networks.get_mut(&id) else { return Ok(None) };
            network.warm = true;
            (id, if plain { network.ready.pop_front() } else { None })
        };
        self.later(move |inner| inner.fill(&id));
        Ok(ready.map(|mut ready| {
            ready.endpoint.request = wish.request.clone();
            ready
        }))
    }

    /// Makes namespaces ready for a network that is in use.
    pub(super) fn fill(&self, id: &str) {
        loop {
            let ipv6 = {
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
                        network.record.ipv6
                    }
                    _ => return,
                }
            };
            let made = self.make_sandbox(ipv6).and_then(|sandbox| self.keep_ready(id, sandbox));
            match made {
                Ok(true) => {}
                Ok(false) => return,
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

    /// Gives a namespace its place, and lets it wait. Whether it is wanted there.
    fn keep_ready(
        &self,
        id: &str,
        (sandbox, sockets): (Sandbox, Option<ResolverSockets>),
    ) -> Result<bool, Fault> {
        let interface = self.interface(id, &[])?;
        let internal = {
            let book = self.book();
            book.networks.get(id).is_some_and(|network| network.record.internal)
        };
        // Who needs its address finds it waiting, or waits until it does.
        let _filling = self.fill_one();
        let endpoint = self.claim(id, &EndpointRequest::default(), &interface)?;
        let endpoint = self.plug_claimed(&sandbox, endpoint, !internal)?;
        let mut book = self.book();
        match book.networks.get_mut(id) {
            Some(network) if network.warm && network.ready.len() < WAITING => {
                network.ready.push_back(Ready { sandbox: Arc::new(sandbox), sockets, endpoint });
                Ok(true)
            }
            Some(network) => {
                network.release(&endpoint);
                Ok(false)
            }
            None => Ok(false),
        }
    }
}
