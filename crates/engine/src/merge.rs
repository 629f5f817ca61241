//! Pure: what a container runs: the request above the image's config.

use crate::model::ContainerConfig;
use naru_errdefs::Fault;
use naru_oci::ContainerDefaults;

/// The path that programs are looked for in when nobody says.
pub(crate) const DEFAULT_PATH: &str =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The request with what the image says where the request says nothing.
pub(crate) fn config(
    mut request: ContainerConfig,
    image: &ContainerDefaults,
) -> Result<ContainerConfig, Fault> {
    if request.user.is_empty() {
        request.user.clone_from(&image.user);
    }
    for port in image.exposed_ports.keys() {
        request.exposed_ports.insert(port.clone());
    }
    for path in image.volumes.keys() {
        request.volumes.insert(path.clone());
    }
    for (key, value) in &image.labels {
        request.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if request.working_dir.is_empty() {
        request.working_dir.clone_from(&image.working_dir);
    }
    if request.stop_signal.is_empty() {
        request.stop_signal.clone_from(&image.stop_signal);
    }
    if request.shell.is_empty() {
        request.shell.clone_from(&image.shell);
    }
    if let Some(check) = &request.healthcheck {
        crate::health::validate(check)?;
    }
    request.healthcheck = healthcheck(request.healthcheck.take(), image);
    request.env = environment(&image.env, &request.env, Unset::Keep);

    // An entrypoint of one's own hides the image's command, as in Docker.
    if request.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if request.cmd.as_ref().is_none_or(Vec::is_empty) {
            request.cmd.clone_from(&image.cmd);
        }
        if request.entrypoint.is_none() {
            request.entrypoint.clone_from(&image.entrypoint);
        }
    }
    if request.entrypoint.as_deref().is_some_and(|words| words == [String::new()]) {
        request.entrypoint = None;
    }
    if command(&request).is_empty() {
        return Err(Fault::invalid("No command specified")
            .with_hint("name a command after the image; the image has none of its own"));
    }
    if !request.working_dir.is_empty() && !request.working_dir.starts_with('/') {
        return Err(Fault::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            request.working_dir
        )));
    }
    if !request.stop_signal.is_empty() {
        crate::signal::parse(&request.stop_signal)?;
    }
    for variable in &request.env {
        if variable.is_empty() || variable.starts_with('=') {
            return Err(Fault::invalid(format!("invalid environment variable: {variable}")));
        }
    }
    Ok(request)
}

/// The program and its arguments.
pub(crate) fn command(config: &ContainerConfig) -> Vec<String> {
    config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten()).cloned().collect()
}

fn healthcheck(
    request: Option<naru_oci::Healthcheck>,
    image: &ContainerDefaults,
) -> Option<naru_oci::Healthcheck> {
    let Some(mut own) = request else { return image.healthcheck.clone() };
    let Some(below) = &image.healthcheck else { return Some(own) };
    if own.test.is_empty() {
        own.test.clone_from(&below.test);
    }
    for (mine, theirs) in [
        (&mut own.interval, below.interval),
        (&mut own.timeout, below.timeout),
        (&mut own.start_period, below.start_period),
        (&mut own.start_interval, below.start_interval),
        (&mut own.retries, below.retries),
    ] {
        if *mine == 0 {
            *mine = theirs;
        }
    }
    Some(own)
}

/// What becomes of a `NAME` without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// It stays in the list, so that it removes what is set below later too.
    Keep,
    /// It removes the variable and is gone.
    Apply,
}

/// `below` with the variables of `above` replaced in place or appended.
pub(crate) fn environment(below: &[String], above: &[String], unset: Unset) -> Vec<String> {
    let name = |variable: &str| variable.split_once('=').map_or(variable, |(name, _)| name).len();
    let mut list = below.to_vec();
    for variable in above {
        let key = variable.get(..name(variable)).unwrap_or(variable);
        let same = |other: &String| other.get(..name(other)) == Some(key);
        if unset == Unset::Apply && !variable.contains('=') {
            list.retain(|other| !same(other));
        } else if let Some(slot) = list.iter_mut().find(|other| same(other)) {
            slot.clone_from(variable);
        } else {
            list.push(variable.clone());
        }
    }
    list
}

/// The environment of a container's first process. `linked` is what links add.
pub(crate) fn process_environment(
    config: &ContainerConfig,
    hostname: &str,
    linked: &[String],
) -> Vec<String> {
    let mut base = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if config.tty {
        base.push("TERM=xterm".to_owned());
    }
    base.extend_from_slice(linked);
    environment(&base, &config.env, Unset::Apply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::Healthcheck;

    fn words(text: &str) -> Option<Vec<String>> {
        match text {
            "-" => None,
            text => Some(text.split_whitespace().map(str::to_owned).collect()),
        }
    }

    fn merged(entrypoint: Option<Vec<String>>, cmd: &str, image: (&str, &str)) -> String {
        let request = ContainerConfig { entrypoint, cmd: words(cmd), ..ContainerConfig::default() };
        let image = ContainerDefaults {
            entrypoint: words(image.0),
            cmd: words(image.1),
            ..ContainerDefaults::default()
        };
        match config(request, &image) {
            Ok(config) => command(&config).join(" "),
            Err(fault) => fault.message().to_owned(),
        }
    }

    #[test]
    fn entrypoint_and_command_combine_as_in_docker() {
        for (entrypoint, cmd, image, want) in [
            ("-", "-", ("-", "sh"), "sh"),
            ("-", "-", ("/entry", "serve"), "/entry serve"),
            ("-", "a b", ("/entry", "serve"), "/entry a b"),
            ("mine", "-", ("/entry", "serve"), "mine"),
            ("mine", "x", ("/entry", "serve"), "mine x"),
            ("", "x", ("/entry", "serve"), "x"),
            ("-", "-", ("-", "-"), "No command specified"),
        ] {
            assert_eq!(merged(words(entrypoint), cmd, image), want, "{entrypoint} {cmd} {image:?}");
        }
        assert_eq!(merged(Some(vec![String::new()]), "x", ("/entry", "serve")), "x");
        assert_eq!(
            merged(Some(vec![String::new()]), "-", ("/entry", "serve")),
            "No command specified"
        );
    }

    #[test]
    fn environments_are_laid_over_each_other_in_place() {
        let request = ContainerConfig {
            env: vec!["B=2".into(), "PATH=/x".into(), "C".into(), "D=".into(), "HOSTNAME".into()],
            cmd: words("sh"),
            tty: true,
            ..ContainerConfig::default()
        };
        let image = ContainerDefaults {
            env: vec!["PATH=/bin".into(), "B=1".into(), "C=3".into()],
            ..ContainerDefaults::default()
        };
        let merged = config(request, &image).unwrap();
        assert_eq!(merged.env, ["PATH=/x", "B=2", "C", "D=", "HOSTNAME"]);
        assert_eq!(
            process_environment(&merged, "box", &[]),
            ["PATH=/x", "TERM=xterm", "B=2", "D="]
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_dockers_words() {
        let base = ContainerConfig { cmd: words("sh"), ..ContainerConfig::default() };
        let refused = |request| {
            config(request, &ContainerDefaults::default()).unwrap_err().message().to_owned()
        };
        assert_eq!(
            refused(ContainerConfig { working_dir: "x".into(), ..base.clone() }),
            "the working directory 'x' is invalid, it needs to be an absolute path"
        );
        assert_eq!(
            refused(ContainerConfig { env: vec!["=x".into()], ..base.clone() }),
            "invalid environment variable: =x"
        );
        assert_eq!(
            refused(ContainerConfig { stop_signal: "NOPE".into(), ..base.clone() }),
            "invalid signal: NOPE"
        );
        let check = Healthcheck::default();
        for (check, want) in [
            (
                Healthcheck { interval: 999_999, ..check.clone() },
                "Interval in Healthcheck cannot be less than 1ms",
            ),
            (
                Healthcheck { timeout: -1, ..check.clone() },
                "Timeout in Healthcheck cannot be less than 1ms",
            ),
            (
                Healthcheck { retries: -1, ..check.clone() },
                "Retries in Healthcheck cannot be negative",
            ),
            (
                Healthcheck { start_period: 1, ..check.clone() },
                "StartPeriod in Healthcheck cannot be less than 1ms",
            ),
            (
                Healthcheck { start_interval: 1, ..check },
                "StartInterval in Healthcheck cannot be less than 1ms",
            ),
        ] {
            assert_eq!(refused(ContainerConfig { healthcheck: Some(check), ..base.clone() }), want);
        }
    }
}
