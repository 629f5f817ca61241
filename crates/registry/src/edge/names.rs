//! By which names a registry may be asked what is not the protocol's. Pure.
//!
//! A web page whose name was made to lead to this host (DNS rebinding) is of one origin with what it reads here, so its browser sends
//! nothing that says where it came from; but what it asks for, it asks by that name. Addresses are no such names.

use crate::config::RegistryConfig;
use http::header::HOST;
use http::request::Parts;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// The names that a registry was told it has. A cheap clone.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<[String]>);

impl Names {
    /// Those of a configuration.
    pub(super) fn of(config: &RegistryConfig) -> Names {
        let cached = config.cache.iter().flat_map(|cache| &cache.names);
        let all = config.names.iter().chain(&config.tls.auto).chain(cached);
        Names(all.map(|name| plain(name)).collect())
    }

    /// The name by which a request asks, if that may be anybody's.
    pub(super) fn stranger(&self, parts: &Parts) -> Option<String> {
        let written = parts.uri.authority().map(|authority| authority.as_str().to_owned());
        let hosts = parts.headers.get_all(HOST).iter();
        let asked = hosts.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        written.into_iter().chain(asked).find(|host| !self.has(host))
    }

    fn has(&self, host: &str) -> bool {
        let name = plain(host);
        is_address(&name) || is_loopback(&name) || self.0.contains(&name)
    }
}

/// A host without its port, in the one way in which it is compared.
fn plain(host: &str) -> String {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        // The colons of an address without brackets are its own.
        Some((name, port)) if is_port(port) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn is_address(name: &str) -> bool {
    let inside = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match inside {
        Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<IpAddr>().is_ok(),
    }
}

/// Names that lead to loopback everywhere (RFC 6761, 6.3).
fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn check(host: &str, expected: bool) {
        let config = RegistryConfig {
            names: vec!["Reg.example:5000".to_owned(), "[fd00::1]:5000".to_owned()],
            tls: crate::access::tls::TlsConfig {
                auto: vec!["tls.example".to_owned()],
                ..Default::default()
            },
            ..RegistryConfig::default()
        };
        let names = Names::of(&config);
        let request = Request::get("/metrics").header(HOST, host).body(()).unwrap();
        let found = names.stranger(&request.into_parts().0);
        assert_eq!(found.is_none(), expected, "{host}: {found:?}");
    }

    #[test]
    fn addresses_loopback_and_its_own_names_are_no_strangers() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:5000",
            "10.0.0.5:5000",
            "[::1]",
            "[::1]:5000",
            "::1",
            "[fe80::1]:80",
            "localhost",
            "LocalHost:5000",
            "localhost.",
            "a.localhost:5000",
            "reg.example",
            "REG.example:5000",
            "reg.example:6000",
            "reg.example.",
            "tls.example:1",
        ] {
            check(host, true);
        }
        for host in [
            "",
            ":5000",
            "page.example",
            "page.example:5000",
            "localhost.page.example",
            "127.0.0.1.page.example",
            "alocalhost",
            "reg.example.page",
            "[page.example]:5000",
            "1.2.3",
            "0x7f.1",
            "2130706433",
            "[::1",
            "reg.example:50x",
            "a@127.0.0.1",
            "\u{e9}",
        ] {
            check(host, false);
        }
    }

    #[test]
    fn every_name_that_a_request_has_counts() {
        let names = Names::of(&RegistryConfig::default());
        let request = |request: http::request::Builder| request.body(()).unwrap().into_parts().0;
        assert_eq!(names.stranger(&request(Request::get("/metrics"))), None);
        let two = Request::get("/metrics").header(HOST, "localhost").header(HOST, "page.example");
        assert_eq!(names.stranger(&request(two)).as_deref(), Some("page.example"));
        let written = Request::get("http://page.example/metrics").header(HOST, "localhost");
        assert_eq!(names.stranger(&request(written)).as_deref(), Some("page.example"));
    }
}
