//! Pure: `--change` of `import` (and of `commit`): Dockerfile instructions on an image's configuration.

use naru_errdefs::{Failure, Kind};
use naru_oci::{ContainerDefaults, Healthcheck};
use serde_json::json;

/// Why an instruction cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Not one of the instructions that may be used here.
    #[error("`{instruction}` is not a valid change command")]
    Unknown {
        /// The instruction's name.
        instruction: String,
    },
    /// What follows the name makes no sense.
    #[error("cannot read the change `{change}`: {reason}")]
    Malformed {
        /// The whole instruction.
        change: String,
        /// What is wrong.
        reason: String,
    },
}

impl Failure for ChangeError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }

    fn hint(&self) -> Option<String> {
        let names = "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR";
        Some(format!("use one instruction a `--change`; {names} are possible"))
    }
}

/// Applies the instructions in order.
pub fn apply_changes(
    defaults: &mut ContainerDefaults,
    changes: &[String],
) -> Result<(), ChangeError> {
    changes.iter().flat_map(|change| change.lines()).try_for_each(|change| {
        let change = change.trim();
        if change.is_empty() || change.starts_with('#') {
            return Ok(());
        }
        apply_change(defaults, change)
    })
}

fn apply_change(defaults: &mut ContainerDefaults, change: &str) -> Result<(), ChangeError> {
    let (name, rest) = change.split_once(char::is_whitespace).unwrap_or((change, ""));
    let rest = rest.trim();
    let bad = |reason: &str| ChangeError::Malformed {
        change: change.to_owned(),
        reason: reason.to_owned(),
    };
    let instruction = name.to_ascii_uppercase();
    let takes_text = !matches!(instruction.as_str(), "CMD" | "ENTRYPOINT");
    if rest.is_empty() && takes_text && is_known(&instruction) {
        return Err(bad("it needs an argument"));
    }
    match instruction.as_str() {
        "CMD" => defaults.cmd = Some(command(rest, &defaults.shell)),
        "ENTRYPOINT" => {
            defaults.entrypoint =
                Some(command(rest, &defaults.shell)).filter(|command| !command.is_empty());
        }
        "ENV" => {
            for (key, value) in pairs(rest).map_err(|reason| bad(&reason))? {
                let same =
                    |entry: &String| entry.split_once('=').is_some_and(|(name, _)| name == key);
                match defaults.env.iter().position(same).and_then(|at| defaults.env.get_mut(at)) {
                    Some(entry) => *entry = format!("{key}={value}"),
                    None => defaults.env.push(format!("{key}={value}")),
                }
            }
        }
        "LABEL" => defaults.labels.extend(pairs(rest).map_err(|reason| bad(&reason))?),
        "EXPOSE" => {
            for port in words(rest).map_err(|reason| bad(&reason))? {
                for port in ports(&port).ok_or_else(|| bad(&format!("`{port}` is not a port")))? {
                    defaults.exposed_ports.insert(port, json!({}));
                }
            }
        }
        "USER" => {
            let [user] = one(rest).map_err(|reason| bad(&reason))?;
            defaults.user = user;
        }
        "VOLUME" => {
            let list =
                json_list(rest).map_or_else(|| words(rest), Ok).map_err(|reason| bad(&reason))?;
            for path in list {
                if path.trim().is_empty() {
                    return Err(bad("a volume's path cannot be empty"));
                }
                defaults.volumes.insert(path, json!({}));
            }
        }
        "WORKDIR" => {
            let path = words(rest).map_err(|reason| bad(&reason))?.join(" ");
            defaults.working_dir = join(&defaults.working_dir, &path);
        }
        "ONBUILD" => {
            let trigger = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            match trigger.as_str() {
                "ONBUILD" => return Err(bad("`ONBUILD ONBUILD` is not allowed")),
                "FROM" | "MAINTAINER" => {
                    return Err(bad(&format!("{trigger} is not allowed as an ONBUILD trigger")));
                }
                _ => defaults.on_build.push(rest.to_owned()),
            }
        }
        "STOPSIGNAL" => {
            let [signal] = one(rest).map_err(|reason| bad(&reason))?;
            defaults.stop_signal = signal;
        }
        "HEALTHCHECK" => {
            defaults.healthcheck =
                Some(healthcheck(rest, &defaults.shell).map_err(|reason| bad(&reason))?)
        }
        _ => return Err(ChangeError::Unknown { instruction: name.to_owned() }),
    }
    Ok(())
}

fn is_known(name: &str) -> bool {
    let names = [
        "ENV",
        "LABEL",
        "EXPOSE",
        "USER",
        "VOLUME",
        "WORKDIR",
        "ONBUILD",
        "STOPSIGNAL",
        "HEALTHCHECK",
    ];
    names.contains(&name)
}

/// The exec form when it is a JSON list of strings, else the shell form.
fn command(text: &str, shell: &[String]) -> Vec<String> {
    if let Some(list) = json_list(text) {
        return list;
    }
    if text.is_empty() {
        return Vec::new();
    }
    let mut command = match shell {
        [] => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        _ => shell.to_vec(),
    };
    command.push(text.to_owned());
    command
}

fn json_list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

fn one(text: &str) -> Result<[String; 1], String> {
    <[String; 1]>::try_from(words(text)?)
        .map_err(|words| format!("it takes one argument, not {}", words.len()))
}

/// `key=value key="a b"`, or the old `key all the rest`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let words = words(text)?;
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) =
            text.split_once(char::is_whitespace).ok_or("it needs a name and a value")?;
        return Ok(vec![(
            key.to_owned(),
            words.get(1..).map(|_| value.trim().to_owned()).unwrap_or_default(),
        )]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some(("", _)) => Err(format!("`{word}` has no name")),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(format!("`{word}` is not of the form name=value")),
    };
    words.into_iter().map(pair).collect()
}

/// Splits at spaces, with quotes and backslashes as a Dockerfile has them.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(letters.next()),
            (_, Some(open)) if letter == open => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(letter),
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, None) if letter.is_whitespace() => words.extend(word.take()),
            (_, None) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

/// `80`, `80/udp` or `8000-8010/tcp`, each port on its own.
fn ports(text: &str) -> Option<Vec<String>> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return None;
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (0 < first && first <= last)
        .then(|| (first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn join(base: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut parts = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn healthcheck(text: &str, shell: &[String]) -> Result<Healthcheck, String> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        rest = after.trim_start();
        let (name, value) =
            option.split_once('=').ok_or_else(|| format!("option `--{option}` needs a value"))?;
        match name {
            "interval" => check.interval = duration(value)?,
            "timeout" => check.timeout = duration(value)?,
            "start-period" => check.start_period = duration(value)?,
            "start-interval" => check.start_interval = duration(value)?,
            "retries" => {
                check.retries = value
                    .parse()
                    .ok()
                    .filter(|count| *count >= 0)
                    .ok_or_else(|| format!("`{value}` is not a number of retries"))?;
            }
            _ => return Err(format!("unknown option `--{name}`")),
        }
    }
    let (kind, command_text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if command_text.trim().is_empty() => check.test = vec!["NONE".to_owned()],
        "CMD" if command_text.trim().is_empty() => return Err("the command is missing".to_owned()),
        "CMD" => {
            let text = command_text.trim();
            check.test = match json_list(text) {
                Some(list) => [vec!["CMD".to_owned()], list].concat(),
                None if shell.is_empty() => vec!["CMD-SHELL".to_owned(), text.to_owned()],
                None => [vec!["CMD".to_owned()], command(text, shell)].concat(),
            };
        }
        _ => return Err("it begins with CMD or NONE".to_owned()),
    }
    Ok(check)
}

/// Go's durations: `1m30s`, `1.5h`, `500ms`.
fn duration(text: &str) -> Result<i64, String> {
    let bad = || format!("`{text}` is not a duration such as `30s` or `1m30s`");
    if text == "0" {
        return Ok(0);
    }
    let (mut rest, mut total) = (text, 0f64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, after) = rest.split_at_checked(digits).ok_or_else(bad)?;
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit).ok_or_else(bad)?;
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(bad()),
        };
        total += number.parse::<f64>().ok().ok_or_else(bad)? * scale;
        rest = after;
    }
    if text.is_empty() || !(0.0..9e18).contains(&total) {
        return Err(bad());
    }
    if 0.0 < total && total < 1e6 {
        return Err("a duration cannot be less than one millisecond".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked just now")]
    Ok(total.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn check(changes: &[&str], expected: Value) {
        let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
        let mut defaults = ContainerDefaults::default();
        apply_changes(&mut defaults, &changes).unwrap();
        let mut found = serde_json::to_value(&defaults).unwrap();
        if found["Env"] == json!([]) {
            found.as_object_mut().unwrap().remove("Env");
        }
        assert_eq!(found, expected, "{changes:?}");
    }

    #[test]
    fn each_instruction_does_what_docker_does() {
        check(&["CMD echo hi"], json!({"Cmd": ["/bin/sh", "-c", "echo hi"]}));
        check(&["cmd [\"a\", \"b\"]"], json!({"Cmd": ["a", "b"]}));
        check(&["CMD [not json"], json!({"Cmd": ["/bin/sh", "-c", "[not json"]}));
        check(&["ENTRYPOINT [\"/x\"]"], json!({"Entrypoint": ["/x"]}));
        check(
            &["ENV A=1 B=\"two words\" C=it\\ is"],
            json!({"Env": ["A=1", "B=two words", "C=it is"]}),
        );
        check(&["ENV A all the rest", "ENV A=2"], json!({"Env": ["A=2"]}));
        check(&["LABEL a=b \"c d\"='e f'"], json!({"Labels": {"a": "b", "c d": "e f"}}));
        check(
            &["EXPOSE 80 53/udp 8000-8002"],
            json!({"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}}}),
        );
        check(&["USER app:app"], json!({"User": "app:app"}));
        check(
            &["VOLUME /a /b", "VOLUME [\"/c d\"]"],
            json!({"Volumes": {"/a": {}, "/b": {}, "/c d": {}}}),
        );
        check(&["WORKDIR /a/b", "WORKDIR ../c"], json!({"WorkingDir": "/a/c"}));
        check(&["ONBUILD RUN x"], json!({"OnBuild": ["RUN x"]}));
        check(&["STOPSIGNAL SIGQUIT"], json!({"StopSignal": "SIGQUIT"}));
        check(
            &["HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl localhost"],
            json!({"Healthcheck": {"Test": ["CMD-SHELL", "curl localhost"], "Interval": 90_000_000_000u64, "Timeout": 500_000_000, "Retries": 3}}),
        );
        check(&["HEALTHCHECK NONE"], json!({"Healthcheck": {"Test": ["NONE"]}}));
        check(&["# a comment\n\nUSER x"], json!({"User": "x"}));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for change in [
            "RUN x",
            "FROM x",
            "COPY a b",
            "nonsense",
            "ENV",
            "ENV A",
            "ENV =x",
            "ENV A=\"x",
            "LABEL a=b c",
            "EXPOSE x",
            "EXPOSE 0",
            "EXPOSE 80/icmp",
            "EXPOSE 99999",
            "USER",
            "USER a b",
            "ONBUILD ONBUILD RUN x",
            "ONBUILD FROM x",
            "HEALTHCHECK",
            "HEALTHCHECK CMD",
            "HEALTHCHECK --interval=x CMD y",
            "HEALTHCHECK --interval=1us CMD y",
            "HEALTHCHECK --what=1 CMD y",
            "VOLUME",
        ] {
            let mut defaults = ContainerDefaults::default();
            let error = apply_changes(&mut defaults, &[change.to_owned()]).unwrap_err();
            assert!(error.hint().is_some(), "{change}");
        }
    }
}
