//! Pure: the words of `EXPOSE`, once expanded: a port or a range, with a protocol.

/// A word of `EXPOSE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// Each port with its protocol, as an image's configuration has it (`80/tcp`).
    pub ports: Vec<String>,
    /// Whether the protocol is written with capitals.
    pub capitals: bool,
    /// Whether it names an address or a port of the host, which docker ignores.
    pub of_host: bool,
}

/// Reads a word: `port[-port][/tcp|udp|sctp]`; what docker still takes before it (`[address:][port:]`) is checked and has no effect.
pub fn exposed(word: &str) -> Result<Exposed, String> {
    let (before, container) = word.rsplit_once(':').map_or((None, word), |(b, c)| (Some(b), c));
    let (address, host) = match before {
        None => (None, None),
        Some(before) => match before.rsplit_once(':') {
            None => (None, Some(before)),
            Some((address, host)) => (Some(address), Some(host)),
        },
    };
    let (range, protocol) = container.split_once('/').unwrap_or((container, ""));
    if range.is_empty() {
        return Err(format!("invalid port: {word:?}: no port specified"));
    }
    let lower = protocol.to_lowercase();
    let name = match lower.as_str() {
        "" => "tcp",
        "tcp" | "udp" | "sctp" => lower.as_str(),
        _ => return Err(format!("invalid port: {word:?}: invalid proto: {protocol}")),
    };
    if let Some(address) = address.filter(|address| !address.is_empty()) {
        let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        if bare.unwrap_or(address).parse::<std::net::IpAddr>().is_err() {
            return Err(format!("invalid IP address: {address}"));
        }
    }
    let (first, last) = ports(range).ok_or_else(|| format!("invalid containerPort: {range}"))?;
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        let (from, to) = ports(host).ok_or_else(|| format!("invalid hostPort: {host}"))?;
        if first != last && to - from != last - first {
            return Err(format!(
                "invalid ranges specified for container and host Ports: {range} and {host}"
            ));
        }
    }
    Ok(Exposed {
        ports: (first..=last).map(|port| format!("{port}/{name}")).collect(),
        capitals: protocol != lower,
        of_host: before.is_some_and(|before| before.chars().any(|c| c != ':')),
    })
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| text.strip_prefix('+').unwrap_or(text).parse::<u16>().ok();
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            (first <= last).then_some((first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::exposed;

    #[test]
    fn ports_ranges_and_protocols_are_read() {
        for (word, ports) in [
            ("80", vec!["80/tcp"]),
            ("80/udp", vec!["80/udp"]),
            ("80/", vec!["80/tcp"]),
            ("53/UDP", vec!["53/udp"]),
            ("80-82/sctp", vec!["80/sctp", "81/sctp", "82/sctp"]),
            ("127.0.0.1:80:8080", vec!["8080/tcp"]),
            ("[::1]:80:8080/tcp", vec!["8080/tcp"]),
            ("1000-1010:80", vec!["80/tcp"]),
            ("0", vec!["0/tcp"]),
        ] {
            assert_eq!(exposed(word).unwrap().ports, ports, "{word}");
        }
        for (word, reason) in [
            ("", "no port specified"),
            ("/tcp", "no port specified"),
            ("80/http", "invalid proto: http"),
            ("a", "invalid containerPort: a"),
            ("65536", "invalid containerPort: 65536"),
            ("9-8", "invalid containerPort: 9-8"),
            ("-1", "invalid containerPort: -1"),
            ("x:80", "invalid hostPort: x"),
            ("300.0.0.1:1:80", "invalid IP address: 300.0.0.1"),
            ("1-5:80-81", "invalid ranges specified"),
        ] {
            let error = exposed(word).unwrap_err();
            assert!(error.contains(reason), "{word}: {error}");
        }
    }

    #[test]
    fn what_has_no_effect_is_told() {
        assert!(exposed("80/TCP").unwrap().capitals);
        assert!(!exposed("80/tcp").unwrap().capitals);
        assert!(exposed("8080:80").unwrap().of_host);
        assert!(exposed("127.0.0.1::80").unwrap().of_host);
        assert!(!exposed("80").unwrap().of_host);
    }
}
