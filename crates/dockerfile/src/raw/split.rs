//! Pure: one joined line into keyword, flags and arguments.

use super::{Arguments, Raw};
use crate::words::{self, Json};
use crate::{Escape, Span};

/// Splits a statement.
pub(crate) fn statement(line: &str, escape: Escape, span: Span) -> Result<Raw, String> {
    split(line, escape, span, true)
}

fn split(line: &str, escape: Escape, span: Span, outer: bool) -> Result<Raw, String> {
    let (keyword, rest) = words::split_first(line.trim());
    let (flags, rest) = rest.map_or_else(|| (Vec::new(), ""), |rest| flags(rest, escape));
    Ok(Raw {
        keyword: keyword.to_owned(),
        flags,
        arguments: arguments(&keyword.to_ascii_uppercase(), rest.trim(), escape, (span, outer))?,
        text: line.trim().to_owned(),
        span,
        comments: Vec::new(),
        heredocs: Vec::new(),
    })
}

const MIXED: &str = "when using JSON array syntax, arrays must be comprised of strings only";

fn arguments(
    keyword: &str,
    rest: &str,
    escape: Escape,
    (span, outer): (Span, bool),
) -> Result<Arguments, String> {
    let one = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    Ok(match keyword {
        "RUN" | "CMD" | "ENTRYPOINT" | "SHELL" => command(rest)?,
        "ADD" | "COPY" | "VOLUME" => match words::json(rest) {
            Json::Strings(strings) => Arguments::Json(strings),
            Json::Mixed => return Err(MIXED.to_owned()),
            Json::None => Arguments::Words(words::split_blanks(rest)),
        },
        "EXPOSE" | "FROM" => Arguments::Words(words::split_blanks(rest)),
        "ARG" => Arguments::Words(words::split_quoted(rest, escape)),
        "ENV" | "LABEL" => Arguments::Pairs(words::pairs(rest, keyword, escape)?),
        "MAINTAINER" | "STOPSIGNAL" | "USER" | "WORKDIR" => Arguments::Words(one(rest)),
        "HEALTHCHECK" => match rest.split_once(char::is_whitespace) {
            Some((kind, rest)) => {
                Arguments::Kind(kind.to_owned(), Box::new(command(rest.trim_start())?))
            }
            None if rest.is_empty() => Arguments::Words(Vec::new()),
            None => Arguments::Kind(rest.to_owned(), Box::new(Arguments::Words(Vec::new()))),
        },
        // A chain of ONBUILDs is refused later; it is not followed, however long it is.
        "ONBUILD" if outer && !rest.is_empty() => {
            Arguments::Statement(Box::new(split(rest, escape, span, false)?))
        }
        "ONBUILD" => Arguments::Words(one(rest)),
        // An unknown instruction is refused later, with a suggestion.
        _ => Arguments::Words(Vec::new()),
    })
}

/// A command in one of its forms; a malformed array is the shell form.
fn command(rest: &str) -> Result<Arguments, String> {
    match words::json(rest) {
        Json::Strings(strings) => Ok(Arguments::Json(strings)),
        Json::Mixed => Err(MIXED.to_owned()),
        Json::None if rest.is_empty() => Ok(Arguments::Words(Vec::new())),
        Json::None => Ok(Arguments::Words(vec![rest.to_owned()])),
    }
}

/// The flags at the start of a text, and what follows them. `--` alone ends them.
fn flags(text: &str, escape: Escape) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (word, after) = flag(rest, escape);
        rest = after.trim_start();
        if word == "--" {
            break;
        }
        if !word.is_empty() {
            flags.push(word);
        }
    }
    (flags, rest)
}

/// One flag up to the next blank outside quotes, its quotes and escapes removed.
fn flag(text: &str, escape: Escape) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, text.get(at..).unwrap_or_default()),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape.char() => {
                if let Some((_, escaped)) = chars.next() {
                    word.push(escaped);
                }
            }
            _ => word.push(c),
        }
    }
    (word, "")
}
