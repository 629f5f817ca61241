//! Acts: interfaces of containers: a pair whose inner end is in the sandbox, or a link on top of one of the host's.

use super::Sandbox;
use crate::ipam::Mac;
use crate::link::{
    Changes, End, Layered, LayeredSpec, LinkError, Links, Port, RTM_SETLINK, RouteSpec, VethSpec,
    ifinfo, new_address, new_route, valid_name,
};
use ipnet::IpNet;
use naru_kernel::netlink::{Message, flags};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

/// How long a port may take until it forwards, and an address until packets reach it. Both do at once, unless the bridge
/// is down.
const SETTLING: Duration = Duration::from_millis(100);

/// An interface of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name inside.
    pub name: String,
    /// Its hardware address; none lets the kernel draw one, and is what ipvlan needs.
    pub mac: Option<Mac>,
    /// Its largest packet, if it is not the usual one.
    pub mtu: Option<u32>,
    /// Its addresses with prefix. Without an IPv6 one it takes no part in IPv6.
    pub addresses: Vec<IpNet>,
    /// By whom everything else of IPv4 is reached, if by this interface. Replaces the one before.
    pub gateway_v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub gateway_v6: Option<Ipv6Addr>,
    /// Further routes over it.
    pub routes: Vec<RouteSpec>,
}

/// What became of an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached {
    /// The index of the outer end on the host.
    pub outer: u32,
    /// The index of the inner end in the sandbox.
    pub inner: u32,
    /// Whether the bridge forwards for it; not when somebody took the bridge down.
    pub forwarding: bool,
}

/// A link on top of one of the host's, for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedIn {
    /// Its kind.
    pub kind: Layered,
    /// The index of its parent on the host.
    pub parent: u32,
    /// What it is inside.
    pub attachment: Attachment,
}

impl Sandbox {
    /// Attaches an interface to a bridge of the host: `outer` is the name of the host's end, and `port` how it is one of
    /// the bridge, for an ordinary one the bridge's index. Both ends are up afterwards
    /// and packets pass. When it fails, nothing is left.
    pub fn attach(
        &self,
        host: &Links,
        outer: &str,
        port: impl Into<Port>,
        attachment: &Attachment,
    ) -> Result<Attached, LinkError> {
        let port = port.into();
        let pair = host.create_veth(&VethSpec {
            outer: End { name: outer, mac: None },
            inner: End { name: &attachment.name, mac: attachment.mac },
            namespace: self.as_fd(),
            port: Some(port),
            mtu: attachment.mtu,
        })?;
        let ready = self.configure(pair.inner, attachment).and_then(|()| {
            let forwarding = forwards(host, pair.outer, port.bridge)?;
            Ok(self.links().wait_for(&attachment.addresses, SETTLING)? && forwarding)
        });
        match ready {
            Ok(forwarding) => Ok(Attached { outer: pair.outer, inner: pair.inner, forwarding }),
            Err(error) => {
                // The first failure says what is wrong. A removal that fails too leaves a pair that goes with the sandbox.
                host.remove(outer).unwrap_or_default();
                Err(error)
            }
        }
    }

    /// Puts a link on top of one of the host's into the sandbox. When it fails, nothing is left.
    pub fn move_in(&self, host: &Links, link: &MovedIn) -> Result<u32, LinkError> {
        let attachment = &link.attachment;
        let name = attachment.name.as_str();
        host.create_layered(&LayeredSpec {
            kind: link.kind,
            parent: link.parent,
            end: End { name, mac: attachment.mac },
            mtu: attachment.mtu,
            namespace: self.as_fd(),
        })?;
        let ready = self.links().find(name).and_then(|found| {
            self.configure(found.index, attachment)?;
            self.links().wait_for(&attachment.addresses, SETTLING)?;
            Ok(found.index)
        });
        if ready.is_err() {
            self.links().remove(name).unwrap_or_default();
        }
        ready
    }

    /// Removes an interface by its name inside, the host's end with it; fine when it is gone. Takes 10 ms and more. A
    /// container with rights over its network may have renamed it; a pair is therefore better removed by the host's end.
    pub fn detach(&self, name: &str) -> Result<(), LinkError> {
        self.links().remove(name)
    }

    /// Says over which interface and by whom everything else is reached, in place of what was said before.
    pub fn set_gateways(
        &self,
        name: &str,
        v4: Option<Ipv4Addr>,
        v6: Option<Ipv6Addr>,
    ) -> Result<(), LinkError> {
        let link = self.links().find(name)?;
        let nets: Vec<IpNet> = self
            .links()
            .addresses()?
            .into_iter()
            .filter(|(index, _)| *index == link.index)
            .map(|(_, net)| net)
            .collect();
        for route in gateways(v4, v6, &nets) {
            self.links().add_route(link.index, &route)?;
        }
        Ok(())
    }

    /// Brings an interface up with its addresses and routes, in one request.
    fn configure(&self, index: u32, attachment: &Attachment) -> Result<(), LinkError> {
        let Attachment { name, addresses, gateway_v4, gateway_v6, routes, .. } = attachment;
        if addresses.iter().any(|net| matches!(net, IpNet::V6(_))) {
            // Over the loopback a container reaches its own addresses.
            for name in [name.as_str(), "lo"] {
                self.enable_ipv6(name).map_err(|error| {
                    LinkError::new(format!("enable IPv6 of `{name}` in a container"), error)
                })?;
            }
        }
        let up = |with| Message::new(RTM_SETLINK, with).raw(&ifinfo(index, Changes::up()));
        let mut steps = vec![(up(0), "bring up".to_owned())];
        steps.extend(
            addresses
                .iter()
                .map(|net| (new_address(index, *net, 0), format!("give the address `{net}` to"))),
        );
        for route in gateways(*gateway_v4, *gateway_v6, addresses).iter().chain(routes) {
            let destination = route.destination;
            steps.push((
                new_route(index, route, 0),
                format!("make a route to `{destination}` over"),
            ));
        }
        // Refusals come unasked; the acknowledgement of the last message says that all are through.
        steps.push((up(flags::ACK), "bring up".to_owned()));
        let (messages, attempts): (Vec<Message>, Vec<String>) = steps.into_iter().unzip();
        self.links().batch(messages).map(drop).map_err(|refused| {
            let step = attempts.get(refused.index).map_or("set up", String::as_str);
            LinkError::new(format!("{step} `{name}` in a container"), refused)
        })
    }

    fn enable_ipv6(&self, name: &str) -> io::Result<()> {
        let Some(settings) = &self.settings else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this host has no IPv6"));
        };
        if !valid_name(name) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let path = format!("{name}/disable_ipv6");
        let file =
            rustix::fs::openat(settings, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(file, b"0")?;
        Ok(())
    }
}

/// The default routes by these gateways. One that lies in no subnet of the interface is believed to be on the link.
fn gateways(v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>, nets: &[IpNet]) -> Vec<RouteSpec> {
    v4.map(IpAddr::from)
        .into_iter()
        .chain(v6.map(IpAddr::from))
        .map(|gateway| RouteSpec {
            on_link: !nets.iter().any(|net| net.contains(&gateway)) && !is_link_local(gateway),
            ..RouteSpec::default_by(gateway)
        })
        .collect()
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.segments().first().is_some_and(|first| first & 0xffc0 == 0xfe80))
}

/// Whether a port and its bridge pass packets. Asking makes kernels from 6.8 on settle what they would have settled a
/// moment later (the first port of a bridge brings the bridge itself to life); on older ones that moment is waited for. A
/// first packet that is sent into it would be lost, and sent again after a second.
fn forwards(host: &Links, port: u32, bridge: u32) -> Result<bool, LinkError> {
    let end = Instant::now() + SETTLING;
    loop {
        let links = host
            .at_each(&[port, bridge])
            .map_err(|error| LinkError::new("look at the port of a bridge", error))?;
        let up = |index| {
            links.iter().find(|link| link.index == index).is_some_and(|link| link.operational)
        };
        if up(bridge) && up(port) && links.iter().any(|link| link.index == port && link.forwarding)
        {
            return Ok(true);
        }
        if Instant::now() > end || links.iter().any(|link| link.index == bridge && !link.up) {
            return Ok(false);
        }
        thread::sleep(Duration::from_micros(200));
    }
}
