//! Pure: the patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*`, `?`, and `\` before either or before itself.
//!
//! Matching runs all alternatives side by side, so its cost is pattern times value whatever they are, and their product is bounded. Neither
//! `*` nor `?` matches a line end.

/// The most pairs of pattern and value characters that one substitution may look at.
const MAX_WORK: usize = 16 << 20;

/// Which of several matches is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Shortest,
    Longest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    One,
    Many,
}

fn tokens(glob: &str) -> Result<Vec<Token>, String> {
    let invalid =
        |what: &str| format!("invalid pattern ({glob}) in substitution: invalid escape '\\{what}'");
    let mut out = Vec::new();
    let mut chars = glob.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' => Token::Many,
            '?' => Token::One,
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::Literal(escaped),
                Some(other) => return Err(invalid(&other.to_string())),
                None => return Err(invalid("")),
            },
            _ => Token::Literal(c),
        });
    }
    Ok(out)
}

fn bounded(tokens: &[Token], value: &[char]) -> Result<(), String> {
    let work = tokens.len().saturating_add(1).saturating_mul(value.len());
    if work > MAX_WORK {
        return Err("the pattern is too long for a value of this size".to_owned());
    }
    Ok(())
}

/// `value` without the prefix that `glob` matches.
pub(super) fn trim_prefix(value: &str, glob: &str, greed: Greed) -> Result<String, String> {
    let chars: Vec<char> = value.chars().collect();
    let tokens = tokens(glob)?;
    bounded(&tokens, &chars)?;
    let end = find(&tokens, &chars, 0, Anchor::Here, greed).map_or(0, |(_, end)| end);
    Ok(chars.iter().skip(end).collect())
}

/// `value` without the suffix that `glob` matches: the same, read backwards.
pub(super) fn trim_suffix(value: &str, glob: &str, greed: Greed) -> Result<String, String> {
    let chars: Vec<char> = value.chars().rev().collect();
    let mut tokens = tokens(glob)?;
    tokens.reverse();
    bounded(&tokens, &chars)?;
    let end = find(&tokens, &chars, 0, Anchor::Here, greed).map_or(0, |(_, end)| end);
    Ok(chars.iter().skip(end).rev().collect())
}

/// `value` with the first match of `glob`, or all, replaced.
pub(super) fn replace(
    value: &str,
    glob: &str,
    replacement: &str,
    all: bool,
    limit: usize,
) -> Result<String, String> {
    let chars: Vec<char> = value.chars().collect();
    let tokens = tokens(glob)?;
    bounded(&tokens, &chars)?;
    let mut out = String::new();
    let mut copied = 0;
    let mut from = 0;
    let mut last_end = None;
    // Every search either consumes what it looked at or, for an empty match, one character.
    while from <= chars.len() {
        let Some((start, end)) = find(&tokens, &chars, from, Anchor::Anywhere, Greed::Longest)
        else {
            break;
        };
        // An empty match right after a match is not one.
        if start != end || last_end != Some(start) {
            out.extend(chars.iter().take(start).skip(copied));
            out.push_str(replacement);
            copied = end;
            last_end = Some(end);
            if out.len() > limit {
                return Err("the replacement makes it too long".to_owned());
            }
        }
        if !all {
            break;
        }
        from = if end > from { end } else { from.saturating_add(1) };
    }
    out.extend(chars.iter().skip(copied));
    Ok(out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Here,
    Anywhere,
}

/// One alternative under way: the token it waits at, and where it began.
type Thread = (usize, usize);

/// The alternatives at one place of the value, best first; a token is waited at once, by the best.
struct Threads {
    list: Vec<Thread>,
    seen: Vec<bool>,
}

impl Threads {
    fn new(tokens: &[Token]) -> Threads {
        Threads { list: Vec::new(), seen: vec![false; tokens.len().saturating_add(1)] }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.seen.fill(false);
    }

    /// Adds an alternative with everything reachable from it without a character.
    fn add(&mut self, tokens: &[Token], mut at: usize, start: usize, greed: Greed) {
        // A run of stars: the longest match tries to stay first, the shortest to leave first.
        let mut staying = Vec::new();
        loop {
            match self.seen.get_mut(at) {
                None | Some(true) => break,
                Some(seen) => *seen = true,
            }
            if tokens.get(at) != Some(&Token::Many) {
                self.list.push((at, start));
                break;
            }
            match greed {
                Greed::Longest => self.list.push((at, start)),
                Greed::Shortest => staying.push((at, start)),
            }
            at = at.saturating_add(1);
        }
        self.list.extend(staying.into_iter().rev());
    }
}

/// The leftmost match at or after `from`, and of those the best.
fn find(
    tokens: &[Token],
    value: &[char],
    from: usize,
    anchor: Anchor,
    greed: Greed,
) -> Option<(usize, usize)> {
    let mut now = Threads::new(tokens);
    let mut next = Threads::new(tokens);
    let mut best = None;
    now.add(tokens, 0, from, greed);
    let mut at = from;
    loop {
        let c = value.get(at).copied();
        next.clear();
        for &(token, start) in &now.list {
            let Some(kind) = tokens.get(token) else {
                best = Some((start, at));
                // Those that follow are worse.
                break;
            };
            match (kind, c) {
                (Token::Literal(wanted), Some(c)) if *wanted == c => {
                    next.add(tokens, token.saturating_add(1), start, greed);
                }
                (Token::One, Some(c)) if c != '\n' => {
                    next.add(tokens, token.saturating_add(1), start, greed);
                }
                (Token::Many, Some(c)) if c != '\n' => next.add(tokens, token, start, greed),
                _ => {}
            }
        }
        at = at.saturating_add(1);
        if c.is_none() {
            return best;
        }
        if best.is_none() && anchor == Anchor::Anywhere {
            next.add(tokens, 0, at, greed);
        }
        if next.list.is_empty() {
            return best;
        }
        std::mem::swap(&mut now, &mut next);
    }
}
