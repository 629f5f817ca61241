//! Pure: one pattern. All ways to match are followed side by side, so the cost is pattern times path, whatever both are.

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// No wildcard: the path itself.
    Exact,
    /// A `**` at the end alone: what starts with this.
    Prefix(String),
    /// A `**` at the start alone: what ends with this, or is it without its slash.
    Suffix(String),
    /// Anything else.
    Tokens {
        tokens: Vec<Token>,
        /// What every match starts with.
        head: String,
        /// What every match ends with.
        tail: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`.
    One,
    /// `*`.
    Name,
    /// `**` at the end.
    Rest,
    /// `**` elsewhere: nothing, or any text that ends in `/`.
    Directories,
    /// `[...]`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// The states of a match under way, kept from one match to the next to save allocations.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    now: Vec<u64>,
    next: Vec<u64>,
}

impl Glob {
    pub(super) fn new(text: &str) -> Result<Glob, String> {
        let (tokens, kind) = compile(text)?;
        let kind = match kind {
            Shape::Exact => Kind::Exact,
            Shape::Prefix => Kind::Prefix(text.strip_suffix("**").unwrap_or(text).to_owned()),
            Shape::Suffix => Kind::Suffix(text.strip_prefix("**").unwrap_or(text).to_owned()),
            Shape::Tokens => {
                let literal = |token: &Token| match token {
                    Token::Literal(c) => Some(*c),
                    _ => None,
                };
                let head = tokens.iter().map_while(literal).collect();
                let mut tail: Vec<char> = tokens.iter().rev().map_while(literal).collect();
                tail.reverse();
                Kind::Tokens { tokens, head, tail: tail.into_iter().collect() }
            }
        };
        Ok(Glob { text: text.to_owned(), kind })
    }

    /// Whether it matches every path at the root of a tree.
    pub(super) fn is_everything(&self) -> bool {
        matches!(self.text.as_str(), "*" | "**" | "**/*")
    }

    /// Whether it matches a path.
    pub(super) fn matches(&self, path: &str, scratch: &mut Scratch) -> bool {
        match &self.kind {
            Kind::Exact => path == self.text,
            Kind::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Kind::Suffix(suffix) => ends(suffix, path),
            Kind::Tokens { tokens, head, tail } => {
                path.starts_with(head.as_str())
                    && path.ends_with(tail.as_str())
                    && run(tokens, path, scratch, Until::End)
            }
        }
    }

    /// Whether it matches a path or a directory above it. The path is read once for all of them.
    pub(super) fn holds(&self, path: &str, scratch: &mut Scratch) -> bool {
        match &self.kind {
            Kind::Exact => path
                .strip_prefix(self.text.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            // What starts a directory starts everything below it.
            Kind::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Kind::Suffix(suffix) => {
                ends(suffix, path)
                    || path
                        .match_indices('/')
                        .any(|(at, _)| path.get(..at).is_some_and(|above| ends(suffix, above)))
            }
            Kind::Tokens { tokens, head, .. } => {
                path.starts_with(head.as_str()) && run(tokens, path, scratch, Until::AnySlash)
            }
        }
    }

    /// What the pattern is to patternmatcher.
    #[cfg(test)]
    pub(super) fn shape(&self) -> &'static str {
        match self.kind {
            Kind::Exact => "exact",
            Kind::Prefix(_) => "prefix",
            Kind::Suffix(_) => "suffix",
            Kind::Tokens { .. } => "regexp",
        }
    }

    /// Whether it may match something below a directory.
    pub(super) fn may_match_below(&self, directory: &str) -> bool {
        let head = match &self.kind {
            Kind::Exact => {
                return self.text.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
            }
            Kind::Prefix(head) | Kind::Tokens { head, .. } => head.as_str(),
            Kind::Suffix(_) => "",
        };
        let below = format!("{directory}/");
        head.starts_with(&below) || below.starts_with(head)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Exact,
    Prefix,
    Suffix,
    Tokens,
}

/// The tokens of a pattern, and the simplest way to match it.
fn compile(text: &str) -> Result<(Vec<Token>, Shape), String> {
    let mut tokens = Vec::new();
    let mut shape = Shape::Exact;
    let mut chars = text.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                // `**/` is `**`: the slash belongs to the directories it stands for.
                chars.next_if_eq(&'/');
                if chars.peek().is_none() {
                    tokens.push(Token::Rest);
                    shape = if shape == Shape::Exact { Shape::Prefix } else { Shape::Tokens };
                } else {
                    tokens.push(Token::Directories);
                    shape = Shape::Tokens;
                }
                if first {
                    shape = Shape::Suffix;
                }
            }
            '*' => {
                tokens.push(Token::Name);
                shape = Shape::Tokens;
            }
            '?' => {
                tokens.push(Token::One);
                shape = Shape::Tokens;
            }
            '[' => {
                tokens.push(class(&mut chars)?);
                shape = Shape::Tokens;
            }
            '\\' => {
                let escaped = chars.next().ok_or("nothing follows the `\\` at its end")?;
                tokens.push(Token::Literal(escaped));
                shape = Shape::Tokens;
            }
            c => tokens.push(Token::Literal(c)),
        }
        first = false;
    }
    Ok((tokens, shape))
}

/// A class whose `[` is read.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, String> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Ok(Token::Class { negated, ranges });
        }
        let low = member(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { member(chars)? } else { low };
        if low > high {
            return Err(format!("the range {low}-{high} is backwards"));
        }
        ranges.push((low, high));
    }
}

fn member(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, String> {
    let unfinished = "the class has no `]`";
    match chars.next().ok_or(unfinished)? {
        c @ ('-' | ']') => Err(format!("`{c}` needs a `\\` before it in a class")),
        '\\' => Ok(chars.next().ok_or(unfinished)?),
        c => Ok(c),
    }
}

/// Whether a path ends as a pattern with `**` in front says; `**/x` is `x` at the top too.
fn ends(suffix: &str, path: &str) -> bool {
    path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path)
}

/// Where a match may end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    End,
    /// Before any slash, or at the end.
    AnySlash,
}

fn run(tokens: &[Token], path: &str, scratch: &mut Scratch, until: Until) -> bool {
    let blocks = tokens.len() / 64 + 1;
    for set in [&mut scratch.now, &mut scratch.next] {
        set.clear();
        set.resize(blocks, 0);
    }
    enter(tokens, 0, &mut scratch.now);
    for c in path.chars() {
        if c == '/' && until == Until::AnySlash && has(&scratch.now, tokens.len()) {
            return true;
        }
        scratch.next.fill(0);
        let mut alive = false;
        for block in 0..blocks {
            let mut bits = scratch.now.get(block).copied().unwrap_or(0);
            while bits != 0 {
                let low = usize::try_from(bits.trailing_zeros()).unwrap_or(0);
                bits &= bits - 1;
                let at = block * 64 + low;
                let Some(token) = tokens.get(at) else { continue };
                alive |= step(tokens, token, at, c, &mut scratch.next);
            }
        }
        if !alive {
            return false;
        }
        std::mem::swap(&mut scratch.now, &mut scratch.next);
    }
    has(&scratch.now, tokens.len())
}

/// Reads one character at a token; whether the match goes on.
fn step(tokens: &[Token], token: &Token, at: usize, c: char, next: &mut [u64]) -> bool {
    let passes = match token {
        Token::Literal(wanted) => *wanted == c,
        Token::One => c != '/',
        Token::Class { negated, ranges } => {
            ranges.iter().any(|(low, high)| (low..=high).contains(&&c)) != *negated
        }
        Token::Name | Token::Rest => {
            let stays = *token == Token::Rest || c != '/';
            if stays {
                enter(tokens, at, next);
            }
            return stays;
        }
        Token::Directories => {
            add(next, at);
            c == '/'
        }
    };
    if passes {
        enter(tokens, at + 1, next);
    }
    passes || *token == Token::Directories
}

/// Adds a token, and those behind it that can be reached without a character.
fn enter(tokens: &[Token], mut at: usize, set: &mut [u64]) {
    loop {
        add(set, at);
        match tokens.get(at) {
            Some(Token::Name | Token::Rest | Token::Directories) => at += 1,
            _ => return,
        }
    }
}

fn add(set: &mut [u64], at: usize) {
    if let Some(block) = set.get_mut(at / 64) {
        *block |= 1 << (at % 64);
    }
}

fn has(set: &[u64], at: usize) -> bool {
    set.get(at / 64).is_some_and(|block| block & (1 << (at % 64)) != 0)
}
