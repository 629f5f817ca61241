//! Pure: what we are told about registries.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// How registries are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistriesConfig {
    /// `registry-mirrors`: asked before Docker Hub, as URLs.
    pub mirrors: Vec<String>,
    /// `insecure-registries`: hosts (`host`, `host:port`) and networks (CIDR) for which unverified TLS and plain HTTP are fine.
    /// Loopback always is, as for docker.
    pub insecure: Vec<String>,
    /// Directories with `<host[:port]>/{ca.crt,*.crt,client.cert,client.key}`, as docker's `certs.d`.
    pub certificates: Vec<PathBuf>,
    /// Settings of single registries, by `host[:port]`.
    pub registries: BTreeMap<String, RegistryConfig>,
    /// Bytes a second for all transfers together.
    pub limit_rate: Option<u64>,
    /// `max-concurrent-downloads` of one pull (3 when zero).
    pub downloads: usize,
    /// `max-concurrent-uploads` of one push (5 when zero).
    pub uploads: usize,
    /// `max-download-attempts` (5 when zero).
    pub attempts: u32,
    /// Names (`host[:port]`) of the registry that is embedded here: what it holds needs no network.
    pub own: Vec<String>,
}

/// Settings of one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Asked before it, as URLs.
    pub mirrors: Vec<String>,
    /// Unverified TLS and plain HTTP are fine.
    pub insecure: bool,
}

/// Who we are to a registry.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody.
    #[default]
    Anonymous,
    /// A user.
    Basic {
        /// Name.
        user: String,
        /// Password.
        password: String,
    },
    /// An OAuth2 refresh token (`identitytoken` of docker's `config.json`).
    IdentityToken(String),
    /// A bearer token to be sent as it is (`registrytoken`).
    RegistryToken(String),
}

impl fmt::Debug for Credentials {
    /// Never shows a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Anonymous => "Credentials::Anonymous",
            Credentials::Basic { .. } => "Credentials::Basic(…)",
            Credentials::IdentityToken(_) => "Credentials::IdentityToken(…)",
            Credentials::RegistryToken(_) => "Credentials::RegistryToken(…)",
        })
    }
}
