//! Pure: the build checks that docker documents: what is accepted, and better written otherwise.
//!
//! `# check=skip=Rule` at the top of a file, or in a comment above one instruction, turns rules off; `# check=error=true` makes findings fail the
//! build. One rule is experimental and off until `experimental=` turns it on.

mod names;
mod rule;
mod variables;

pub use rule::Rule;

use crate::ignore::Patterns;
use crate::{CheckDirective, Dockerfile, Given, Span, Statement};
use std::collections::BTreeSet;

/// What the checks look at beside the file.
pub struct Context<'a> {
    /// What the build brings along.
    pub given: Given<'a>,
    /// What is known of the image that a stage (counted from 0) starts from; `None` when nothing is, and then nothing is said about variables
    /// that it may set.
    pub base: &'a dyn Fn(usize) -> Option<BaseConfig>,
    /// The rules of the ignore file.
    pub ignore: Option<&'a Patterns>,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("given", &self.given).finish_non_exhaustive()
    }
}

/// What the checks need of an image's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseConfig {
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// Whether it has a shell of its own.
    pub has_shell: bool,
}

/// Something better written otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// What is found, in docker's words.
    pub message: String,
    /// Where.
    pub span: Span,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} (line {})", self.rule.name(), self.message, self.span.start)
    }
}

/// Checks a file: all findings that are not turned off, in the order of the file.
pub fn check(file: &Dockerfile, context: &Context<'_>) -> Vec<Finding> {
    let mut report = Report { file: &file.directives.check, findings: Vec::new() };
    names::check(file, &mut report);
    variables::check(file, context, &mut report);
    report.findings.sort_by_key(|finding| (finding.span, finding.rule));
    report.findings
}

/// Why findings fail the build, where the file says that they do.
pub fn violation(file: &Dockerfile, findings: &[Finding]) -> Option<String> {
    let rules: BTreeSet<&str> = findings.iter().map(|finding| finding.rule.name()).collect();
    (file.directives.check.error && !rules.is_empty()).then(|| {
        let list: Vec<&str> = rules.into_iter().collect();
        format!("lint violation found for rules: {}", list.join(", "))
    })
}

/// The findings so far, and which rules are off.
struct Report<'a> {
    file: &'a CheckDirective,
    findings: Vec<Finding>,
}

impl Report<'_> {
    /// A finding at a statement, whose comments may turn its rule off.
    fn at<T>(&mut self, statement: &Statement<T>, rule: Rule, message: impl Into<String>) {
        self.add(statement.span, &statement.comments, rule, message.into());
    }

    fn add(&mut self, span: Span, comments: &[String], rule: Rule, message: String) {
        let own = CheckDirective::of_comments(comments);
        let merged = own.map(|own| self.file.merged(&own));
        let options = merged.as_ref().unwrap_or(self.file);
        let named = |list: &[String]| list.iter().any(|name| name == rule.name());
        let on = match rule.is_experimental() {
            true => options.experimental_all || named(&options.experimental),
            false => !options.skip_all && !named(&options.skip),
        };
        if on {
            let message = crate::problem::shown(&message);
            self.findings.push(Finding { rule, message, span });
        }
    }
}

#[cfg(test)]
mod tests;
