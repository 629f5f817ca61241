//! Acts: `port`.

use super::ports::at;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::natural;
use naru_api_types::Map;
use naru_api_types::container::PortBinding;
use naru_errdefs::Fault;

type Ports = Map<Option<Vec<PortBinding>>>;

pub(super) fn port(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let (container, wanted) = (flags.arg(0), flags.arg(1));
    let inspected = app.talk(async |client| Ok(client.inspect_container(container).await?))?;
    let lines = match wanted {
        "" => all(&inspected.network_settings.ports),
        _ => one(&inspected.network_settings.ports, wanted, container)?,
    };
    for line in lines {
        printer::out(&format!("{line}\n"))?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// Pure: every published port with the places where it is published.
fn all(ports: &Ports) -> Vec<String> {
    let mut lines: Vec<String> = ports
        .iter()
        .flat_map(|(port, bindings)| {
            bindings.iter().flatten().map(move |binding| {
                format!("{port} -> {}", at(&binding.host_ip, &binding.host_port))
            })
        })
        .collect();
    lines.sort_by(|a, b| natural::compare(a, b));
    lines
}

/// Pure: the places where one port is published.
fn one(ports: &Ports, wanted: &str, container: &str) -> Result<Vec<String>, Fault> {
    let (number, protocol) = wanted.split_once('/').unwrap_or((wanted, ""));
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty();
    if !digits || number.parse::<u16>().is_err() {
        let why = if digits { "value out of range" } else { "invalid syntax" };
        return Err(Fault::invalid(format!(
            "Error: invalid port ({number}): strconv.ParseUint: parsing {number:?}: {why}"
        )));
    }
    let bindings = ports.get(&format!("{number}/{protocol}")).and_then(Option::as_deref);
    let mut lines: Vec<String> = bindings
        .unwrap_or_default()
        .iter()
        .map(|binding| at(&binding.host_ip, &binding.host_port))
        .collect();
    if lines.is_empty() {
        return Err(Fault::not_found(format!(
            "Error: No public port '{wanted}' published for {container}"
        )));
    }
    lines.sort_by(|a, b| natural::compare(a, b));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ports() -> Ports {
        serde_json::from_value(json!({
            "80/tcp": [{"HostIp": "::", "HostPort": "8080"}, {"HostIp": "0.0.0.0", "HostPort": "8080"}],
            "443/tcp": null,
            "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "5353"}],
            "8000/tcp": [{"HostIp": "", "HostPort": "9"}],
            "100/tcp": [{"HostIp": "0.0.0.0", "HostPort": "10000"}, {"HostIp": "0.0.0.0", "HostPort": "900"}],
        }))
        .unwrap()
    }

    #[test]
    fn all_ports_in_the_order_of_people() {
        assert_eq!(
            all(&ports()),
            [
                "53/udp -> 127.0.0.1:5353",
                "80/tcp -> 0.0.0.0:8080",
                "80/tcp -> [::]:8080",
                "100/tcp -> 0.0.0.0:900",
                "100/tcp -> 0.0.0.0:10000",
                "8000/tcp -> :9",
            ]
        );
        assert!(all(&Ports::new()).is_empty());
    }

    #[test]
    fn one_port() {
        let found = |wanted| one(&ports(), wanted, "c").map_err(|fault| fault.message().to_owned());
        assert_eq!(found("80").unwrap(), ["0.0.0.0:8080", "[::]:8080"]);
        assert_eq!(found("80/tcp").unwrap(), ["0.0.0.0:8080", "[::]:8080"]);
        assert_eq!(found("53/udp").unwrap(), ["127.0.0.1:5353"]);
        assert_eq!(found("8000").unwrap(), [":9"]);
        for (wanted, message) in [
            ("80/udp", "Error: No public port '80/udp' published for c"),
            ("443", "Error: No public port '443' published for c"),
            ("x", "Error: invalid port (x): strconv.ParseUint: parsing \"x\": invalid syntax"),
            (
                "99999",
                "Error: invalid port (99999): strconv.ParseUint: parsing \"99999\": value out of range",
            ),
            (
                "+80",
                "Error: invalid port (+80): strconv.ParseUint: parsing \"+80\": invalid syntax",
            ),
        ] {
            assert_eq!(found(wanted).unwrap_err(), message);
        }
    }
}
