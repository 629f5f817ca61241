//! Acts: makes links: bridges, pairs, and links on top of one of the host's.

use super::sysctl::{self, Protocol};
use super::wire::{self, Changes, RTM_NEWLINK, RTM_SETLINK, ifinfo};
use super::{Link, LinkError, Links, address, errno, read, valid_name};
use crate::ipam::Mac;
use ipnet::IpNet;
use naru_kernel::netlink::{Answer, Message, flags};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// How long the kernel may take until packets to a new address arrive.
const SETTLING: Duration = Duration::from_millis(100);

/// A bridge for containers.
#[derive(Debug, Clone)]
pub struct BridgeSpec {
    /// Its name.
    pub name: String,
    /// Its hardware address. Without a fixed one a bridge changes its own with its ports, and neighbours lose it.
    pub mac: Mac,
    /// Its largest packet, if it is not the usual one.
    pub mtu: Option<u32>,
    /// Its addresses with prefix: the gateways of the containers. Without an IPv6 one it takes no part in IPv6.
    pub addresses: Vec<IpNet>,
    /// A text that marks it as ours, for administrators and for the sweep after a crash.
    pub alias: Option<String>,
}

/// One end of a pair.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its hardware address; none lets the kernel draw one.
    pub mac: Option<Mac>,
}

/// How a link is a port of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// The index of the bridge.
    pub bridge: u32,
    /// Frames may leave by the port that they came by.
    pub hairpin: bool,
    /// No frame of another isolated port leaves by it.
    pub isolated: bool,
}

impl From<u32> for Port {
    /// An ordinary port of the bridge with this index.
    fn from(bridge: u32) -> Port {
        Port { bridge, hairpin: false, isolated: false }
    }
}

/// A pair of links: what is sent into one comes out of the other.
#[derive(Debug, Clone, Copy)]
pub struct VethSpec<'a> {
    /// The end that stays here. It is up afterwards.
    pub outer: End<'a>,
    /// The end that goes to the other namespace. It is down afterwards.
    pub inner: End<'a>,
    /// The namespace of the inner end.
    pub namespace: BorrowedFd<'a>,
    /// The bridge that the outer end becomes a port of.
    pub port: Option<Port>,
    /// The largest packet of both.
    pub mtu: Option<u32>,
}

/// The indexes of a pair, each in its own namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Of the end that stays here.
    pub outer: u32,
    /// Of the other.
    pub inner: u32,
}

/// How macvlan links of one parent see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Not at all.
    Private,
    /// Over the switch outside.
    Vepa,
    /// Directly.
    Bridge,
    /// There is only one.
    Passthru,
}

/// What ipvlan links of one parent do with packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpvlanMode {
    /// They are on the parent's network.
    L2,
    /// They are routed by the host.
    L3,
    /// The same, and the host's packet rules see them.
    L3S,
}

/// The kind of a link on top of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layered {
    /// With a hardware address of its own.
    Macvlan(MacvlanMode),
    /// With the hardware address of its parent.
    Ipvlan(IpvlanMode),
}

/// A link on top of one of the host's, for another namespace.
#[derive(Debug, Clone, Copy)]
pub struct LayeredSpec<'a> {
    /// Its kind.
    pub kind: Layered,
    /// The index of its parent here.
    pub parent: u32,
    /// Its name in the other namespace, and its hardware address; ipvlan has none of its own.
    pub end: End<'a>,
    /// Its largest packet, if it is not the parent's.
    pub mtu: Option<u32>,
    /// Where it goes.
    pub namespace: BorrowedFd<'a>,
}

impl Links {
    /// Makes a bridge, up, with its addresses ready for use. When that fails half-way, nothing is left.
    pub fn create_bridge(&self, spec: &BridgeSpec) -> Result<u32, LinkError> {
        let name = checked(&spec.name)?;
        let attempted = |error| LinkError::new(format!("make the bridge `{name}`"), error);
        // No forward delay and no spanning tree: a port is of use at once.
        let message = create("bridge", name, Some(spec.mac), spec.mtu, |data| {
            data.u32(wire::BR_FORWARD_DELAY, 0).u32(wire::BR_STP_STATE, 0)
        });
        let answers = self.batch(vec![message]).map_err(attempted)?;
        let index = self.made(&answers, name)?.index;
        let ready = self.prepare_bridge(index, spec);
        if ready.is_err() {
            // The first failure says what is wrong; the bridge has no ports yet, so it can go.
            self.remove(name).unwrap_or_default();
        }
        ready.map(|()| index)
    }

    /// The bridge as it should be, whether it is there or not: its ports stay, what it lacks is put right. For the start of
    /// a daemon whose containers run, and for the repair of what somebody changed. Whether it was made.
    pub fn ensure_bridge(&self, spec: &BridgeSpec) -> Result<(u32, bool), LinkError> {
        match self.find(&spec.name) {
            Ok(link) if link.kind == "bridge" => {
                self.prepare_bridge(link.index, spec)?;
                Ok((link.index, false))
            }
            Ok(_) => {
                let attempted = format!("make the bridge `{}`", spec.name);
                Err(LinkError::new(attempted, errno(wire::EEXIST)))
            }
            Err(error) if error.is_absent() => Ok((self.create_bridge(spec)?, true)),
            Err(error) => Err(error),
        }
    }

    fn prepare_bridge(&self, index: u32, spec: &BridgeSpec) -> Result<(), LinkError> {
        self.set_protocols(&spec.name, &spec.addresses)?;
        let mut messages: Vec<Message> =
            spec.addresses.iter().map(|net| address::new_address(index, *net, 0)).collect();
        let last = Message::new(RTM_SETLINK, flags::ACK)
            .raw(&ifinfo(index, Changes::up()))
            // Said once more, or the bridge would take the smallest of its ports', and 1500 without one.
            .with(spec.mtu, |message, mtu| message.u32(wire::IFLA_MTU, mtu))
            .with(spec.alias.as_deref(), |message, alias| {
                message.bytes(wire::IFLA_IFALIAS, alias.as_bytes())
            });
        messages.push(last);
        self.batch(messages)
            .map_err(|error| LinkError::new(format!("set up the bridge `{}`", spec.name), error))?;
        self.wait_for(&spec.addresses, SETTLING).map(drop)
    }

    /// IPv6 of a bridge: none without an address, so that containers cannot reach the host by addresses that the kernel
    /// makes up; never routers' advertisements, which a container could send.
    fn set_protocols(&self, name: &str, addresses: &[IpNet]) -> Result<(), LinkError> {
        if !sysctl::ipv6_available() {
            return Ok(());
        }
        let set = |key, value| sysctl::write_interface(name, Protocol::V6, key, value);
        if addresses.iter().any(|net| matches!(net, IpNet::V6(_))) {
            set("disable_ipv6", "0")?;
            set("accept_ra", "0")?;
            set("accept_dad", "0")
        } else {
            set("disable_ipv6", "1")
        }
    }

    /// Makes a pair. Everything that the kernel lets one say at once is said at once.
    pub fn create_veth(&self, spec: &VethSpec<'_>) -> Result<Pair, LinkError> {
        let outer = checked(spec.outer.name)?;
        let inner = checked(spec.inner.name)?;
        // The acknowledgement of the second message is enough; a refusal comes unasked.
        let pair = create_with(flags::ECHO, "veth", |data| {
            data.nest(wire::VETH_PEER, |peer| {
                let peer = one_queue(peer.raw(&ifinfo(0, Changes::default())));
                end(peer, inner, spec.inner.mac, spec.mtu)
                    .u32(wire::IFLA_NET_NS_FD, descriptor(spec.namespace))
            })
        });
        let pair = end(one_queue(pair), outer, spec.outer.mac, spec.mtu)
            .with(spec.port, |message, port| message.u32(wire::IFLA_MASTER, port.bridge));
        let steps = vec![pair, outer_end(outer, spec.mtu, spec.port)];
        let answers = self.batch(steps).map_err(|error| {
            LinkError::new(format!("make the pair `{outer}` and `{inner}`"), error)
        })?;
        let link = self.made(&answers, outer)?;
        let inner = link
            .lower
            .ok_or_else(|| LinkError::absent(format!("find the other end of `{outer}`")))?;
        Ok(Pair { outer: link.index, inner })
    }

    /// Makes a link that exists a port of a bridge.
    pub fn set_port(&self, index: u32, port: Port) -> Result<(), LinkError> {
        self.set_master(index, Some(port.bridge))?;
        let message = as_port(
            Message::new(RTM_NEWLINK, flags::ACK).raw(&ifinfo(index, Changes::default())),
            port,
        );
        self.batch(vec![message]).map(drop).map_err(|error| {
            LinkError::new(format!("make the interface number {index} a port of its kind"), error)
        })
    }

    /// Makes a link on top of one of the host's, directly in another namespace, down.
    pub fn create_layered(&self, spec: &LayeredSpec<'_>) -> Result<(), LinkError> {
        let name = checked(spec.end.name)?;
        let (kind, mac) = match spec.kind {
            Layered::Macvlan(_) => ("macvlan", spec.end.mac),
            Layered::Ipvlan(_) => ("ipvlan", None),
        };
        let message = create_with(flags::ACK, kind, |data| match spec.kind {
            Layered::Macvlan(mode) => data.u32(wire::MACVLAN_MODE, mode.number()),
            Layered::Ipvlan(mode) => data.u16(wire::IPVLAN_MODE, mode.number()),
        });
        let message = end(message, name, mac, spec.mtu)
            .u32(wire::IFLA_LINK, spec.parent)
            .u32(wire::IFLA_NET_NS_FD, descriptor(spec.namespace));
        self.batch(vec![message])
            .map(drop)
            .map_err(|error| LinkError::new(format!("make the {kind} interface `{name}`"), error))
    }

    /// The parent that a network names. A VLAN such as `eth0.10` is made when it is missing, and gets the mark, so that
    /// [`Links::remove_marked`] removes it and never an administrator's.
    pub fn parent(&self, name: &str, mark: &str) -> Result<u32, LinkError> {
        let missing = match self.find(name) {
            Ok(link) => return Ok(link.index),
            Err(error) if error.is_absent() => error,
            Err(error) => return Err(error),
        };
        let Some((lower, vlan)) = name.rsplit_once('.') else {
            return Err(missing);
        };
        let Some(vlan) = vlan.parse::<u16>().ok().filter(|vlan| (1..4095).contains(vlan)) else {
            return Err(missing);
        };
        let lower = self.find(lower)?.index;
        let message = create("vlan", name, None, None, |data| data.u16(wire::VLAN_ID, vlan))
            .u32(wire::IFLA_LINK, lower);
        self.make_marked(name, message, mark)
    }

    /// Makes a link that leads nowhere, the parent of macvlan networks that are to stay on this host. It is a pair whose
    /// other end nobody has; unlike a `dummy` it needs no module of its own.
    pub fn create_isolated(&self, name: &str, mark: &str) -> Result<u32, LinkError> {
        let message = create("veth", checked(name)?, None, None, |data| {
            // Without a name the kernel chooses one. Up, or there would be no carrier.
            data.nest(wire::VETH_PEER, |peer| peer.raw(&ifinfo(0, Changes::default())))
        });
        let attempted = |error| LinkError::new(format!("make the interface `{name}`"), error);
        let answers = self.batch(vec![message]).map_err(attempted)?;
        let link = self.made(&answers, name)?;
        let other = link
            .lower
            .ok_or_else(|| LinkError::absent(format!("find the other end of `{name}`")))?;
        let end = |index, with| {
            silent(Message::new(RTM_SETLINK, with).raw(&ifinfo(index, Changes::up())), None)
                .bytes(wire::IFLA_IFALIAS, mark.as_bytes())
        };
        self.batch(vec![end(link.index, 0), end(other, flags::ACK)])
            .map(|_| link.index)
            .map_err(attempted)
    }

    fn make_marked(&self, name: &str, message: Message, mark: &str) -> Result<u32, LinkError> {
        let attempted = |error| LinkError::new(format!("make the interface `{name}`"), error);
        let answers = self.batch(vec![message]).map_err(attempted)?;
        let index = self.made(&answers, name)?.index;
        let message = Message::new(RTM_SETLINK, flags::ACK)
            .raw(&ifinfo(index, Changes::up()))
            .bytes(wire::IFLA_IFALIAS, mark.as_bytes());
        self.batch(vec![message]).map(|_| index).map_err(attempted)
    }

    /// Removes a link if it carries the mark; whether it did. Fine when it is gone.
    pub fn remove_marked(&self, name: &str, mark: &str) -> Result<bool, LinkError> {
        match self.find(name) {
            Ok(link) if link.alias.as_deref() == Some(mark) => self.remove(name).map(|()| true),
            Ok(_) => Ok(false),
            Err(error) if error.is_absent() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The link that was just made, from the kernel's echo where it gives one (6.2 on).
    fn made(&self, answers: &[Answer], name: &str) -> Result<Link, LinkError> {
        match read::links(answers).into_iter().find(|link| link.name == name) {
            Some(link) => Ok(link),
            None => self.find(name),
        }
    }
}

impl MacvlanMode {
    fn number(self) -> u32 {
        match self {
            MacvlanMode::Private => 1,
            MacvlanMode::Vepa => 2,
            MacvlanMode::Bridge => 4,
            MacvlanMode::Passthru => 8,
        }
    }
}

impl IpvlanMode {
    fn number(self) -> u16 {
        match self {
            IpvlanMode::L2 => 0,
            IpvlanMode::L3 => 1,
            IpvlanMode::L3S => 2,
        }
    }
}

fn checked(name: &str) -> Result<&str, LinkError> {
    if valid_name(name) { Ok(name) } else { Err(LinkError::invalid_name(name)) }
}

fn descriptor(fd: BorrowedFd<'_>) -> u32 {
    // Descriptors are never negative; the kernel refuses the other value.
    u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX)
}

/// Brings an outer end up. That it gets no address of its own is for a port of a bridge: its announcements would
/// wake every container of the network.
fn outer_end(name: &str, mtu: Option<u32>, port: Option<Port>) -> Message {
    let message = Message::new(RTM_NEWLINK, flags::ACK)
        .raw(&ifinfo(0, Changes::up()))
        .text(wire::IFLA_IFNAME, name);
    let special = port.filter(|port| port.hairpin || port.isolated);
    silent(message, mtu).with(special, as_port)
}

/// Says how a link that exists is a port.
fn as_port(message: Message, port: Port) -> Message {
    message.nest(wire::IFLA_LINKINFO, |info| {
        info.text(wire::INFO_SLAVE_KIND, "bridge").nest(wire::INFO_SLAVE_DATA, |data| {
            data.u8(wire::BRPORT_HAIRPIN, u8::from(port.hairpin))
                .u8(wire::BRPORT_ISOLATED, u8::from(port.isolated))
        })
    })
}

/// Keeps the kernel from giving a link an IPv6 address.
fn silent(message: Message, mtu: Option<u32>) -> Message {
    // IPv6 does not exist on links with packets smaller than this.
    if mtu.is_some_and(|mtu| mtu < 1280) || !sysctl::ipv6_available() {
        return message;
    }
    message.nest(wire::IFLA_AF_SPEC, |families| {
        families.nest(u16::from(wire::AF_INET6), |inet6| {
            inet6.u8(wire::INET6_ADDR_GEN_MODE, wire::NO_GENERATED_ADDRESS)
        })
    })
}

/// A pair has a queue for each processor unless it is told otherwise, and each is an object of its own to make, to
/// announce and to remove. Packets of a pair wait in none of them.
fn one_queue(message: Message) -> Message {
    message.u32(wire::IFLA_NUM_TX_QUEUES, 1).u32(wire::IFLA_NUM_RX_QUEUES, 1)
}

fn create(
    kind: &str,
    name: &str,
    mac: Option<Mac>,
    mtu: Option<u32>,
    data: impl FnOnce(Message) -> Message,
) -> Message {
    end(create_with(flags::ACK | flags::ECHO, kind, data), name, mac, mtu)
}

fn create_with(with: u16, kind: &str, data: impl FnOnce(Message) -> Message) -> Message {
    Message::new(RTM_NEWLINK, with | flags::CREATE | flags::EXCL)
        .raw(&ifinfo(0, Changes::default()))
        .nest(wire::IFLA_LINKINFO, |info| {
            info.bytes(wire::INFO_KIND, kind.as_bytes()).nest(wire::INFO_DATA, data)
        })
}

fn end(message: Message, name: &str, mac: Option<Mac>, mtu: Option<u32>) -> Message {
    message
        .text(wire::IFLA_IFNAME, name)
        .with(mac, |message, mac| message.bytes(wire::IFLA_ADDRESS, &mac.0))
        .with(mtu, |message, mtu| message.u32(wire::IFLA_MTU, mtu))
}
