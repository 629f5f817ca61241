//! Pure: what instructions do to an image's configuration.

use crate::wording;
use naru_dockerfile::{Command, Healthcheck as Check};
use naru_oci::{Config, ContainerDefaults, Healthcheck, History, Platform, RootFs};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where programs are looked for when an image does not say.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The configuration of a stage that starts from nothing.
pub(crate) fn scratch(platform: &Platform) -> Config {
    Config {
        created: None,
        author: None,
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        config: ContainerDefaults {
            env: vec![PATH.to_owned()],
            working_dir: "/".to_owned(),
            ..ContainerDefaults::default()
        },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
        history: Vec::new(),
        other: BTreeMap::new(),
    }
}

/// The configuration of a stage that starts from an image: what is only about how that one was made is left behind.
pub(crate) fn inherit(mut base: Config) -> Config {
    base.other.retain(|key, _| key.starts_with("os."));
    base.config.on_build.clear();
    base.config.other.clear();
    if in_environment(&base.config.env, "PATH").is_none() {
        base.config.env.push(PATH.to_owned());
    }
    base
}

/// The value of a variable in a list of `NAME=value`.
fn in_environment<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter().rev().find_map(|pair| {
        let (known, value) = pair.split_once('=')?;
        (known == name).then_some(value)
    })
}

/// Sets a variable in a list of `NAME=value`, in the place of what it was.
fn set_in_environment(env: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    let is_it = |known: &String| known.split('=').next() == Some(name);
    match env.iter_mut().find(|known| is_it(known)) {
        Some(known) => *known = pair,
        None => env.push(pair),
    }
}

/// Adds a line to the history. Times are filled in at the end.
pub(crate) fn note(config: &mut Config, created_by: String, created: Option<String>, empty: bool) {
    config.history.push(History {
        created,
        created_by: Some(created_by),
        author: config.author.clone(),
        comment: Some(wording::COMMENT.to_owned()),
        empty_layer: empty,
    });
}

/// The words of a command: as they are, or for the shell.
pub(crate) fn command(defaults: &ContainerDefaults, command: &Command) -> Vec<String> {
    match command {
        Command::Exec(words) => words.clone(),
        Command::Shell(line) => {
            let mut words = shell(defaults);
            words.push(line.clone());
            words
        }
    }
}

/// The shell of a stage.
pub(crate) fn shell(defaults: &ContainerDefaults) -> Vec<String> {
    if defaults.shell.is_empty() {
        vec!["/bin/sh".to_owned(), "-c".to_owned()]
    } else {
        defaults.shell.clone()
    }
}

/// `CMD`.
pub(crate) fn cmd(config: &mut Config, what: &Command) -> String {
    let words = command(&config.config, what);
    let text = format!("CMD {}", wording::quoted(&words));
    config.config.cmd = Some(words);
    text
}

/// `ENTRYPOINT`. Forgets a `CMD` of the base image, unless this stage has one of its own.
pub(crate) fn entrypoint(config: &mut Config, what: &Command, has_cmd: bool) -> String {
    let words = command(&config.config, what);
    let text = format!("ENTRYPOINT {}", wording::quoted(&words));
    config.config.entrypoint = Some(words);
    if !has_cmd {
        config.config.cmd = None;
    }
    text
}

/// `ENV`, with expanded values.
pub(crate) fn env(config: &mut Config, pairs: &[(String, String)]) -> String {
    for (key, value) in pairs {
        set_in_environment(&mut config.config.env, key, value);
    }
    wording::pairs("ENV", pairs)
}

/// `LABEL`, with expanded values.
pub(crate) fn label(config: &mut Config, pairs: &[(String, String)]) -> String {
    config.config.labels.extend(pairs.iter().cloned());
    wording::pairs("LABEL", pairs)
}

/// `EXPOSE`, with expanded words.
pub(crate) fn expose(config: &mut Config, words: &[String]) -> Result<String, String> {
    let mut ports = Vec::new();
    for word in words {
        ports.extend(port_range(word)?);
    }
    ports.sort();
    ports.dedup();
    let shown: Vec<String> = ports.iter().map(|port| format!("{port}:{{}}")).collect();
    config.config.exposed_ports.extend(ports.into_iter().map(|port| (port, json!({}))));
    Ok(format!("EXPOSE map[{}]", shown.join(" ")))
}

fn port_range(word: &str) -> Result<Vec<String>, String> {
    let bad = |reason: &str| format!("invalid containerPort: {word}{reason}");
    // An address or a port of the host in front means nothing here, and is taken.
    let inner = word.rsplit(':').next().unwrap_or(word);
    let (range, protocol) = inner.split_once('/').unwrap_or((inner, "tcp"));
    let protocol = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("invalid proto: {protocol}"));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().map_err(|_bad| bad(""));
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err(bad(": the range ends before it begins"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// `VOLUME`, with expanded words.
pub(crate) fn volume(config: &mut Config, paths: &[String]) -> String {
    config.config.volumes.extend(paths.iter().map(|path| (path.clone(), json!({}))));
    format!("VOLUME [{}]", paths.join(" "))
}

/// `SHELL`.
pub(crate) fn set_shell(config: &mut Config, words: &[String]) -> String {
    config.config.shell = words.to_vec();
    format!("SHELL [{}]", words.join(" "))
}

/// `HEALTHCHECK`.
pub(crate) fn healthcheck(config: &mut Config, what: &Check) -> String {
    let nanoseconds = |duration: Option<Duration>| {
        duration.map_or(0, |duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    };
    let check = match what {
        Check::None => Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() },
        Check::Check(check) => Healthcheck {
            test: match &check.command {
                Command::Exec(words) => {
                    std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect()
                }
                Command::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
            },
            interval: nanoseconds(check.interval),
            timeout: nanoseconds(check.timeout),
            start_period: nanoseconds(check.start_period),
            start_interval: nanoseconds(check.start_interval),
            retries: check.retries.map_or(0, i64::from),
        },
    };
    let text = wording::healthcheck(&check);
    config.config.healthcheck = Some(check);
    text
}

/// `WORKDIR`: the directory that comes of it.
pub(crate) fn working_dir(current: &str, asked: &str) -> String {
    let joined =
        if asked.starts_with('/') { asked.to_owned() } else { format!("{current}/{asked}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_set_in_its_place() {
        let mut env = vec!["A=1".to_owned(), "B=2".to_owned()];
        set_in_environment(&mut env, "A", "x=y");
        set_in_environment(&mut env, "C", "3");
        assert_eq!(env, ["A=x=y", "B=2", "C=3"]);
        assert_eq!(in_environment(&env, "A"), Some("x=y"));
    }

    #[test]
    fn ports_are_ranges_of_ports() {
        let mut config = scratch(&Platform::host());
        let words = ["80", "53/UDP", "8000-8002", "127.0.0.1:90:91"].map(str::to_owned);
        let text = expose(&mut config, &words).unwrap();
        assert_eq!(
            text,
            "EXPOSE map[53/udp:{} 80/tcp:{} 8000/tcp:{} 8001/tcp:{} 8002/tcp:{} 91/tcp:{}]"
        );
        for bad in ["x", "70000", "80/icmp", "9-8", ""] {
            assert!(expose(&mut config, &[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn working_directories_add_up() {
        for (current, asked, want) in [
            ("/", "a", "/a"),
            ("/a", "b/../c", "/a/c"),
            ("/a", "/b/", "/b"),
            ("/a", "../../..", "/"),
            ("", ".", "/"),
        ] {
            assert_eq!(working_dir(current, asked), want);
        }
    }

    #[test]
    fn an_entrypoint_forgets_the_command_of_the_base() {
        let mut config = scratch(&Platform::host());
        config.config.cmd = Some(vec!["base".to_owned()]);
        let text = entrypoint(&mut config, &Command::Exec(vec!["/x".to_owned()]), false);
        assert_eq!((text.as_str(), &config.config.cmd), ("ENTRYPOINT [\"/x\"]", &None));
        let text = cmd(&mut config, &Command::Shell("echo hi".to_owned()));
        assert_eq!(text, "CMD [\"/bin/sh\" \"-c\" \"echo hi\"]");
        entrypoint(&mut config, &Command::Exec(vec!["/y".to_owned()]), true);
        assert!(config.config.cmd.is_some());
    }
}
