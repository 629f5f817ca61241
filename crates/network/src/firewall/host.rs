//! Acts: settings of the host that publishing needs, and those of its own firewall that are in the way.

use super::FirewallError;
use super::encode::{GET_CHAIN, NFTABLES};
use super::listing::{be32, field, text};
use super::state::{Network, check_name};
use ipnet::Ipv6Net;
use naru_kernel::netlink::{self, Answer, Message, Netlink, attributes, flags};
use naru_kernel::xtables::{self, Family};
use rustix::io::Errno;
use std::io;
use std::path::Path;

const SETTINGS: &str = "/proc/sys/net";

/// Lets the host's own connections to `127.0.0.1` leave by this bridge, which published ports there need; the table's
/// rules see to it that nobody comes in that way. On a network that keeps containers apart, the host answers for them,
/// so that what they may say to each other goes through the rules.
pub fn prepare_bridge(network: &Network) -> Result<(), FirewallError> {
    check_name("bridge", &network.bridge, 15)?;
    let bridge = &network.bridge;
    // The address must be the host's or the setting must be there: without IPv4 in the kernel there is nothing to set.
    set(&format!("ipv4/conf/{bridge}/route_localnet"), "1")?;
    set(&format!("ipv4/conf/{bridge}/proxy_arp_pvlan"), if network.icc { "0" } else { "1" })
}

/// That a bridge is there.
pub(super) fn find_bridge(network: &Network) -> Result<(), FirewallError> {
    let path = format!("{SETTINGS}/ipv4/conf/{}/route_localnet", network.bridge);
    match std::fs::metadata(&path) {
        Ok(_) => Ok(()),
        Err(source) => Err(FirewallError::Setting { path, source }),
    }
}

/// Whether a bridge is as [`prepare_bridge`] makes it; one that is not there is somebody else's matter.
pub(super) fn is_prepared(network: &Network) -> bool {
    let is = |name: &str, value: &str| {
        let path = format!("{SETTINGS}/ipv4/conf/{}/{name}", network.bridge);
        std::fs::read_to_string(path).map_or(true, |text| text.trim() == value)
    };
    is("route_localnet", "1") && is("proxy_arp_pvlan", if network.icc { "0" } else { "1" })
}

/// Whether frames between the ports of a bridge pass the rules too, as hosts with `br_netfilter` have it. A container then
/// reaches itself through its published port only when its port of the bridge is set to `hairpin`: what is
/// translated is sent on by the bridge itself, and back to where it came from only when the port says so. Where frames do
/// not pass the rules, a network that keeps containers apart needs its ports set to `isolated`, and only there.
pub fn bridged_packets_pass_rules() -> bool {
    let on = |name: &str| {
        let text = std::fs::read_to_string(format!("{SETTINGS}/bridge/bridge-nf-call-{name}"));
        text.is_ok_and(|text| text.trim() == "1")
    };
    on("iptables") || on("ip6tables")
}

fn set(name: &str, value: &str) -> Result<(), FirewallError> {
    let path = format!("{SETTINGS}/{name}");
    change(&path, value).map(drop).map_err(|source| FirewallError::Setting { path, source })
}

/// Writes a setting unless it is so already; answers what it was when it was changed.
fn change(path: &str, value: &str) -> io::Result<Option<String>> {
    let before = std::fs::read_to_string(path)?.trim().to_owned();
    if before == value {
        return Ok(None);
    }
    let file = std::fs::File::options().write(true).open(path)?;
    rustix::io::write(&file, value.as_bytes())?;
    Ok(Some(before))
}

/// Makes addresses the host's own, all of a prefix, or no longer; without IPv6 there is nothing to make.
pub(super) fn own_prefix(prefix: Ipv6Net, own: bool) -> io::Result<()> {
    const NEW_ROUTE: u16 = 24;
    const DEL_ROUTE: u16 = 25;
    const LOOPBACK_INDEX: u32 = 1;
    let disabled = std::fs::read_to_string(format!("{SETTINGS}/ipv6/conf/lo/disable_ipv6"));
    if disabled.map_or(true, |text| text.trim() == "1") {
        return Ok(());
    }
    // Family, lengths of destination and source, -, table `local`, protocol `static`, scope `host`, type `local`, flags.
    let fixed = [10, prefix.prefix_len(), 0, 0, 255, 4, 254, 2, 0, 0, 0, 0];
    let (kind, flags) = if own {
        (NEW_ROUTE, flags::ACK | flags::CREATE | flags::REPLACE)
    } else {
        (DEL_ROUTE, flags::ACK)
    };
    let message = Message::new(kind, flags)
        .raw(&fixed)
        .address(1, prefix.network().into())
        .u32(4, LOOPBACK_INDEX);
    match Netlink::open(netlink::ROUTE)?.ask(message) {
        Err(refused) if !own && Errno::from_io_error(&refused.error) == Some(Errno::SRCH) => Ok(()),
        // Nobody reaches `::1` on a host whose loopback is down.
        Err(refused) if own && Errno::from_io_error(&refused.error) == Some(Errno::NETDOWN) => {
            Ok(())
        }
        result => Ok(result.map(drop)?),
    }
}

/// A setting that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardingChange {
    /// Its name, as `sysctl` has it.
    pub name: String,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
}

/// Has the host pass packets on, for IPv4 and where wanted for IPv6; answers what was changed. IPv6 hosts that pass
/// packets on no longer listen to routers: where an interface did, it is told to go on.
pub fn enable_forwarding(v4: bool, v6: bool) -> Result<Vec<ForwardingChange>, FirewallError> {
    let mut changes = Vec::new();
    let mut put = |name: &str, value: &str| {
        let path = format!("{SETTINGS}/{name}");
        let before =
            change(&path, value).map_err(|source| FirewallError::Setting { path, source })?;
        if let Some(before) = before {
            let name = format!(
                "net.{}",
                name.replace('.', "\u{0}").replace('/', ".").replace('\u{0}', "/")
            );
            changes.push(ForwardingChange { name, before, after: value.to_owned() });
        }
        Ok::<(), FirewallError>(())
    };
    if v4 {
        put("ipv4/ip_forward", "1")?;
    }
    // A host without IPv6 has no such directory.
    if v6 && Path::new(SETTINGS).join("ipv6").is_dir() {
        for interface in listeners_to_routers() {
            match put(&format!("ipv6/conf/{interface}/accept_ra"), "2") {
                // An interface that went meanwhile.
                Err(FirewallError::Setting { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        put("ipv6/conf/all/forwarding", "1")?;
        put("ipv6/conf/default/forwarding", "1")?;
    }
    Ok(changes)
}

/// The interfaces that take addresses and routes from routers, as long as they do not pass packets on.
fn listeners_to_routers() -> Vec<String> {
    let read = |name: &str, file: &str| {
        let text = std::fs::read_to_string(format!("{SETTINGS}/ipv6/conf/{name}/{file}"));
        text.unwrap_or_default().trim().to_owned()
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(format!("{SETTINGS}/ipv6/conf")).into_iter().flatten().flatten()
    {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let listens = read(&name, "accept_ra") == "1"
            && read(&name, "forwarding") == "0"
            && read(&name, "disable_ipv6") == "0";
        if listens && !["all", "default", "lo"].contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort();
    names
}

/// A chain of the host's own firewall that drops what nobody allows, packets of containers too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blocking {
    /// `ip`, `ip6` or `inet`.
    pub family: &'static str,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
}

/// The chains of the host's own firewall that drop forwarded packets which no rule allows. We never change them: who
/// wants containers to reach others, or to be reached, allows it there. Rules of `iptables-legacy`, which nf_tables does
/// not know, are looked at too; their table is named `filter (legacy)`.
pub fn host_forward_policy() -> io::Result<Vec<Blocking>> {
    let mut netlink = Netlink::open(netlink::NETFILTER)?;
    let message = Message::new((NFTABLES << 8) | GET_CHAIN, flags::DUMP).raw(&[0; 4]);
    let answers = netlink.ask(message)?;
    let mut found: Vec<Blocking> = answers.iter().filter_map(blocking).collect();
    for (family, name) in [(Family::V4, "ip"), (Family::V6, "ip6")] {
        if xtables::forward_drops(family)? {
            let (table, chain) = ("filter (legacy)".to_owned(), "FORWARD".to_owned());
            found.push(Blocking { family: name, table, chain });
        }
    }
    found.sort();
    Ok(found)
}

fn blocking(answer: &Answer) -> Option<Blocking> {
    const FORWARD: u32 = 2;
    const DROP: u32 = 0;
    let family = match answer.body.first()? {
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => return None,
    };
    let hook = attributes(field(answer, 4)?).find(|(kind, _)| *kind == 1)?.1;
    let drops = be32(hook)? == FORWARD && be32(field(answer, 5)?)? == DROP;
    drops.then(|| Blocking {
        family,
        table: field(answer, 1).map(text).unwrap_or_default(),
        chain: field(answer, 3).map(text).unwrap_or_default(),
    })
}
