//! Pure: why a pool or an address was refused, in docker's words where it has some.

use ipnet::IpNet;
use naru_errdefs::{Failure, Kind};
use std::net::IpAddr;

/// Why a pool or an address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Every address of the pool is taken.
    #[error("no available IPv{version} addresses on this network's address pools: {pool}")]
    Exhausted {
        /// 4 or 6.
        version: u8,
        /// What the owner called the pool: the network's name, and its ID in brackets.
        pool: String,
    },
    /// The address lies in no subnet of the network.
    #[error("no configured subnet contains IP address {ip}")]
    Outside {
        /// The address that was asked for.
        ip: IpAddr,
    },
    /// Somebody has the address.
    #[error("Address already in use")]
    Taken {
        /// The address that was asked for.
        ip: IpAddr,
    },
    /// The address is the network's own: its first or last one, its gateway, or set aside under a name.
    #[error("Address already in use")]
    Reserved {
        /// The address that was asked for.
        ip: IpAddr,
        /// What it is reserved for.
        purpose: String,
    },
    /// The subnet's text has bits behind its prefix.
    #[error("invalid {what} {given}: it should be {meant}")]
    HostBits {
        /// `subnet` or `ip-range`.
        what: &'static str,
        /// As it was given.
        given: IpNet,
        /// As it was probably meant.
        meant: IpNet,
    },
    /// An ip-range, a gateway or an auxiliary address is not of the subnet.
    #[error("no matching subnet for {what} {value}")]
    NoMatch {
        /// `range`, `gateway` or `aux-address`.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// The subnet has no room for a single container.
    #[error("invalid subnet {subnet}: it leaves no address for a container")]
    TooSmall {
        /// The subnet.
        subnet: IpNet,
    },
    /// Two purposes want one address.
    #[error("invalid address {ip}: it is both {first} and {second}")]
    Twice {
        /// The address.
        ip: IpAddr,
        /// One purpose.
        first: String,
        /// The other.
        second: String,
    },
    /// The subnet overlaps with another network's or with a route of the host.
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlaps {
        /// The subnet that was asked for.
        subnet: IpNet,
        /// What is there already.
        other: IpNet,
    },
    /// Every default subnet is in use.
    #[error("all predefined address pools have been fully subnetted")]
    NoMoreSubnets,
    /// A default pool cannot be cut as its size says.
    #[error("invalid default address pool {base} of size {size}")]
    BadDefault {
        /// The pool.
        base: IpNet,
        /// The prefix length of its subnets.
        size: u8,
    },
}

impl Failure for PoolError {
    fn kind(&self) -> Kind {
        match self {
            PoolError::Exhausted { .. } | PoolError::NoMoreSubnets => Kind::ResourceExhausted,
            PoolError::Taken { .. } | PoolError::Reserved { .. } | PoolError::Overlaps { .. } => {
                Kind::Forbidden
            }
            PoolError::Outside { .. }
            | PoolError::HostBits { .. }
            | PoolError::NoMatch { .. }
            | PoolError::TooSmall { .. }
            | PoolError::Twice { .. }
            | PoolError::BadDefault { .. } => Kind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            PoolError::Exhausted { .. } => {
                Some("remove containers of the network, or make one with a larger subnet".to_owned())
            }
            PoolError::Reserved { ip, purpose } => Some(format!("`{ip}` is {purpose}")),
            PoolError::Taken { ip } => Some(format!("another container has `{ip}`")),
            PoolError::Overlaps { subnet, other } => {
                Some(format!("`{subnet}` overlaps with `{other}`; choose another `--subnet`"))
            }
            PoolError::NoMoreSubnets => {
                Some("remove unused networks, name a `--subnet`, or configure more default address pools".to_owned())
            }
            _ => None,
        }
    }
}
