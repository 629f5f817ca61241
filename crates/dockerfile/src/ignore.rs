//! Pure: `.dockerignore`: which files of a context are left out, by the rules of Go's `filepath.Match`, `**`, and exceptions with `!`.
//!
//! The last rule that applies decides. A rule that matches a directory holds for everything below it.
//!
//! ```text
//! *        anything within a name            **/x     x at any depth
//! ?        one character of a name           x/**     everything below x
//! [a-z]    one of a class, [^a-z] none       !x       what an earlier rule left out is taken after all
//! ```

mod glob;

use glob::{Glob, Scratch};
use naru_errdefs::{Failure, Kind};

/// The longest line, in bytes, as docker has it.
const MAX_LINE: usize = 65_535;

/// Rules, in order.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    /// As written.
    text: String,
    glob: Glob,
    exception: bool,
}

/// Why an ignore file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct IgnoreError {
    /// The line of the file, or the place in the list, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl Failure for IgnoreError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

/// What is known of a directory when its entries are looked at: which rules hold for everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the path itself is left out.
    pub ignored: bool,
    holds: Vec<bool>,
}

impl Patterns {
    /// Reads an ignore file.
    pub fn parse(bytes: &[u8]) -> Result<Patterns, IgnoreError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut rules = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let number = index.saturating_add(1);
            let refused = |reason: String| IgnoreError { line: number, reason };
            if line.starts_with(b"#") {
                continue;
            }
            if line.len() > MAX_LINE {
                return Err(refused(format!("it is longer than {MAX_LINE} bytes")));
            }
            let line = std::str::from_utf8(line)
                .map_err(|_not_utf8| refused("it is not UTF-8 text".to_owned()))?;
            rules.extend(rule(line, true).map_err(refused)?);
        }
        Ok(Patterns { rules })
    }

    /// Rules from elsewhere, such as `--exclude`.
    pub fn of<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Patterns, IgnoreError> {
        let mut rules = Vec::new();
        for (index, text) in list.into_iter().enumerate() {
            let refused = |reason| IgnoreError { line: index.saturating_add(1), reason };
            rules.extend(rule(text, false).map_err(refused)?);
        }
        Ok(Patterns { rules })
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether some rule takes back what others leave out.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception)
    }

    /// Whether the rules leave everything out, but for exceptions.
    pub fn leaves_all_out(&self) -> bool {
        self.rules.iter().any(|rule| !rule.exception && rule.glob.is_everything())
    }

    /// Whether a path (relative to the context, `/` between names) is left out.
    pub fn is_ignored(&self, path: &str) -> bool {
        self.rule_for(path).is_some()
    }

    /// The rule that leaves a path out, as written.
    pub fn rule_for(&self, path: &str) -> Option<&str> {
        if path == "." {
            return None;
        }
        let mut scratch = Scratch::default();
        let mut decisive: Option<&Rule> = None;
        for rule in &self.rules {
            // A rule that would change nothing is not asked.
            if rule.exception == decisive.is_some() && holds(rule, path, &mut scratch) {
                decisive = (!rule.exception).then_some(rule);
            }
        }
        decisive.map(|rule| rule.text.as_str())
    }

    /// What is known at the root of a tree.
    pub fn root(&self) -> Verdict {
        Verdict { ignored: false, holds: vec![false; self.rules.len()] }
    }

    /// Whether a path is left out, when what is known of its directory is at hand: walking a tree this way asks each rule once a path.
    pub fn below(&self, parent: &Verdict, path: &str) -> Verdict {
        let mut scratch = Scratch::default();
        let mut ignored = false;
        let mut known = Vec::with_capacity(self.rules.len());
        for (rule, held) in self.rules.iter().zip(&parent.holds) {
            let holds =
                *held || (rule.exception == ignored && rule.glob.matches(path, &mut scratch));
            known.push(holds);
            if holds {
                ignored = !rule.exception;
            }
        }
        Verdict { ignored, holds: known }
    }

    /// Whether something below an ignored directory may be taken after all, so that it must be walked.
    pub fn may_except_below(&self, directory: &str) -> bool {
        self.rules.iter().any(|rule| rule.exception && rule.glob.may_match_below(directory))
    }
}

/// Whether a rule matches a path or a directory above it.
fn holds(rule: &Rule, path: &str, scratch: &mut Scratch) -> bool {
    rule.glob.matches(path, scratch)
        || path
            .char_indices()
            .filter(|(_, c)| *c == '/')
            .any(|(at, _)| path.get(..at).is_some_and(|parent| rule.glob.matches(parent, scratch)))
}

/// The rule of a line, if it holds one. Lines of a file may start with `/`, which means nothing.
fn rule(line: &str, of_file: bool) -> Result<Option<Rule>, String> {
    let text = line.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (exception, path) = match text.strip_prefix('!') {
        Some(path) if of_file => (true, path.trim()),
        Some(path) => (true, path),
        None => (false, text),
    };
    if path.is_empty() {
        return Err("illegal exclusion pattern: \"!\"".to_owned());
    }
    let mut path = clean(path);
    if of_file && path.len() > 1 && path.starts_with('/') {
        path.remove(0);
    }
    let glob = Glob::new(&path).map_err(|why| format!("{text:?} is not a pattern: {why}"))?;
    Ok(Some(Rule { text: text.to_owned(), glob, exception }))
}

/// A path without empty names, `.` and, where it can be, `..`.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            ".." if rooted => {}
            name => names.push(name),
        }
    }
    match (rooted, names.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}

#[cfg(test)]
mod tests;
