//! Pure: `-p [ADDRESS:][HOST_PORT:]CONTAINER_PORT[/PROTOCOL]` and `--expose`, with ranges.

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
    let (rest, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol_of(protocol)?;
    let (address, host, container) = parts(rest, text)?;
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(OptError::new(format!("invalid IP address: {address}")));
    }
    if container.is_empty() {
        return Err(OptError::new(format!("no port specified: {text}<empty>")));
    }
    let (first, last) = range(container)
        .ok_or_else(|| OptError::new(format!("invalid containerPort: {container}")))?;
    let hosts = if host.is_empty() {
        None
    } else {
        Some(range(host).ok_or_else(|| OptError::new(format!("invalid hostPort: {host}")))?)
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
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol_of(protocol)?;
    if ports.contains(':') {
        return Err(OptError::new(format!("invalid port format for --expose: {text}")));
    }
    let (first, last) = range(ports)
        .ok_or_else(|| OptError::new(format!("invalid range format for --expose: {text}")))?;
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn protocol_of(text: &str) -> Result<String, OptError> {
    let protocol = text.to_ascii_lowercase();
    if ["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        Ok(protocol)
    } else {
        Err(OptError::new(format!("invalid proto: {text}"))
            .with_hint("the protocols are `tcp`, `udp` and `sctp`"))
    }
}

fn parts<'a>(rest: &'a str, text: &str) -> Result<(&'a str, &'a str, &'a str), OptError> {
    if let Some(inner) = rest.strip_prefix('[') {
        let refuse = || OptError::new(format!("invalid IP address: {text}"));
        let (address, ports) = inner.split_once("]:").ok_or_else(refuse)?;
        let (host, container) = ports.split_once(':').unwrap_or(("", ports));
        return Ok((address, host, container));
    }
    let pieces: Vec<&str> = rest.split(':').collect();
    match pieces.as_slice() {
        [container] => Ok(("", "", container)),
        [host, container] => Ok(("", host, container)),
        [address, host, container] => Ok((address, host, container)),
        _ => Err(OptError::new(format!("invalid publish specification: {text}"))
            .with_hint("write an IPv6 address in brackets, as in `[::1]:8080:80`")),
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first > 0 && first <= last).then_some((first, last))
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
                ("8080:80", vec![port(80, "tcp", "", "8080")]),
                ("127.0.0.1:8080:80/udp", vec![port(80, "udp", "127.0.0.1", "8080")]),
                ("127.0.0.1::80", vec![port(80, "tcp", "127.0.0.1", "")]),
                ("[::1]:8080:80", vec![port(80, "tcp", "::1", "8080")]),
                ("8000-8001:80-81", vec![port(80, "tcp", "", "8000"), port(81, "tcp", "", "8001")]),
                ("8000-8009:80", vec![port(80, "tcp", "", "8000-8009")]),
            ],
            &[
                ("", "no port specified"),
                ("x", "invalid containerPort: x"),
                ("x:80", "invalid hostPort: x"),
                ("80/foo", "invalid proto: foo"),
                ("1.2.3:80:80", "invalid IP address: 1.2.3"),
                ("1-3:1-2", "invalid ranges"),
                ("::1:80:80", "invalid publish specification"),
                ("99999", "invalid containerPort"),
                ("0", "invalid containerPort"),
                ("9-1", "invalid containerPort"),
            ],
        );
        check(
            expose,
            &[
                ("80", vec!["80/tcp".to_owned()]),
                ("1-2/udp", vec!["1/udp".to_owned(), "2/udp".to_owned()]),
            ],
            &[("80:80", "invalid port format"), ("x", "invalid range"), ("1/x", "invalid proto")],
        );
    }
}
