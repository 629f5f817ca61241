//! Acts: the one nftables table of ours: publishing, masquerading, isolation.
//!
//! [`State`] says what is to be true, [`rules`] which rules make it true (pure), and this file has the kernel take them.
//! Every change is one batch, which counts from one instant on or not at all: killed anywhere, the daemon leaves the
//! table as it was before or as it is after. The table outlives the daemon; connections that exist outlive changes.
//!
//! How it is used, all of it in the network namespace of the calling thread:
//!
//! - At start: [`enable_forwarding`], [`Firewall::open`], [`Firewall::rebuild`] with all that is to be true, and
//!   [`Firewall::watch`]; [`host_forward_policy`] says who is in the way.
//! - A network: its bridge first, then [`Firewall::add_network`], also when its flags change or its bridge was made anew.
//!   Where [`bridged_packets_pass_rules`], containers' ports of bridges are set to `hairpin`; where not, those of
//!   networks without `icc` are set to `isolated`.
//! - A published port: [`reserve`] (the socket is kept), [`Firewall::publish`], [`forget_stale`]; at the end
//!   [`Firewall::withdraw`], [`forget_stale`], and the socket is dropped.
//! - When [`Watch`] says that somebody was at the table: [`Firewall::verify`], and [`Firewall::rebuild`] if need be.

mod conntrack;
mod encode;
mod host;
mod listing;
mod mend;
mod plan;
mod ports;
mod rules;
mod state;
mod watch;

pub use conntrack::{forget_connections, forget_stale};
pub use host::{
    Blocking, ForwardingChange, bridged_packets_pass_rules, enable_forwarding, host_forward_policy,
    prepare_bridge,
};
pub use listing::Drift;
pub use ports::{is_bound_on_host, local_port_range, pick_ephemeral, reserve};
pub use state::{FirewallOptions, Link, Network, Outgoing, Proto, Published, State};
pub use watch::Watch;

use encode::{DEL_ELEMENT, NEW_ELEMENT, NFTABLES};
use listing::Listing;
use naru_errdefs::{Failure, Kind};
use naru_kernel::netlink::{self, Message, Netlink, Refused, flags};
use plan::{Element, MapKind};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;

/// Why the firewall could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// A name that does not fit into rules.
    #[error(
        "invalid {what} name `{name}`: letters, digits, `-`, `_` and `.` only, at most 15 for a bridge"
    )]
    Name {
        /// Whose name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A fixed address for leaving packets of the wrong family.
    #[error("the address for packets that leave bridge `{bridge}` is of the other family")]
    Families {
        /// The bridge.
        bridge: String,
    },
    /// Host and container address are of different families.
    #[error(
        "cannot publish `{published}`: an IPv4 address of the host leads to IPv4 only, and IPv6 to IPv6"
    )]
    PublishedFamilies {
        /// What was to be published.
        published: Published,
    },
    /// A port is 0.
    #[error("cannot publish `{published}`: port 0 is no port")]
    PortZero {
        /// What was to be published.
        published: Published,
    },
    /// One of the ports leads elsewhere already; nothing was published.
    #[error(
        "one of the ports to publish leads to another container already, the first is `{first}`"
    )]
    Taken {
        /// The first one of those that were to be published.
        first: Published,
    },
    /// The kernel refused.
    #[error("cannot {what} nftables table `{table}`")]
    Kernel {
        /// What was attempted.
        what: &'static str,
        /// The table.
        table: String,
        /// Why.
        source: io::Error,
    },
    /// A setting of a bridge could not be made.
    #[error("cannot set `{path}`")]
    Setting {
        /// The file under `/proc/sys`.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Failure for FirewallError {
    fn kind(&self) -> Kind {
        match self {
            FirewallError::Name { .. }
            | FirewallError::Families { .. }
            | FirewallError::PublishedFamilies { .. }
            | FirewallError::PortZero { .. } => Kind::InvalidInput,
            FirewallError::Taken { .. } => Kind::Conflict,
            FirewallError::Kernel { source, .. } | FirewallError::Setting { source, .. } => {
                match source.kind() {
                    io::ErrorKind::PermissionDenied => Kind::Forbidden,
                    io::ErrorKind::Unsupported => Kind::Unsupported,
                    io::ErrorKind::OutOfMemory => Kind::ResourceExhausted,
                    _ => Kind::Internal,
                }
            }
        }
    }

    fn hint(&self) -> Option<String> {
        let FirewallError::Kernel { source, .. } = self else { return None };
        match source.kind() {
            io::ErrorKind::PermissionDenied => {
                Some("networks need the right to change packet rules (CAP_NET_ADMIN)".to_owned())
            }
            io::ErrorKind::Unsupported | io::ErrorKind::NotFound => Some(
                "this kernel lacks a part of nf_tables; load its modules (nf_tables, nft_chain_nat, nft_masq, nft_fib_inet)"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// The table of this name that makes a state true, as `nft` would write it.
pub fn describe(
    name: &str,
    options: &FirewallOptions,
    state: &State,
) -> Result<String, FirewallError> {
    state::check_name("table", name, 31)?;
    state.check()?;
    Ok(rules::table(name, options, state).to_string())
}

/// Our table in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Firewall {
    name: String,
    options: FirewallOptions,
    netlink: Netlink,
}

impl Firewall {
    /// Opens the way to the table of this name; nothing is changed yet. Daemons side by side have different names.
    pub fn open(name: &str, options: FirewallOptions) -> Result<Firewall, FirewallError> {
        state::check_name("table", name, 31)?;
        let netlink = Netlink::open(netlink::NETFILTER).map_err(|source| {
            FirewallError::Kernel { what: "reach", table: name.to_owned(), source }
        })?;
        Ok(Firewall { name: name.to_owned(), options, netlink })
    }

    /// Makes the whole table as the state says, in one step, whatever it was. What is right already is not touched, so
    /// packets that it concerns notice nothing. Connections that exist go on. Bridges that are there are prepared, too
    /// ([`prepare_bridge`]); those to come are by [`Firewall::add_network`].
    pub fn rebuild(&mut self, state: &State) -> Result<(), FirewallError> {
        state.check()?;
        let table = rules::table(&self.name, &self.options, state);
        let mending = match self.is_there()? {
            true => mend::mend(&self.listing(&table)?, &table),
            false => None,
        };
        let mended = match mending {
            Some(messages) => self.change("rebuild", messages).is_ok(),
            None => false,
        };
        if !mended {
            self.change("rebuild", encode::replace(&table))?;
        }
        self.own_prefix(true)?;
        for network in &state.networks {
            match prepare_bridge(network) {
                Err(FirewallError::Setting { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Adds a network, or changes the one of its bridge. The bridge must be there.
    pub fn add_network(&mut self, network: &Network) -> Result<(), FirewallError> {
        network.check()?;
        host::find_bridge(network)?;
        let mut messages = Vec::new();
        for chain in rules::network_chains(&self.name, network) {
            messages.push(encode::new_chain(&self.name, &chain));
            messages.push(encode::flush_chain(&self.name, &chain.name));
            let rules = chain.rules.iter();
            messages.extend(rules.map(|rule| encode::new_rule(&self.name, &chain.name, rule)));
        }
        for (map, element) in rules::network_elements(&network.bridge) {
            messages.extend(self.elements(map, &[element], NEW_ELEMENT));
        }
        self.change("add a network to", messages)?;
        prepare_bridge(network)
    }

    /// Removes the network of this bridge; one that is not there is no error.
    pub fn remove_network(&mut self, bridge: &str) -> Result<(), FirewallError> {
        state::check_name("bridge", bridge, 15)?;
        let elements = rules::network_elements(bridge);
        let chains: Vec<String> =
            rules::JUMPS.iter().map(|(_, prefix)| format!("{prefix}{bridge}")).collect();
        self.take_away("remove a network from", elements, chains)
    }

    /// Publishes ports, all or none. Those that are published to the same container already stay so.
    pub fn publish(&mut self, published: &[Published]) -> Result<(), FirewallError> {
        published.iter().try_for_each(Published::check)?;
        let Some(first) = published.first() else { return Ok(()) };
        let messages = self.grouped(
            published.iter().flat_map(|one| rules::published_elements(&self.name, one)),
            NEW_ELEMENT,
        );
        match self.change("publish ports in", messages) {
            Err(FirewallError::Kernel { source, .. })
                if matches!(Errno::from_io_error(&source), Some(Errno::BUSY | Errno::EXIST)) =>
            {
                Err(FirewallError::Taken { first: *first })
            }
            result => result,
        }
    }

    /// Takes published ports back; those that are not published are no error. Connections that exist go on.
    pub fn withdraw(&mut self, published: &[Published]) -> Result<(), FirewallError> {
        let elements =
            published.iter().flat_map(|one| rules::published_elements(&self.name, one)).collect();
        self.take_away("withdraw ports from", elements, Vec::new())
    }

    /// Allows links.
    pub fn link(&mut self, links: &[Link]) -> Result<(), FirewallError> {
        let messages = self.grouped(links.iter().map(rules::link_element), NEW_ELEMENT);
        self.change("add links to", messages)
    }

    /// Takes links back; those that are not there are no error.
    pub fn unlink(&mut self, links: &[Link]) -> Result<(), FirewallError> {
        let elements = links.iter().map(rules::link_element).collect();
        self.take_away("remove links from", elements, Vec::new())
    }

    /// Removes the table; that it is gone already is no error.
    pub fn remove(&mut self) -> Result<(), FirewallError> {
        let messages = vec![encode::new_table(&self.name), encode::delete_table(&self.name)];
        self.change("remove", messages)?;
        self.own_prefix(false)
    }

    fn own_prefix(&self, own: bool) -> Result<(), FirewallError> {
        host::own_prefix(rules::loopback_prefix(&self.name), own).map_err(|source| {
            let what = "set the route of";
            FirewallError::Kernel { what, table: self.name.clone(), source }
        })
    }

    /// Whether the table is there.
    pub fn is_there(&mut self) -> Result<bool, FirewallError> {
        match self.netlink.ask(encode::message(encode::GET_TABLE, flags::ACK).text(1, &self.name)) {
            Ok(_) => Ok(true),
            Err(refused) if refused.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(refused) => Err(self.failed("read", refused)),
        }
    }

    /// How the table differs from what the state says; [`Firewall::rebuild`] puts it right.
    pub fn verify(&mut self, state: &State) -> Result<Drift, FirewallError> {
        if !self.is_there()? {
            return Ok(Drift { gone: true, ..Drift::default() });
        }
        let table = rules::table(&self.name, &self.options, state);
        let mut drift = self.listing(&table)?.drift(&table);
        let unready = state.networks.iter().filter(|network| !host::is_prepared(network));
        drift
            .missing
            .extend(unready.map(|network| format!("setting of bridge `{}`", network.bridge)));
        Ok(drift)
    }

    /// Hears of changes of the table by others, from now on.
    pub fn watch(&self) -> Result<Watch, FirewallError> {
        self.netlink.port().and_then(|port| Watch::open(&self.name, port)).map_err(|source| {
            FirewallError::Kernel { what: "watch", table: self.name.clone(), source }
        })
    }

    /// What the kernel has of a table.
    fn listing(&mut self, table: &plan::Table) -> Result<Listing, FirewallError> {
        let mut listing = Listing::default();
        let name = self.name.clone();
        let chains = self.dump(encode::message(encode::GET_CHAIN, flags::DUMP))?;
        listing.add_chains(&name, &chains);
        let rules = self.dump(encode::message(encode::GET_RULE, flags::DUMP).text(1, &name))?;
        listing.add_rules(&name, &rules);
        let maps: Vec<&'static str> = table.maps.iter().map(|map| map.name).collect();
        self.read_elements(&mut listing, &maps)?;
        Ok(listing)
    }

    /// Removes elements and then chains, in one batch. What is not there is left out, when the kernel complains.
    fn take_away(
        &mut self,
        what: &'static str,
        elements: Vec<(&'static str, Element)>,
        chains: Vec<String>,
    ) -> Result<(), FirewallError> {
        let batch = |this: &Firewall, elements: &[(&'static str, Element)], chains: &[String]| {
            let mut messages = this.grouped(elements.iter().cloned(), DEL_ELEMENT);
            messages.extend(chains.iter().map(|chain| encode::flush_chain(&this.name, chain)));
            messages.extend(chains.iter().map(|chain| encode::delete_chain(&this.name, chain)));
            messages
        };
        let absent = |error: &FirewallError| matches!(error, FirewallError::Kernel { source, .. } if source.kind() == io::ErrorKind::NotFound);
        match self.change(what, batch(self, &elements, &chains)) {
            Err(error) if absent(&error) => {}
            result => return result,
        }
        if !self.is_there()? {
            return Ok(());
        }
        let mut listing = Listing::default();
        let mut maps: Vec<&'static str> = elements.iter().map(|(map, _)| *map).collect();
        maps.sort_unstable();
        maps.dedup();
        self.read_elements(&mut listing, &maps)?;
        let answers = self.dump(encode::message(encode::GET_CHAIN, flags::DUMP))?;
        listing.add_chains(&self.name, &answers);
        let elements: Vec<_> =
            elements.into_iter().filter(|(map, element)| listing.has(map, element)).collect();
        let chains: Vec<_> =
            chains.into_iter().filter(|chain| listing.chains.contains_key(chain)).collect();
        self.change(what, batch(self, &elements, &chains))
    }

    fn read_elements(
        &mut self,
        listing: &mut Listing,
        maps: &[&'static str],
    ) -> Result<(), FirewallError> {
        for map in maps {
            let message =
                encode::message(encode::GET_ELEMENT, flags::DUMP).text(1, &self.name).text(2, map);
            match self.netlink.ask(message) {
                Ok(answers) => listing.add_elements(map, &answers),
                // The map itself is gone.
                Err(refused) if refused.kind() == io::ErrorKind::NotFound => {}
                Err(refused) => return Err(self.failed("read", refused)),
            }
        }
        Ok(())
    }

    fn grouped(
        &self,
        all: impl Iterator<Item = (&'static str, Element)>,
        what: u16,
    ) -> Vec<Message> {
        let mut groups: BTreeMap<&'static str, Vec<Element>> = BTreeMap::new();
        for (map, element) in all {
            groups.entry(map).or_default().push(element);
        }
        let mut messages = Vec::new();
        for (map, mut list) in groups {
            list.sort();
            list.dedup();
            messages.extend(self.elements(map, &list, what));
        }
        messages
    }

    fn elements(&self, map: &str, list: &[Element], what: u16) -> Vec<Message> {
        let kind = match list.first() {
            Some(Element::Link(..)) => MapKind::Links4,
            _ => MapKind::Any4,
        };
        encode::elements(&self.name, map, kind, list, what)
    }

    fn dump(&mut self, message: Message) -> Result<Vec<netlink::Answer>, FirewallError> {
        self.netlink.ask(message).map_err(|refused| self.failed("read", refused))
    }

    fn change(&mut self, what: &'static str, messages: Vec<Message>) -> Result<(), FirewallError> {
        self.netlink.transaction(NFTABLES, messages).map_err(|refused| self.failed(what, refused))
    }

    fn failed(&self, what: &'static str, refused: Refused) -> FirewallError {
        FirewallError::Kernel { what, table: self.name.clone(), source: refused.error }
    }
}
