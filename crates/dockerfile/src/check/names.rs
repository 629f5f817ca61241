//! Pure: checks of how things are written: cases, names, comments, forms.

use super::{Report, Rule};
use crate::{Dockerfile, Instruction, Span, Stage, Statement};
use std::collections::BTreeSet;

pub(super) fn check(file: &Dockerfile, report: &mut Report<'_>) {
    for warning in &file.warnings {
        // The statement is found where it ends, as docker has it.
        let span = Span { start: warning.span.end, end: warning.span.end };
        let message = "Empty continuation line".to_owned();
        report.add(span, &[], Rule::NoEmptyContinuation, message);
    }
    for statement in &file.arguments {
        let names: Vec<&str> = statement.what.iter().map(|arg| arg.name.as_str()).collect();
        described(statement, "ARG", &names, report);
    }
    stage_names(file, report);
    instruction_case(file, report);
    for stage in &file.stages {
        from(stage, report);
        steps(stage, report);
    }
}

fn stage_names(file: &Dockerfile, report: &mut Report<'_>) {
    let mut seen = BTreeSet::new();
    for stage in &file.stages {
        let Some(name) = &stage.name else { continue };
        if matches!(name.as_str(), "context" | "scratch") {
            let message =
                format!("Stage name should not use the same name as reserved stage {name:?}");
            report.at(&stage.from, Rule::ReservedStageName, message);
        }
        if !seen.insert(name) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            report.at(&stage.from, Rule::DuplicateStageName, message);
        }
    }
}

fn is_lower(word: &str) -> bool {
    word == word.to_lowercase()
}

fn is_upper(word: &str) -> bool {
    word == word.to_uppercase()
}

/// All keywords are written as most of them are.
fn instruction_case(file: &Dockerfile, report: &mut Report<'_>) {
    let keywords = || {
        file.stages.iter().flat_map(|stage| {
            std::iter::once(&stage.from.keyword)
                .chain(stage.steps.iter().map(|statement| &statement.keyword))
        })
    };
    let lower = keywords().filter(|word| is_lower(word)).count();
    let upper = keywords().filter(|word| is_upper(word) && !is_lower(word)).count();
    let majority_is_lower = lower > upper;
    let complain = |keyword: &str| {
        let (fits, case) = match majority_is_lower {
            true => (is_lower(keyword), "lowercase"),
            false => (is_upper(keyword), "uppercase"),
        };
        (!fits).then(|| {
            format!("Command '{keyword}' should match the case of the command majority ({case})")
        })
    };
    for stage in &file.stages {
        if let Some(message) = complain(&stage.from.keyword) {
            report.at(&stage.from, Rule::ConsistentInstructionCasing, message);
        }
        for statement in &stage.steps {
            if let Some(message) = complain(&statement.keyword) {
                report.at(statement, Rule::ConsistentInstructionCasing, message);
            }
        }
    }
}

fn from(stage: &Stage, report: &mut Report<'_>) {
    if let Some(written) = stage.from.what.written_name.as_ref().filter(|name| !is_lower(name)) {
        let message = format!("Stage name '{written}' should be lowercase");
        report.at(&stage.from, Rule::StageNameCasing, message);
    }
    let keyword = &stage.from.keyword;
    if let Some(word) = &stage.from.what.as_word {
        let fits = (!is_lower(keyword) || is_lower(word)) && (!is_upper(keyword) || is_upper(word));
        if !fits {
            let message = format!("'{word}' and '{keyword}' keywords' casing do not match");
            report.at(&stage.from, Rule::FromAsCasing, message);
        }
    }
    if let Some(name) = &stage.name {
        described(&stage.from, "FROM", &[name], report);
    }
}

/// The comment above a definition starts with its name.
fn described<T>(statement: &Statement<T>, keyword: &str, names: &[&str], report: &mut Report<'_>) {
    let Some(last) = statement.comments.last() else { return };
    let first_word = last.split(' ').next().unwrap_or_default();
    if names.contains(&first_word) {
        return;
    }
    let example = match names {
        [name] => name,
        _ => "<arg_key>",
    };
    let message =
        format!("Comment for {keyword} should follow the format: `# {example} <description>`");
    report.at(statement, Rule::InvalidDefinitionDescription, message);
}

fn steps(stage: &Stage, report: &mut Report<'_>) {
    for statement in &stage.steps {
        let keyword = &statement.keyword;
        match &statement.what {
            Instruction::Maintainer(_) => report.at(
                statement,
                Rule::MaintainerDeprecated,
                "Maintainer instruction is deprecated in favor of using label",
            ),
            Instruction::Arg(list) => {
                let names: Vec<&str> = list.iter().map(|arg| arg.name.as_str()).collect();
                described(statement, "ARG", &names, report);
            }
            Instruction::Env(pairs) | Instruction::Label(pairs)
                if pairs.iter().any(|pair| pair.legacy) =>
            {
                let message = format!(
                    "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
                );
                report.at(statement, Rule::LegacyKeyValueFormat, message);
            }
            _ => {}
        }
    }
    for kind in [
        |what: &Instruction| matches!(what, Instruction::Cmd(_)),
        |what: &Instruction| matches!(what, Instruction::Entrypoint(_)),
        |what: &Instruction| matches!(what, Instruction::Healthcheck(_)),
    ] {
        let all: Vec<_> = stage.steps.iter().filter(|statement| kind(&statement.what)).collect();
        // The last one counts, so those before it are what is wrong.
        for (overridden, by) in all.iter().zip(all.iter().skip(1)) {
            let message = format!(
                "Multiple {} instructions should not be used in the same stage because only the last one will be used",
                by.keyword
            );
            report.at(overridden, Rule::MultipleInstructionsDisallowed, message);
        }
    }
}
