//! The embedded registry: where it listens is a flag, the rest is its own file or the field `registry` of the daemon's. Pure, but for
//! reading that file.

use super::{Flags, file::File};
use crate::registry::read_config;
use naru_errdefs::Fault;
use naru_registry::config::{Listen, RegistryConfig};

/// The embedded registry's settings; none when it is not asked for.
pub fn embedded(flags: &Flags, file: &File) -> Result<Option<RegistryConfig>, Fault> {
    let mut config = match (&flags.registry_config, &file.registry) {
        (Some(_), Some(_)) => return Err(twice("registry-config", "registry")),
        (Some(path), None) => read_config(path)?,
        (None, Some(value)) => RegistryConfig::of(value.clone())
            .map_err(|fault| fault.context("unable to configure the registry of the daemon"))?,
        (None, None) => RegistryConfig::default(),
    };
    if config.root.is_some() {
        return Err(Fault::invalid("`root` cannot be set for the daemon's registry").with_hint(
            "it serves the daemon's own store (`--data-root`); for another root run `naru registry serve`",
        ));
    }
    match (&flags.registry, &config.listen) {
        (Some(_), Some(_)) => return Err(twice("registry", "listen")),
        (Some(listen), None) => {
            Listen::parse(listen)?;
            config.listen = Some(listen.clone());
        }
        (None, Some(_)) => {}
        (None, None) if flags.registry_config.is_none() && file.registry.is_none() => {
            return Ok(None);
        }
        (None, None) => {
            return Err(Fault::invalid("the registry is configured, but not where it listens")
                .with_hint("give `--registry ADDRESS`, or `listen` in its configuration"));
        }
    }
    Ok(Some(config))
}

/// The names under which the engine knows this registry as its own. A port that is chosen when it listens has none.
pub fn names(config: &RegistryConfig, public: &[String]) -> Result<Vec<String>, Fault> {
    let listen = config.listen.as_deref().map(Listen::parse).transpose()?;
    Ok(match listen.filter(|listen| listen.0.port() != 0) {
        Some(listen) => naru_transfer::own_names(listen.0, public),
        None => public.to_vec(),
    })
}

fn twice(flag: &str, field: &str) -> Fault {
    Fault::invalid(format!(
        "the registry is configured both by the flag `--{flag}` and by `{field}` in a configuration file"
    ))
    .with_hint("keep each setting in one place only")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn check(flags: &[&str], file: &str) -> Result<Option<RegistryConfig>, String> {
        let flags = Flags::try_parse_from([&["naru daemon"], flags].concat()).unwrap();
        let file = File::parse(file).map_err(|fault| fault.message().to_owned())?;
        embedded(&flags, &file).map_err(|fault| naru_errdefs::one_line(&fault))
    }

    #[test]
    fn it_is_off_unless_asked_for() {
        assert_eq!(check(&[], "{}"), Ok(None));
        let listen =
            |config: Result<Option<RegistryConfig>, String>| config.unwrap().unwrap().listen;
        assert_eq!(listen(check(&["--registry", "5000"], "{}")).as_deref(), Some("5000"));
        let file = r#"{"registry": {"listen": "[::1]:5000"}}"#;
        assert_eq!(listen(check(&[], file)).as_deref(), Some("[::1]:5000"));
        let both =
            check(&["--registry", "5000"], r#"{"registry": {"metrics": {"enabled": true}}}"#);
        assert!(both.unwrap().unwrap().metrics.enabled);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.json");
        naru_kernel::fs::write_atomic(&path, br#"{"listen": "5001"}"#, 0o600).unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(listen(check(&["--registry-config", path], "{}")).as_deref(), Some("5001"));
    }

    #[test]
    fn the_engine_knows_its_names() {
        let names = |listen: &str, public: &[String]| {
            let config = check(&["--registry", listen], "{}").unwrap().unwrap();
            names(&config, public).unwrap().join(" ")
        };
        assert_eq!(names("5000", &[]), "127.0.0.1:5000 [::1]:5000 localhost:5000");
        let public = ["r.site".to_owned()];
        assert_eq!(names("10.0.0.1:80", &public), "10.0.0.1:80 r.site");
        assert_eq!(names("127.0.0.1:0", &public), "r.site");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (flags, file, why) in [
            (&["--registry", "x"][..], "{}", "`x`"),
            (&["--registry", "5000"], r#"{"registry": {"listen": "5000"}}"#, "`--registry`"),
            (&["--registry-config", "/x"], r#"{"registry": {}}"#, "`--registry-config`"),
            (&["--registry-config", "/nowhere"], "{}", "`/nowhere`"),
            (&[], r#"{"registry": {}}"#, "not where it listens"),
            (&[], r#"{"registry": {"listen": "1", "root": "/x"}}"#, "`root`"),
            (&[], r#"{"registry": {"listn": "1"}}"#, "`listn`"),
            (&[], r#"{"registry": 5000}"#, "not a JSON object"),
        ] {
            let said = check(flags, file).unwrap_err();
            assert!(said.contains(why), "{flags:?} {file}: {said}");
        }
    }
}
