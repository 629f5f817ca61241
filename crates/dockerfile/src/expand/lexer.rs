//! Pure: one pass over a word. Nesting is bounded, and so is what it may grow to.

use super::pattern::{self, Greed};
use super::{MAX_DEPTH, MAX_GROWTH};
use std::collections::BTreeSet;

/// What is kept as written instead of being interpreted.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent switches of one scanner")]
pub(super) struct Mode {
    /// Quotes stay in the text, though they still quote.
    pub(super) raw_quotes: bool,
    /// Escape characters stay in the text, though they still escape.
    pub(super) raw_escapes: bool,
    /// Quotes are plain characters.
    pub(super) plain_quotes: bool,
    /// References to variables that are not set stay in the text.
    pub(super) keep_unset: bool,
}

pub(super) struct Lexer<'a> {
    rest: &'a str,
    escape: char,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    mode: Mode,
    depth: usize,
    /// How many more bytes may be taken from variables.
    budget: usize,
    pub(super) matched: BTreeSet<String>,
    pub(super) unmatched: BTreeSet<String>,
}

/// Words under construction: text from variables is split at blanks, quoted and escaped text is not.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: String,
}

impl Words {
    fn push(&mut self, c: char) {
        if !c.is_whitespace() {
            self.current.push(c);
        } else if !self.current.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}

impl<'a> Lexer<'a> {
    pub(super) fn new(
        text: &'a str,
        escape: char,
        lookup: &'a dyn Fn(&str) -> Option<String>,
        mode: Mode,
    ) -> Lexer<'a> {
        Lexer {
            rest: text,
            escape,
            lookup,
            mode,
            depth: 0,
            budget: MAX_GROWTH.saturating_add(text.len()),
            matched: BTreeSet::new(),
            unmatched: BTreeSet::new(),
        }
    }

    /// The whole text, as one word and as words.
    pub(super) fn run(&mut self) -> Result<(String, Vec<String>), String> {
        self.until(None, self.mode.raw_escapes)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.next();
        }
        found
    }

    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.budget = self
            .budget
            .checked_sub(bytes)
            .ok_or_else(|| format!("it expands to more than {MAX_GROWTH} bytes"))?;
        Ok(())
    }

    /// Up to `stop`, which is consumed, or to the end when there is none.
    fn until(
        &mut self,
        stop: Option<char>,
        raw_escapes: bool,
    ) -> Result<(String, Vec<String>), String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!("substitutions are nested more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        let before = std::mem::replace(&mut self.mode.raw_escapes, raw_escapes);
        let result = self.scan(stop);
        self.mode.raw_escapes = before;
        self.depth -= 1;
        result
    }

    fn scan(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), String> {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if stop == Some(c) {
                self.next();
                return Ok((result, words.finish()));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.push(c));
                    result.push_str(&value);
                }
                '<' => {
                    let text = self.angle();
                    words.current.push_str(&text);
                    result.push_str(&text);
                }
                '\'' | '"' if !self.mode.plain_quotes => {
                    let text = if c == '"' { self.double_quoted()? } else { self.single_quoted()? };
                    words.current.push_str(&text);
                    result.push_str(&text);
                }
                _ => {
                    self.next();
                    if c != self.escape {
                        words.push(c);
                        result.push(c);
                        continue;
                    }
                    if self.mode.raw_escapes {
                        words.current.push(c);
                        result.push(c);
                    }
                    // The escape character at the very end stands for nothing.
                    if let Some(escaped) = self.next() {
                        words.current.push(escaped);
                        result.push(escaped);
                    }
                }
            }
        }
        match stop {
            Some(_) => Err("syntax error: missing '}'".to_owned()),
            None => Ok((result, words.finish())),
        }
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        self.next();
        let mut text = String::new();
        if self.mode.raw_quotes {
            text.push('\'');
        }
        loop {
            match self.next() {
                None => {
                    return Err(
                        "unexpected end of statement while looking for matching single-quote"
                            .to_owned(),
                    );
                }
                Some('\'') => {
                    if self.mode.raw_quotes {
                        text.push('\'');
                    }
                    return Ok(text);
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String, String> {
        self.next();
        let mut text = String::new();
        if self.mode.raw_quotes {
            text.push('"');
        }
        loop {
            match self.peek() {
                None => {
                    return Err(
                        "unexpected end of statement while looking for matching double-quote"
                            .to_owned(),
                    );
                }
                Some('"') => {
                    self.next();
                    if self.mode.raw_quotes {
                        text.push('"');
                    }
                    return Ok(text);
                }
                Some('$') => {
                    let value = self.dollar()?;
                    text.push_str(&value);
                }
                Some(c) => {
                    self.next();
                    if c != self.escape {
                        text.push(c);
                        continue;
                    }
                    if self.mode.raw_escapes {
                        text.push(c);
                    }
                    match self.peek() {
                        None => {}
                        Some(escaped)
                            if escaped == '"' || escaped == '$' || escaped == self.escape =>
                        {
                            self.next();
                            text.push(escaped);
                        }
                        // Before anything else the escape character is only itself.
                        Some(_) => text.push(c),
                    }
                }
            }
        }
    }

    /// `<`, or `<<` with the blanks after it, which belong to the word: it may be the start of a heredoc.
    fn angle(&mut self) -> String {
        self.next();
        if !self.eat('<') {
            return "<".to_owned();
        }
        let mut text = "<<".to_owned();
        while let Some(c @ ('\t' | '\r' | ' ')) = self.peek() {
            self.next();
            text.push(c);
        }
        text
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.next();
        if !self.eat('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.value(&name)? {
                Some(value) => value,
                None if self.mode.keep_unset => format!("${name}"),
                None => String::new(),
            });
        }
        match self.peek() {
            None => return Err("syntax error: missing '}'".to_owned()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            None => Err("syntax error: missing '}'".to_owned()),
            Some('}') => Ok(match self.value(&name)? {
                Some(value) => value,
                None if self.mode.keep_unset => format!("${{{name}}}"),
                None => String::new(),
            }),
            Some(':') => {
                let modifier = self.next().ok_or_else(|| "syntax error: missing '}'".to_owned())?;
                self.modified(&name, modifier, true)
            }
            Some('/') => self.replaced(&name),
            Some(modifier @ ('+' | '-' | '?' | '#' | '%')) => self.modified(&name, modifier, false),
            Some(other) => Err(format!("unsupported modifier ({other}) in substitution")),
        }
    }

    /// `${name` and a modifier are read: the word up to `}`, and what it makes of the value.
    fn modified(&mut self, name: &str, modifier: char, or_empty: bool) -> Result<String, String> {
        let shown = if or_empty { format!(":{modifier}") } else { modifier.to_string() };
        let strips = matches!(modifier, '#' | '%');
        let unsupported = format!("unsupported modifier ({shown}) in substitution");
        if !matches!(modifier, '+' | '-' | '?' | '#' | '%') || (or_empty && strips) {
            return Err(unsupported);
        }
        let (word, _) = self.until(Some('}'), strips)?;
        let Some(value) = self.value(name)? else {
            return match modifier {
                _ if self.mode.keep_unset => Ok(format!("${{{name}{shown}{word}}}")),
                '-' => Ok(word),
                '?' => Err(demand(name, &word, "is not allowed to be unset")),
                _ => Ok(String::new()),
            };
        };
        let missing = or_empty && value.is_empty();
        match modifier {
            '-' => Ok(if missing { word } else { value }),
            '+' => Ok(if missing { String::new() } else { word }),
            '?' if missing => Err(demand(name, &word, "is not allowed to be empty")),
            '?' => Ok(value),
            _ => {
                let (greed, glob) = match word.strip_prefix(modifier) {
                    Some(glob) => (Greed::Longest, glob),
                    None => (Greed::Shortest, word.as_str()),
                };
                if modifier == '#' {
                    pattern::trim_prefix(&value, glob, greed)
                } else {
                    pattern::trim_suffix(&value, glob, greed)
                }
            }
        }
    }

    /// `${name/` is read.
    fn replaced(&mut self, name: &str) -> Result<String, String> {
        let all = self.eat('/');
        let (glob, _) = self.until(Some('/'), true).map_err(|reason| {
            if self.rest.is_empty() && reason.ends_with("missing '}'") {
                "syntax error: missing '/' in ${}".to_owned()
            } else {
                reason
            }
        })?;
        let (replacement, _) = self.until(Some('}'), true)?;
        match self.value(name)? {
            Some(value) => {
                let replaced = pattern::replace(&value, &glob, &replacement, all, self.budget)?;
                self.spend(replaced.len())?;
                Ok(replaced)
            }
            None if self.mode.keep_unset => Ok(format!("${{{name}/{glob}/{replacement}}}")),
            None => pattern::replace("", &glob, &replacement, all, self.budget),
        }
    }

    /// A name: letters, digits and `_`; or digits alone; or one special parameter.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if name.is_empty() && c.is_numeric() {
                while let Some(digit) = self.peek().filter(|c| c.is_numeric()) {
                    self.next();
                    name.push(digit);
                }
                return name;
            }
            if name.is_empty() && matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
                self.next();
                return c.to_string();
            }
            if !c.is_alphanumeric() && c != '_' {
                break;
            }
            self.next();
            name.push(c);
        }
        name
    }

    fn value(&mut self, name: &str) -> Result<Option<String>, String> {
        let value = (self.lookup)(name);
        self.spend(value.as_ref().map_or(0, String::len))?;
        let seen = if value.is_some() { &mut self.matched } else { &mut self.unmatched };
        if !seen.contains(name) {
            seen.insert(name.to_owned());
        }
        Ok(value)
    }
}

fn demand(name: &str, word: &str, otherwise: &str) -> String {
    format!("{name}: {}", if word.is_empty() { otherwise } else { word })
}
