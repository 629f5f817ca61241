//! What the registry is told: one JSON file, or the field `registry` of the daemon's. Pure.
//!
//! Unknown fields are refused by name, at every depth. Sections belong to the parts that act on them.

mod bytes;
mod period;

pub use bytes::Bytes;
pub use period::Period;

use crate::access::AccessConfig;
use crate::access::audit::AuditConfig;
use crate::access::tls::TlsConfig;
use crate::cache::CacheConfig;
use crate::upkeep::rules::{QuotaRule, RetentionRule};
use naru_errdefs::Fault;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The registry's settings, as a file has them. What is absent has its default where it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RegistryConfig {
    /// Where content lies (`naru registry serve` only; the embedded registry has the daemon's root).
    pub root: Option<PathBuf>,
    /// Where to listen: a port (loopback), `host:port` or `[v6]:port`.
    pub listen: Option<String>,
    /// Names of this registry besides its addresses, by which it may be asked what is not the protocol's.
    pub names: Vec<String>,
    /// Certificates.
    pub tls: TlsConfig,
    /// Users, tokens and rights.
    pub auth: AccessConfig,
    /// Who did what.
    pub audit: Option<AuditConfig>,
    /// Figures.
    pub metrics: MetricsConfig,
    /// Pull-through of other registries.
    pub cache: Option<CacheConfig>,
    /// Which tags are kept.
    pub retention: Vec<RetentionRule>,
    /// How much each repository may hold.
    pub quotas: Vec<QuotaRule>,
}

/// The section `metrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Whether `/metrics` is served beside the registry; whoever reaches that may read it.
    pub enabled: bool,
    /// Serve `/metrics` and `/healthz` at an address of their own, without TLS and login.
    pub listen: Option<String>,
}

impl RegistryConfig {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<RegistryConfig, Fault> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            Fault::invalid(format!("the configuration is not valid JSON: {error}"))
        })?;
        RegistryConfig::of(value)
    }

    /// Reads what was parsed already (the field `registry` of the daemon's file).
    pub fn of(value: serde_json::Value) -> Result<RegistryConfig, Fault> {
        if !value.is_object() {
            return Err(Fault::invalid("the configuration of the registry is not a JSON object"));
        }
        let config: RegistryConfig = serde_json::from_value(value).map_err(|error| {
            Fault::invalid(format!("the configuration of the registry is wrong: {error}"))
                .with_hint("docs/registry.md lists the fields")
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Whether what is there goes together.
    pub fn validate(&self) -> Result<(), Fault> {
        self.tls.validate()?;
        self.auth.validate()?;
        if let Some(cache) = &self.cache {
            cache.check()?;
        }
        for listen in [&self.listen, &self.metrics.listen].into_iter().flatten() {
            Listen::parse(listen)?;
        }
        let absolute = |name: &str, path: Option<&PathBuf>| match path {
            Some(path) if !path.is_absolute() => Err(Fault::invalid(format!(
                "`{name}` must be an absolute path, and `{}` is not",
                path.display()
            ))),
            _ => Ok(()),
        };
        for name in &self.names {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_plain) {
                let text = format!("invalid name of this registry `{name}` in `names`");
                return Err(Fault::invalid(text).with_hint("write HOST or HOST:PORT"));
            }
        }
        absolute("root", self.root.as_ref())?;
        absolute("tls.cert", self.tls.cert.as_ref())?;
        absolute("tls.key", self.tls.key.as_ref())?;
        absolute("tls.client-ca", self.tls.client_ca.as_ref())?;
        absolute("auth.htpasswd", self.auth.htpasswd.as_ref())?;
        absolute("audit.file", self.audit.as_ref().map(|audit| &audit.file))
    }
}

/// Where to listen. Names are not looked up: a registry that waits for a name server at its start is one that does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Listen {
    /// Reads a port (of loopback), `ADDRESS:port`, `localhost:port`, `:port` (every address) or `[v6]:port`.
    pub fn parse(text: &str) -> Result<Listen, Fault> {
        let port = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u16>().ok()).flatten()
        };
        if let Some(port) = port(text) {
            return Ok(Listen(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Listen(address));
        }
        let host = match text.rsplit_once(':') {
            Some(("", number)) => port(number).map(|it| (IpAddr::from(Ipv6Addr::UNSPECIFIED), it)),
            Some(("localhost", number)) => port(number).map(|it| (Ipv4Addr::LOCALHOST.into(), it)),
            _ => None,
        };
        host.map(|(address, port)| Listen(SocketAddr::new(address, port))).ok_or_else(|| {
            Fault::invalid(format!("invalid address to listen on `{text}`")).with_hint(
                "write a port (5000, loopback only), ADDRESS:port, :port (every address) or [v6]:port",
            )
        })
    }

    /// Whether only this host can reach it.
    pub fn is_loopback(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

#[cfg(test)]
mod tests;
