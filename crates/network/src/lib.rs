//! Networks of containers: addresses, bridges and links, publishing and isolation, names.
//!
//! Pure parts decide (which address, which rules, which answer); the parts that act are netlink, namespaces and sockets.
//! No helper binaries and no proxy processes: what forwards packets is the kernel, before and after the daemon's life.

pub mod dns;
pub mod firewall;
pub mod host_dns;
pub mod hosts;
pub mod in_place;
pub mod ipam;
pub mod link;
pub mod resolv_conf;
pub mod sandbox;
