//! Pure: what a container may ask of its place in a network, checked.

use super::is_predefined;
use crate::model::EndpointRequest;
use naru_errdefs::Fault;
use naru_network::ipam::Mac;
use std::net::IpAddr;

/// What the interface is called inside.
pub(crate) const IFNAME: &str = "com.docker.network.endpoint.ifname";
/// Kernel settings of the interface.
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Whether a network of this name can give it.
pub(crate) fn check(network: &str, request: &EndpointRequest) -> Result<(), Fault> {
    if let Some(ip) = request.link_local.iter().find(|ip| !is_link_local(ip)) {
        return Err(Fault::invalid(format!("invalid link local IP address: {ip}"))
            .with_hint("link-local addresses are those of 169.254.0.0/16 and fe80::/64"));
    }
    if request.driver_opts.contains_key(SYSCTLS) {
        return Err(Fault::unsupported(format!(
            "the endpoint option `{SYSCTLS}` is not supported"
        ))
        .with_hint("name the settings with `--sysctl`"));
    }
    if let Some(name) = request.driver_opts.get(IFNAME)
        && !is_interface_name(name)
    {
        return Err(Fault::invalid(format!("invalid value for option `{IFNAME}`: `{name}`"))
            .with_hint("the name of an interface has at most 15 characters without `/` and `:`"));
    }
    if !request.mac.is_empty() {
        mac(&request.mac)?;
    }
    if !is_predefined(network) {
        return Ok(());
    }
    if !request.aliases.is_empty() {
        return Err(Fault::invalid(
            "network-scoped aliases are only supported for user-defined networks",
        ));
    }
    if request.ipv4.is_some() || request.ipv6.is_some() {
        return Err(Fault::invalid(
            "user specified IP address is supported on user defined networks only",
        ));
    }
    Ok(())
}

/// Options that were given and mean nothing to any driver of ours. They are kept and shown: others may read them.
pub(crate) fn meaningless(request: &EndpointRequest) -> impl Iterator<Item = &str> {
    request.driver_opts.keys().map(String::as_str).filter(|option| *option != IFNAME)
}

/// Gives the place in the first network the container's own hardware address.
pub(crate) fn fix_mac(request: &mut EndpointRequest, own: &str) -> Result<(), Fault> {
    if own.is_empty() {
        return Ok(());
    }
    let own_mac = mac(own)?;
    if request.mac.is_empty() {
        own.clone_into(&mut request.mac);
    }
    if mac(&request.mac)? != own_mac {
        return Err(Fault::invalid(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
        ));
    }
    Ok(())
}

fn mac(text: &str) -> Result<Mac, Fault> {
    text.parse().map_err(|_syntax| Fault::invalid(format!("invalid MAC address: {text}")))
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%'))
        && !matches!(name, "." | ".." | "lo" | "all" | "default")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_place_can_be_is_checked() {
        let with = |option: &str, value: &str| EndpointRequest {
            driver_opts: [(option.to_owned(), value.to_owned())].into(),
            ..EndpointRequest::default()
        };
        let link = |text: &str| EndpointRequest {
            link_local: vec![text.parse().unwrap()],
            ..EndpointRequest::default()
        };
        for (request, want) in [
            (EndpointRequest::default(), ""),
            (link("169.254.8.8"), ""),
            (link("fe80::8"), ""),
            (link("10.0.0.1"), "invalid link local IP address: 10.0.0.1"),
            (link("::1"), "invalid link local IP address: ::1"),
            (with("com.example.any", "on"), ""),
            (with(IFNAME, "lan0"), ""),
            (
                with(IFNAME, "../x"),
                "invalid value for option `com.docker.network.endpoint.ifname`: `../x`",
            ),
            (
                with(IFNAME, "lo"),
                "invalid value for option `com.docker.network.endpoint.ifname`: `lo`",
            ),
            (
                with(SYSCTLS, "x=1"),
                "the endpoint option `com.docker.network.endpoint.sysctls` is not supported",
            ),
            (
                EndpointRequest { mac: "02:42".into(), ..EndpointRequest::default() },
                "invalid MAC address: 02:42",
            ),
        ] {
            let said = check("lan", &request).err();
            assert_eq!(said.as_ref().map_or("", Fault::message), want, "{request:?}");
        }
        assert_eq!(meaningless(&with("a", "b")).collect::<Vec<_>>(), ["a"]);
        assert_eq!(meaningless(&with(IFNAME, "lan0")).count(), 0);
    }

    #[test]
    fn one_hardware_address_is_meant() {
        for (place, own, want) in [
            ("", "", Some("")),
            ("", "02:42:ac:11:00:02", Some("02:42:ac:11:00:02")),
            ("02:42:AC:11:00:02", "02:42:ac:11:00:02", Some("02:42:AC:11:00:02")),
            ("02:42:ac:11:00:03", "02:42:ac:11:00:02", None),
            ("", "nonsense", None),
        ] {
            let mut request = EndpointRequest { mac: place.into(), ..EndpointRequest::default() };
            let done = fix_mac(&mut request, own).ok().map(|()| request.mac.as_str());
            assert_eq!(done, want, "{place} {own}");
        }
    }
}
