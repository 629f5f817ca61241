//! Pure: what is taken of a request but served differently from what one may expect.

use crate::model::{ContainerConfig, EndpointRequest, HostConfig};
use crate::networks::{endpoint, ports};
use crate::spec::modes::{self, Network};
use crate::supervisor::Supervisor;
use naru_errdefs::Fault;
use std::collections::BTreeMap;

/// How many ports a warning names.
const NAMED: usize = 4;

/// What the user is told who makes such a container.
pub(super) fn of(
    inner: &Supervisor,
    config: &ContainerConfig,
    host: &HostConfig,
    networks: &BTreeMap<String, EndpointRequest>,
) -> Result<Vec<String>, Fault> {
    let mut list = Vec::new();
    let published = host.publish_all_ports || !host.port_bindings.is_empty();
    match modes::network(&host.network_mode)? {
        Network::Host if published => {
            list.push("Published ports are discarded when using host network mode".to_owned());
        }
        Network::None if published => {
            list.push("Published ports are discarded when the container has no network".to_owned());
        }
        Network::Host | Network::None | Network::Container(_) | Network::Networks(_) => {}
    }
    let wanted = ports::wanted(config, host)?;
    list.extend(open(&inner.networks.open_to_all(&host.network_mode, networks, &wanted)));
    for (network, request) in networks {
        list.extend(endpoint::meaningless(request).map(|option| {
            format!(
                "The option `{option}` of the place in network `{network}` has no meaning here: it is kept, and does nothing."
            )
        }));
    }
    list.extend(crate::health::never_run(config));
    if modes::ipc(&host.ipc_mode)? == modes::Sharing::Shareable {
        list.push(
            "The size of shared memory is not limited in the IPC mode `shareable`.".to_owned(),
        );
    }
    if host.resources.oom_kill_disable == Some(true) && host.resources.memory == 0 {
        list.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.".to_owned(),
        );
    }
    Ok(list)
}

/// What is said of ports that everybody who reaches the host reaches.
fn open(ports: &[&ports::Wanted]) -> Option<String> {
    let first = ports.first()?;
    let names: Vec<String> = ports
        .iter()
        .take(NAMED)
        .map(|port| format!("{}/{}", port.container_port, port.protocol))
        .collect();
    let names = names.join(", ");
    let subject = match ports.len() {
        1 => format!("Port {names} is"),
        few if few <= NAMED => format!("Ports {names} are"),
        many => format!("Ports {names} and {} more are", many - NAMED),
    };
    let host = first.ports.as_ref().map(|ports| ports.start().to_string()).unwrap_or_default();
    Some(format!(
        "{subject} published on every address of the host, for everybody who can reach it: name an address (-p 127.0.0.1:{host}:{}) or limit sources with the daemon's --publish-source",
        first.container_port
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_to_all_is_said_in_one_sentence() {
        let port = |number: u16, host: Option<u16>| ports::Wanted {
            container_port: number,
            protocol: "tcp".to_owned(),
            address: None,
            ports: host.map(|host| host..=host),
        };
        let check = |wanted: &[ports::Wanted], want: &str| {
            let said = open(&wanted.iter().collect::<Vec<_>>()).unwrap_or_default();
            let said = said.replace(
                " published on every address of the host, for everybody who can reach it:",
                "",
            );
            let said = said.replace(" or limit sources with the daemon's --publish-source", "");
            assert_eq!(said, want);
        };
        check(&[], "");
        check(&[port(80, Some(8080))], "Port 80/tcp is name an address (-p 127.0.0.1:8080:80)");
        check(
            &[port(80, None), port(81, None)],
            "Ports 80/tcp, 81/tcp are name an address (-p 127.0.0.1::80)",
        );
        let many: Vec<_> = (1..=9).map(|number| port(number, None)).collect();
        check(
            &many,
            "Ports 1/tcp, 2/tcp, 3/tcp, 4/tcp and 5 more are name an address (-p 127.0.0.1::1)",
        );
    }
}
