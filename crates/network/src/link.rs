//! Acts: interfaces, addresses and routes by netlink.
//!
//! [`Links`] is one conversation with one network namespace: the one in which it was opened, whatever thread uses it.
//! Everything blocks, for microseconds mostly; removing an interface takes 10 ms and more.

mod address;
mod create;
mod error;
mod lock;
mod read;
mod route;
pub mod sysctl;
mod taken;
mod watch;
mod wire;

pub use create::{
    BridgeSpec, End, IpvlanMode, Layered, LayeredSpec, MacvlanMode, Pair, Port, VethSpec,
};
pub use error::LinkError;
pub use lock::SubnetLock;
pub use read::{Counters, Link};
pub use route::{Route, RouteSpec};
pub use sysctl::ipv6_available;
pub use taken::HostSubnets;
pub use watch::{Change, Watch};

pub(crate) use address::new_address;
use route::is_local;
pub(crate) use route::new_route;
pub(crate) use wire::{Changes, RTM_SETLINK, ifinfo};

use crate::ipam::Mac;
use naru_kernel::netlink::{self, Answer, Message, Netlink, Refused, flags};
use std::io;
use std::sync::{Mutex, PoisonError};
use wire::RTM_GETLINK;

/// The interfaces of one network namespace.
#[derive(Debug)]
pub struct Links {
    socket: Mutex<Netlink>,
    /// Removals take so long that nobody else should wait for them.
    removals: Option<Mutex<Netlink>>,
}

impl Links {
    /// Those of this thread's network namespace.
    pub fn open() -> Result<Links, LinkError> {
        Ok(Links { removals: Some(open_socket()?), ..Links::open_narrow()? })
    }

    /// The same with one socket instead of two, for the many that have little to do.
    pub(crate) fn open_narrow() -> Result<Links, LinkError> {
        Ok(Links { socket: open_socket()?, removals: None })
    }

    /// The link of this name.
    pub fn find(&self, name: &str) -> Result<Link, LinkError> {
        let attempted = || format!("find the interface `{name}`");
        if !valid_name(name) {
            return Err(LinkError::invalid_name(name));
        }
        let message = Message::new(RTM_GETLINK, flags::ACK)
            .raw(&ifinfo(0, Changes::default()))
            .text(wire::IFLA_IFNAME, name)
            .u32(wire::IFLA_EXT_MASK, wire::SKIP_STATISTICS);
        let answers =
            self.batch(vec![message]).map_err(|error| LinkError::new(attempted(), error))?;
        read::links(&answers).into_iter().next().ok_or_else(|| LinkError::absent(attempted()))
    }

    /// The link of this index.
    pub fn at(&self, index: u32) -> Result<Link, LinkError> {
        let attempted = || format!("look at the interface number {index}");
        let links = self.at_each(&[index]).map_err(|error| LinkError::new(attempted(), error))?;
        links.into_iter().next().ok_or_else(|| LinkError::absent(attempted()))
    }

    /// The links of these indexes, by one request.
    pub(crate) fn at_each(&self, indexes: &[u32]) -> Result<Vec<Link>, Refused> {
        let messages = indexes.iter().map(|index| {
            Message::new(RTM_GETLINK, flags::ACK)
                .raw(&ifinfo(*index, Changes::default()))
                .u32(wire::IFLA_EXT_MASK, wire::SKIP_STATISTICS)
        });
        Ok(read::links(&self.batch(messages.collect())?))
    }

    /// All links, by index. Addresses are filled in.
    pub fn list(&self) -> Result<Vec<Link>, LinkError> {
        let mut links = read::links(&self.dump_links(wire::SKIP_STATISTICS)?);
        links.sort_by_key(|link| link.index);
        for (index, address) in self.addresses()? {
            if let Ok(at) = links.binary_search_by_key(&index, |link| link.index)
                && let Some(link) = links.get_mut(at)
            {
                link.addresses.push(address);
            }
        }
        Ok(links)
    }

    /// What went through each link so far, by name.
    pub fn counters(&self) -> Result<Vec<(String, Counters)>, LinkError> {
        Ok(read::counters(&self.dump_links(0)?))
    }

    fn dump_links(&self, mask: u32) -> Result<Vec<Answer>, LinkError> {
        let message = Message::new(RTM_GETLINK, flags::DUMP)
            .raw(&ifinfo(0, Changes::default()))
            .u32(wire::IFLA_EXT_MASK, mask);
        self.dump(&message).map_err(|error| LinkError::new("list the interfaces", error))
    }

    /// Brings a link up.
    pub fn set_up(&self, index: u32) -> Result<(), LinkError> {
        self.change(index, Changes::up(), "bring up", |message| message)
    }

    /// Takes a link down.
    pub fn set_down(&self, index: u32) -> Result<(), LinkError> {
        self.change(index, Changes::down(), "take down", |message| message)
    }

    /// Renames a link; it must be down on kernels before 6.2.
    pub fn set_name(&self, index: u32, name: &str) -> Result<(), LinkError> {
        if !valid_name(name) {
            return Err(LinkError::invalid_name(name));
        }
        self.change(index, Changes::default(), "rename", |message| {
            message.text(wire::IFLA_IFNAME, name)
        })
    }

    /// Changes the hardware address of a link.
    pub fn set_mac(&self, index: u32, mac: Mac) -> Result<(), LinkError> {
        self.change(index, Changes::default(), "change the hardware address of", |message| {
            message.bytes(wire::IFLA_ADDRESS, &mac.0)
        })
    }

    /// Changes the largest packet of a link.
    pub fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), LinkError> {
        self.change(index, Changes::default(), "change the MTU of", |message| {
            message.u32(wire::IFLA_MTU, mtu)
        })
    }

    /// Makes a link a port of a bridge, or of nothing.
    pub fn set_master(&self, index: u32, master: Option<u32>) -> Result<(), LinkError> {
        self.change(index, Changes::default(), "change the bridge of", |message| {
            message.u32(wire::IFLA_MASTER, master.unwrap_or(0))
        })
    }

    /// Writes the text that an administrator sees as the link's alias. We mark with it what we made.
    pub fn set_alias(&self, index: u32, alias: &str) -> Result<(), LinkError> {
        self.change(index, Changes::default(), "mark", |message| {
            message.bytes(wire::IFLA_IFALIAS, alias.as_bytes())
        })
    }

    fn change(
        &self,
        index: u32,
        changes: Changes,
        verb: &str,
        add: impl FnOnce(Message) -> Message,
    ) -> Result<(), LinkError> {
        let message = add(Message::new(RTM_SETLINK, flags::ACK).raw(&ifinfo(index, changes)));
        self.batch(vec![message])
            .map(drop)
            .map_err(|error| LinkError::new(format!("{verb} the interface number {index}"), error))
    }

    /// Removes a link by name; fine when it is gone. A veth takes its other end with it. The kernel waits for readers, so
    /// this takes 10 ms and more: nothing for hot paths.
    pub fn remove(&self, name: &str) -> Result<(), LinkError> {
        if !valid_name(name) {
            return Err(LinkError::invalid_name(name));
        }
        let message = Message::new(wire::RTM_DELLINK, flags::ACK)
            .raw(&ifinfo(0, Changes::default()))
            .text(wire::IFLA_IFNAME, name);
        let socket = self.removals.as_ref().unwrap_or(&self.socket);
        match socket.lock().unwrap_or_else(PoisonError::into_inner).ask(message) {
            Ok(_) => Ok(()),
            Err(error) if error.errno() == wire::ENODEV => Ok(()),
            Err(error) => Err(LinkError::new(format!("remove the interface `{name}`"), error)),
        }
    }

    /// Removes many links at once, by their indexes: the kernel waits for readers once and not once for each. Those that
    /// are gone are fine.
    pub fn remove_together(&self, indexes: &[u32]) -> Result<(), LinkError> {
        let attempted = |error| LinkError::new("remove interfaces", error);
        let mut any = false;
        for index in indexes {
            let message = Message::new(RTM_SETLINK, flags::ACK)
                .raw(&ifinfo(*index, Changes::default()))
                .u32(wire::IFLA_GROUP, wire::LEAVING);
            match self.batch(vec![message]) {
                Ok(_) => any = true,
                Err(error) if error.errno() == wire::ENODEV => {}
                Err(error) => return Err(attempted(error)),
            }
        }
        if !any {
            return Ok(());
        }
        let message = Message::new(wire::RTM_DELLINK, flags::ACK)
            .raw(&ifinfo(0, Changes::default()))
            .u32(wire::IFLA_GROUP, wire::LEAVING);
        let socket = self.removals.as_ref().unwrap_or(&self.socket);
        match socket.lock().unwrap_or_else(PoisonError::into_inner).ask(message) {
            Ok(_) => Ok(()),
            // Another daemon that ends at the same time took them along.
            Err(error) if error.errno() == wire::ENODEV => Ok(()),
            Err(error) => Err(attempted(error)),
        }
    }

    pub(crate) fn batch(&self, messages: Vec<Message>) -> Result<Vec<Answer>, Refused> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).batch(messages)
    }

    pub(crate) fn dump(&self, message: &Message) -> Result<Vec<Answer>, Refused> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).dump(message)
    }
}

fn open_socket() -> Result<Mutex<Netlink>, LinkError> {
    Netlink::open(netlink::ROUTE)
        .map(Mutex::new)
        .map_err(|error| LinkError::new("open a socket for interfaces", error))
}

/// Whether the kernel takes this text for the name of a link. What it refuses could also climb out of a directory of
/// `/proc/sys`.
pub fn valid_name(name: &str) -> bool {
    let length = name.len();
    (1..16).contains(&length)
        && name != "."
        && name != ".."
        && !name
            .bytes()
            .any(|byte| byte == b'/' || byte == b':' || byte == 0 || byte.is_ascii_whitespace())
}

/// An error of the kernel by its number.
fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}
