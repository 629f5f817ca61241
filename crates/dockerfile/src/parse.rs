//! Pure: raw statements into typed instructions, with docker's words for what is refused.

mod flags;
mod instruction;
mod run;
mod transfer;
pub(crate) mod value;

use crate::problem::Source;
use crate::raw::{self, Raw};
use crate::{Dockerfile, Instruction, Problem, Problems, Span, Stage, Statement};
use crate::{From, suggest};

/// Every instruction.
pub(crate) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// How many problems are collected before the rest of the file is left alone.
const MAX_PROBLEMS: usize = 20;

/// Why a statement is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

impl Refused {
    fn with(message: impl Into<String>, suggestion: Option<&str>) -> Refused {
        Refused { message: message.into(), suggestion: suggestion.map(str::to_owned) }
    }
}

impl std::convert::From<String> for Refused {
    fn from(message: String) -> Refused {
        Refused { message, suggestion: None }
    }
}

impl std::convert::From<&str> for Refused {
    fn from(message: &str) -> Refused {
        message.to_owned().into()
    }
}

/// Reads a Dockerfile. All problems are reported at once, as far as they do not follow from each other; the first is docker's.
pub fn parse(bytes: &[u8]) -> Result<Dockerfile, Problems> {
    let source = Source::new(bytes);
    let file = raw::read(&source);
    let mut problems = file.problems;
    let mut arguments = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for raw in file.statements {
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
        let span = raw.span;
        match typed(raw) {
            Ok(Typed::From(stage)) => stages.push(*stage),
            Ok(Typed::Step(step)) => match (stages.last_mut(), step.what) {
                (Some(stage), what) => stage.steps.push(restated(step.frame, what)),
                (None, Instruction::Arg(list)) => arguments.push(restated(step.frame, list)),
                (None, _) => {
                    problems.push(source.problem(span, "no build stage in current context"))
                }
            },
            Err(refused) => {
                let mut problem = source.problem(span, &refused.message);
                problem.suggestion = refused.suggestion.map(|word| crate::problem::shown(&word));
                problems.push(problem);
            }
        }
    }
    problems.sort_by_key(|problem| problem.span);
    if problems.is_empty() && stages.is_empty() {
        let last = arguments.last().map_or(1, |statement: &Statement<_>| statement.span.end);
        let span = Span { start: last, end: last };
        problems.push(source.problem(span, "dockerfile contains no stages to build"));
    }
    match Problems::of(problems) {
        Some(problems) => Err(problems),
        None => Ok(Dockerfile {
            directives: file.directives,
            arguments,
            stages,
            warnings: file.warnings,
        }),
    }
}

/// Reads a trigger that the configuration of a base image carries (`OnBuild`). The lines of its span are those of the trigger.
pub fn parse_trigger(text: &str) -> Result<Statement<Instruction>, Problems> {
    let source = Source::new(text.as_bytes());
    let file = raw::read(&source);
    if let Some(problems) = Problems::of(file.problems) {
        return Err(problems);
    }
    let whole = Span { start: 1, end: text.lines().count().max(1) };
    let problem = |refused: Refused| {
        let mut problem = source.problem(whole, &refused.message);
        problem.suggestion = refused.suggestion;
        Problems::from(problem)
    };
    let [raw] = <[Raw; 1]>::try_from(file.statements)
        .map_err(|_several| problem("onbuild trigger should be a single expression".into()))?;
    instruction::trigger(raw).map_err(problem)
}

/// A statement's place and spelling, while what it says is still being sorted.
type Frame = Statement<()>;

struct Step {
    frame: Frame,
    what: Instruction,
}

enum Typed {
    From(Box<Stage>),
    Step(Box<Step>),
}

fn restated<T>(frame: Frame, what: T) -> Statement<T> {
    Statement {
        what,
        span: frame.span,
        keyword: frame.keyword,
        text: frame.text,
        comments: frame.comments,
        heredocs: frame.heredocs,
    }
}

fn typed(raw: Raw) -> Result<Typed, Refused> {
    if raw.keyword.eq_ignore_ascii_case("FROM") {
        return stage(raw).map(|stage| Typed::From(Box::new(stage)));
    }
    let what = instruction::typed(&raw)?;
    Ok(Typed::Step(Box::new(Step { frame: frame(raw), what })))
}

fn frame(raw: Raw) -> Frame {
    Statement {
        what: (),
        span: raw.span,
        keyword: raw.keyword,
        text: raw.text,
        comments: raw.comments,
        heredocs: raw.heredocs,
    }
}

fn stage(raw: Raw) -> Result<Stage, Refused> {
    let raw::Arguments::Words(words) = &raw.arguments else {
        return Err("FROM requires either one or three arguments".into());
    };
    let (base, from) = match words.as_slice() {
        [base] => (base.clone(), From::default()),
        [base, word, name] if word.eq_ignore_ascii_case("as") => {
            if !is_stage_name(&name.to_lowercase()) {
                return Err(format!(
                    "invalid name for build stage: {name:?}, name can't start with a number or contain symbols"
                )
                .into());
            }
            let from = From { as_word: Some(word.clone()), written_name: Some(name.clone()) };
            (base.clone(), from)
        }
        _ => return Err("FROM requires either one or three arguments".into()),
    };
    let mut flags = flags::read(&raw.flags, &[("platform", flags::Takes::Text)])?;
    Ok(Stage {
        name: from.written_name.as_ref().map(|name| name.to_lowercase()),
        base,
        platform: flags.text("platform"),
        from: restated(frame(raw), from),
        steps: Vec::new(),
    })
}

/// A stage's name: a letter, then letters, digits, `-`, `_` and `.`, all lower case.
fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
}

fn unknown(keyword: &str) -> Refused {
    Refused {
        message: format!("unknown instruction: {keyword}"),
        suggestion: suggest::nearest_keyword(keyword, &KEYWORDS),
    }
}

impl Problem {
    /// A problem that was found after parsing, at a statement of the file it came from.
    pub fn at<T>(statement: &Statement<T>, message: impl AsRef<str>) -> Problem {
        Problem {
            message: crate::problem::shown(message.as_ref()),
            suggestion: None,
            span: statement.span,
            excerpt: vec![(statement.span.start, crate::problem::shown(&statement.text))],
        }
    }
}

#[cfg(test)]
mod tests;
