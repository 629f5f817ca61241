//! Pure: networks, places in them and published ports, between the wire and the engine.

use super::some;
use naru_api_types::container as api;
use naru_api_types::network as wire;
use naru_api_types::{Filters, Map};
use naru_engine as engine;
use naru_errdefs::Fault;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network to be made.
pub(crate) fn request(body: wire::NetworkCreateRequest) -> Result<engine::NetworkRequest, Fault> {
    let absent = |field: &str, instead: &str| {
        Fault::unsupported(format!("`{field}` is not supported: {instead}"))
    };
    if !matches!(body.scope.as_str(), "" | "local") {
        return Err(absent("Scope", "networks are of this host; leave it out"));
    }
    if body.ingress {
        return Err(absent("Ingress", "it belongs to clusters; leave it out"));
    }
    if body.config_only || body.config_from.is_some_and(|from| !from.network.is_empty()) {
        return Err(absent(
            "ConfigOnly/ConfigFrom",
            "write the configuration into the network itself",
        ));
    }
    let ipam = body.ipam.unwrap_or_default();
    Ok(engine::NetworkRequest {
        name: body.name,
        driver: body.driver,
        enable_ipv4: body.enable_ipv4,
        enable_ipv6: body.enable_ipv6,
        ipam_driver: ipam.driver,
        ipam_options: ipam.options.unwrap_or_default(),
        ipam: ipam
            .config
            .into_iter()
            .map(|pool| engine::PoolRequest {
                subnet: pool.subnet,
                ip_range: pool.ip_range,
                gateway: pool.gateway,
                auxiliary: pool.auxiliary_addresses,
            })
            .collect(),
        internal: body.internal,
        attachable: body.attachable,
        options: body.options.unwrap_or_default(),
        labels: body.labels.unwrap_or_default(),
    })
}

/// A network as it is shown.
pub(crate) fn network(view: engine::NetworkView) -> wire::Network {
    wire::Network {
        name: view.name,
        id: view.id,
        created: view.created.to_string(),
        scope: "local".to_owned(),
        driver: view.driver,
        enable_ipv4: view.ipv4,
        enable_ipv6: view.ipv6,
        ipam: wire::Ipam {
            driver: "default".to_owned(),
            options: Some(view.ipam_options).filter(|options| !options.is_empty()),
            config: view
                .ipam
                .into_iter()
                .map(|pool| wire::IpamPool {
                    subnet: pool.subnet,
                    ip_range: pool.ip_range,
                    gateway: pool.gateway,
                    auxiliary_addresses: pool.auxiliary,
                })
                .collect(),
        },
        internal: view.internal,
        attachable: view.attachable,
        ingress: false,
        config_from: wire::ConfigFrom::default(),
        config_only: false,
        containers: view
            .containers
            .into_iter()
            .map(|(id, member)| {
                let member = wire::NetworkContainer {
                    name: member.name,
                    endpoint_id: member.endpoint_id,
                    mac_address: member.mac,
                    ipv4_address: member.ipv4,
                    ipv6_address: member.ipv6,
                };
                (id, member)
            })
            .collect(),
        options: view.options,
        labels: view.labels,
    }
}

/// What lists and prunes are limited to.
pub(crate) fn filter(filters: &Filters) -> Result<engine::NetworkFilter, Fault> {
    let all = |key: &str| filters.get(key).map(str::to_owned).collect::<Vec<_>>();
    for scope in filters.get("scope").filter(|scope| *scope != "local") {
        if !matches!(scope, "swarm" | "global") {
            return Err(Fault::invalid(format!("invalid filter 'scope={scope}'")));
        }
    }
    let kind = match filters.get("type").next() {
        None => None,
        Some("builtin") => Some(true),
        Some("custom") => Some(false),
        Some(other) => return Err(Fault::invalid(format!("invalid filter: 'type'='{other}'"))),
    };
    let until = match filters.get("until").next() {
        None => None,
        Some(text) => super::filter::until(text, engine::Timestamp::now())?,
    };
    Ok(engine::NetworkFilter {
        name: all("name"),
        id: all("id"),
        driver: all("driver"),
        scope: all("scope"),
        label: all("label"),
        label_not: all("label!"),
        dangling: filters.flag("dangling")?,
        builtin: kind,
        until,
    })
}

/// What a container asks of a network.
pub(crate) fn endpoint(settings: api::EndpointSettings) -> Result<engine::EndpointRequest, Fault> {
    let ipam = settings.ipam_config.unwrap_or_default();
    let bad = |text: &str| Fault::invalid(format!("invalid IP address: {text}"));
    let ipv4 = match ipam.ipv4_address.as_str() {
        "" => None,
        text => Some(text.parse::<Ipv4Addr>().map_err(|_syntax| bad(text))?),
    };
    let ipv6 = match ipam.ipv6_address.as_str() {
        "" => None,
        text => Some(text.parse::<Ipv6Addr>().map_err(|_syntax| bad(text))?),
    };
    let link_local = ipam
        .link_local_ips
        .iter()
        .map(|text| text.parse::<IpAddr>().map_err(|_syntax| bad(text)))
        .collect::<Result<_, _>>()?;
    Ok(engine::EndpointRequest {
        ipv4,
        ipv6,
        link_local,
        mac: settings.mac_address,
        aliases: settings.aliases.unwrap_or_default(),
        links: settings.links.unwrap_or_default(),
        driver_opts: settings.driver_opts.unwrap_or_default(),
        gw_priority: settings.gw_priority,
    })
}

/// A container's place as it is shown.
pub(crate) fn place(view: engine::EndpointView) -> api::EndpointSettings {
    let text = |address: Option<String>| address.unwrap_or_default();
    let request = view.request;
    let fixed = request.ipv4.is_some() || request.ipv6.is_some() || !request.link_local.is_empty();
    api::EndpointSettings {
        ipam_config: fixed.then(|| api::EndpointIpam {
            ipv4_address: text(request.ipv4.map(|ip| ip.to_string())),
            ipv6_address: text(request.ipv6.map(|ip| ip.to_string())),
            link_local_ips: request.link_local.iter().map(IpAddr::to_string).collect(),
        }),
        links: some(request.links),
        aliases: some(request.aliases),
        mac_address: view.mac,
        driver_opts: Some(request.driver_opts).filter(|options| !options.is_empty()),
        gw_priority: request.gw_priority,
        network_id: view.network_id,
        endpoint_id: view.endpoint_id,
        gateway: text(view.gateway4.map(|ip| ip.to_string())),
        ip_address: text(view.ipv4.map(|(ip, _)| ip.to_string())),
        ip_prefix_len: view.ipv4.map_or(0, |(_, length)| i64::from(length)),
        ipv6_gateway: text(view.gateway6.map(|ip| ip.to_string())),
        global_ipv6_address: text(view.ipv6.map(|(ip, _)| ip.to_string())),
        global_ipv6_prefix_len: view.ipv6.map_or(0, |(_, length)| i64::from(length)),
        dns_names: some(view.dns_names),
    }
}

/// The ports of a container that is up: those that are published, and those that are only exposed.
pub(crate) fn ports<'a>(
    exposed: impl Iterator<Item = &'a String>,
    published: &[engine::PublishedPort],
) -> Map<Option<Vec<api::PortBinding>>> {
    let mut map: Map<Option<Vec<api::PortBinding>>> =
        exposed.map(|port| (port.clone(), None)).collect();
    for port in published {
        map.entry(format!("{}/{}", port.container_port, port.protocol))
            .or_default()
            .get_or_insert_with(Vec::new)
            .push(api::PortBinding {
                host_ip: port.host_ip.to_string(),
                host_port: port.host_port.to_string(),
            });
    }
    map
}

/// The same for a row of a list.
pub(crate) fn listed<'a>(
    exposed: impl Iterator<Item = &'a String>,
    published: &[engine::PublishedPort],
) -> Vec<api::Port> {
    let mut list: Vec<api::Port> = published
        .iter()
        .map(|port| api::Port {
            ip: port.host_ip.to_string(),
            private_port: port.container_port,
            public_port: Some(port.host_port),
            r#type: port.protocol.clone(),
        })
        .collect();
    for text in exposed {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let Ok(number) = number.parse() else { continue };
        if !list.iter().any(|port| port.private_port == number && port.r#type == protocol) {
            list.push(api::Port {
                private_port: number,
                r#type: protocol.to_owned(),
                ..api::Port::default()
            });
        }
    }
    list
}

/// The bindings that a container asked for, as they are shown.
pub(crate) fn bindings(
    asked: BTreeMap<String, Vec<engine::PortBinding>>,
) -> Map<Option<Vec<api::PortBinding>>> {
    let binding = |binding: engine::PortBinding| api::PortBinding {
        host_ip: binding.host_ip,
        host_port: binding.host_port,
    };
    asked
        .into_iter()
        .map(|(port, list)| (port, Some(list.into_iter().map(binding).collect())))
        .collect()
}
