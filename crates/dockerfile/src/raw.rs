//! Pure: statements before they mean anything: keyword, flags, arguments, heredocs, lines.
//!
//! A file is read line by line. Comments vanish wherever they stand, also between the lines of a continued statement; a statement ends with the
//! first line that does not end in the escape character; then follow the bodies of the heredocs it opens. `ONBUILD` holds one statement more.

mod lines;
mod split;

pub(crate) use lines::read;
pub(crate) use split::statement;

use crate::{Directives, Heredoc, Problem, Span};

/// A statement in its raw form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raw {
    /// The first word.
    pub(crate) keyword: String,
    /// The words that start with `--`, quotes removed.
    pub(crate) flags: Vec<String>,
    /// What follows.
    pub(crate) arguments: Arguments,
    /// The whole statement as one line.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) span: Span,
    /// The comments directly above.
    pub(crate) comments: Vec<String>,
    /// The heredocs it opens, with their bodies.
    pub(crate) heredocs: Vec<Heredoc>,
}

/// The arguments of a statement, split as its keyword asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Words, or one text.
    Words(Vec<String>),
    /// The strings of a JSON array.
    Json(Vec<String>),
    /// Pairs.
    Pairs(Vec<crate::words::Pair>),
    /// `HEALTHCHECK`: the kind, and the words or the array after it.
    Kind(String, Box<Arguments>),
    /// `ONBUILD`: another statement.
    Statement(Box<Raw>),
}

/// A file in its raw form.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// The directives at the top.
    pub(crate) directives: Directives,
    /// The statements in order; those that could not be split are in `problems`.
    pub(crate) statements: Vec<Raw>,
    /// What stopped statements from being split.
    pub(crate) problems: Vec<Problem>,
    /// What is only frowned upon.
    pub(crate) warnings: Vec<Problem>,
}

#[cfg(test)]
mod tests;
