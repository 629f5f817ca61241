//! The flags of `naru registry serve`, and how they go together with its file. Pure.

use naru_errdefs::Fault;
use naru_registry::access::audit::AuditConfig;
use naru_registry::access::{Action, Challenge};
use naru_registry::config::RegistryConfig;
use std::path::PathBuf;

/// `naru registry serve [options]`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "naru registry serve",
    about = "Serve an OCI registry from a root of its own",
    disable_version_flag = true
)]
pub struct Flags {
    /// Where content is kept (default /var/lib/naru-registry).
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Where to listen: a port (loopback only), ADDRESS:PORT, :PORT (every address) or [v6]:PORT (default 5000).
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Certificate of the server, then those of its issuers (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Make a certificate for these host names and addresses, by an authority of the registry's own.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub tls_auto: Vec<String>,
    /// Authorities of client certificates (PEM); the common name is the user.
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// File of users, as `htpasswd -B` makes it.
    #[arg(long, value_name = "FILE")]
    pub htpasswd: Option<PathBuf>,
    /// How clients are asked who they are: basic or token.
    #[arg(long, value_name = "KIND")]
    pub auth: Option<String>,
    /// Everybody may pull, known or not.
    #[arg(long)]
    pub anonymous_pull: bool,
    /// File that says who did what.
    #[arg(long, value_name = "FILE")]
    pub audit: Option<PathBuf>,
    /// Serve Prometheus metrics and health at an address of their own.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<String>,
    /// debug, info, warn, error or fatal (default info).
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl Flags {
    /// The level of the log.
    pub fn log_level(&self) -> Result<String, Fault> {
        let level = self.log_level.as_deref().unwrap_or("info");
        if ["debug", "info", "warn", "error", "fatal"].contains(&level) {
            return Ok(level.to_owned());
        }
        Err(Fault::invalid(format!("unable to parse logging level: {level}"))
            .with_hint("use debug, info, warn, error or fatal"))
    }
}

/// Flags and file together; a setting may come from one place only, so that nobody wonders which one won.
pub fn merge(flags: Flags, mut file: RegistryConfig) -> Result<RegistryConfig, Fault> {
    let mut twice = Vec::new();
    let mut clash = |name: &'static str, flag: bool, file: bool| {
        if flag && file {
            twice.push(name);
        }
    };
    let own = &file;
    clash("root", flags.root.is_some(), own.root.is_some());
    clash("listen", flags.listen.is_some(), own.listen.is_some());
    clash("tls.cert", flags.tls_cert.is_some(), own.tls.cert.is_some());
    clash("tls.key", flags.tls_key.is_some(), own.tls.key.is_some());
    clash("tls.auto", !flags.tls_auto.is_empty(), !own.tls.auto.is_empty());
    clash("tls.client-ca", flags.tls_client_ca.is_some(), own.tls.client_ca.is_some());
    clash("auth.htpasswd", flags.htpasswd.is_some(), own.auth.htpasswd.is_some());
    clash("auth.challenge", flags.auth.is_some(), own.auth.challenge.is_some());
    clash("auth.anonymous", flags.anonymous_pull, own.auth.anonymous.is_some());
    clash("audit", flags.audit.is_some(), own.audit.is_some());
    clash("metrics.listen", flags.metrics.is_some(), own.metrics.listen.is_some());
    if !twice.is_empty() {
        return Err(Fault::invalid(format!(
            "the following settings are specified both as a flag and in the configuration file: {}",
            twice.join(", ")
        ))
        .with_hint("keep each of them in one place only"));
    }
    let challenge = match flags.auth.as_deref() {
        None => None,
        Some("basic") => Some(Challenge::Basic),
        Some("token") => Some(Challenge::Token),
        Some(other) => {
            return Err(Fault::invalid(format!("invalid kind of `--auth`: `{other}`"))
                .with_hint("use basic or token"));
        }
    };
    file.root = flags.root.or(file.root);
    file.listen = flags.listen.or(file.listen);
    file.tls.cert = flags.tls_cert.or(file.tls.cert);
    file.tls.key = flags.tls_key.or(file.tls.key);
    file.tls.auto.extend(flags.tls_auto);
    file.tls.client_ca = flags.tls_client_ca.or(file.tls.client_ca);
    file.auth.htpasswd = flags.htpasswd.or(file.auth.htpasswd);
    file.auth.challenge = challenge.or(file.auth.challenge);
    if flags.anonymous_pull {
        file.auth.anonymous = Some(vec![Action::Pull]);
    }
    if let Some(path) = flags.audit {
        file.audit = Some(AuditConfig { file: path, max_size: None, max_files: None });
    }
    file.metrics.listen = flags.metrics.or(file.metrics.listen);
    file.validate()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn check(flags: &[&str], file: &str) -> Result<RegistryConfig, String> {
        let flags = Flags::try_parse_from([&["naru registry serve"], flags].concat()).unwrap();
        merge(flags, RegistryConfig::parse(file).unwrap())
            .map_err(|fault| naru_errdefs::one_line(&fault))
    }

    const FLAGS: [&str; 19] = [
        "--root",
        "/r",
        "--listen",
        ":5000",
        "--tls-auto",
        "a,b",
        "--tls-client-ca",
        "/ca",
        "--htpasswd",
        "/u",
        "--auth",
        "token",
        "--anonymous-pull",
        "--audit",
        "/a",
        "--metrics",
        "9090",
        "--tls-auto",
        "c",
    ];
    const FILE: &str = r#"{
        "root": "/r", "listen": ":5000", "tls": {"auto": ["a", "b", "c"], "client-ca": "/ca"},
        "auth": {"htpasswd": "/u", "challenge": "token", "anonymous": ["pull"]},
        "audit": {"file": "/a"}, "metrics": {"listen": "9090"}}"#;

    #[test]
    fn flags_and_file_say_the_same_things() {
        assert_eq!(check(&FLAGS, "{}").unwrap(), check(&[], FILE).unwrap());
        let pair = check(&["--tls-cert", "/c", "--tls-key", "/k"], "{}").unwrap();
        assert_eq!(pair, check(&[], r#"{"tls":{"cert":"/c","key":"/k"}}"#).unwrap());
    }

    #[test]
    fn a_setting_in_both_places_is_refused_by_name() {
        let said = check(&FLAGS, FILE).unwrap_err();
        for name in [
            "root",
            "listen",
            "tls.auto",
            "tls.client-ca",
            "auth.htpasswd",
            "auth.challenge",
            "auth.anonymous",
            "audit",
            "metrics.listen",
        ] {
            assert!(said.contains(name), "{name}: {said}");
        }
        let pair = r#"{"tls":{"cert":"/c","key":"/k"}}"#;
        let said = check(&["--tls-cert", "/c", "--tls-key", "/k"], pair).unwrap_err();
        assert!(said.contains("tls.cert, tls.key"), "{said}");
    }

    #[test]
    fn wrong_values_are_named() {
        for (flags, why) in [
            (&["--auth", "digest"][..], "`digest`"),
            (&["--listen", "x"], "`x`"),
            (&["--metrics", "y"], "`y`"),
            (&["--root", "r"], "`root`"),
            (&["--tls-cert", "/c"], "private key"),
            (&["--tls-auto", "a:1"], "`a:1`"),
        ] {
            let said = check(flags, "{}").unwrap_err();
            assert!(said.contains(why), "{flags:?}: {said}");
        }
        let flags = Flags::try_parse_from(["x", "-l", "loud"]).unwrap();
        assert!(flags.log_level().is_err());
    }
}
