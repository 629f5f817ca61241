//! Pure: what is stored of a network, and what is noted of a container's place in networks while it runs.

use crate::model::{EndpointRequest, PoolRequest, PublishedPort, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands behind a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Driver {
    /// A bridge of the host.
    Bridge,
    /// Interfaces with hardware addresses of their own on one of the host's.
    Macvlan,
    /// Interfaces with the hardware address of one of the host's.
    Ipvlan,
    /// The host's own network.
    Host,
    /// Nothing.
    Null,
}

impl Driver {
    /// Docker's name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Driver::Bridge => "bridge",
            Driver::Macvlan => "macvlan",
            Driver::Ipvlan => "ipvlan",
            Driver::Host => "host",
            Driver::Null => "null",
        }
    }
}

/// What is stored of a network. A field that a later version adds has a default, so that every version reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NetworkRecord {
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    /// The name.
    pub(crate) name: String,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// What stands behind it.
    pub(crate) driver: Driver,
    /// Whether it has IPv4 addresses.
    pub(crate) ipv4: bool,
    /// Whether it has IPv6 addresses.
    pub(crate) ipv6: bool,
    /// Its subnets, as asked for or chosen.
    pub(crate) pools: Vec<PoolRequest>,
    /// Whether it has no way out.
    pub(crate) internal: bool,
    /// A word of cluster mode.
    pub(crate) attachable: bool,
    /// Options of the driver.
    pub(crate) options: BTreeMap<String, String>,
    /// Labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Options of the driver of addresses.
    #[serde(default)]
    pub(crate) ipam_options: BTreeMap<String, String>,
    /// The bridge's name.
    #[serde(default)]
    pub(crate) bridge: String,
}

/// A container's place in a network while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    /// The network's ID.
    pub(crate) network: String,
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    /// The name of the interface inside.
    pub(crate) interface: String,
    /// The name of the interface on the host; empty when there is none.
    pub(crate) host_interface: String,
    /// Address and length of the prefix.
    pub(crate) ipv4: Option<(Ipv4Addr, u8)>,
    /// Address and length of the prefix.
    pub(crate) ipv6: Option<(Ipv6Addr, u8)>,
    /// The way out.
    pub(crate) gateway4: Option<Ipv4Addr>,
    /// The way out.
    pub(crate) gateway6: Option<Ipv6Addr>,
    /// The hardware address, `02:42:…`.
    pub(crate) mac: String,
    /// What was asked for.
    pub(crate) request: EndpointRequest,
}

/// A running container's networks. It lies beside the container's other files of this run and is gone with the boot, as
/// the namespace is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Places {
    /// The container's name, for names and messages.
    pub(crate) name: String,
    /// The name that it gives itself.
    #[serde(default)]
    pub(crate) hostname: String,
    /// Its places.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Its published ports.
    pub(crate) published: Vec<PublishedPort>,
    /// Servers that it asks instead of the host's.
    #[serde(default)]
    pub(crate) dns: Vec<String>,
    /// How it asks them, instead of the host's way.
    #[serde(default)]
    pub(crate) dns_options: Vec<String>,
}

impl Places {
    /// The container's addresses, in the order of its networks.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.endpoints.iter().flat_map(Endpoint::addresses).collect()
    }
}

impl Endpoint {
    /// Its addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let four = self.ipv4.map(|(address, _)| IpAddr::V4(address));
        let six = self.ipv6.map(|(address, _)| IpAddr::V6(address));
        four.into_iter().chain(six)
    }
}
