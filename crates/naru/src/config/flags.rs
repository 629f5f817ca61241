//! The daemon's flags: dockerd's names. Pure.

use super::registries::RegistryFlags;
use std::path::PathBuf;

/// `naru daemon [options]`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "naru daemon",
    about = "Run the host daemon: Docker's Engine API, images and containers",
    disable_version_flag = true
)]
pub struct Flags {
    /// Where images and containers are kept (default /var/lib/naru).
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Where sockets and the state of running things are kept (default /run/naru).
    #[arg(long, value_name = "DIR")]
    pub exec_root: Option<PathBuf>,
    /// Address to listen on (unix:///path); may be given several times.
    #[arg(short = 'H', long = "host", value_name = "ADDRESS")]
    pub hosts: Vec<String>,
    /// File for the process id.
    #[arg(short = 'p', long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,
    /// Configuration file (default /etc/naru/daemon.json).
    #[arg(long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// debug, info, warn, error or fatal.
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Log at level debug.
    #[arg(short = 'D', long)]
    pub debug: bool,
    /// Group that owns the sockets (default naru, where it exists).
    #[arg(short = 'G', long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Bridge of the default network (default naru0).
    #[arg(short = 'b', long, value_name = "NAME")]
    pub bridge: Option<String>,
    /// Address and subnet of the default bridge (10.20.0.1/24); chosen when absent.
    #[arg(long, value_name = "CIDR")]
    pub bip: Option<String>,
    /// Where subnets of networks are chosen from (base=10.10.0.0/16,size=24); may be given several times.
    #[arg(long, value_name = "POOL")]
    pub default_address_pool: Vec<String>,
    /// Server that containers ask for names, instead of the host's; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<String>,
    /// Address of the host that ports are published on unless another one is named (default: all).
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,
    /// Networks have IPv6 unless asked otherwise.
    #[arg(long)]
    pub ipv6: bool,
    /// Bytes of the largest packet of containers' networks.
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<u32>,
    /// Only these sources reach published ports (address or prefix); may be given several times.
    #[arg(long, value_name = "CIDR")]
    pub publish_source: Vec<String>,
    /// How other registries are reached.
    #[command(flatten)]
    pub registries: RegistryFlags,
    /// Serve a registry on the same store: a port (loopback only), ADDRESS:PORT, :PORT (every address) or [v6]:PORT.
    #[arg(long, value_name = "ADDRESS")]
    pub registry: Option<String>,
    /// Configuration file of that registry: certificates, users, rights and more.
    #[arg(long, value_name = "FILE")]
    pub registry_config: Option<PathBuf>,
    /// Internal: started by a client.
    #[arg(long, hide = true)]
    pub background: bool,
}
