//! Pure: the PORTS column of `ps`: neighbouring ports that keep their number are drawn together
//! (`0.0.0.0:3000-3002->3000-3002/tcp`), the others stand alone after them.

use naru_api_types::container::Port;
use std::fmt::Write;

/// Ports of one address and protocol, from the first to the last.
struct Group<'a> {
    address: &'a str,
    protocol: &'a str,
    first: u16,
    last: u16,
}

impl Group<'_> {
    fn shown(&self) -> String {
        let mut range = self.first.to_string();
        if self.first != self.last {
            // Writing to a string does not fail.
            write!(range, "-{}", self.last).ok();
        }
        if self.address.is_empty() {
            format!("{range}/{}", self.protocol)
        } else {
            format!("{}->{range}/{}", at(self.address, &range), self.protocol)
        }
    }
}

/// `ADDRESS:PORT`, with brackets around an address that has colons of its own.
pub(super) fn at(address: &str, port: &str) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// The column.
pub(super) fn column(ports: &[Port]) -> String {
    let mut ports: Vec<&Port> = ports.iter().collect();
    ports.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut open: Vec<Group<'_>> = Vec::new();
    let mut shown = Vec::new();
    let mut moved = Vec::new();
    for port in ports {
        let inside = port.private_port;
        let outside = port.public_port.unwrap_or(0);
        if !port.ip.is_empty() && outside != inside {
            let place = at(&port.ip, &outside.to_string());
            moved.push(format!("{place}->{inside}/{}", port.r#type));
            continue;
        }
        let fresh =
            Group { address: &port.ip, protocol: &port.r#type, first: inside, last: inside };
        let same = |group: &&mut Group<'_>| {
            group.address == fresh.address && group.protocol == fresh.protocol
        };
        match open.iter_mut().find(same) {
            None => open.push(fresh),
            Some(group) if group.last.checked_add(1) == Some(inside) => group.last = inside,
            Some(group) => {
                shown.push(group.shown());
                *group = fresh;
            }
        }
    }
    shown.extend(open.iter().map(Group::shown));
    shown.extend(moved);
    shown.join(", ")
}

fn key(port: &Port) -> (u16, &str, Option<u16>, &str) {
    (port.private_port, &port.ip, port.public_port, &port.r#type)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ADDRESS PUBLIC PRIVATE TYPE`; `-` for no address.
    fn check(lines: &[&str], expected: &str) {
        let ports: Vec<Port> = lines
            .iter()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let public: u16 = words[1].parse().unwrap();
                Port {
                    ip: if words[0] == "-" { String::new() } else { words[0].to_owned() },
                    private_port: words[2].parse().unwrap(),
                    public_port: (public > 0).then_some(public),
                    r#type: words[3].to_owned(),
                }
            })
            .collect();
        assert_eq!(column(&ports), expected, "{lines:?}");
    }

    /// What docker's client (28) printed for the same answers.
    #[test]
    fn ports_are_grouped_as_in_docker() {
        check(&[], "");
        check(&["- 0 80 tcp"], "80/tcp");
        check(&["0.0.0.0 8080 80 tcp"], "0.0.0.0:8080->80/tcp");
        check(
            &["0.0.0.0 8080 80 tcp", ":: 8080 80 tcp"],
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
        );
        check(
            &[
                ":: 8080 80 tcp",
                "0.0.0.0 8080 80 tcp",
                "0.0.0.0 3002 3002 tcp",
                "0.0.0.0 3001 3001 tcp",
                ":: 3001 3001 tcp",
                ":: 3002 3002 tcp",
                "0.0.0.0 3004 3004 tcp",
                "- 0 53 udp",
                "- 0 54 udp",
                "- 0 55 tcp",
                "- 0 443 tcp",
                "127.0.0.1 5353 53 tcp",
            ],
            "55/tcp, 0.0.0.0:3001-3002->3001-3002/tcp, 53-54/udp, 443/tcp, 0.0.0.0:3004->3004/tcp, \
             [::]:3001-3002->3001-3002/tcp, 127.0.0.1:5353->53/tcp, 0.0.0.0:8080->80/tcp, \
             [::]:8080->80/tcp",
        );
        check(&["0.0.0.0 65535 65535 tcp", "- 0 1 tcp"], "1/tcp, 0.0.0.0:65535->65535/tcp");
    }
}
