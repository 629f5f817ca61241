//! What the daemon was told: flags, then the configuration file, then defaults. Pure, but for reading the file.

mod file;
mod flags;
mod networks;
mod registries;
mod registry;

pub use flags::Flags;
pub use registries::CERTIFICATES;

use naru_engine::NetworkOptions;
use naru_engine::images::RegistriesConfig;
use naru_errdefs::{Fault, ResultExt};
use naru_registry::config::RegistryConfig;
use std::path::{Path, PathBuf};

/// Where the configuration file is when none is named; it need not exist.
pub const DEFAULT_CONFIG_FILE: &str = "/etc/naru/daemon.json";
const DEFAULT_DATA_ROOT: &str = "/var/lib/naru";
const DEFAULT_EXEC_ROOT: &str = "/run/naru";
/// File name of the socket and the pid file below the exec root.
const SOCKET_NAME: &str = "naru.sock";
const PIDFILE_NAME: &str = "naru.pid";

/// The daemon's settings, complete.
#[derive(Debug)]
pub struct Config {
    /// Where images and containers are kept.
    pub data_root: PathBuf,
    /// Where sockets and the state of running things are kept.
    pub exec_root: PathBuf,
    /// Unix sockets to listen on.
    pub sockets: Vec<PathBuf>,
    /// Where the process id is written.
    pub pidfile: PathBuf,
    /// `debug`, `info`, `warn`, `error` or `fatal`.
    pub log_level: String,
    /// The group that owns the sockets.
    pub group: Option<String>,
    /// How networks are made.
    pub networks: NetworkOptions,
    /// How other registries are reached.
    pub registries: RegistriesConfig,
    /// The registry on the same store; none: there is none.
    pub registry: Option<RegistryConfig>,
    /// Started by a client: say on standard output when ready, and leave its session.
    pub background: bool,
}

impl Config {
    /// Puts flags and file together.
    pub fn load(flags: Flags) -> Result<Config, Fault> {
        let (path, required) = match &flags.config_file {
            Some(path) => (path.clone(), true),
            None => (PathBuf::from(DEFAULT_CONFIG_FILE), false),
        };
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {
                "{}".to_owned()
            }
            read => {
                read.during(|| format!("cannot read the configuration file `{}`", path.display()))?
            }
        };
        let file = file::File::parse(&text).map_err(|fault| {
            fault.context(format!("unable to configure the daemon with file {}", path.display()))
        })?;
        merge(flags, file)
    }
}

/// Pure: a setting may come from one place only, as with dockerd, so that nobody wonders which one won.
fn merge(flags: Flags, file: file::File) -> Result<Config, Fault> {
    let mut twice = Vec::new();
    let mut clash = |name: &str, flag: bool, file: bool| {
        if flag && file {
            twice.push(name.to_owned());
        }
    };
    clash("data-root", flags.data_root.is_some(), file.data_root.is_some());
    clash("exec-root", flags.exec_root.is_some(), file.exec_root.is_some());
    clash("hosts", !flags.hosts.is_empty(), file.hosts.is_some());
    clash("pidfile", flags.pidfile.is_some(), file.pidfile.is_some());
    clash("log-level", flags.log_level.is_some(), file.log_level.is_some());
    clash("group", flags.group.is_some(), file.group.is_some());
    clash("bridge", flags.bridge.is_some(), file.bridge.is_some());
    clash("bip", flags.bip.is_some(), file.bip.is_some());
    clash("mtu", flags.mtu.is_some(), file.mtu.is_some());
    clash("ip", flags.ip.is_some(), file.ip.is_some());
    clash("dns", !flags.dns.is_empty(), file.dns.is_some());
    clash(
        "default-address-pools",
        !flags.default_address_pool.is_empty(),
        file.default_address_pools.is_some(),
    );
    clash("publish-sources", !flags.publish_source.is_empty(), file.publish_sources.is_some());
    twice.extend(registries::clashes(&flags.registries, &file).into_iter().map(str::to_owned));
    if !twice.is_empty() {
        return Err(Fault::invalid(format!(
            "the following directives are specified both as a flag and in the configuration file: {}",
            twice.join(", ")
        ))
        .with_hint("keep each of them in one place only"));
    }
    let absolute = |path: PathBuf, what: &str| {
        if path.is_absolute() {
            return Ok(path);
        }
        Err(Fault::invalid(format!("{what} `{}` is not an absolute path", path.display())))
    };
    let data_root = absolute(
        flags
            .data_root
            .clone()
            .or(file.data_root.clone())
            .unwrap_or_else(|| DEFAULT_DATA_ROOT.into()),
        "data root",
    )?;
    let exec_root = absolute(
        flags
            .exec_root
            .clone()
            .or(file.exec_root.clone())
            .unwrap_or_else(|| DEFAULT_EXEC_ROOT.into()),
        "exec root",
    )?;
    let networks = networks::options(&flags, &file, &exec_root)?;
    let mut registries = registries::options(&flags.registries, &file)?;
    let registry = registry::embedded(&flags, &file)?;
    if let Some(registry) = &registry {
        registries.own = registry::names(registry, &registries.own)?;
    }
    let mut hosts = flags.hosts;
    hosts.extend(file.hosts.unwrap_or_default());
    let mut sockets =
        hosts.iter().map(|host| socket_of(host)).collect::<Result<Vec<_>, Fault>>()?;
    if sockets.is_empty() {
        sockets.push(exec_root.join(SOCKET_NAME));
    }
    let debug = flags.debug || file.debug.unwrap_or(false);
    let log_level = flags
        .log_level
        .or(file.log_level)
        .unwrap_or_else(|| if debug { "debug" } else { "info" }.to_owned());
    if !["debug", "info", "warn", "error", "fatal"].contains(&log_level.as_str()) {
        return Err(Fault::invalid(format!("unable to parse logging level: {log_level}"))
            .with_hint("use debug, info, warn, error or fatal"));
    }
    Ok(Config {
        pidfile: absolute(
            flags.pidfile.or(file.pidfile).unwrap_or_else(|| exec_root.join(PIDFILE_NAME)),
            "pidfile",
        )?,
        data_root,
        exec_root,
        networks,
        registries,
        registry,
        sockets,
        log_level,
        group: flags.group.or(file.group),
        background: flags.background,
    })
}

/// Pure: the socket of a `unix://` address; other kinds are refused by name.
fn socket_of(host: &str) -> Result<PathBuf, Fault> {
    if let Some(path) = host.strip_prefix("unix://") {
        let path = Path::new(path);
        if !path.is_absolute() {
            return Err(Fault::invalid(format!("`{host}` does not name an absolute path"))
                .with_hint("write unix:///path/to/socket"));
        }
        if path.as_os_str().len() > 107 {
            return Err(Fault::invalid(format!(
                "the path in `{host}` is longer than the 107 bytes a unix socket can have"
            )));
        }
        return Ok(path.to_owned());
    }
    let hint = "listen on unix:///path and reach it from elsewhere through the system's ssh";
    for scheme in ["tcp://", "fd://", "npipe://"] {
        if host.starts_with(scheme) {
            return Err(Fault::unsupported(format!(
                "listening on `{scheme}` addresses is not supported yet: `{host}`"
            ))
            .with_hint(hint));
        }
    }
    Err(Fault::invalid(format!("invalid bind address `{host}`"))
        .with_hint("write unix:///path/to/socket"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn check(flags: &[&str], file: &str) -> Result<Config, String> {
        let flags = Flags::try_parse_from([&["naru daemon"], flags].concat())
            .map_err(|error| error.to_string())?;
        let file = file::File::parse(file).map_err(|fault| fault.message().to_owned())?;
        merge(flags, file).map_err(|fault| fault.message().to_owned())
    }

    #[test]
    fn defaults_lie_below_the_roots() {
        let config = check(&["--exec-root", "/x"], "{}").unwrap();
        assert_eq!(config.sockets, [PathBuf::from("/x/naru.sock")]);
        assert_eq!(config.pidfile, PathBuf::from("/x/naru.pid"));
        assert_eq!(config.data_root, PathBuf::from(DEFAULT_DATA_ROOT));
        assert_eq!(check(&["-D"], "{}").unwrap().log_level, "debug");
    }

    #[test]
    fn the_file_says_what_flags_do_not() {
        let config = check(&[], r#"{"data-root":"/d","hosts":["unix:///s"]}"#).unwrap();
        assert_eq!(config.data_root, PathBuf::from("/d"));
        assert_eq!(config.sockets, [PathBuf::from("/s")]);
    }

    #[test]
    fn wrong_settings_are_named() {
        for (flags, file, message) in [
            (
                &["--data-root", "/a"][..],
                r#"{"data-root":"/b"}"#,
                "both as a flag and in the configuration file: data-root",
            ),
            (&[], r#"{"data-rot":"/b"}"#, "don't match any configuration option: data-rot"),
            (&[], r#"{"iptables":false}"#, "iptables"),
            (&[], "[]", "not a JSON object"),
            (&[], "{", "not valid JSON"),
            (&["-H", "tcp://0.0.0.0:2375"], "{}", "tcp://"),
            (&["-H", "unix://relative"], "{}", "absolute path"),
            (&["--data-root", "x"], "{}", "absolute path"),
            (&["-l", "loud"], "{}", "unable to parse logging level: loud"),
            (&["--iptables=false"], "{}", "--iptables"),
        ] {
            let error = check(flags, file).unwrap_err();
            assert!(error.contains(message), "{flags:?} {file}: {error}");
        }
    }
}
