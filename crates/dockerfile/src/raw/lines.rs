//! Pure: bytes into lines, and lines into statements.

use super::{Arguments, File, Raw, statement};
use crate::problem::Source;
use crate::{Escape, Heredoc, Span, directive, heredoc};

/// The longest line, in bytes, as docker has it.
const MAX_LINE: usize = 65_535;

/// How many problems are collected before the rest of the file is left alone.
const MAX_PROBLEMS: usize = 20;

/// Reads a whole file.
pub(crate) fn read(source: &Source<'_>) -> File {
    let mut lines = Lines { source, at: 0 };
    let mut directives = directive::Reader::default();
    let mut file = File::default();
    let mut comments = Vec::new();
    while let Some(line) = lines.next() {
        if file.problems.len() >= MAX_PROBLEMS {
            break;
        }
        match one(&mut lines, line, &mut directives, &mut comments) {
            Ok(None) => {}
            Ok(Some((raw, empty_line))) => {
                if empty_line {
                    let span = Span { start: raw.span.start, end: lines.at };
                    file.warnings.push(
                        source.problem(
                            span,
                            format!("Empty continuation line found in: {}", raw.text),
                        ),
                    );
                }
                file.statements.push(raw);
            }
            Err(Stop { span, message, last }) => {
                file.problems.push(source.problem(span, message));
                comments.clear();
                if last {
                    break;
                }
            }
        }
    }
    if file.statements.is_empty() && file.problems.is_empty() {
        let last = lines.at.max(1);
        let span = Span { start: last, end: last };
        file.problems.push(source.problem(span, "file with no instructions"));
    }
    file.directives = directives.finish();
    file
}

/// Why a statement cannot be read, and whether what follows cannot be read either.
struct Stop {
    span: Span,
    message: String,
    last: bool,
}

struct Lines<'a> {
    source: &'a Source<'a>,
    /// The number of the last line that was read.
    at: usize,
}

impl<'a> Lines<'a> {
    /// The next line with its end.
    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.source.line(self.at.saturating_add(1))?;
        self.at = self.at.saturating_add(1);
        Some(line)
    }

    fn stop(&self, start: usize, message: impl Into<String>, last: bool) -> Stop {
        Stop { span: Span { start, end: self.at.max(start) }, message: message.into(), last }
    }

    /// A line as text, without its end.
    fn text(&self, line: &'a [u8], start: usize) -> Result<&'a str, Stop> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() > MAX_LINE {
            let message = format!("dockerfile line greater than max allowed size of {MAX_LINE}");
            return Err(self.stop(start, message, true));
        }
        match std::str::from_utf8(line) {
            Ok(text) => Ok(text.trim_end_matches('\r')),
            Err(_) if is_comment(&String::from_utf8_lossy(line)) => Ok("#"),
            Err(error) => Err(self.stop(
                start,
                format!("the line is not text: byte {} is not UTF-8", error.valid_up_to()),
                false,
            )),
        }
    }
}

/// The statement that starts at `line`, if one does, and whether an empty line stands inside it.
fn one(
    lines: &mut Lines<'_>,
    line: &[u8],
    directives: &mut directive::Reader,
    comments: &mut Vec<String>,
) -> Result<Option<(Raw, bool)>, Stop> {
    let start = lines.at;
    let text = lines.text(line, start)?.trim_start();
    if directives.line(text).map_err(|message| lines.stop(start, message, false))? {
        return Ok(None);
    }
    if let Some(comment) = text.strip_prefix('#') {
        // An empty comment, as an empty line, parts what is above from what is below.
        match comment.trim() {
            "" => comments.clear(),
            comment => comments.push(comment.to_owned()),
        }
        return Ok(None);
    }
    let escape = directives.escape();
    let (part, mut ended) = continued(text, escape);
    if ended && part.is_empty() {
        comments.clear();
        return Ok(None);
    }
    let mut joined = part.to_owned();
    let mut empty_line = false;
    while !ended {
        let Some(line) = lines.next() else { break };
        let text = lines.text(line, start)?;
        if is_comment(text) {
            continue;
        }
        if text.trim().is_empty() {
            empty_line = true;
            continue;
        }
        let part;
        (part, ended) = continued(text, escape);
        joined.push_str(part);
    }
    let span = Span { start, end: lines.at };
    let mut raw =
        statement(&joined, escape, span).map_err(|message| lines.stop(start, message, false))?;
    raw.comments = std::mem::take(comments);
    if takes_heredocs(&raw) {
        raw.heredocs = heredoc::opened_by(&joined);
        for document in &mut raw.heredocs {
            document.content = body(lines, start, document)?;
        }
        raw.span.end = lines.at;
        if let Arguments::Statement(inner) = &mut raw.arguments {
            inner.span = raw.span;
            inner.heredocs.clone_from(&raw.heredocs);
        }
    }
    Ok(Some((raw, empty_line)))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// A line without the escape character at its end, and whether the statement ends with it. Two escape characters are none.
fn continued(line: &str, escape: Escape) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape.char()) {
        Some(before) if !before.ends_with(escape.char()) => (before, false),
        _ => (line, true),
    }
}

fn takes_heredocs(raw: &Raw) -> bool {
    let raw = match &raw.arguments {
        Arguments::Statement(inner) => inner,
        _ => raw,
    };
    let keyword = raw.keyword.to_ascii_uppercase();
    matches!(keyword.as_str(), "ADD" | "COPY" | "RUN")
        && !matches!(raw.arguments, Arguments::Json(_))
}

fn body(lines: &mut Lines<'_>, start: usize, document: &Heredoc) -> Result<String, Stop> {
    let mut content = String::new();
    while let Some(line) = lines.next() {
        let text = lines.text(line, start)?;
        let candidate = if document.chomp { text.trim_start_matches('\t') } else { text };
        if candidate == document.name {
            return Ok(content);
        }
        // The line's own end stays: a body with `\r\n` keeps it.
        let whole = std::str::from_utf8(line)
            .map_err(|_not_utf8| lines.stop(start, "the heredoc is not UTF-8 text", false))?;
        content.push_str(whole);
    }
    Err(lines.stop(start, format!("unterminated heredoc: no line is `{}`", document.name), true))
}
