//! Acts: routes, and which subnets the host uses already.

use super::address::{family, read_ip};
use super::wire::{self, read_u8, read_u32};
use super::{LinkError, Links};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use naru_kernel::netlink::{Message, attributes, flags};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A route that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to; `0.0.0.0/0` or `::/0` is the default route.
    pub destination: IpNet,
    /// By whom; none when the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Over which link, if over one.
    pub index: Option<u32>,
    /// In which table; 254 is the main one.
    pub table: u32,
}

/// A route to be made, in the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSpec {
    /// Where to.
    pub destination: IpNet,
    /// By whom; none when the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Whether the gateway is on the link although no address of the link says so.
    pub on_link: bool,
}

impl RouteSpec {
    /// The route to everywhere.
    pub fn default_by(gateway: IpAddr) -> RouteSpec {
        RouteSpec { destination: everywhere(gateway), gateway: Some(gateway), on_link: false }
    }
}

/// `0.0.0.0/0` or `::/0`.
fn everywhere(ip: IpAddr) -> IpNet {
    let any = match ip {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    IpNet::new(any, 0).unwrap_or_else(|_length| any.into())
}

impl Links {
    /// Makes a route over a link, in place of the one to the same destination.
    pub fn add_route(&self, index: u32, route: &RouteSpec) -> Result<(), LinkError> {
        self.batch(vec![new_route(index, route, flags::ACK)]).map(drop).map_err(|error| {
            LinkError::new(format!("make a route to `{}`", route.destination), error)
        })
    }

    /// Removes a route over a link; fine when it is gone.
    pub fn remove_route(&self, index: u32, route: &RouteSpec) -> Result<(), LinkError> {
        let message = routed(wire::RTM_DELROUTE, index, route, flags::ACK);
        match self.batch(vec![message]) {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.errno(), wire::ESRCH | wire::ENODEV) => Ok(()),
            Err(error) => {
                Err(LinkError::new(format!("remove the route to `{}`", route.destination), error))
            }
        }
    }

    /// All routes to other machines, whatever their table; what the kernel routes to itself is left out.
    pub fn routes(&self) -> Result<Vec<Route>, LinkError> {
        let message = Message::new(wire::RTM_GETROUTE, flags::DUMP).raw(&[0; wire::ROUTE_LENGTH]);
        let answers =
            self.dump(&message).map_err(|error| LinkError::new("list the routes", error))?;
        Ok(answers
            .iter()
            .filter(|answer| answer.kind == wire::RTM_NEWROUTE)
            .filter_map(|answer| read(&answer.body))
            .collect())
    }

    /// The subnets that the host uses: those of its addresses, and the destinations of its routes. What a new network must
    /// not overlap with.
    ///
    /// Default routes do not count, nor what VPNs make in their place (`0.0.0.0/1` and `128.0.0.0/1`, `2000::/3`): a route
    /// to a continent would leave no subnet to anybody, and that of a network is more precise.
    pub fn taken(&self) -> Result<Vec<IpNet>, LinkError> {
        let routes = self
            .routes()?
            .into_iter()
            .map(|route| route.destination)
            .filter(|net| net.prefix_len() >= if matches!(net, IpNet::V4(_)) { 8 } else { 16 });
        let addresses = self.addresses()?.into_iter().map(|(_, address)| address.trunc());
        let mut taken: Vec<IpNet> = routes.chain(addresses).filter(|net| !is_local(net)).collect();
        taken.sort_unstable();
        taken.dedup();
        Ok(taken)
    }
}

/// Whether a subnet is in no network's way: loopback, link-local, multicast.
pub(super) fn is_local(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => {
            let ip = Ipv4Net::network(net);
            ip.is_loopback() || ip.is_multicast()
        }
        IpNet::V6(net) => {
            let ip = Ipv6Net::network(net);
            ip.is_loopback()
                || ip.is_multicast()
                || ip.segments().first().is_some_and(|first| first & 0xffc0 == 0xfe80)
        }
    }
}

pub(crate) fn new_route(index: u32, route: &RouteSpec, with: u16) -> Message {
    routed(wire::RTM_NEWROUTE, index, route, with | flags::CREATE | flags::REPLACE)
}

fn routed(kind: u16, index: u32, route: &RouteSpec, with: u16) -> Message {
    let scope = match (kind, route.gateway, route.destination) {
        (wire::RTM_NEWROUTE, None, IpNet::V4(_)) => wire::SCOPE_LINK,
        // Of a route to be removed, any scope.
        (wire::RTM_DELROUTE, _, IpNet::V4(_)) => 255,
        _ => 0,
    };
    let on_link = if route.on_link { wire::ON_LINK } else { 0 };
    let mut fixed = [0; wire::ROUTE_LENGTH];
    let head = [
        family(route.destination.addr()),
        route.destination.prefix_len(),
        0,
        0,
        u8::try_from(wire::MAIN_TABLE).unwrap_or(0),
        if kind == wire::RTM_NEWROUTE { wire::BY_STATIC } else { 0 },
        scope,
        wire::UNICAST,
    ];
    for (to, from) in fixed.iter_mut().zip(head.into_iter().chain(on_link.to_ne_bytes())) {
        *to = from;
    }
    let message = Message::new(kind, with).raw(&fixed).u32(wire::RTA_OIF, index);
    let message = if route.destination.prefix_len() > 0 {
        message.address(wire::RTA_DST, route.destination.network())
    } else {
        message
    };
    message.with(route.gateway, |message, gateway| message.address(wire::RTA_GATEWAY, gateway))
}

pub(super) fn read(body: &[u8]) -> Option<Route> {
    let family = read_u8(body, 0)?;
    let prefix = read_u8(body, 1)?;
    let mut table = u32::from(read_u8(body, 4)?);
    if read_u8(body, 7)? != wire::UNICAST {
        return None;
    }
    let mut destination = match family {
        wire::AF_INET => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        wire::AF_INET6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut gateway = None;
    let mut index = None;
    for (kind, value) in attributes(body.get(wire::ROUTE_LENGTH..)?) {
        match kind {
            wire::RTA_DST => destination = read_ip(value)?,
            wire::RTA_GATEWAY => gateway = read_ip(value),
            wire::RTA_OIF => index = read_u32(value, 0),
            wire::RTA_TABLE => table = read_u32(value, 0)?,
            _ => {}
        }
    }
    (table != wire::LOCAL_TABLE).then_some(Route {
        destination: IpNet::new(destination, prefix).ok()?,
        gateway,
        index,
        table,
    })
}
