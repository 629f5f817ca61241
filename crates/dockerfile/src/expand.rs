//! Pure: variable expansion and quote removal, word by word, as the shell lexer of BuildKit does it.
//!
//! The rules are a part of the shell's: `$x`, `${x}` and its forms `- :- + :+ ? :? # ## % %% / //`, single quotes (nothing inside is special),
//! double quotes (variables are expanded, and the escape character works before `"`, `$` and itself), the escape character elsewhere. There is
//! no command substitution, no field splitting but in [`Expander::words`], and no positional or special parameter is ever set.

mod lexer;
mod pattern;

use crate::Escape;
use lexer::{Lexer, Mode};
use std::collections::BTreeSet;

/// The longest text that a word may expand to, beyond its own length, in bytes: `ENV A=$A$A` doubles with every line.
const MAX_GROWTH: usize = 1 << 20;

/// The deepest nesting of `${a:-${b:-...}}`.
const MAX_DEPTH: usize = 100;

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {word:?}: {reason}")]
pub struct ExpandError {
    /// The word, cut when it is long.
    pub word: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A word with its variables replaced, and which they were.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// The variables that were asked for and are set.
    pub matched: BTreeSet<String>,
    /// The variables that were asked for and are not set.
    pub unmatched: BTreeSet<String>,
}

/// Expands words with the variables of one place in the file.
#[derive(Clone, Copy)]
pub struct Expander<'a> {
    escape: Escape,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for Expander<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expander").field("escape", &self.escape).finish_non_exhaustive()
    }
}

impl<'a> Expander<'a> {
    /// An expander with the file's escape character and a way to look variables up.
    pub fn new(escape: Escape, lookup: &'a dyn Fn(&str) -> Option<String>) -> Expander<'a> {
        Expander { escape, lookup }
    }

    /// One word in, one word out; blanks stay.
    pub fn word(&self, text: &str) -> Result<String, ExpandError> {
        self.traced(text).map(|expanded| expanded.text)
    }

    /// As [`Expander::word`], with the variables that were asked for.
    pub fn traced(&self, text: &str) -> Result<Expanded, ExpandError> {
        let mut lexer = Lexer::new(text, self.escape.char(), self.lookup, Mode::default());
        let (expanded, _) = lexer.run().map_err(|reason| error(text, reason))?;
        Ok(Expanded { text: expanded, matched: lexer.matched, unmatched: lexer.unmatched })
    }

    /// One text in, any number of words out: it is split at blanks that are not quoted, after variables are replaced.
    pub fn words(&self, text: &str) -> Result<Vec<String>, ExpandError> {
        let mut lexer = Lexer::new(text, self.escape.char(), self.lookup, Mode::default());
        lexer.run().map(|(_, words)| words).map_err(|reason| error(text, reason))
    }

    /// The body of a heredoc: variables are replaced, quotes are only characters, and `\` escapes whatever the file's escape character is.
    pub fn body(&self, text: &str) -> Result<Expanded, ExpandError> {
        let mode = Mode { plain_quotes: true, ..Mode::default() };
        let mut lexer = Lexer::new(text, '\\', self.lookup, mode);
        let (expanded, _) = lexer.run().map_err(|reason| error(text, reason))?;
        Ok(Expanded { text: expanded, matched: lexer.matched, unmatched: lexer.unmatched })
    }

    /// A statement for the eye: what is set is replaced, everything else (quotes, unknown variables, malformed text) stays as written.
    pub fn display(&self, text: &str) -> String {
        let mode = Mode { raw_quotes: true, keep_unset: true, ..Mode::default() };
        let mut lexer = Lexer::new(text, self.escape.char(), self.lookup, mode);
        lexer.run().map_or_else(|_| text.to_owned(), |(shown, _)| shown)
    }
}

/// The words of a line with quotes and escapes kept, nothing expanded; none when it is malformed.
pub(crate) fn raw_words(text: &str) -> Vec<String> {
    let mode = Mode { raw_quotes: true, raw_escapes: true, keep_unset: true, plain_quotes: false };
    let mut lexer = Lexer::new(text, '\\', &|_| None, mode);
    lexer.run().map_or_else(|_| Vec::new(), |(_, words)| words)
}

/// The words of a heredoc's name, with or without their quotes.
pub(crate) fn name_words(text: &str, raw_quotes: bool) -> Option<Vec<String>> {
    let mode = Mode { raw_quotes, keep_unset: true, ..Mode::default() };
    Lexer::new(text, '\\', &|_| None, mode).run().ok().map(|(_, words)| words)
}

fn error(word: &str, reason: String) -> ExpandError {
    let mut shown: String = word.chars().take(200).collect();
    if shown.len() < word.len() {
        shown.push_str("...");
    }
    ExpandError { word: shown, reason }
}

#[cfg(test)]
mod tests;
