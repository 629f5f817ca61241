//! Pure: each instruction from its raw form.

use super::flags::{self, Takes};
use super::{Refused, frame, restated, run, transfer, unknown, value};
use crate::raw::{Arguments, Raw};
use crate::{Argument, Check, Command, Healthcheck, Instruction, KeyValue, Onbuild, Statement};
use std::time::Duration;

/// Any instruction but `FROM`.
pub(super) fn typed(raw: &Raw) -> Result<Instruction, Refused> {
    let keyword = raw.keyword.to_ascii_uppercase();
    Ok(match keyword.as_str() {
        "ADD" => Instruction::Add(transfer::add(raw)?),
        "ARG" => Instruction::Arg(arguments(raw)?),
        "CMD" => {
            flags::read(&raw.flags, &[])?;
            Instruction::Cmd(command(&raw.arguments))
        }
        "COPY" => Instruction::Copy(transfer::copy(raw)?),
        "ENTRYPOINT" => {
            flags::read(&raw.flags, &[])?;
            Instruction::Entrypoint(command(&raw.arguments))
        }
        "ENV" => Instruction::Env(pairs(raw, "ENV")?),
        "EXPOSE" => {
            let mut ports = at_least_one(raw, "EXPOSE")?;
            ports.sort();
            Instruction::Expose(ports)
        }
        "HEALTHCHECK" => Instruction::Healthcheck(healthcheck(raw)?),
        "LABEL" => Instruction::Label(pairs(raw, "LABEL")?),
        "MAINTAINER" => Instruction::Maintainer(exactly_one(raw, "MAINTAINER")?),
        "ONBUILD" => Instruction::Onbuild(onbuild(raw)?),
        "RUN" => Instruction::Run(run::run(raw)?),
        "SHELL" => Instruction::Shell(shell(raw)?),
        "STOPSIGNAL" => Instruction::StopSignal(exactly_one(raw, "STOPSIGNAL")?),
        "USER" => Instruction::User(exactly_one(raw, "USER")?),
        "VOLUME" => Instruction::Volume(volumes(raw)?),
        "WORKDIR" => Instruction::Workdir(exactly_one(raw, "WORKDIR")?),
        _ => return Err(unknown(&raw.keyword)),
    })
}

/// What may follow `ONBUILD`, or stands in the configuration of an image.
pub(super) fn trigger(raw: Raw) -> Result<Statement<Instruction>, Refused> {
    let keyword = raw.keyword.to_ascii_uppercase();
    match keyword.as_str() {
        "ONBUILD" => Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".into()),
        "MAINTAINER" | "FROM" => {
            Err(format!("{keyword} isn't allowed as an ONBUILD trigger").into())
        }
        _ => {
            let what = typed(&raw)?;
            Ok(restated(frame(raw), what))
        }
    }
}

/// A command in its form.
pub(super) fn command(arguments: &Arguments) -> Command {
    match arguments {
        Arguments::Json(words) => Command::Exec(words.clone()),
        Arguments::Words(words) => Command::Shell(words.join(" ")),
        Arguments::Pairs(_) | Arguments::Kind(..) | Arguments::Statement(_) => {
            Command::Shell(String::new())
        }
    }
}

/// Words or the strings of an array.
pub(super) fn words(raw: &Raw) -> &[String] {
    match &raw.arguments {
        Arguments::Words(words) | Arguments::Json(words) => words,
        Arguments::Pairs(_) | Arguments::Kind(..) | Arguments::Statement(_) => &[],
    }
}

fn exactly_one(raw: &Raw, keyword: &str) -> Result<String, Refused> {
    let [word] = words(raw) else {
        return Err(format!("{keyword} requires exactly one argument").into());
    };
    flags::read(&raw.flags, &[])?;
    Ok(word.clone())
}

fn at_least_one(raw: &Raw, keyword: &str) -> Result<Vec<String>, Refused> {
    let words = words(raw);
    if words.is_empty() {
        return Err(none(keyword));
    }
    flags::read(&raw.flags, &[])?;
    Ok(words.to_vec())
}

fn none(keyword: &str) -> Refused {
    format!("{keyword} requires at least one argument").into()
}

fn pairs(raw: &Raw, keyword: &str) -> Result<Vec<KeyValue>, Refused> {
    flags::read(&raw.flags, &[])?;
    let Arguments::Pairs(pairs) = &raw.arguments else { return Err(none(keyword)) };
    if pairs.is_empty() {
        return Err(none(keyword));
    }
    pairs
        .iter()
        .map(|(key, value, delimited)| {
            if key.is_empty() {
                return Err(format!("{keyword} names can not be blank").into());
            }
            Ok(KeyValue { key: key.clone(), value: value.clone(), legacy: !delimited })
        })
        .collect()
}

fn arguments(raw: &Raw) -> Result<Vec<Argument>, Refused> {
    at_least_one(raw, "ARG")?
        .iter()
        .map(|word| {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name, Some(default.to_owned())),
                None => (word.as_str(), None),
            };
            if name.is_empty() {
                return Err("ARG names can not be blank".into());
            }
            Ok(Argument {
                name: name.to_owned(),
                default,
                description: crate::ast::description(&raw.comments, name),
            })
        })
        .collect()
}

fn volumes(raw: &Raw) -> Result<Vec<String>, Refused> {
    at_least_one(raw, "VOLUME")?
        .iter()
        .map(|volume| match volume.trim() {
            "" => Err("VOLUME specified can not be an empty string".into()),
            volume => Ok(volume.to_owned()),
        })
        .collect()
}

fn shell(raw: &Raw) -> Result<Vec<String>, Refused> {
    flags::read(&raw.flags, &[])?;
    match &raw.arguments {
        Arguments::Json(words) if !words.is_empty() => Ok(words.clone()),
        Arguments::Words(words) if !words.is_empty() => {
            Err("SHELL requires the arguments to be in JSON form".into())
        }
        _ => Err(none("SHELL")),
    }
}

fn healthcheck(raw: &Raw) -> Result<Healthcheck, Refused> {
    let Arguments::Kind(kind, arguments) = &raw.arguments else {
        return Err(none("HEALTHCHECK"));
    };
    let known = ["interval", "timeout", "start-period", "start-interval", "retries"]
        .map(|name| (name, Takes::Text));
    let kind = kind.to_uppercase();
    let given = match &**arguments {
        Arguments::Words(words) | Arguments::Json(words) => !words.is_empty(),
        Arguments::Pairs(_) | Arguments::Kind(..) | Arguments::Statement(_) => false,
    };
    if kind == "NONE" {
        if given {
            return Err("HEALTHCHECK NONE takes no arguments".into());
        }
        flags::read(&raw.flags, &known)?;
        return Ok(Healthcheck::None);
    }
    let mut flags = flags::read(&raw.flags, &known)?;
    if kind != "CMD" {
        return Err(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)").into());
    }
    if !given {
        return Err("Missing command after HEALTHCHECK CMD".into());
    }
    let mut interval = |name: &str| match flags.text(name) {
        Some(text) => interval(name, &text),
        None => Ok(None),
    };
    Ok(Healthcheck::Check(Check {
        command: command(arguments),
        interval: interval("interval")?,
        timeout: interval("timeout")?,
        start_period: interval("start-period")?,
        start_interval: interval("start-interval")?,
        retries: flags.text("retries").map(|text| retries(&text)).transpose()?,
    }))
}

/// A duration of at least a millisecond; 0 stands for the default.
fn interval(name: &str, text: &str) -> Result<Option<Duration>, Refused> {
    match value::duration(text)? {
        Some(Duration::ZERO) => Ok(None),
        Some(duration) if duration >= Duration::from_millis(1) => Ok(Some(duration)),
        _ => Err(format!("Interval {name:?} cannot be less than 1ms").into()),
    }
}

fn retries(text: &str) -> Result<u32, Refused> {
    match text.parse::<i32>() {
        Ok(count) => u32::try_from(count)
            .map_err(|_negative| format!("--retries cannot be negative ({count})").into()),
        Err(_) => Err(format!("--retries={text} is not a number").into()),
    }
}

fn onbuild(raw: &Raw) -> Result<Onbuild, Refused> {
    let Arguments::Statement(inner) = &raw.arguments else { return Err(none("ONBUILD")) };
    flags::read(&raw.flags, &[])?;
    let mut expression =
        raw.text.get(raw.keyword.len()..).unwrap_or_default().trim_start().to_owned();
    for document in &raw.heredocs {
        expression.push('\n');
        expression.push_str(&document.content);
        expression.push_str(&document.name);
    }
    Ok(Onbuild { expression, trigger: Box::new(trigger((**inner).clone())?) })
}
