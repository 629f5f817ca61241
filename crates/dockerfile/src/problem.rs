//! Pure: what is wrong with a Dockerfile, where, and what to write instead.

use crate::Span;
use naru_errdefs::{Failure, Kind};
use std::fmt::{self, Write as _};

/// The longest message or excerpted line, in characters.
const MAX_SHOWN: usize = 200;

/// The most lines of a statement that an excerpt shows.
const MAX_EXCERPT: usize = 10;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in docker's words; no control characters, at most a few hundred characters.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
    /// Where; the whole statement.
    pub span: Span,
    /// The lines around it, with their numbers; long lines are cut, control characters escaped.
    pub excerpt: Vec<(usize, String)>,
}

impl Problem {
    /// What is wrong and what was probably meant, without the place.
    pub fn sentence(&self) -> String {
        match &self.suggestion {
            Some(word) => format!("{} (did you mean {word}?)", self.message),
            None => self.message.clone(),
        }
    }

    /// The place in the file `name`, with the lines around it and a marker at those that are meant.
    pub fn place(&self, name: &str) -> String {
        let mut out = format!("{name}:{}\n--------------------\n", self.span.start);
        for (number, line) in &self.excerpt {
            let marked = (self.span.start..=self.span.end).contains(number);
            let marker = if marked { ">>>" } else { "   " };
            // Writing to a string cannot fail.
            let _ok = writeln!(out, " {number:3} | {marker} {line}");
        }
        out.push_str("--------------------\n");
        out
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dockerfile parse error on line {}: {}", self.span.start, self.sentence())
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

    /// All of them for the eye: place, excerpt and sentence of each. `name` is the file's.
    pub fn render(&self, name: &str) -> String {
        self.iter().map(|problem| format!("{}{problem}\n", problem.place(name))).collect()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems { first: Box::new(problem), more: Vec::new() }
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

/// A file's bytes by line.
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
    /// Where each line ends, its line feed included.
    ends: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Source<'a> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut ends: Vec<usize> = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at.saturating_add(1))
            .collect();
        if ends.last().copied().unwrap_or(0) < bytes.len() {
            ends.push(bytes.len());
        }
        Source { bytes, ends }
    }

    /// Line `number`, counted from 1, with its end.
    pub(crate) fn line(&self, number: usize) -> Option<&'a [u8]> {
        let index = number.checked_sub(1)?;
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        self.bytes.get(start.unwrap_or(0)..end)
    }

    /// A problem at `span`, with its excerpt.
    pub(crate) fn problem(&self, span: Span, message: impl AsRef<str>) -> Problem {
        let message = shown(message.as_ref());
        Problem { message, suggestion: None, span, excerpt: self.excerpt(span) }
    }

    /// The lines of a statement and a few around it, as docker chooses them.
    fn excerpt(&self, span: Span) -> Vec<(usize, String)> {
        let last = self.ends.len();
        let mut start = span.start;
        let mut end = span.end.min(last).min(start.saturating_add(MAX_EXCERPT));
        let wanted = if start == end { 4 } else { 2 };
        let mut around = 0;
        while around < wanted {
            if start > 1 {
                start -= 1;
                around += 1;
            }
            if end < last {
                end += 1;
                around += 1;
            }
            around += 1;
        }
        (start..=end)
            .filter_map(|number| {
                let line = self.line(number)?;
                // A long line is cut before it is decoded: it may be megabytes.
                let head = line.get(..line.len().min(MAX_SHOWN * 4)).unwrap_or(line);
                Some((number, shown(String::from_utf8_lossy(head).trim_end())))
            })
            .collect()
    }
}

/// A text for the eye: control characters escaped (but tabs, which become a blank), and cut.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count >= MAX_SHOWN {
            out.push_str("...");
            break;
        }
        match c {
            '\t' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}
