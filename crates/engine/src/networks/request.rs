//! Pure: what is asked of a new network, checked. What no driver of ours knows is refused by name.

use super::record::Driver;
use crate::model::{NetworkRequest, PoolRequest};
use ipnet::IpNet;
use naru_errdefs::{Fault, Kind};
use std::net::IpAddr;

/// Options of a bridge that are served.
pub(crate) const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
/// `true` or `false`: whether what leaves the network gets the host's address.
pub(crate) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
/// `true` or `false`: whether its containers reach each other.
pub(crate) const ICC: &str = "com.docker.network.bridge.enable_icc";
/// The address that ports without one are published on.
pub(crate) const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
/// Bytes of the largest packet.
pub(crate) const MTU: &str = "com.docker.network.driver.mtu";
/// What interfaces are called inside (`eth`).
pub(crate) const PREFIX: &str = "com.docker.network.container_iface_prefix";
/// The address that what leaves the network gets.
pub(crate) const HOST_IPV4: &str = "com.docker.network.host_ipv4";
/// Always allowed, and the default: a mark of docker's own default network.
const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
/// The interface that macvlan and ipvlan networks lie on.
pub(crate) const PARENT: &str = "parent";
/// How the interfaces of a macvlan network see each other.
pub(crate) const MACVLAN_MODE: &str = "macvlan_mode";
/// How an ipvlan network forwards.
pub(crate) const IPVLAN_MODE: &str = "ipvlan_mode";

/// A name can be longer nowhere: it is shown, and part of DNS names.
const LONGEST_NAME: usize = 128;

/// A checked subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subnet {
    /// The subnet.
    pub(crate) net: IpNet,
    /// The part of it that addresses are chosen from.
    pub(crate) range: Option<IpNet>,
    /// The gateway, if it was named.
    pub(crate) gateway: Option<IpAddr>,
    /// Names to addresses that nobody gets.
    pub(crate) auxiliary: Vec<(String, IpAddr)>,
}

/// The driver of a name.
pub(crate) fn driver(name: &str) -> Result<Driver, Fault> {
    match name {
        "" | "default" | "bridge" => Ok(Driver::Bridge),
        "macvlan" => Ok(Driver::Macvlan),
        "ipvlan" => Ok(Driver::Ipvlan),
        "host" | "null" => Err(Fault::new(
            Kind::Forbidden,
            format!("only one instance of \"{name}\" network is allowed"),
        )),
        "overlay" => Err(Fault::unsupported(
            "the network driver `overlay` is not supported: it needs a cluster",
        )
        .with_hint("use bridge, macvlan or ipvlan")),
        other => Err(Fault::not_found(format!(
            "could not find plugin {other} in v1 plugin registry: plugin \"{other}\" not found"
        ))
        .with_hint("the network drivers are bridge, macvlan and ipvlan")),
    }
}

/// Whether a network can have this name.
pub(crate) fn name(name: &str) -> Result<(), Fault> {
    if name.trim().is_empty() {
        return Err(Fault::invalid("invalid network name: name is empty"));
    }
    if name == "bridge" || name == "default" {
        return Err(Fault::new(
            Kind::Forbidden,
            format!("operation is not permitted on predefined {name} network"),
        ));
    }
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ' ');
    if !first
        || !name.chars().all(good)
        || name.ends_with(' ')
        || name.len() > LONGEST_NAME
        || name.starts_with("container:")
    {
        return Err(Fault::invalid(format!("invalid network name: {name}")).with_hint(format!(
            "a name has up to {LONGEST_NAME} letters, digits, `_`, `.`, `-` and spaces within, and begins with a letter or digit"
        )));
    }
    Ok(())
}

/// Refuses options that the driver does not know, and values that they cannot have.
pub(crate) fn options(request: &NetworkRequest, driver: Driver) -> Result<(), Fault> {
    if !matches!(request.ipam_driver.as_str(), "" | "default") {
        return Err(Fault::not_found(format!(
            "could not find plugin {0} in v1 plugin registry: plugin \"{0}\" not found",
            request.ipam_driver
        ))
        .with_hint("the only driver of addresses is `default`"));
    }
    if let Some(option) = request.ipam_options.keys().next() {
        return Err(Fault::unsupported(format!("the IPAM option `{option}` is not supported"))
            .with_hint("leave it out"));
    }
    for (option, value) in &request.options {
        option_of(driver, option, value)?;
    }
    Ok(())
}

fn option_of(driver: Driver, option: &str, value: &str) -> Result<(), Fault> {
    let bad = || Fault::invalid(format!("invalid value for option `{option}`: `{value}`"));
    match (driver, option) {
        (Driver::Bridge, BRIDGE_NAME) => {
            let good = (1..=15).contains(&value.len())
                && value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':'))
                && !matches!(value, "." | "..");
            good.then_some(()).ok_or_else(|| {
                bad().with_hint(
                    "the name of an interface has at most 15 characters without `/` and `:`",
                )
            })
        }
        (Driver::Bridge, MASQUERADE | ICC | DEFAULT_BRIDGE) => {
            boolean(value).map(drop).ok_or_else(bad)
        }
        (Driver::Bridge, HOST_BINDING | HOST_IPV4) => {
            value.parse::<IpAddr>().map(drop).map_err(|_syntax| bad())
        }
        (_, MTU) => mtu(value).map(drop).ok_or_else(bad),
        (_, PREFIX) => {
            let good = (1..=10).contains(&value.len())
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            good.then_some(()).ok_or_else(bad)
        }
        (Driver::Macvlan | Driver::Ipvlan, PARENT) => {
            (!value.is_empty()).then_some(()).ok_or_else(bad)
        }
        (Driver::Macvlan, MACVLAN_MODE) => {
            matches!(value, "bridge" | "private" | "vepa" | "passthru")
                .then_some(())
                .ok_or_else(bad)
        }
        (Driver::Ipvlan, IPVLAN_MODE) => {
            matches!(value, "l2" | "l3" | "l3s").then_some(()).ok_or_else(bad)
        }
        _ => Err(Fault::unsupported(format!(
            "the option `{option}` of network driver `{}` is not supported",
            driver.as_str()
        ))
        .with_hint("leave it out")),
    }
}

/// Docker's booleans.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A size of packets that interfaces can have.
pub(crate) fn mtu(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|mtu| (68..=65_535).contains(mtu))
}

/// The subnets that were asked for.
pub(crate) fn subnets(pools: &[PoolRequest]) -> Result<Vec<Subnet>, Fault> {
    let mut list: Vec<Subnet> = Vec::new();
    let mut faults = Vec::new();
    for pool in pools.iter().filter(|pool| **pool != PoolRequest::default()) {
        if pool.subnet.is_empty() {
            faults.push(
                "invalid subnet : a gateway, range or auxiliary address needs its subnet"
                    .to_owned(),
            );
            continue;
        }
        match subnet(pool, &mut faults) {
            Some(new) => {
                let net = &new.net;
                if list.iter().any(|old| old.net.contains(net) || net.contains(&old.net)) {
                    faults.push(format!(
                        "invalid subnet {net}: it overlaps another one of the same network"
                    ));
                }
                list.push(new);
            }
            None => continue,
        }
    }
    for four in [true, false] {
        if list.iter().filter(|subnet| subnet.net.addr().is_ipv4() == four).count() > 1 {
            let family = if four { "IPv4" } else { "IPv6" };
            faults.push(format!("bridge driver doesn't support multiple {family} subnets"));
        }
    }
    if faults.is_empty() {
        return Ok(list);
    }
    Err(Fault::invalid(format!("invalid network config:\n{}", faults.join("\n"))))
}

fn subnet(pool: &PoolRequest, faults: &mut Vec<String>) -> Option<Subnet> {
    let Ok(net) = pool.subnet.parse::<IpNet>() else {
        faults.push(format!("invalid subnet {}: invalid CIDR block notation", pool.subnet));
        return None;
    };
    if net.trunc() != net {
        faults.push(format!("invalid subnet {net}: it should be {}", net.trunc()));
    }
    let longest = if net.addr().is_ipv4() { 31 } else { 127 };
    if net.prefix_len() > longest || net.prefix_len() == 0 {
        faults.push(format!("invalid subnet {net}: no room for containers in it"));
    }
    let inside = |text: &str, what: &str, faults: &mut Vec<String>| -> Option<IpAddr> {
        match text.parse::<IpAddr>() {
            Ok(address) if net.contains(&address) => return Some(address),
            Ok(address) => faults.push(format!("invalid {what} {address}: parent subnet is {net}")),
            Err(_syntax) => faults.push(format!("invalid {what} {text}: invalid address")),
        }
        None
    };
    let gateway =
        if pool.gateway.is_empty() { None } else { inside(&pool.gateway, "gateway", faults) };
    let auxiliary = pool
        .auxiliary
        .iter()
        .filter_map(|(name, text)| Some((name.clone(), inside(text, "auxiliary address", faults)?)))
        .collect();
    let range = match pool.ip_range.as_str() {
        "" => None,
        text => match text.parse::<IpNet>() {
            Ok(range) if range.trunc() != range => {
                faults.push(format!("invalid ip-range {range}: it should be {}", range.trunc()));
                None
            }
            Ok(range) if net.contains(&range) => Some(range),
            Ok(range) => {
                faults.push(format!("invalid ip-range {range}: parent subnet is {net}"));
                None
            }
            Err(_syntax) => {
                faults.push(format!("invalid ip-range {text}: invalid CIDR block notation"));
                None
            }
        },
    };
    Some(Subnet { net, range, gateway, auxiliary })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, range: &str, gateway: &str) -> PoolRequest {
        PoolRequest {
            subnet: subnet.into(),
            ip_range: range.into(),
            gateway: gateway.into(),
            ..PoolRequest::default()
        }
    }

    #[test]
    fn subnets_are_checked_with_dockers_words() {
        let check = |pools: &[PoolRequest], want: &str| {
            let said = match subnets(pools) {
                Ok(list) => format!("{} subnets", list.len()),
                Err(fault) => {
                    fault.message().trim_start_matches("invalid network config:\n").to_owned()
                }
            };
            assert_eq!(said, want, "{pools:?}");
        };
        check(&[], "0 subnets");
        check(&[PoolRequest::default()], "0 subnets");
        check(
            &[pool("10.0.0.0/24", "10.0.0.128/25", "10.0.0.1"), pool("fd00::/64", "", "")],
            "2 subnets",
        );
        check(
            &[pool("10.0.0.1/24", "", "")],
            "invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24",
        );
        check(&[pool("10.0.0.0", "", "")], "invalid subnet 10.0.0.0: invalid CIDR block notation");
        check(
            &[pool("10.0.0.0/24", "", "10.0.1.1")],
            "invalid gateway 10.0.1.1: parent subnet is 10.0.0.0/24",
        );
        check(
            &[pool("10.0.0.0/24", "10.0.1.0/25", "")],
            "invalid ip-range 10.0.1.0/25: parent subnet is 10.0.0.0/24",
        );
        check(
            &[pool("10.0.0.0/32", "", "")],
            "invalid subnet 10.0.0.0/32: no room for containers in it",
        );
        check(
            &[pool("10.0.0.0/24", "", ""), pool("10.0.1.0/24", "", "")],
            "bridge driver doesn't support multiple IPv4 subnets",
        );
        check(
            &[pool("", "", "10.0.0.1")],
            "invalid subnet : a gateway, range or auxiliary address needs its subnet",
        );
    }

    #[test]
    fn names_with_tricks_are_refused() {
        for good in ["a", "lan-1", "my.net_2", "0", "a b"] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            "../x",
            "a/b",
            "-a",
            " a",
            "a ",
            "a\tb",
            "bridge",
            "container:x",
            &"x".repeat(129),
        ] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_of_other_drivers_are_refused_by_name() {
        for (driver, option, value, good) in [
            (Driver::Bridge, BRIDGE_NAME, "br-mine", true),
            (Driver::Bridge, BRIDGE_NAME, "a/b", false),
            (Driver::Bridge, ICC, "false", true),
            (Driver::Bridge, ICC, "maybe", false),
            (Driver::Bridge, MTU, "1400", true),
            (Driver::Bridge, MTU, "9", false),
            (Driver::Bridge, PARENT, "eth0", false),
            (Driver::Macvlan, PARENT, "eth0", true),
            (Driver::Macvlan, MACVLAN_MODE, "l2", false),
            (Driver::Ipvlan, IPVLAN_MODE, "l3", true),
        ] {
            assert_eq!(option_of(driver, option, value).is_ok(), good, "{option}={value}");
        }
    }
}
