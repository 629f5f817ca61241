//! How the daemon reaches registries: flags under dockerd's names, the configuration file, and settings of single
//! registries. Pure.

use super::file::File;
use naru_engine::images::{RegistriesConfig, RegistryConfig};
use naru_errdefs::Fault;
use naru_oci::Reference;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// Certificates of single registries: `HOST[:PORT]/ca.crt`, `client.cert`, `client.key`.
pub const CERTIFICATES: [&str; 2] = ["/etc/naru/certs.d", "/etc/docker/certs.d"];

/// The flags about other registries.
#[derive(Debug, Default, clap::Args)]
pub struct RegistryFlags {
    /// URL that is asked before Docker Hub; may be given several times.
    #[arg(long, value_name = "URL")]
    pub registry_mirror: Vec<String>,
    /// Registry (HOST[:PORT] or CIDR) that may speak plain HTTP or have any certificate; may be given several times.
    #[arg(long, value_name = "REGISTRY")]
    pub insecure_registry: Vec<String>,
    /// Layers that one pull fetches at once (default 3).
    #[arg(long, value_name = "N")]
    pub max_concurrent_downloads: Option<i64>,
    /// Layers that one push sends at once (default 5).
    #[arg(long, value_name = "N")]
    pub max_concurrent_uploads: Option<i64>,
    /// How often a download is tried (default 5).
    #[arg(long, value_name = "N")]
    pub max_download_attempts: Option<i64>,
    /// Bytes a second of all transfers together (as 10m).
    #[arg(long, value_name = "RATE")]
    pub limit_rate: Option<String>,
    /// Directory with HOST[:PORT]/ca.crt, client.cert and client.key of registries; may be given several times (default
    /// /etc/naru/certs.d and /etc/docker/certs.d).
    #[arg(long, value_name = "DIR")]
    pub certs_dir: Vec<PathBuf>,
    /// Further name (HOST[:PORT]) under which the registry of this daemon is reached; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub registry_name: Vec<String>,
}

/// A registry's settings in the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RegistrySettings {
    /// URLs that are asked before it.
    pub mirrors: Vec<String>,
    /// Whether it may speak plain HTTP or have any certificate.
    pub insecure: bool,
}

/// A rate in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Rate {
    /// Bytes a second.
    Bytes(u64),
    /// With a unit.
    Text(String),
}

/// Which settings flags and file both have.
pub fn clashes(flags: &RegistryFlags, file: &File) -> Vec<&'static str> {
    [
        ("registry-mirrors", !flags.registry_mirror.is_empty(), file.registry_mirrors.is_some()),
        (
            "insecure-registries",
            !flags.insecure_registry.is_empty(),
            file.insecure_registries.is_some(),
        ),
        (
            "max-concurrent-downloads",
            flags.max_concurrent_downloads.is_some(),
            file.max_concurrent_downloads.is_some(),
        ),
        (
            "max-concurrent-uploads",
            flags.max_concurrent_uploads.is_some(),
            file.max_concurrent_uploads.is_some(),
        ),
        (
            "max-download-attempts",
            flags.max_download_attempts.is_some(),
            file.max_download_attempts.is_some(),
        ),
        ("limit-rate", flags.limit_rate.is_some(), file.limit_rate.is_some()),
        ("certs-dir", !flags.certs_dir.is_empty(), file.certs_dir.is_some()),
        ("registry-names", !flags.registry_name.is_empty(), file.registry_names.is_some()),
    ]
    .into_iter()
    .filter(|(_, flag, file)| *flag && *file)
    .map(|(name, _, _)| name)
    .collect()
}

/// The options of flags and file together. That no option is in both was checked before.
pub fn options(flags: &RegistryFlags, file: &File) -> Result<RegistriesConfig, Fault> {
    let both = |flags: &[String], file: &Option<Vec<String>>| -> Vec<String> {
        flags.iter().chain(file.iter().flatten()).cloned().collect()
    };
    let mut registries = BTreeMap::new();
    for (name, settings) in file.registries.iter().flatten() {
        check_name(name, "registries")?;
        let mirrors = settings.mirrors.iter().map(|url| mirror(url)).collect::<Result<_, _>>()?;
        registries.insert(name.clone(), RegistryConfig { mirrors, insecure: settings.insecure });
    }
    let own = both(&flags.registry_name, &file.registry_names);
    for name in &own {
        check_name(name, "registry-names")?;
    }
    let attempts =
        count(flags.max_download_attempts.or(file.max_download_attempts), "max download attempts")?;
    Ok(RegistriesConfig {
        mirrors: both(&flags.registry_mirror, &file.registry_mirrors)
            .iter()
            .map(|url| mirror(url))
            .collect::<Result<_, _>>()?,
        insecure: both(&flags.insecure_registry, &file.insecure_registries)
            .iter()
            .map(|entry| insecure(entry))
            .collect::<Result<_, _>>()?,
        certificates: certificates(flags, file)?,
        registries,
        limit_rate: rate(flags.limit_rate.clone().map(Rate::Text).or(file.limit_rate.clone()))?,
        downloads: count(
            flags.max_concurrent_downloads.or(file.max_concurrent_downloads),
            "max concurrent downloads",
        )?,
        uploads: count(
            flags.max_concurrent_uploads.or(file.max_concurrent_uploads),
            "max concurrent uploads",
        )?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        own,
    })
}

fn certificates(flags: &RegistryFlags, file: &File) -> Result<Vec<PathBuf>, Fault> {
    let named: Vec<PathBuf> =
        flags.certs_dir.iter().chain(file.certs_dir.iter().flatten()).cloned().collect();
    if named.is_empty() {
        return Ok(CERTIFICATES.iter().map(Into::into).collect());
    }
    match named.iter().find(|directory| !directory.is_absolute()) {
        Some(directory) => Err(Fault::invalid(format!(
            "`{}` in `certs-dir` is not an absolute path",
            directory.display()
        ))),
        None => Ok(named),
    }
}

/// Zero stands for the default, so nobody may ask for it.
fn count(asked: Option<i64>, what: &str) -> Result<usize, Fault> {
    let Some(asked) = asked else { return Ok(0) };
    match usize::try_from(asked) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Fault::invalid(format!("invalid {what}: {asked}")).with_hint("give 1 or more")),
    }
}

fn rate(rate: Option<Rate>) -> Result<Option<u64>, Fault> {
    let (bytes, shown) = match rate {
        None => return Ok(None),
        Some(Rate::Bytes(bytes)) => (Some(bytes), bytes.to_string()),
        Some(Rate::Text(text)) => {
            let bytes = naru_cli::opts::memory::parse(&text).ok();
            (bytes.and_then(|bytes| u64::try_from(bytes).ok()), text)
        }
    };
    match bytes {
        Some(bytes) if bytes > 0 => Ok(Some(bytes)),
        _ => Err(Fault::invalid(format!("invalid rate `{shown}` of `limit-rate`"))
            .with_hint("write bytes a second, as 500k or 10m")),
    }
}

/// A mirror as dockerd takes it: scheme, host and port, and nothing more.
fn mirror(url: &str) -> Result<String, Fault> {
    let bad = |why: &str| {
        Fault::invalid(format!("invalid mirror: {why}"))
            .with_hint("write https://HOST[:PORT], or http:// for one without TLS")
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(bad(&format!("`{url}` is not a valid URI")));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(bad(&format!("unsupported scheme `{scheme}` in `{url}`")));
    }
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains('@') {
        return Err(bad("username/password not allowed in the URI of a mirror"));
    }
    if host.contains(['/', '?', '#']) {
        return Err(bad(&format!("path, query, or fragment at end of the URI `{url}`")));
    }
    if !is_host(host) {
        return Err(bad(&format!("`{url}` does not name a host")));
    }
    Ok(format!("{scheme}://{host}/"))
}

/// A registry or a network without verified TLS. The scheme that many write before it means nothing, as for dockerd.
fn insecure(entry: &str) -> Result<String, Fault> {
    let bare = entry.strip_prefix("http://").or_else(|| entry.strip_prefix("https://"));
    let name = bare.unwrap_or(entry).trim_end_matches('/');
    if let Some((address, length)) = name.split_once('/') {
        let longest = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => Some(32),
            Ok(IpAddr::V6(_)) => Some(128),
            Err(_) => None,
        };
        if let (Some(longest), Ok(length)) = (longest, length.parse::<u32>())
            && length <= longest
        {
            return Ok(name.to_owned());
        }
    } else if is_host(name) {
        return Ok(name.to_owned());
    }
    Err(Fault::invalid(format!("insecure registry `{entry}` is not valid"))
        .with_hint("write HOST[:PORT], or a network as 10.0.0.0/8"))
}

fn check_name(name: &str, field: &str) -> Result<(), Fault> {
    if is_host(name) {
        return Ok(());
    }
    Err(Fault::invalid(format!("`{name}` in `{field}` does not name a registry"))
        .with_hint("write HOST[:PORT], without scheme and path"))
}

/// Whether this can stand before the first slash of an image's name.
fn is_host(text: &str) -> bool {
    if matches!(text, "index.docker.io" | "docker.io") {
        return true;
    }
    let port = text.rsplit_once(':').filter(|(host, _)| !host.ends_with(':'));
    let ports_fit = port.is_none_or(|(host, port)| {
        host.starts_with('[') && !host.ends_with(']') || port.parse::<u16>().is_ok()
    });
    // A single word would be taken for the first part of a repository; with a port it is a host for sure.
    let with_port = if port.is_some() { text.to_owned() } else { format!("{text}:1") };
    let parsed = format!("{with_port}/x").parse::<Reference>();
    ports_fit && parsed.is_ok_and(|reference| reference.registry() == with_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;
    use clap::Parser as _;

    fn check(flags: &[&str], file: &str) -> Result<RegistriesConfig, String> {
        let flags = Flags::try_parse_from([&["naru daemon"], flags].concat())
            .map_err(|error| error.to_string())?;
        let file = File::parse(file).map_err(|fault| fault.message().to_owned())?;
        options(&flags.registries, &file).map_err(|fault| fault.message().to_owned())
    }

    #[test]
    fn flags_and_file_say_the_same_things() {
        let flags = check(
            &[
                "--registry-mirror",
                "https://m.example",
                "--insecure-registry",
                "http://r:5000",
                "--insecure-registry",
                "10.0.0.0/8",
                "--max-concurrent-downloads",
                "6",
                "--max-concurrent-uploads=7",
                "--max-download-attempts=8",
                "--limit-rate=10m",
                "--registry-name=reg.example:5000",
                "--certs-dir=/c",
            ],
            "{}",
        )
        .unwrap();
        let file = check(
            &[],
            r#"{"registry-mirrors":["https://m.example/"],"insecure-registries":["r:5000","10.0.0.0/8"],
                "max-concurrent-downloads":6,"max-concurrent-uploads":7,"max-download-attempts":8,
                "limit-rate":10485760,"registry-names":["reg.example:5000"],
                "certs-dir":["/c"]}"#,
        )
        .unwrap();
        assert_eq!(flags, file);
        assert_eq!(flags.mirrors, ["https://m.example/"]);
        assert_eq!(flags.insecure, ["r:5000", "10.0.0.0/8"]);
        assert_eq!((flags.downloads, flags.uploads, flags.attempts), (6, 7, 8));
        assert_eq!(flags.limit_rate, Some(10 << 20));
        assert_eq!(flags.own, ["reg.example:5000"]);
        let none = check(&[], "{}").unwrap();
        assert_eq!((none.downloads, none.limit_rate), (0, None));
        assert_eq!(none.certificates.len(), 2);
    }

    #[test]
    fn single_registries_have_settings() {
        let config = check(
            &[],
            r#"{"registries":{"quay.io":{"mirrors":["http://m:80"]},"[::1]:5000":{"insecure":true}}}"#,
        )
        .unwrap();
        let quay = &config.registries["quay.io"];
        assert_eq!(
            (quay.mirrors.as_slice(), quay.insecure),
            (&["http://m:80/".to_owned()][..], false)
        );
        assert!(config.registries["[::1]:5000"].insecure);
    }

    #[test]
    fn wrong_settings_are_named() {
        for (flags, file, message) in [
            (&["--registry-mirror=m"][..], "{}", "invalid mirror: `m` is not a valid URI"),
            (&["--registry-mirror=ftp://m"], "{}", "unsupported scheme `ftp`"),
            (&["--registry-mirror=https://u:p@m"], "{}", "username/password not allowed"),
            (&["--registry-mirror=https://m/v2"], "{}", "path, query, or fragment"),
            (&["--registry-mirror=https://"], "{}", "does not name a host"),
            (&["--insecure-registry=a b"], "{}", "insecure registry `a b` is not valid"),
            (&["--insecure-registry=10.0.0.0/33"], "{}", "10.0.0.0/33"),
            (&["--insecure-registry=r:99999"], "{}", "r:99999"),
            (&["--max-concurrent-downloads=0"], "{}", "invalid max concurrent downloads: 0"),
            (&["--max-download-attempts=-1"], "{}", "invalid max download attempts: -1"),
            (&["--limit-rate=fast"], "{}", "invalid rate `fast`"),
            (&["--limit-rate=0"], "{}", "invalid rate `0`"),
            (&["--certs-dir=c"], "{}", "`c` in `certs-dir` is not an absolute path"),
            (&["--registry-name=https://r"], "{}", "`https://r` in `registry-names`"),
            (&[], r#"{"registries":{"https://r":{}}}"#, "`https://r` in `registries`"),
            (&[], r#"{"registries":{"r":{"mirror":[]}}}"#, "unknown field `mirror`"),
            (&[], r#"{"max-concurrent-uploads":"5"}"#, "a value of the wrong type"),
            (&[], r#"{"allow-nondistributable-artifacts":[]}"#, "allow-nondistributable-artifacts"),
            (&["--allow-nondistributable-artifacts=r"], "{}", "--allow-nondistributable-artifacts"),
        ] {
            let said = check(flags, file).unwrap_err();
            assert!(said.contains(message), "{flags:?} {file}: {said}");
        }
    }

    #[test]
    fn a_setting_comes_from_one_place() {
        let flags = Flags::try_parse_from(["naru daemon", "--limit-rate=1m"]).unwrap();
        let file = File::parse(r#"{"limit-rate":"2m","registry-mirrors":[]}"#).unwrap();
        assert_eq!(clashes(&flags.registries, &file), ["limit-rate"]);
    }

    #[test]
    fn hosts() {
        for text in ["r", "r:5000", "docker.io", "10.1.2.3", "[::1]", "[fe80::1]:5000", "a.b:1"] {
            assert!(is_host(text), "{text}");
        }
        for text in ["", "r/x", "r:", "r:x", "r:70000", "a_b", "http://r", "::1", "-r"] {
            assert!(!is_host(text), "{text}");
        }
    }
}
