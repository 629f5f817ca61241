//! Pure: the text of `hostname`, `hosts` and `resolv.conf` of a container.

use crate::model::HostConfig;

/// The text of `hosts` for a container with a loopback device only.
pub(crate) fn hosts(hostname: &str, domainname: &str, host: &HostConfig) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    let name = if domainname.is_empty() {
        hostname.to_owned()
    } else {
        format!("{hostname}.{domainname} {hostname}")
    };
    text.push_str(&format!("127.0.0.1\t{name}\n"));
    push_extra(&mut text, host);
    text
}

/// The text of `hosts` for a container on the host's network.
pub(crate) fn hosts_of_host(own: &str, host: &HostConfig) -> String {
    let mut text = own.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    push_extra(&mut text, host);
    text
}

fn push_extra(text: &mut String, host: &HostConfig) {
    for entry in &host.extra_hosts {
        if let Some((name, address)) = entry.split_once([':', '=']) {
            let address = match address {
                "host-gateway" => "127.0.0.1",
                address => address.trim_start_matches('[').trim_end_matches(']'),
            };
            text.push_str(&format!("{address}\t{name}\n"));
        }
    }
}

/// The text of `resolv.conf`: the host's, with what was asked for in its place.
pub(crate) fn resolv_conf(own: &str, host: &HostConfig) -> String {
    let rows = |keyword: &str| {
        own.lines()
            .map(str::trim)
            .filter(|line| line.split_whitespace().next() == Some(keyword))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let mut text = String::new();
    if host.dns.is_empty() {
        text.push_str(&rows("nameserver"));
    } else {
        for server in &host.dns {
            text.push_str(&format!("nameserver {server}\n"));
        }
    }
    if host.dns_search.is_empty() {
        text.push_str(&rows("search"));
    } else if host.dns_search != ["."] {
        text.push_str(&format!("search {}\n", host.dns_search.join(" ")));
    }
    if host.dns_options.is_empty() {
        text.push_str(&rows("options"));
    } else {
        text.push_str(&format!("options {}\n", host.dns_options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_replaces_the_hosts_lines() {
        let own = "# comment\nnameserver 10.0.0.1\nsearch a b\noptions ndots:2\n";
        assert_eq!(
            resolv_conf(own, &HostConfig::default()),
            "nameserver 10.0.0.1\nsearch a b\noptions ndots:2\n"
        );
        let host = HostConfig {
            dns: vec!["1.1.1.1".into()],
            dns_search: vec![".".into()],
            dns_options: vec!["rotate".into()],
            ..HostConfig::default()
        };
        assert_eq!(resolv_conf(own, &host), "nameserver 1.1.1.1\noptions rotate\n");
    }

    #[test]
    fn hosts_name_the_container_and_its_extras() {
        let host = HostConfig {
            extra_hosts: vec!["db:10.0.0.9".into(), "six:[::5]".into()],
            ..HostConfig::default()
        };
        let text = hosts("box", "lan", &host);
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"), "{text}");
        assert!(text.ends_with("127.0.0.1\tbox.lan box\n10.0.0.9\tdb\n::5\tsix\n"), "{text}");
        assert_eq!(hosts_of_host("127.0.0.1 x", &host), "127.0.0.1 x\n10.0.0.9\tdb\n::5\tsix\n");
    }
}
