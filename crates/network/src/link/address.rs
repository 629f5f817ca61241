//! Acts: addresses of links.

use super::wire::{self, read_u8, read_u32};
use super::{LinkError, Links};
use ipnet::IpNet;
use naru_kernel::netlink::{Message, attributes, flags};
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

impl Links {
    /// Gives a link an address; fine when it has it already. An IPv6 address can be used at once: whoever handed it out
    /// knows that nobody has it.
    pub fn add_address(&self, index: u32, address: IpNet) -> Result<(), LinkError> {
        self.batch(vec![new_address(index, address, flags::ACK)]).map(drop).map_err(|error| {
            LinkError::new(
                format!("give the address `{address}` to the interface number {index}"),
                error,
            )
        })
    }

    /// Takes an address from a link; fine when it has it not.
    pub fn remove_address(&self, index: u32, address: IpNet) -> Result<(), LinkError> {
        let message = addressed(wire::RTM_DELADDR, index, address, flags::ACK);
        match self.batch(vec![message]) {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.errno(), wire::EADDRNOTAVAIL | wire::ENODEV) => Ok(()),
            Err(error) => Err(LinkError::new(
                format!("take the address `{address}` from the interface number {index}"),
                error,
            )),
        }
    }

    /// Waits until the kernel takes packets to these addresses for its own: it does so for an IPv6 address a moment after
    /// it was given to a link, and what comes before is lost, and sent again after a second. Whether it does by now.
    pub(crate) fn wait_for(&self, addresses: &[IpNet], bound: Duration) -> Result<bool, LinkError> {
        let end = Instant::now() + bound;
        for ip in addresses.iter().map(IpNet::addr).filter(IpAddr::is_ipv6) {
            while !self.is_own(ip)? {
                if Instant::now() > end {
                    return Ok(false);
                }
                thread::sleep(Duration::from_micros(100));
            }
        }
        Ok(true)
    }

    /// Whether packets to an address are for this namespace.
    fn is_own(&self, ip: IpAddr) -> Result<bool, LinkError> {
        const LOCAL: u8 = 2;
        const ENETUNREACH: i32 = 101;
        let length = if ip.is_ipv6() { 128 } else { 32 };
        let mut fixed = [0; wire::ROUTE_LENGTH];
        for (to, from) in fixed.iter_mut().zip([family(ip), length]) {
            *to = from;
        }
        let message =
            Message::new(wire::RTM_GETROUTE, flags::ACK).raw(&fixed).address(wire::RTA_DST, ip);
        match self.batch(vec![message]) {
            Ok(answers) => Ok(answers.iter().any(|answer| {
                answer.kind == wire::RTM_NEWROUTE && read_u8(&answer.body, 7) == Some(LOCAL)
            })),
            Err(error) if error.errno() == ENETUNREACH => Ok(false),
            Err(error) => Err(LinkError::new(format!("look at the address `{ip}`"), error)),
        }
    }

    /// Every address of the namespace and the index of its link.
    pub fn addresses(&self) -> Result<Vec<(u32, IpNet)>, LinkError> {
        let message = Message::new(wire::RTM_GETADDR, flags::DUMP).raw(&[0; wire::IFADDR_LENGTH]);
        let answers =
            self.dump(&message).map_err(|error| LinkError::new("list the addresses", error))?;
        Ok(answers
            .iter()
            .filter(|answer| answer.kind == wire::RTM_NEWADDR)
            .filter_map(|answer| read(&answer.body))
            .collect())
    }
}

pub(crate) fn new_address(index: u32, address: IpNet, with: u16) -> Message {
    let message =
        addressed(wire::RTM_NEWADDR, index, address, with | flags::CREATE | flags::REPLACE);
    match address {
        // `ip` and docker set it; some old programs look at it.
        IpNet::V4(net) if net.prefix_len() < 31 => {
            message.address(wire::IFA_BROADCAST, net.broadcast().into())
        }
        IpNet::V4(_) => message,
        IpNet::V6(_) => message.u32(wire::IFA_FLAGS, wire::NO_DUPLICATE_DETECTION),
    }
}

fn addressed(kind: u16, index: u32, address: IpNet, with: u16) -> Message {
    let [a, b, c, d] = index.to_ne_bytes();
    let fixed = [family(address.addr()), address.prefix_len(), 0, 0, a, b, c, d];
    Message::new(kind, with)
        .raw(&fixed)
        .address(wire::IFA_LOCAL, address.addr())
        .address(wire::IFA_ADDRESS, address.addr())
}

pub(super) fn family(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => wire::AF_INET,
        IpAddr::V6(_) => wire::AF_INET6,
    }
}

pub(super) fn read(body: &[u8]) -> Option<(u32, IpNet)> {
    let prefix = read_u8(body, 1)?;
    let index = read_u32(body, 4)?;
    let mut local = None;
    let mut address = None;
    for (kind, value) in attributes(body.get(wire::IFADDR_LENGTH..)?) {
        match kind {
            wire::IFA_LOCAL => local = read_ip(value),
            wire::IFA_ADDRESS => address = read_ip(value),
            _ => {}
        }
    }
    // On a link between two points `address` is the other one's.
    Some((index, IpNet::new(local.or(address)?, prefix).ok()?))
}

pub(super) fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
