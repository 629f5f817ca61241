//! Pure: the flags of `run` and `create` that are about networks, as the request has them.

use super::request::{opt, refuse, some_map, some_vec};
use crate::exit::Failed;
use crate::flags::Flags;
use crate::opts::network::{self, Attachment};
use crate::opts::publish::{self, Published};
use naru_api_types::container::{EndpointIpam, EndpointSettings, NetworkingConfig, PortBinding};
use naru_api_types::{Empty, Map};

/// The networks that are asked for.
pub(crate) struct Networks {
    /// The mode: the first network.
    pub mode: String,
    /// What is wanted in each.
    pub config: NetworkingConfig,
    /// Links, as the default network has them.
    pub links: Option<Vec<String>>,
}

/// Reads the networks.
pub(crate) fn networks(flags: &Flags) -> Result<Networks, Failed> {
    let mut attachments = flags.parsed_among(&["network", "net"], network::attachment)?;
    let links = flags.parsed_list("link", network::link)?;
    if attachments.is_empty() {
        let network = "default".to_owned();
        attachments.push(Attachment { network, ..Attachment::default() });
    }
    let alone = attachments.len() == 1;
    let mode = attachments.first().map(|first| first.network.clone()).unwrap_or_default();
    let mut endpoints = Map::new();
    let (mut made, mut built_in) = (false, false);
    for (at, mut attachment) in attachments.into_iter().enumerate() {
        let user_defined = network::is_user_defined(&attachment.network);
        made |= user_defined;
        built_in |= !user_defined;
        if at == 0 {
            apply_flags(&mut attachment, flags, &links)?;
        }
        let network = attachment.network.clone();
        let endpoint = endpoint(attachment, user_defined)?;
        if alone && endpoint == EndpointSettings::default() {
            continue;
        }
        if endpoints.insert(network.clone(), Some(endpoint)).is_some() {
            return Err(refuse(format!("network {network:?} is specified multiple times")));
        }
    }
    if made && built_in {
        return Err(refuse(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ));
    }
    let config = NetworkingConfig { endpoints_config: some_map(endpoints) };
    Ok(Networks { mode, config, links: some_vec(links) })
}

/// The flags without a network's name are about the first network.
fn apply_flags(attachment: &mut Attachment, flags: &Flags, links: &[String]) -> Result<(), Failed> {
    let both = |flag: &str, what: &str| {
        refuse(format!("conflicting options: cannot specify both --{flag} and per-network {what}"))
    };
    let aliases =
        flags.parsed_among(&["network-alias", "net-alias"], |alias| Ok(alias.to_owned()))?;
    if !aliases.is_empty() {
        if !attachment.aliases.is_empty() {
            return Err(both("network-alias", "alias"));
        }
        attachment.aliases = aliases;
    }
    let one = |slot: &mut String, flag: &str, what: &str| {
        let Some(value) = flags.text(flag).filter(|value| !value.is_empty()) else {
            return Ok(());
        };
        if !slot.is_empty() {
            return Err(both(flag, what));
        }
        value.clone_into(slot);
        Ok(())
    };
    one(&mut attachment.ipv4, "ip", "IPv4 address")?;
    one(&mut attachment.ipv6, "ip6", "IPv6 address")?;
    one(&mut attachment.mac, "mac-address", "MAC address")?;
    let link_local: Vec<String> = flags.list("link-local-ip").map(str::to_owned).collect();
    if !link_local.is_empty() {
        if !attachment.link_local.is_empty() {
            return Err(both("link-local-ip", "link-local IP addresses"));
        }
        attachment.link_local = link_local;
    }
    // The default network knows links by the list in `HostConfig` only.
    if network::is_user_defined(&attachment.network) {
        attachment.links = links.to_vec();
    }
    Ok(())
}

fn endpoint(attachment: Attachment, user_defined: bool) -> Result<EndpointSettings, Failed> {
    if attachment.network.trim().is_empty() {
        return Err(refuse("no name set for network"));
    }
    if !user_defined && !attachment.aliases.is_empty() {
        return Err(refuse("network-scoped aliases are only supported for user-defined networks"));
    }
    if !attachment.mac.is_empty() {
        network::mac(&attachment.mac).map_err(opt)?;
    }
    let ipam = EndpointIpam {
        ipv4_address: attachment.ipv4,
        ipv6_address: attachment.ipv6,
        link_local_ips: attachment.link_local,
    };
    Ok(EndpointSettings {
        ipam_config: (ipam != EndpointIpam::default()).then_some(ipam),
        links: some_vec(attachment.links),
        aliases: some_vec(attachment.aliases),
        mac_address: attachment.mac,
        driver_opts: some_map(attachment.driver_opts.into_iter().collect()),
        gw_priority: attachment.gateway_priority,
        ..EndpointSettings::default()
    })
}

/// The ports that are exposed and those that are published.
#[derive(Default)]
pub(crate) struct Ports {
    /// Exposed, `80/tcp`.
    pub exposed: Map<Empty>,
    /// Published.
    pub bindings: Map<Option<Vec<PortBinding>>>,
}

/// Reads the ports. Errors name the port and not the flag, as docker's do.
pub(crate) fn ports(flags: &Flags) -> Result<Ports, Failed> {
    let mut ports = Ports::default();
    for text in flags.list("publish") {
        for Published { container, protocol, address, host } in publish::parse(text).map_err(opt)? {
            let key = format!("{container}/{protocol}");
            let binding = PortBinding { host_ip: address, host_port: host };
            ports.bindings.entry(key.clone()).or_default().get_or_insert_default().push(binding);
            ports.exposed.insert(key, Empty);
        }
    }
    for text in flags.list("expose") {
        ports
            .exposed
            .extend(publish::expose(text).map_err(opt)?.into_iter().map(|port| (port, Empty)));
    }
    Ok(ports)
}
