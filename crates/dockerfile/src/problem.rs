//! Pure: what is wrong with a Dockerfile, where, and what to write instead.

use crate::Span;
use naru_errdefs::{Failure, Kind};
use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in docker's words.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
    /// Where; the whole statement.
    pub span: Span,
    /// The lines around it, with their numbers; long lines are cut.
    pub excerpt: Vec<(usize, String)>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dockerfile parse error on line {}: {}", self.span.start, self.message)?;
        match &self.suggestion {
            Some(word) => write!(f, " (did you mean {word}?)"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong, in the order of the file; never empty. Shown as its first, which is what docker reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    first: Box<Problem>,
    more: Vec<Problem>,
}

impl Problems {
    /// The problems of a list, if there are any.
    pub fn of(problems: Vec<Problem>) -> Option<Problems> {
        let mut all = problems.into_iter();
        all.next().map(|first| Problems { first: Box::new(first), more: all.collect() })
    }

    /// The first in the file.
    pub fn first(&self) -> &Problem {
        &self.first
    }

    /// All of them, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        std::iter::once(&*self.first).chain(&self.more)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)
    }
}

impl std::error::Error for Problems {}

impl Failure for Problems {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}
