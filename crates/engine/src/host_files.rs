//! Pure: the text of `hosts` and `resolv.conf` of a container.

use crate::model::{ContainerConfig, HostConfig};
use crate::networks::Entered;
use naru_errdefs::Fault;
use naru_network::hosts::{self, Entry};
use naru_network::resolv_conf::{
    HostDns, Nameserver, ResolvConf, Wishes, on_default_bridge, on_host_network, on_user_network,
};
use std::net::{IpAddr, Ipv4Addr};

/// Refuses what the files could not say: addresses that are none, and words that would begin another line.
pub(crate) fn check(config: &ContainerConfig, host: &HostConfig) -> Result<(), Fault> {
    for text in &host.dns {
        text.parse::<Nameserver>().map_err(|_syntax| {
            Fault::invalid(format!("IP address is not correctly formatted: {text}"))
                .with_hint("`--dns` takes the address of a name server")
        })?;
    }
    // Whether the host can be reached from inside shows when the container starts.
    let gateway = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    for text in &host.extra_hosts {
        hosts::extra(text, &gateway).map_err(|bad| Fault::invalid(bad.to_string()))?;
    }
    let breaks =
        |text: &str| text.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    for (what, text) in [("hostname", &config.hostname), ("domainname", &config.domainname)] {
        if breaks(text) {
            return Err(Fault::invalid(format!("invalid {what} {text:?}")));
        }
    }
    for (what, list) in [("DNS search domain", &host.dns_search), ("DNS option", &host.dns_options)]
    {
        if let Some(text) = list.iter().find(|text| text.is_empty() || breaks(text)) {
            return Err(Fault::invalid(format!("invalid {what} {text:?}")));
        }
    }
    Ok(())
}

/// The text of `hosts`. `own` is the host's own text for a container on its network.
pub(crate) fn hosts(
    (hostname, domainname): (&str, &str),
    host: &HostConfig,
    entered: Option<&Entered>,
    own: Option<&str>,
) -> Result<String, Fault> {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let gateways = entered.map_or(&loopback[..], |entered| entered.host_gateway.as_slice());
    let mut entries = Vec::new();
    for text in &host.extra_hosts {
        entries
            .extend(hosts::extra(text, gateways).map_err(|bad| Fault::invalid(bad.to_string()))?);
    }
    if let Some(own) = own {
        return Ok(hosts::below(own, &entries));
    }
    if let Some(entered) = entered {
        entries.extend(
            entered
                .links
                .iter()
                .map(|(address, names)| Entry { address: *address, names: names.clone() }),
        );
    }
    entries.extend(own_entries(
        hostname,
        domainname,
        entered.map(|entered| entered.addresses.as_slice()),
    ));
    Ok(hosts::text(&entries))
}

/// The lines of a container's own addresses; its loopback's when it has none.
pub(crate) fn own_entries(
    hostname: &str,
    domainname: &str,
    addresses: Option<&[IpAddr]>,
) -> Vec<Entry> {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let addresses = addresses.filter(|list| !list.is_empty()).unwrap_or(&loopback);
    addresses.iter().map(|address| Entry::own(*address, hostname, domainname)).collect()
}

/// What a container asks for in its `resolv.conf`.
pub(crate) fn wishes(host: &HostConfig) -> Wishes {
    Wishes {
        servers: host.dns.iter().filter_map(|text| text.parse().ok()).collect(),
        search: host.dns_search.clone(),
        options: host.dns_options.clone(),
    }
}

/// The text of `resolv.conf`. `own` and `dns` are what the host's files say.
pub(crate) fn resolv_conf(
    wishes: &Wishes,
    entered: Option<&Entered>,
    own: &ResolvConf,
    dns: &HostDns,
) -> String {
    match entered {
        Some(entered) if entered.resolver => on_user_network(wishes, dns),
        Some(entered) => {
            on_default_bridge(wishes, dns, entered.addresses.iter().any(IpAddr::is_ipv6))
        }
        None => on_host_network(wishes, own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_files_cannot_say_is_refused() {
        let refused = |config: ContainerConfig, host: HostConfig, says: &str| {
            let fault = check(&config, &host).unwrap_err();
            assert!(fault.message().contains(says), "{}", fault.message());
        };
        let plain = ContainerConfig::default;
        let host = |change: fn(&mut HostConfig)| {
            let mut host = HostConfig::default();
            change(&mut host);
            host
        };
        refused(
            plain(),
            host(|host| host.dns = vec!["1.2.3".into()]),
            "not correctly formatted: 1.2.3",
        );
        refused(
            plain(),
            host(|host| host.extra_hosts = vec!["x".into()]),
            "bad format for add-host",
        );
        refused(
            plain(),
            host(|host| host.dns_search = vec!["a\nb".into()]),
            "search domain \"a\\nb\"",
        );
        refused(plain(), host(|host| host.dns_options = vec!["a b".into()]), "option \"a b\"");
        let named = ContainerConfig { hostname: "a\n1.2.3.4 b".into(), ..plain() };
        refused(named, HostConfig::default(), "invalid hostname");
        let good = host(|host| {
            host.dns = vec!["127.0.0.1".into(), "fe80::1%eth0".into(), "::1".into()];
            host.dns_search = vec![".".into()];
            host.extra_hosts = vec!["a:host-gateway".into()];
        });
        assert!(check(&plain(), &good).is_ok());
    }

    #[test]
    fn hosts_name_the_container_and_its_extras() {
        let host = HostConfig {
            extra_hosts: vec!["db:10.0.0.9".into(), "six:[::5]".into(), "up:host-gateway".into()],
            ..HostConfig::default()
        };
        let text = hosts(("box", "lan"), &host, None, None).unwrap();
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"), "{text}");
        assert!(
            text.ends_with("10.0.0.9\tdb\n::5\tsix\n127.0.0.1\tup\n127.0.0.1\tbox.lan box\n"),
            "{text}"
        );
        let own = hosts(("box", ""), &host, None, Some("127.0.0.1 x")).unwrap();
        assert_eq!(own, "127.0.0.1 x\n10.0.0.9\tdb\n::5\tsix\n127.0.0.1\tup\n");
    }

    #[test]
    fn addresses_in_networks_take_the_loopbacks_place() {
        let entered = Entered {
            addresses: vec!["172.17.0.2".parse().unwrap()],
            resolver: true,
            ..Entered::default()
        };
        let text = hosts(("box", ""), &HostConfig::default(), Some(&entered), None).unwrap();
        assert!(text.ends_with("172.17.0.2\tbox\n"), "{text}");
        let (own, dns) = (ResolvConf::default(), HostDns::default());
        let text = resolv_conf(&Wishes::default(), Some(&entered), &own, &dns);
        assert!(text.contains("nameserver 127.0.0.11\n"), "{text}");
    }
}
