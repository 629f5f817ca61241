//! Pure: one subnet of a network and which of its addresses are taken.

use super::PoolError;
use super::ranges::Ranges;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which address the network's gateway has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// The first address that a host may have.
    First,
    /// This one.
    At(IpAddr),
    /// The network has no gateway: every address is for containers.
    Absent,
}

/// What a user may say about a subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// How messages name the pool: the network's name, and its ID in brackets.
    pub label: String,
    /// All of its addresses. Bits behind the prefix are refused.
    pub subnet: IpNet,
    /// The part from which addresses are handed out; fixed ones may lie outside of it.
    pub range: Option<IpNet>,
    /// The gateway's address.
    pub gateway: Gateway,
    /// Addresses that other machines have, by name.
    pub auxiliary: BTreeMap<String, IpAddr>,
}

impl PoolSpec {
    /// A subnet with the first address as the gateway.
    pub fn new(label: impl Into<String>, subnet: IpNet) -> PoolSpec {
        PoolSpec {
            label: label.into(),
            subnet,
            range: None,
            gateway: Gateway::First,
            auxiliary: BTreeMap::new(),
        }
    }
}

/// A subnet and which of its addresses are taken. Costs memory by what is taken, not by its size.
///
/// Addresses are handed out in a circle, so that one that was given back is used again as late as possible: neighbours
/// and peers may still believe that it is the old container's.
#[derive(Debug, Clone)]
pub struct Pool {
    label: String,
    subnet: IpNet,
    range: IpNet,
    gateway: Option<IpAddr>,
    /// First and last number to hand out.
    span: (u128, u128),
    /// Where the next search begins.
    next: u128,
    /// Everything that cannot be handed out, what is reserved included.
    taken: Ranges,
    reserved: BTreeMap<u128, String>,
}

impl Pool {
    /// Makes a pool with nothing taken but what is reserved.
    pub fn new(spec: PoolSpec) -> Result<Pool, PoolError> {
        let PoolSpec { label, subnet, range, gateway, auxiliary } = spec;
        exact("subnet", subnet)?;
        let range = range.unwrap_or(subnet);
        exact("ip-range", range)?;
        if !subnet.contains(&range) {
            return Err(PoolError::NoMatch { what: "range", value: range.to_string() });
        }
        let mut pool = Pool {
            label,
            subnet,
            range,
            gateway: None,
            span: (number(range.network()), number(range.broadcast())),
            next: number(range.network()),
            taken: Ranges::default(),
            reserved: BTreeMap::new(),
        };
        pool.reserve_ends();
        if let Some(ip) = pool.choose_gateway(gateway)? {
            pool.reserve(ip, "the network's gateway".to_owned())?;
            pool.gateway = Some(ip);
        }
        for (name, ip) in auxiliary {
            if !subnet.contains(&ip) {
                return Err(PoolError::NoMatch { what: "aux-address", value: ip.to_string() });
            }
            pool.reserve(ip, format!("the auxiliary address `{name}`"))?;
        }
        Ok(pool)
    }

    /// A network's first address names the network, its last one all of its hosts. In IPv6 the first one is every
    /// router's, and the last one is nothing special. Subnets of one or two addresses have no room for that.
    fn reserve_ends(&mut self) {
        let (first, last) = (number(self.subnet.network()), number(self.subnet.broadcast()));
        if self.subnet.max_prefix_len() - self.subnet.prefix_len() < 2 {
            return;
        }
        self.taken.insert(first);
        self.reserved.insert(first, "the address of the network itself".to_owned());
        if self.is_v4() {
            self.taken.insert(last);
            self.reserved.insert(last, "the broadcast address of the network".to_owned());
        }
    }

    fn choose_gateway(&self, gateway: Gateway) -> Result<Option<IpAddr>, PoolError> {
        match gateway {
            Gateway::Absent => Ok(None),
            Gateway::At(ip) if self.subnet.contains(&ip) => Ok(Some(ip)),
            Gateway::At(ip) => Err(PoolError::NoMatch { what: "gateway", value: ip.to_string() }),
            Gateway::First => {
                let (first, last) =
                    (number(self.subnet.network()), number(self.subnet.broadcast()));
                match self.taken.gap(first, last) {
                    Some(free) if first < last => Ok(Some(self.address(free))),
                    _ => Err(PoolError::TooSmall { subnet: self.subnet }),
                }
            }
        }
    }

    fn reserve(&mut self, ip: IpAddr, purpose: String) -> Result<(), PoolError> {
        let at = number(ip);
        if let Some(first) = self.reserved.get(&at) {
            return Err(PoolError::Twice { ip, first: first.clone(), second: purpose });
        }
        self.taken.insert(at);
        self.reserved.insert(at, purpose);
        Ok(())
    }

    /// All of its addresses.
    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// The part from which addresses are handed out.
    pub fn range(&self) -> IpNet {
        self.range
    }

    /// The gateway's address, if the network has one.
    pub fn gateway(&self) -> Option<IpAddr> {
        self.gateway
    }

    /// An address of the pool with the subnet's prefix, as interfaces have it.
    pub fn with_prefix(&self, ip: IpAddr) -> IpNet {
        // The prefix length is the subnet's own, so it fits; both arms of a wrong family keep the whole address.
        IpNet::new(ip, self.subnet.prefix_len()).unwrap_or_else(|_family| IpNet::from(ip))
    }

    /// Hands out an address that nobody has.
    pub fn allocate(&mut self) -> Result<IpAddr, PoolError> {
        let (first, last) = self.span;
        let free =
            self.taken.gap(self.next, last).or_else(|| self.taken.gap(first, last)).ok_or_else(
                || PoolError::Exhausted {
                    version: if self.is_v4() { 4 } else { 6 },
                    pool: self.label.clone(),
                },
            )?;
        self.taken.insert(free);
        self.next = if free == last { first } else { free + 1 };
        Ok(self.address(free))
    }

    /// Takes a certain address.
    pub fn claim(&mut self, ip: IpAddr) -> Result<(), PoolError> {
        if !self.subnet.contains(&ip) {
            return Err(PoolError::Outside { ip });
        }
        let at = number(ip);
        if let Some(purpose) = self.reserved.get(&at) {
            return Err(PoolError::Reserved { ip, purpose: purpose.clone() });
        }
        if self.taken.insert(at) { Ok(()) } else { Err(PoolError::Taken { ip }) }
    }

    /// Gives an address back; whether somebody had it. What is reserved stays so.
    pub fn release(&mut self, ip: IpAddr) -> bool {
        let at = number(ip);
        self.subnet.contains(&ip) && !self.reserved.contains_key(&at) && self.taken.remove(at)
    }

    /// Goes on behind `ip`, as if it had been handed out last: for a pool that is made again after a restart.
    pub fn resume_behind(&mut self, ip: IpAddr) {
        let (first, last) = self.span;
        let at = number(ip);
        if self.range.contains(&ip) {
            self.next = if at == last { first } else { at + 1 };
        }
    }

    /// The addresses that containers have, in order.
    pub fn claimed(&self) -> impl Iterator<Item = IpAddr> {
        self.taken
            .iter()
            .filter(|number| !self.reserved.contains_key(number))
            .map(|number| self.address(number))
    }

    /// How many addresses are taken, what is reserved included.
    pub fn count(&self) -> u128 {
        self.taken.count()
    }

    fn is_v4(&self) -> bool {
        matches!(self.subnet, IpNet::V4(_))
    }

    fn address(&self, number: u128) -> IpAddr {
        match self.subnet {
            IpNet::V4(_) => match u32::try_from(number) {
                Ok(number) => Ipv4Addr::from(number).into(),
                // Not reached: every number of an IPv4 pool comes from `number`.
                Err(_wide) => Ipv4Addr::BROADCAST.into(),
            },
            IpNet::V6(_) => Ipv6Addr::from(number).into(),
        }
    }
}

/// An address as a number.
pub(super) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn exact(what: &'static str, given: IpNet) -> Result<(), PoolError> {
    let meant = match given {
        IpNet::V4(net) => IpNet::V4(Ipv4Net::trunc(&net)),
        IpNet::V6(net) => IpNet::V6(Ipv6Net::trunc(&net)),
    };
    if given == meant { Ok(()) } else { Err(PoolError::HostBits { what, given, meant }) }
}

#[cfg(test)]
mod tests;
