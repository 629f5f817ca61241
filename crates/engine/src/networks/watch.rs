//! Acts: notices when somebody takes away what stands behind our networks, puts it back, and says so.
//!
//! One thread that sleeps until the kernel tells of a change; no timer.

use super::record::Driver;
use super::{Inner, report};
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::poll::{Epoll, Interest};
use naru_network::firewall::Watch as Rules;
use naru_network::link::{Change, Watch as Links};
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

    /// Looks whether a bridge of ours is gone, and puts it back with the containers on it.
    fn check_links(&self) {
        let gone: Vec<String> = {
            let Ok(links) = self.links() else { return };
            let mut book = self.book();
            let mut gone = Vec::new();
            for network in book.networks.values_mut() {
                let is_bridge = network.record.driver == Driver::Bridge;
                let Some(index) = network.link.filter(|_| is_bridge) else { continue };
                let there =
                    links.find(&network.record.bridge).is_ok_and(|link| link.index == index);
                if !there {
                    network.link = None;
                    // They were ports of the old one.
                    for ready in std::mem::take(&mut network.ready) {
                        network.release(&ready.endpoint);
                    }
                    gone.push(network.record.id.clone());
                }
            }
            gone
        };
        for id in gone {
            let name = self.book().networks.get(&id).map(|network| network.record.name.clone());
            let name = name.unwrap_or_default();
            tracing::warn!(network = name, "somebody removed its bridge; putting it back");
            if let Err(fault) = self.raise(&id).and_then(|()| self.plug_in_again(&id)) {
                report(&format!("cannot put the bridge of network `{name}` back"), &fault);
            }
        }
    }

    /// Makes the interfaces of running containers ports of the new bridge.
    fn plug_in_again(&self, id: &str) -> Result<(), Fault> {
        let (port, names) = {
            let book = self.book();
            let network = book.networks.get(id);
            let port = network
                .and_then(|network| Some(super::cable::port(&network.record, network.link?)));
            let names: Vec<String> = book
                .members(id)
                .map(|(_, _, endpoint)| endpoint.host_interface.clone())
                .filter(|name| !name.is_empty())
                .collect();
            (port, names)
        };
        let Some(port) = port else { return Ok(()) };
        let links = self.links()?;
        for name in names {
            match links.find(&name) {
                Ok(link) => {
                    links.set_port(link.index, port)?;
                    links.set_up(link.index)?;
                }
                Err(error) if error.is_absent() => tracing::warn!(
                    "the interface `{name}` of a container is gone; the container must be restarted"
                ),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
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
                    let gone = links.take().map(|changes| {
                        changes
                            .iter()
                            .any(|change| matches!(change, Change::Gone { .. } | Change::Lost))
                    });
                    if gone.unwrap_or(true) {
                        inner.check_links();
                    }
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
