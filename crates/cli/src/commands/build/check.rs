//! Acts: `build --check`: reads the Dockerfile here and says what a reviewer would; nothing is built.

use super::file::{self, Dockerfile, Place};
use crate::context;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use naru_dockerfile::check::{Context, Finding, check as findings};
use naru_dockerfile::ignore::Patterns;
use naru_dockerfile::{CheckDirective, Given};
use naru_errdefs::Fault;
use naru_oci::Platform;
use std::collections::BTreeMap;

/// Lines around a finding.
const AROUND: usize = 2;

pub(super) fn check(flags: &Flags) -> Result<ExitStatus, Failed> {
    let given = file::find(flags)?;
    let Some(source) = given.dockerfile else {
        return Err(Fault::unsupported(
            "checking a Dockerfile inside an archive or at an address is not supported",
        )
        .with_hint(
            "name its directory, or pipe the Dockerfile in: `naru build --check - < Dockerfile`",
        )
        .into());
    };
    let mut parsed = naru_dockerfile::parse(&source.text)
        .map_err(|problems| Fault::invalid(problems.to_string().trim_end().to_owned()))?;
    let ignored = match &given.context {
        Place::Directory(root) => Dockerfile::ignored(Some(&source), root)?,
        Place::Archive(..) | Place::Nothing | Place::Address(_) => None,
    };
    let patterns = ignored
        .map(|(path, text)| {
            Patterns::parse(&text).map_err(|error| {
                Fault::invalid(format!("cannot read the ignore file `{}`: {error}", path.display()))
            })
        })
        .transpose()?;
    let mut arguments = BTreeMap::new();
    for text in flags.list("build-arg") {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, context::variable(text)),
        };
        arguments.insert(name.to_owned(), value);
    }
    if let Some(Some(text)) = arguments.get(CheckDirective::ARGUMENT) {
        parsed.directives.check = CheckDirective::of_argument(text)?;
    }
    let host = Platform::host();
    let target = flags.text("platform").filter(|text| !text.is_empty());
    let target = match target.map(|text| text.split(',').next().unwrap_or(text)) {
        Some(text) => text.parse().map_err(Fault::from)?,
        None => host.clone(),
    };
    let stage = flags.text("target");
    let given = Given { build: &host, target: &target, stage, arguments: &arguments };
    // Images are not looked at: what they may set is not complained about.
    let about = Context { given, base: &|_| None, ignore: patterns.as_ref() };
    let found = findings(&parsed, &about);
    let text = shown(&found, &source.name, &source.text);
    printer::out(&text)?;
    Ok(if found.is_empty() { ExitStatus::SUCCESS } else { ExitStatus::FAILURE })
}

/// Pure: findings as docker's client shows them, each with the lines that it is about.
fn shown(found: &[Finding], name: &str, text: &[u8]) -> String {
    let plural = if found.len() == 1 { "warning has" } else { "warnings have" };
    let mut out = match found.len() {
        0 => return "Check complete, no warnings found.\n".to_owned(),
        count => format!("Check complete, {count} {plural} been found!\n"),
    };
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    for finding in found {
        let (start, end) = (finding.span.start, finding.span.end);
        out.push_str(&format!(
            "\nWARNING: {} - {}\n{}\n{}:{start}\n--------------------\n",
            finding.rule.name(),
            finding.rule.url(),
            finding.message,
            name
        ));
        let first = start.saturating_sub(AROUND).max(1);
        for (number, line) in lines.iter().enumerate().map(|(at, line)| (at + 1, line)) {
            if (first..=end.saturating_add(AROUND)).contains(&number) {
                let mark = if (start..=end).contains(&number) { ">>>" } else { "   " };
                out.push_str(&format!("{number:4} | {mark} {line}\n"));
            }
        }
        out.push_str("--------------------\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_dockerfile::Span;
    use naru_dockerfile::check::Rule;

    #[test]
    fn findings_show_their_lines() {
        assert_eq!(shown(&[], "Dockerfile", b""), "Check complete, no warnings found.\n");
        let finding = Finding {
            rule: Rule::FromAsCasing,
            message: "'as' and 'FROM' keywords' casing do not match".to_owned(),
            span: Span { start: 2, end: 2 },
        };
        let text = shown(&[finding], "Dockerfile", b"# one\nFROM a as b\nRUN x\nRUN y\nRUN z\n");
        assert_eq!(
            text,
            "Check complete, 1 warning has been found!\n\n\
             WARNING: FromAsCasing - https://docs.docker.com/go/dockerfile/rule/from-as-casing/\n\
             'as' and 'FROM' keywords' casing do not match\nDockerfile:2\n--------------------\n   \
             1 |     # one\n   2 | >>> FROM a as b\n   3 |     RUN x\n   4 |     RUN y\n--------------------\n"
        );
    }
}
