//! Pure: `-p [ADDRESS:][HOST_PORT:]CONTAINER_PORT[/PROTOCOL]`, its long form, and `--expose`, with ranges.

use super::OptError;
use std::net::IpAddr;

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Port in the container.
    pub container: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Address of the host, or empty for all.
    pub address: String,
    /// Port (or range of candidates) of the host, or empty for any free one.
    pub host: String,
}

/// The ports that one `-p` publishes.
pub fn parse(text: &str) -> Result<Vec<Published>, OptError> {
    if text.contains('=') { ports(&long(text)?) } else { ports(text) }
}

/// The long form `published=8080,target=80,protocol=tcp` as the short one.
fn long(text: &str) -> Result<String, OptError> {
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            // docker takes any other key and publishes something else than was meant.
            Some((key, _)) => {
                return Err(OptError::new(format!("invalid publish option `{key}`")).with_hint(
                    "the options are `published`, `target` and `protocol`; an address goes into the short form, `-p 127.0.0.1:8080:80`",
                ));
            }
            None => {
                return Err(OptError::new(format!(
                    "invalid publish opts format (should be name=value but got '{field}')"
                )));
            }
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

fn ports(text: &str) -> Result<Vec<Published>, OptError> {
    let (address, host, rest) = parts(text);
    let (container, protocol) = rest.split_once('/').unwrap_or((rest, "tcp"));
    if container.is_empty() {
        return Err(OptError::new(format!("no port specified: {text}<empty>")));
    }
    let protocol = protocol_of(if protocol.is_empty() { "tcp" } else { protocol })?;
    let address = address_of(address)?;
    let (first, last) = range(container)
        .filter(|(first, _)| *first > 0)
        .ok_or_else(|| OptError::new(format!("invalid containerPort: {container}")))?;
    let hosts = match host {
        "" => None,
        _ => Some(range(host).ok_or_else(|| OptError::new(format!("invalid hostPort: {host}")))?),
    };
    if let Some((from, to)) = hosts
        && to - from != last - first
        && first != last
    {
        return Err(OptError::new(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        )));
    }
    let one = |container: u16, host: String| Published {
        container,
        protocol: protocol.clone(),
        address: address.to_owned(),
        host,
    };
    Ok((first..=last)
        .map(|port| match hosts {
            None => one(port, String::new()),
            // One port inside and a range outside: any of the range will do.
            Some((from, to)) if first == last && from != to => one(port, format!("{from}-{to}")),
            Some((from, _)) => one(port, (from + (port - first)).to_string()),
        })
        .collect())
}

/// The ports that one `--expose` names, as `80/tcp`.
pub fn expose(text: &str) -> Result<Vec<String>, OptError> {
    if text.contains(':') {
        return Err(OptError::new(format!("invalid port format for --expose: {text}")));
    }
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let refuse = |why: &str| {
        OptError::new(format!("invalid range format for --expose: {text}, error: {why}"))
    };
    if ports.is_empty() {
        return Err(refuse("empty string specified for ports"));
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |text: &str| {
        port(text).ok_or_else(|| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let why = if digits { "value out of range" } else { "invalid syntax" };
            refuse(&format!("strconv.ParseUint: parsing {text:?}: {why}"))
        })
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(refuse(&format!("invalid range specified for port: {ports}")));
    }
    if first == 0 {
        return Err(refuse("port 0 cannot be exposed"));
    }
    let protocol = protocol_of(if protocol.is_empty() { "tcp" } else { protocol })?;
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn protocol_of(text: &str) -> Result<String, OptError> {
    let protocol = text.to_ascii_lowercase();
    // docker drops what follows a second slash.
    let protocol = protocol.split('/').next().unwrap_or_default();
    if ["tcp", "udp", "sctp"].contains(&protocol) {
        Ok(protocol.to_owned())
    } else {
        Err(OptError::new(format!("invalid proto: {protocol}"))
            .with_hint("the protocols are `tcp`, `udp` and `sctp`"))
    }
}

/// Address, port of the host, and the rest. An IPv6 address may stand without brackets, as its colons come first.
fn parts(text: &str) -> (&str, &str, &str) {
    let mut pieces = text.rsplitn(3, ':');
    let container = pieces.next().unwrap_or_default();
    let host = pieces.next().unwrap_or_default();
    (pieces.next().unwrap_or_default(), host, container)
}

fn address_of(text: &str) -> Result<&str, OptError> {
    let inner = match text.strip_prefix('[') {
        None => text,
        Some(rest) => rest.strip_suffix(']').ok_or_else(|| {
            OptError::new(format!(
                "invalid IP address {text}: address {text}:: missing ']' in address"
            ))
        })?,
    };
    if inner.is_empty() && text.is_empty() || inner.parse::<IpAddr>().is_ok() {
        return Ok(inner);
    }
    Err(OptError::new(format!("invalid IP address: {inner}")))
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

/// Digits only; Rust's own parser would take a plus sign.
fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::tests::check;

    #[test]
    fn ports() {
        let port = |container, protocol: &str, address: &str, host: &str| Published {
            container,
            protocol: protocol.to_owned(),
            address: address.to_owned(),
            host: host.to_owned(),
        };
        check(
            parse,
            &[
                ("80", vec![port(80, "tcp", "", "")]),
                ("80/", vec![port(80, "tcp", "", "")]),
                ("80/UDP", vec![port(80, "udp", "", "")]),
                ("80/sctp", vec![port(80, "sctp", "", "")]),
                (":80", vec![port(80, "tcp", "", "")]),
                ("8080:80", vec![port(80, "tcp", "", "8080")]),
                ("0:80", vec![port(80, "tcp", "", "0")]),
                ("127.0.0.1:8080:80/udp", vec![port(80, "udp", "127.0.0.1", "8080")]),
                ("127.0.0.1::80", vec![port(80, "tcp", "127.0.0.1", "")]),
                ("1.2.3.4:00080:080", vec![port(80, "tcp", "1.2.3.4", "80")]),
                ("[::1]:8080:80", vec![port(80, "tcp", "::1", "8080")]),
                ("[::1]::80", vec![port(80, "tcp", "::1", "")]),
                ("::1:8080:80", vec![port(80, "tcp", "::1", "8080")]),
                ("[::]:8080:80", vec![port(80, "tcp", "::", "8080")]),
                ("80-81", vec![port(80, "tcp", "", ""), port(81, "tcp", "", "")]),
                ("8000-8001:80-81", vec![port(80, "tcp", "", "8000"), port(81, "tcp", "", "8001")]),
                ("8000-8009:80", vec![port(80, "tcp", "", "8000-8009")]),
                ("::1:1-2:3-4", vec![port(3, "tcp", "::1", "1"), port(4, "tcp", "::1", "2")]),
                ("published=8080,target=80", vec![port(80, "tcp", "", "8080")]),
                ("target=80", vec![port(80, "tcp", "", "")]),
                (
                    "target=80-81,published=8000-8001,protocol=udp",
                    vec![port(80, "udp", "", "8000"), port(81, "udp", "", "8001")],
                ),
            ],
            &[
                ("", "no port specified: <empty>"),
                ("/tcp", "no port specified: /tcp<empty>"),
                ("x", "invalid containerPort: x"),
                ("x:80", "invalid hostPort: x"),
                ("127.0.0.1:80", "invalid hostPort: 127.0.0.1"),
                ("80/foo", "invalid proto: foo"),
                ("1.2.3:80:80", "invalid IP address: 1.2.3"),
                ("localhost:80:80", "invalid IP address: localhost"),
                ("::1:80", "invalid IP address: :"),
                ("1:2:3:4", "invalid IP address: 1:2"),
                ("[x]:80:80", "invalid IP address: x"),
                ("[fe80::1%eth0]:80:80", "invalid IP address: fe80::1%eth0"),
                ("[::1:80:80", "invalid IP address [::1: address [::1:: missing ']' in address"),
                ("[::1]80", "invalid IP address [: address [:: missing ']' in address"),
                ("1-3:1-2", "invalid ranges specified for container and host Ports: 1-2 and 1-3"),
                ("99999", "invalid containerPort: 99999"),
                ("65535-65537", "invalid containerPort: 65535-65537"),
                ("0", "invalid containerPort: 0"),
                ("9-1", "invalid containerPort: 9-1"),
                ("80-", "invalid containerPort: 80-"),
                ("+80", "invalid containerPort: +80"),
                (" 80", "invalid containerPort:  80"),
                ("published=80", "no port specified: 80:/tcp<empty>"),
                ("80,target=90", "invalid publish opts format (should be name=value but got '80')"),
                ("host-ip=1.2.3.4,target=80", "invalid publish option `host-ip`"),
            ],
        );
    }

    #[test]
    fn exposed() {
        check(
            expose,
            &[
                ("80", vec!["80/tcp".to_owned()]),
                ("80/", vec!["80/tcp".to_owned()]),
                ("80/UDP", vec!["80/udp".to_owned()]),
                ("1-2/udp", vec!["1/udp".to_owned(), "2/udp".to_owned()]),
            ],
            &[
                ("80:80", "invalid port format for --expose: 80:80"),
                (
                    "x",
                    "invalid range format for --expose: x, error: strconv.ParseUint: parsing \"x\": invalid syntax",
                ),
                ("5-x", "strconv.ParseUint: parsing \"x\": invalid syntax"),
                ("99999", "strconv.ParseUint: parsing \"99999\": value out of range"),
                ("3-1", "error: invalid range specified for port: 3-1"),
                (
                    "",
                    "invalid range format for --expose: , error: empty string specified for ports",
                ),
                ("/udp", "error: empty string specified for ports"),
                ("0", "port 0 cannot be exposed"),
                ("1/x", "invalid proto: x"),
            ],
        );
    }
}
