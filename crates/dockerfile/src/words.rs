//! Pure: the ways a statement's arguments are split: words with quotes, runs of blanks, `key=value`, JSON arrays.

use crate::Escape;

/// Blanks between arguments: everything Go's `[\t\v\f\r ]` takes.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// The text up to the first run of blanks, and the rest after it.
pub(crate) fn split_first(text: &str) -> (&str, Option<&str>) {
    match text.split_once(is_blank) {
        Some((first, rest)) => (first, Some(rest.trim_start_matches(is_blank))),
        None => (text, None),
    }
}

/// Everything between runs of blanks.
pub(crate) fn split_blanks(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut words = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (word, more) = split_first(text);
        words.push(word.to_owned());
        rest = more;
    }
    words
}

/// Words between blanks, where quotes and escapes keep blanks together. Both stay in the words.
pub(crate) fn split_quoted(text: &str, escape: Escape) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        // Within single quotes nothing is escaped.
        if c == escape.char() && quote != Some('\'') {
            // The escape character at the very end stands for nothing.
            if let Some(escaped) = chars.next() {
                word.push(c);
                word.push(escaped);
            }
            continue;
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A pair as it is written: name, value, and whether `=` stands between them.
pub(crate) type Pair = (String, String, bool);

/// The pairs of `ENV` and `LABEL`: all `key=value`, or one `key value`.
pub(crate) fn pairs(text: &str, keyword: &str, escape: Escape) -> Result<Vec<Pair>, String> {
    let words = split_quoted(text, escape);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.contains('=') {
        let (key, value) = split_first(text);
        let value = value.ok_or_else(|| format!("{keyword} must have two arguments"))?;
        return Ok(vec![(key.to_owned(), value.to_owned(), false)]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned(), true)),
            None => Err(format!(
                "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
            )),
        })
        .collect()
}

/// What a text that may be a JSON array is.
pub(crate) enum Json {
    /// An array of strings.
    Strings(Vec<String>),
    /// An array with something else in it, which is never a command.
    Mixed,
    /// No JSON: docker takes it for the shell form, malformed arrays included.
    None,
}

/// Reads a JSON array of strings.
pub(crate) fn json(text: &str) -> Json {
    if !text.trim_start().starts_with('[') {
        return Json::None;
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text.trim()) else {
        return Json::None;
    };
    let mut strings = Vec::new();
    for value in values {
        match value {
            serde_json::Value::String(text) => strings.push(text),
            _ => return Json::Mixed,
        }
    }
    Json::Strings(strings)
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
