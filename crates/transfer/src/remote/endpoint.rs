//! Pure: where a registry's name leads to.

use super::config::RegistriesConfig;
use ipnet::IpNet;
use naru_errdefs::Fault;
use std::net::IpAddr;

/// The name of Docker Hub in references.
pub(crate) const HUB: &str = "docker.io";
/// Where Docker Hub serves images.
const HUB_HOST: &str = "registry-1.docker.io";

/// One server that may answer for a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    /// `host` or `host:port`, as in URLs.
    pub(crate) host: String,
    /// The scheme to be used; none when both have to be tried.
    pub(crate) scheme: Option<Scheme>,
    /// Unverified TLS is fine.
    pub(crate) insecure: bool,
    /// A mirror of the registry, which may lack what the registry has.
    pub(crate) is_mirror: bool,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// TLS.
    Https,
    /// In the clear.
    Http,
}

impl Scheme {
    /// As in a URL.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Scheme::Https => "https",
            Scheme::Http => "http",
        }
    }
}

/// The servers to ask for a registry, in order; the last one is the registry itself.
pub(crate) fn endpoints(
    config: &RegistriesConfig,
    registry: &str,
    with_mirrors: bool,
) -> Result<Vec<Endpoint>, Fault> {
    let own = config.registries.get(registry);
    let mut found = Vec::new();
    if with_mirrors {
        let general = config.mirrors.iter().filter(|_| registry == HUB);
        for mirror in own.into_iter().flat_map(|own| &own.mirrors).chain(general) {
            found.push(mirror_endpoint(config, mirror)?);
        }
    }
    let insecure = own.is_some_and(|own| own.insecure) || is_insecure(config, registry);
    let host = if registry == HUB { HUB_HOST } else { registry };
    found.push(Endpoint {
        host: host.to_owned(),
        scheme: (!insecure).then_some(Scheme::Https),
        insecure,
        is_mirror: false,
    });
    Ok(found)
}

/// The server that a mirror's URL means.
fn mirror_endpoint(config: &RegistriesConfig, url: &str) -> Result<Endpoint, Fault> {
    let invalid = |why: &str| {
        Fault::invalid(format!("invalid mirror: `{url}` {why}"))
            .with_hint("write it as `https://host[:port]`")
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("has no scheme"))?;
    let scheme = match scheme {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        _ => return Err(invalid("is neither https nor http")),
    };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.is_empty() || host.contains(['/', '?', '#', '@']) {
        return Err(invalid("has more than a host and a port"));
    }
    Ok(Endpoint {
        host: host.to_owned(),
        scheme: Some(scheme),
        insecure: is_insecure(config, host),
        is_mirror: true,
    })
}

/// Whether unverified TLS and plain HTTP are fine for a host: loopback, and what the configuration names.
pub(crate) fn is_insecure(config: &RegistriesConfig, host: &str) -> bool {
    let name = name_of(host);
    let address: Option<IpAddr> = name.parse().ok();
    if name == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    config.insecure.iter().any(|entry| match entry.parse::<IpNet>() {
        Ok(network) => address.is_some_and(|address| network.contains(&address)),
        Err(_) => entry == host || entry == name,
    })
}

/// The host without its port and brackets.
pub(crate) fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::config::RegistryConfig;

    fn config() -> RegistriesConfig {
        RegistriesConfig {
            mirrors: vec!["https://mirror.example/".to_owned(), "http://10.1.2.3:5000".to_owned()],
            insecure: vec!["10.0.0.0/8".to_owned(), "plain.example:5000".to_owned()],
            registries: [(
                "r.example".to_owned(),
                RegistryConfig { mirrors: vec!["https://m.example".to_owned()], insecure: false },
            )]
            .into(),
            ..RegistriesConfig::default()
        }
    }

    #[test]
    fn docker_hub_has_mirrors_and_another_host() {
        let found = endpoints(&config(), HUB, true).unwrap();
        let hosts: Vec<&str> = found.iter().map(|one| one.host.as_str()).collect();
        assert_eq!(hosts, ["mirror.example", "10.1.2.3:5000", "registry-1.docker.io"]);
        assert_eq!(found[0].scheme, Some(Scheme::Https));
        assert!(found[0].is_mirror && !found[0].insecure);
        assert!(found[1].insecure);
        assert!(!found[2].is_mirror && found[2].scheme == Some(Scheme::Https));
        assert_eq!(endpoints(&config(), HUB, false).unwrap().len(), 1);
    }

    #[test]
    fn other_registries_have_their_own_mirrors_only() {
        let found = endpoints(&config(), "r.example", true).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].host, "m.example");
        assert_eq!(endpoints(&config(), "other.example", true).unwrap().len(), 1);
    }

    #[test]
    fn loopback_and_what_is_named_may_be_insecure() {
        for (host, expected) in [
            ("localhost:5000", true),
            ("localhost", true),
            ("127.0.0.9:1", true),
            ("[::1]:5000", true),
            ("10.9.9.9:5000", true),
            ("plain.example:5000", true),
            ("plain.example:5001", false),
            ("plain.example", false),
            ("11.0.0.1", false),
            ("localhost.example", false),
        ] {
            assert_eq!(is_insecure(&config(), host), expected, "{host}");
        }
    }

    #[test]
    fn mirrors_that_are_no_urls_are_refused() {
        for url in
            ["m.example", "ftp://m.example", "https://", "https://m.example/x", "https://u@m"]
        {
            assert!(mirror_endpoint(&config(), url).is_err(), "{url}");
        }
    }
}
