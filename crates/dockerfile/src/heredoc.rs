//! Pure: which heredocs a line opens.

use crate::{Heredoc, expand};

/// The heredocs that a line opens, in order, their bodies not yet read.
pub(crate) fn opened_by(line: &str) -> Vec<Heredoc> {
    if !line.contains("<<") {
        return Vec::new();
    }
    expand::raw_words(line).iter().filter_map(|word| opener(word)).collect()
}

/// The heredoc that a single word opens: `3<<-'EOF'`. A word with a second `<<`, with blanks in an unquoted name or without a name opens none.
pub(crate) fn opener(word: &str) -> Option<Heredoc> {
    let digits =
        word.len().checked_sub(word.trim_start_matches(|c: char| c.is_ascii_digit()).len())?;
    let (number, rest) = word.split_at_checked(digits)?;
    let rest = rest.strip_prefix("<<")?;
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let [name] = <[String; 1]>::try_from(expand::name_words(rest, false)?).ok()?;
    let [raw] = <[String; 1]>::try_from(expand::name_words(rest, true)?).ok()?;
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Some(Heredoc {
        // As long as no quote was taken away, none of the name was quoted.
        expand: quotes(&name) == quotes(&raw),
        name,
        descriptor: number.parse().unwrap_or(0),
        chomp,
        content: String::new(),
    })
}

impl Heredoc {
    /// The body as it is used: without leading tabs where `<<-` asks for it.
    pub fn body(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}
