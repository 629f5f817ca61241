//! Acts: carries out one instruction of a stage: expanded, then done, or found in the cache.

mod files;
mod process;
mod vertex;

pub(crate) use files::of_context;
pub(crate) use vertex::{hold, note_nothing, view};

use crate::build::Session;
use crate::event::BuildFailure;
use crate::stage::{Stage, Step};
use crate::{config, wording};
use naru_dockerfile::{Expander, Instruction, KeyValue, Scope, Statement};
use naru_errdefs::Fault;

/// The instruction for the eye, with what is known of its variables.
pub(crate) fn shown(
    session: &Session,
    stage: &Stage,
    statement: &Statement<Instruction>,
) -> String {
    match statement.what {
        // The shell's own variables look the same.
        Instruction::Run(_) => statement.text.clone(),
        _ => {
            let lookup = |name: &str| stage.scope.get(name);
            Expander::new(session.shared.file.directives.escape, &lookup).display(&statement.text)
        }
    }
}

/// Expands words with the variables of one place in the file.
pub(crate) struct Words<'a> {
    step: &'a Step<'a>,
    scope: &'a Scope,
}

impl<'a> Words<'a> {
    fn new(step: &'a Step<'a>, scope: &'a Scope) -> Words<'a> {
        Words { step, scope }
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Expander<'_>) -> Result<T, naru_dockerfile::ExpandError>,
    ) -> Result<T, Fault> {
        let lookup = |name: &str| self.scope.get(name);
        let escape = self.step.session.shared.file.directives.escape;
        work(&Expander::new(escape, &lookup))
            .map_err(|error| located(self.step, &error.to_string()))
    }

    /// One word.
    pub(crate) fn word(&self, text: &str) -> Result<String, Fault> {
        self.with(|expander| expander.word(text))
    }

    /// Words that may become several.
    fn words(&self, texts: &[String]) -> Result<Vec<String>, Fault> {
        let mut list = Vec::new();
        for text in texts {
            list.extend(self.with(|expander| expander.words(text))?);
        }
        Ok(list)
    }

    /// The body of a heredoc.
    fn body(&self, text: &str) -> Result<String, Fault> {
        self.with(|expander| expander.body(text).map(|expanded| expanded.text))
    }

    fn pairs(&self, pairs: &[KeyValue]) -> Result<Vec<(String, String)>, Fault> {
        pairs.iter().map(|pair| Ok((self.word(&pair.key)?, self.word(&pair.value)?))).collect()
    }
}

/// A failure of a statement, with its place in the file.
pub(crate) fn located(step: &Step<'_>, message: &str) -> Fault {
    Fault::invalid(format!(
        "{}:{}: {message}",
        step.session.shared.file_name, step.statement.span.start
    ))
}

/// Carries an instruction out.
pub(crate) async fn carry_out(step: &mut Step<'_>, stage: &mut Stage) -> Result<(), BuildFailure> {
    let statement = step.statement;
    let created_by = match &statement.what {
        Instruction::Run(run) => return process::run(step, stage, run).await,
        Instruction::Copy(copy) => {
            return files::copy(step, stage, &files::Asked::from_copy(copy)).await;
        }
        Instruction::Add(add) => {
            return files::copy(step, stage, &files::Asked::from_add(add)).await;
        }
        Instruction::Workdir(path) => {
            let path = Words::new(step, &stage.scope).word(path)?;
            return files::working_dir(step, stage, &path).await;
        }
        Instruction::Onbuild(onbuild) => {
            // It is in the configuration alone: it did nothing yet that a history could tell.
            stage.config.config.on_build.push(onbuild.expression.clone());
            return Ok(());
        }
        other => described(step, stage, other)?,
    };
    config::note(&mut stage.config, created_by, None, true);
    Ok(())
}

/// What changes nothing but the configuration. Answers what the history says of it.
fn described(
    step: &Step<'_>,
    stage: &mut Stage,
    instruction: &Instruction,
) -> Result<String, Fault> {
    if let Instruction::Arg(arguments) = instruction {
        return arguments_of(step, &mut stage.scope, arguments);
    }
    if let Instruction::Env(pairs) = instruction {
        let pairs = Words::new(step, &stage.scope).pairs(pairs)?;
        for (name, value) in &pairs {
            stage.scope.set(name, value);
        }
        return Ok(config::env(&mut stage.config, &pairs));
    }
    let words = Words::new(step, &stage.scope);
    let config = &mut stage.config;
    Ok(match instruction {
        Instruction::Label(pairs) => config::label(config, &words.pairs(pairs)?),
        Instruction::Cmd(command) => {
            stage.has_cmd = true;
            config::cmd(config, command)
        }
        Instruction::Entrypoint(command) => config::entrypoint(config, command, stage.has_cmd),
        Instruction::Shell(list) => config::set_shell(config, list),
        Instruction::User(text) => {
            let user = words.word(text)?;
            let text = format!("USER {user}");
            config.config.user = user;
            text
        }
        Instruction::Expose(list) => config::expose(config, &words.words(list)?)
            .map_err(|message| located(step, &message))?,
        Instruction::Volume(list) => {
            let paths = list.iter().map(|path| words.word(path)).collect::<Result<Vec<_>, _>>()?;
            if paths.iter().any(|path| path.is_empty()) {
                return Err(located(step, "VOLUME specified can not be an empty string"));
            }
            config::volume(config, &paths)
        }
        Instruction::StopSignal(text) => {
            let signal = words.word(text)?;
            naru_oci::signal::parse(&signal).map_err(|fault| located(step, fault.message()))?;
            let text = format!("STOPSIGNAL {signal}");
            config.config.stop_signal = signal;
            text
        }
        Instruction::Healthcheck(check) => config::healthcheck(config, check),
        Instruction::Maintainer(text) => {
            config.author = Some(text.clone());
            format!("MAINTAINER {text}")
        }
        Instruction::Arg(_)
        | Instruction::Env(_)
        | Instruction::Onbuild(_)
        | Instruction::Run(_)
        | Instruction::Copy(_)
        | Instruction::Add(_)
        | Instruction::Workdir(_) => wording::COMMENT.to_owned(),
    })
}

fn arguments_of(
    step: &Step<'_>,
    scope: &mut Scope,
    arguments: &[naru_dockerfile::Argument],
) -> Result<String, Fault> {
    let session = step.session;
    let escape = session.shared.file.directives.escape;
    let declared = scope
        .declare(arguments, (&session.plan.globals, session.given()), escape)
        .map_err(|error| located(step, &error.to_string()))?;
    let mut text = String::from("ARG");
    for (name, value) in declared {
        text.push_str(&format!(" {name}"));
        if let Some(value) = value {
            text.push_str(&format!("={value}"));
        }
    }
    Ok(text)
}
