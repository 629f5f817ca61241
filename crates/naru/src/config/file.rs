//! The daemon's configuration file: the JSON that dockerd reads, as far as we do the same. Pure.

use super::networks::AddressPool;
use super::registries::{Rate, RegistrySettings};
use naru_errdefs::Fault;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The settings of the file. What is not here is refused by name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct File {
    /// See the flag.
    pub data_root: Option<PathBuf>,
    /// See the flag.
    pub exec_root: Option<PathBuf>,
    /// See the flag.
    pub hosts: Option<Vec<String>>,
    /// See the flag.
    pub pidfile: Option<PathBuf>,
    /// See the flag.
    pub log_level: Option<String>,
    /// See the flag.
    pub debug: Option<bool>,
    /// See the flag.
    pub group: Option<String>,
    /// See the flag.
    pub bridge: Option<String>,
    /// See the flag.
    pub bip: Option<String>,
    /// See the flag `--default-address-pool`.
    pub default_address_pools: Option<Vec<AddressPool>>,
    /// See the flag.
    pub dns: Option<Vec<String>>,
    /// See the flag.
    pub ip: Option<String>,
    /// See the flag.
    pub ipv6: Option<bool>,
    /// See the flag.
    pub mtu: Option<u32>,
    /// See the flag `--publish-source`.
    pub publish_sources: Option<Vec<String>>,
    /// See the flag `--registry-mirror`.
    pub registry_mirrors: Option<Vec<String>>,
    /// See the flag `--insecure-registry`.
    pub insecure_registries: Option<Vec<String>>,
    /// See the flag.
    pub max_concurrent_downloads: Option<i64>,
    /// See the flag.
    pub max_concurrent_uploads: Option<i64>,
    /// See the flag.
    pub max_download_attempts: Option<i64>,
    /// See the flag.
    pub limit_rate: Option<Rate>,
    /// See the flag.
    pub certs_dir: Option<Vec<PathBuf>>,
    /// See the flag `--registry-name`.
    pub registry_names: Option<Vec<String>>,
    /// Settings of single registries, by `HOST[:PORT]`.
    pub registries: Option<BTreeMap<String, RegistrySettings>>,
    /// The embedded registry; see docs/registry.md.
    pub registry: Option<serde_json::Value>,
}

const KNOWN: &[&str] = &[
    "data-root",
    "exec-root",
    "hosts",
    "pidfile",
    "log-level",
    "debug",
    "group",
    "bridge",
    "bip",
    "default-address-pools",
    "dns",
    "ip",
    "ipv6",
    "mtu",
    "publish-sources",
    "registry-mirrors",
    "insecure-registries",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "limit-rate",
    "certs-dir",
    "registry-names",
    "registries",
    "registry",
];

impl File {
    /// Reads the text of a configuration file.
    pub fn parse(text: &str) -> Result<File, Fault> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            Fault::invalid(format!("the configuration file is not valid JSON: {error}"))
        })?;
        let Some(object) = value.as_object() else {
            return Err(Fault::invalid("the configuration file is not a JSON object"));
        };
        let unknown: Vec<&str> =
            object.keys().map(String::as_str).filter(|key| !KNOWN.contains(key)).collect();
        if !unknown.is_empty() {
            return Err(Fault::invalid(format!(
                "the following directives don't match any configuration option: {}",
                unknown.join(", ")
            ))
            .with_hint(format!("remove them; the options are {}", KNOWN.join(", "))));
        }
        serde_json::from_value(value).map_err(|error| {
            Fault::invalid(format!("the configuration file has a value of the wrong type: {error}"))
        })
    }
}
