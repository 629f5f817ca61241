//! Acts: notices when somebody takes away what stands behind our networks, puts it back, and says so.
//!
//! One thread that sleeps until the kernel tells of a change; no timer.

use super::book::Running;
use super::ready::Ready;
use super::record::Endpoint;
use super::{Inner, report};
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::poll::{Epoll, Interest};
use naru_network::firewall::Watch as Rules;
use naru_network::link::{Change, Watch as Links};
use naru_network::sandbox::Sandbox;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Weak;

const LINKS: u64 = 0;
const RULES: u64 = 1;

impl Inner {
    /// Begins to watch, once: with the first network that is put in place.
    pub(super) fn watch(&self) {
        let mut watching = self.watching.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *watching {
            return;
        }
        let begun = self.begin_watch();
        match begun {
            Ok(()) => *watching = true,
            Err(fault) => report("what others do to our networks goes unnoticed", &fault),
        }
    }

    fn begin_watch(&self) -> Result<(), Fault> {
        let links = Links::open()?;
        let rules = self.with_firewall(|firewall| Ok(firewall.watch()?))?;
        let epoll = Epoll::new().during(|| "cannot make an epoll set".to_owned())?;
        epoll
            .add(&links, LINKS, Interest::Read)
            .and_then(|()| epoll.add(&rules, RULES, Interest::Read))
            .during(|| "cannot watch for changes".to_owned())?;
        let inner = Weak::clone(&self.me);
        std::thread::Builder::new()
            .name("net-watch".to_owned())
            .stack_size(256 << 10)
            .spawn(move || run(&inner, &epoll, links, rules))
            .map(drop)
            .during(|| "cannot start a thread".to_owned())
    }

    /// Puts right what stands behind our networks, as far as these changes are about it.
    fn check_links(&self, changes: &[Change]) {
        let Ok(links) = self.links() else { return };
        for id in self.bridges_among(changes) {
            let (name, bridge, index) = {
                let book = self.book();
                let Some(network) = book.networks.get(&id) else { continue };
                (network.record.name.clone(), network.record.bridge.clone(), network.link)
            };
            let said = match links.find(&bridge) {
                Ok(link) if Some(link.index) == index && link.up => continue,
                Ok(link) if Some(link.index) == index => "somebody took its bridge down",
                Ok(_) | Err(_) => "somebody removed its bridge",
            };
            tracing::warn!(network = name, "{said}; putting it right");
            if let Some(network) = self.book().networks.get_mut(&id) {
                network.link = None;
                // They were ports of the old one.
                for ready in std::mem::take(&mut network.ready) {
                    network.release(&ready.endpoint);
                }
            }
            let done = self.raise(&id).and_then(|()| self.plug_in_again(&id));
            if let Err(fault) = done {
                report(&format!("cannot put the bridge of network `{name}` right"), &fault);
            }
        }
        for (container, network) in self.places_among(changes) {
            self.mend_place(&container, &network);
        }
    }

    /// The networks whose bridges these changes may have harmed.
    fn bridges_among(&self, changes: &[Change]) -> BTreeSet<String> {
        let book = self.book();
        let harmed = |index: u32| {
            changes.iter().any(|change| match change {
                Change::Present { index: changed, up, .. } => *changed == index && !up,
                Change::Gone { index: changed, .. } => *changed == index,
                Change::Lost => true,
            })
        };
        let harmed = book.bridges().filter(|network| network.link.is_some_and(harmed));
        harmed.map(|network| network.record.id.clone()).collect()
    }

    /// The places of running containers whose interfaces these changes may have harmed. What waits ready on a harmed one
    /// is given up.
    fn places_among(&self, changes: &[Change]) -> Vec<(String, String)> {
        let mut book = self.book();
        let harmed = |interface: &str, bridge: Option<u32>| {
            changes.iter().any(|change| match change {
                Change::Present { name, up, master, .. } => {
                    name == interface && (!up || *master != bridge)
                }
                Change::Gone { name, .. } => name == interface,
                Change::Lost => !interface.is_empty(),
            })
        };
        let mut list = Vec::new();
        for (id, running) in &book.running {
            for endpoint in &running.places.endpoints {
                let bridge = book.networks.get(&endpoint.network).and_then(|network| network.link);
                if harmed(&endpoint.host_interface, bridge) {
                    list.push((id.clone(), endpoint.network.clone()));
                }
            }
        }
        for network in book.networks.values_mut() {
            let is_gone = |interface: &str| {
                let gone = |change: &Change| matches!(change, Change::Gone { name, .. } if name == interface);
                changes.iter().any(gone)
            };
            let (gone, kept): (VecDeque<Ready>, VecDeque<Ready>) =
                std::mem::take(&mut network.ready)
                    .into_iter()
                    .partition(|ready| is_gone(&ready.endpoint.host_interface));
            network.ready = kept;
            for ready in gone {
                network.release(&ready.endpoint);
            }
        }
        list
    }

    /// Makes the interfaces of running containers ports of the new bridge.
    fn plug_in_again(&self, id: &str) -> Result<(), Fault> {
        let (port, members) = {
            let book = self.book();
            let network = book.networks.get(id);
            let port = network
                .and_then(|network| Some(super::cable::port(&network.record, network.link?)));
            let member = |(container, _, endpoint): (&String, &Running, &Endpoint)| {
                (container.clone(), endpoint.host_interface.clone())
            };
            let members: Vec<(String, String)> = book.members(id).map(member).collect();
            (port, members)
        };
        let Some(port) = port else { return Ok(()) };
        let links = self.links()?;
        for (container, interface) in members.iter().filter(|(_, name)| !name.is_empty()) {
            match links.find(interface) {
                Ok(link) => {
                    links.set_port(link.index, port)?;
                    links.set_up(link.index)?;
                }
                Err(error) if error.is_absent() => self.mend_place(container, id),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Looks at the interface of a container's place, and makes it anew if it is gone.
    pub(super) fn mend_place(&self, container: &str, network: &str) {
        if let Err(fault) = self.mend(container, network) {
            report(&format!("cannot give container {container} its interface back"), &fault);
        }
    }

    fn mend(&self, container: &str, network: &str) -> Result<(), Fault> {
        let found = {
            let book = self.book();
            book.running.get(container).and_then(|running| {
                let endpoints = &running.places.endpoints;
                let endpoint = endpoints.iter().find(|endpoint| endpoint.network == network)?;
                let network = book.networks.get(network)?;
                let places = endpoints.clone();
                let port = super::cable::port(&network.record, network.link?);
                Some((endpoint.clone(), places, network.record.clone(), port, running.pid?))
            })
        };
        // It has ended or was disconnected, and that is what the kernel told of.
        let Some((mut endpoint, places, record, port, pid)) = found else { return Ok(()) };
        let links = self.links()?;
        let said = |what: &str| {
            tracing::warn!(container, network = record.name, "somebody {what}; putting it right");
        };
        match links.find(&endpoint.host_interface) {
            Ok(link) if link.master == Some(port.bridge) && link.up => return Ok(()),
            // They came off with the bridge, which is the next to be put right.
            Ok(_) if links.at(port.bridge).is_err() => return Ok(()),
            Ok(link) => {
                said("took the container's interface down or off the bridge");
                links.set_port(link.index, port)?;
                return Ok(links.set_up(link.index)?);
            }
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
        // A process that ends takes its interfaces with it: there is nothing to put right then.
        let Ok(sandbox) = Sandbox::of_process(pid) else { return Ok(()) };
        let is_there = {
            let book = self.book();
            book.running.get(container).is_some_and(|running| running.pid == Some(pid))
        };
        if !is_there {
            return Ok(());
        }
        said("removed the container's interface");
        // The inner end is there yet when the outer one only went to another namespace.
        sandbox.detach(&endpoint.interface)?;
        self.plug_into(&sandbox, &record, port.bridge, (&mut endpoint, false))?;
        self.lead_out(&sandbox, &[], &places)
    }

    /// Looks whether the table of rules still says what it should, and says it anew if not.
    fn check_rules(&self) {
        let _change = self.change();
        let done = self.with_firewall(|firewall| {
            let state = self.rules();
            let drift = firewall.verify(&state)?;
            if !drift.is_none() {
                tracing::warn!("somebody changed our nftables table; putting it right: {drift}");
                firewall.rebuild(&state)?;
            }
            Ok(())
        });
        if let Err(fault) = done {
            report("cannot put the nftables table right", &fault);
        }
    }
}

fn run(inner: &Weak<Inner>, epoll: &Epoll, mut links: Links, mut rules: Rules) {
    loop {
        let mut ready = Vec::new();
        if epoll.wait(None, &mut ready).is_err() {
            return;
        }
        let Some(inner) = inner.upgrade() else { return };
        for event in ready {
            match event.token {
                LINKS => {
                    inner.check_links(&links.take().unwrap_or_else(|_unread| vec![Change::Lost]));
                }
                _ => {
                    if rules.is_touched().unwrap_or(true) {
                        inner.check_rules();
                    }
                }
            }
        }
    }
}
