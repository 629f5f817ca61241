//! Pure: networks, endpoints and published ports, in Docker's words.

use super::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is asked of `network create`. Absent and empty values mean "choose".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkRequest {
    /// The name.
    pub name: String,
    /// `bridge` (also the empty string), `macvlan` or `ipvlan`.
    pub driver: String,
    /// Whether it has IPv4 addresses; absent: yes.
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6 addresses; absent: the daemon's default.
    pub enable_ipv6: Option<bool>,
    /// The driver of addresses; only `default` (also the empty string).
    pub ipam_driver: String,
    /// Options of that driver.
    pub ipam_options: BTreeMap<String, String>,
    /// Subnets, at most one of each family.
    pub ipam: Vec<PoolRequest>,
    /// Whether it has no way out.
    pub internal: bool,
    /// Shown; it has a meaning in clusters only.
    pub attachable: bool,
    /// Options of the driver (`com.docker.network.…`).
    pub options: BTreeMap<String, String>,
    /// Free key/value pairs.
    pub labels: BTreeMap<String, String>,
}

/// A subnet as it was asked for or chosen; empty texts mean "not given".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolRequest {
    /// `10.0.0.0/24`
    pub subnet: String,
    /// The part of it that addresses are chosen from.
    pub ip_range: String,
    /// The gateway's address.
    pub gateway: String,
    /// Names to addresses that nobody gets.
    pub auxiliary: BTreeMap<String, String>,
}

/// What a container asks of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointRequest {
    /// A fixed address.
    pub ipv4: Option<Ipv4Addr>,
    /// A fixed address.
    pub ipv6: Option<Ipv6Addr>,
    /// Further addresses of the link (`169.254.…`).
    pub link_local: Vec<IpAddr>,
    /// A fixed hardware address; empty: made.
    pub mac: String,
    /// Further names.
    pub aliases: Vec<String>,
    /// `CONTAINER[:ALIAS]`: names of other containers that only this one knows.
    pub links: Vec<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Which network gives the way out: the highest.
    pub gw_priority: i64,
}

/// A port of the host that a container port is to be reached at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortBinding {
    /// An address of the host; empty: all.
    pub host_ip: String,
    /// A port, a range (`8000-8010`: one of them), or empty: any.
    pub host_port: String,
}

/// A port that is published now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The port inside.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The address of the host; `0.0.0.0` and `::` mean all.
    pub host_ip: IpAddr,
    /// The port of the host.
    pub host_port: u16,
}

/// A container's place in a network, as `inspect` shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EndpointView {
    /// The network's ID; empty when it is not there (yet).
    pub network_id: String,
    /// What was asked for.
    pub request: EndpointRequest,
    /// 64 hexadecimal digits; empty when it is not running.
    pub endpoint_id: String,
    /// The address and the length of the network's prefix.
    pub ipv4: Option<(Ipv4Addr, u8)>,
    /// The address and the length of the network's prefix.
    pub ipv6: Option<(Ipv6Addr, u8)>,
    /// The way out.
    pub gateway4: Option<Ipv4Addr>,
    /// The way out.
    pub gateway6: Option<Ipv6Addr>,
    /// The hardware address; that which was asked for when it is not running.
    pub mac: String,
    /// The names by which others find it.
    pub dns_names: Vec<String>,
}

/// A network as `inspect` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkView {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The driver.
    pub driver: String,
    /// Whether it has IPv4 addresses.
    pub ipv4: bool,
    /// Whether it has IPv6 addresses.
    pub ipv6: bool,
    /// Subnets.
    pub ipam: Vec<PoolRequest>,
    /// Options of the driver of addresses.
    pub ipam_options: BTreeMap<String, String>,
    /// Whether it has no way out.
    pub internal: bool,
    /// A word of cluster mode.
    pub attachable: bool,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Running containers in it, by ID.
    pub containers: BTreeMap<String, MemberView>,
}

/// A running container in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// The container's name.
    pub name: String,
    /// Its place.
    pub endpoint_id: String,
    /// The hardware address.
    pub mac: String,
    /// Address and prefix; empty when there is none.
    pub ipv4: String,
    /// Address and prefix; empty when there is none.
    pub ipv6: String,
}

/// Which networks `list` and `prune` mean. Several values of a kind are alternatives, but for labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkFilter {
    /// Parts of names.
    pub name: Vec<String>,
    /// Starts of IDs.
    pub id: Vec<String>,
    /// Drivers.
    pub driver: Vec<String>,
    /// How far they reach; all of ours are `local`.
    pub scope: Vec<String>,
    /// `key` or `key=value`; all must match.
    pub label: Vec<String>,
    /// `key` or `key=value`; none may match.
    pub label_not: Vec<String>,
    /// Whether only those without containers (or only those with) are meant.
    pub dangling: Option<bool>,
    /// Whether only those that come with the daemon (or only the others) are meant.
    pub builtin: Option<bool>,
    /// Only those made before.
    pub until: Option<Timestamp>,
}
