//! Patterns of repository names. Pure.
//!
//! Segments are separated by `/`. `*` stands for any characters within one segment, `**` (a segment of its own) for any number of
//! segments, none included, and `{user}` for the name of whoever asks, taken literally. So `library/**` is `library` and all below it.

use naru_errdefs::Fault;

/// Longest pattern, in bytes; names of repositories are no longer either.
const LONGEST: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`
    Any,
    /// Literal pieces; between two of them is a `*`.
    Pieces(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    User,
    Star,
}

/// A pattern of repository names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Segment>);

impl Pattern {
    /// Reads a pattern; what can match no repository is refused.
    pub fn parse(text: &str) -> Result<Pattern, Fault> {
        let bad = |why: &str| {
            Fault::invalid(format!("invalid repository pattern `{text}`: {why}")).with_hint(
                "write names as team/app, with `*` within a segment, `**` for any segments, {user} for the user's name",
            )
        };
        if text.is_empty() || text.len() > LONGEST {
            return Err(bad("it must have 1 to 255 bytes"));
        }
        let mut segments = Vec::new();
        for segment in text.split('/') {
            if segment.is_empty() {
                return Err(bad("a segment is empty"));
            }
            if segment == "**" {
                // Two in a row say no more than one.
                if segments.last() != Some(&Segment::Any) {
                    segments.push(Segment::Any);
                }
                continue;
            }
            if segment.contains("**") {
                return Err(bad("`**` must be a segment of its own"));
            }
            segments.push(Segment::Pieces(pieces(segment).map_err(bad)?));
        }
        Ok(Pattern(segments))
    }

    /// Whether a repository's name matches for a user; `{user}` matches nothing for an anonymous one.
    pub fn matches(&self, user: Option<&str>, repository: &str) -> bool {
        let names: Vec<&str> = repository.split('/').collect();
        // reachable[i]: what was read of the pattern can match the first i segments. Linear in both, whatever the pattern.
        let mut reachable = vec![false; names.len() + 1];
        if let Some(first) = reachable.first_mut() {
            *first = true;
        }
        for segment in &self.0 {
            let mut next = vec![false; names.len() + 1];
            match segment {
                Segment::Any => {
                    let mut seen = false;
                    for (to, from) in next.iter_mut().zip(&reachable) {
                        seen |= from;
                        *to = seen;
                    }
                }
                Segment::Pieces(pieces) => {
                    for ((to, from), name) in next.iter_mut().skip(1).zip(&reachable).zip(&names) {
                        *to = *from && segment_matches(pieces, user, name);
                    }
                }
            }
            reachable = next;
        }
        reachable.last().copied().unwrap_or(false)
    }
}

fn pieces(segment: &str) -> Result<Vec<Piece>, &'static str> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = segment;
    loop {
        if let Some(after) = rest.strip_prefix("{user}") {
            take(&mut text, &mut pieces);
            pieces.push(Piece::User);
            rest = after;
            continue;
        }
        let mut characters = rest.chars();
        match characters.next() {
            None => break,
            Some('*') => {
                take(&mut text, &mut pieces);
                pieces.push(Piece::Star);
            }
            Some('{' | '}') => return Err("the only placeholder is {user}"),
            Some(character @ ('a'..='z' | '0'..='9' | '.' | '_' | '-')) => text.push(character),
            Some(_) => {
                return Err("names have lower-case letters, digits, `.`, `_` and `-` only");
            }
        }
        rest = characters.as_str();
    }
    take(&mut text, &mut pieces);
    Ok(pieces)
}

fn take(text: &mut String, pieces: &mut Vec<Piece>) {
    if !text.is_empty() {
        pieces.push(Piece::Text(std::mem::take(text)));
    }
}

fn segment_matches(pieces: &[Piece], user: Option<&str>, name: &str) -> bool {
    // The usual walk: after a star, a mismatch goes back to it and lets it take one byte more.
    let mut literals: Vec<Option<&str>> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match (piece, user) {
            (Piece::Star, _) => literals.push(None),
            (Piece::Text(text), _) => literals.push(Some(text)),
            (Piece::User, Some(user)) if !user.is_empty() => literals.push(Some(user)),
            (Piece::User, _) => return false,
        }
    }
    let Some(star) = literals.iter().position(Option::is_none) else {
        return literals.iter().flatten().copied().collect::<String>() == name;
    };
    let (head, tail) = literals.split_at(star);
    let head: String = head.iter().flatten().copied().collect();
    let Some(mut rest) = name.strip_prefix(head.as_str()) else { return false };
    let last = tail.iter().rposition(Option::is_none).unwrap_or(0);
    let (middle, end) = tail.split_at(last);
    let end: String = end.iter().flatten().copied().collect();
    // Greedy from the left finds the middle if anything does; runs of literals between stars belong together.
    for run in middle.split(Option::is_none) {
        let run: String = run.iter().flatten().copied().collect();
        match rest.split_once(run.as_str()) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(end.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, user: Option<&str>, yes: &[&str], no: &[&str]) {
        let parsed = Pattern::parse(pattern).unwrap();
        for name in yes {
            assert!(parsed.matches(user, name), "{pattern} should match {name}");
        }
        for name in no {
            assert!(!parsed.matches(user, name), "{pattern} should not match {name}");
        }
    }

    #[test]
    fn patterns_match_what_they_say() {
        check("app", None, &["app"], &["app/x", "apps", "x/app", ""]);
        check("*", None, &["app", "x"], &["a/b"]);
        check("**", None, &["app", "a/b", "a/b/c"], &[]);
        check("team/*", None, &["team/a"], &["team", "team/a/b", "teams/a"]);
        check("team/**", None, &["team", "team/a", "team/a/b"], &["teams", "x/team"]);
        check("**/app", None, &["app", "a/app", "a/b/app"], &["app/a", "xapp"]);
        check("a/**/z", None, &["a/z", "a/b/z", "a/b/c/z"], &["a", "z", "a/b"]);
        check("**/a/**/a/**", None, &["a/a", "x/a/y/a/z"], &["a", "x/a/y"]);
        check("x-*", None, &["x-", "x-1"], &["x", "y-1"]);
        check("*-x-*", None, &["a-x-b", "-x-", "a-x-x-b"], &["a-x", "x-b"]);
        check("a*a", None, &["aa", "aba"], &["a", "ab"]);
        check("a*b*c", None, &["abc", "axbxc", "abbcc"], &["acb", "ac"]);
        check("{user}/**", Some("ann"), &["ann", "ann/x"], &["bob/x", "annx"]);
        check("home-{user}-*", Some("ann"), &["home-ann-1"], &["home-bob-1", "home-ann"]);
    }

    #[test]
    fn a_user_name_is_never_a_pattern() {
        for name in ["*", "**", "a/b", "{user}", "", "ANN", ".."] {
            let pattern = Pattern::parse("{user}/x").unwrap();
            for repository in ["a/x", "a/b/x", "ann/x", "x", "/x"] {
                assert!(!pattern.matches(Some(name), repository), "{name} {repository}");
            }
        }
        assert!(!Pattern::parse("{user}").unwrap().matches(None, ""));
        assert!(!Pattern::parse("*{user}").unwrap().matches(None, "x"));
    }

    #[test]
    fn what_matches_nothing_is_refused() {
        for text in
            ["", "/", "a//b", "a/", "/a", "A", "a b", "a**", "**a", "{name}", "{", "a}", "ä", "a:b"]
        {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
        assert!(Pattern::parse(&"a".repeat(255)).is_ok());
        assert!(Pattern::parse(&"a".repeat(256)).is_err());
    }

    /// The meaning, written down as plainly as possible.
    fn plain(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', rest @ ..] => (0..=name.len())
                .take_while(|at| !name[..*at].contains(&b'/'))
                .any(|at| plain(rest, &name[at..])),
            [byte, rest @ ..] => name.first() == Some(byte) && plain(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn stars_mean_the_same_as_in_the_plain_definition(
            pattern in "[ab*]{1,5}(/[ab*]{1,4}){0,2}", name in "[ab]{1,5}(/[ab]{1,4}){0,2}"
        ) {
            prop_assume!(!pattern.contains("**"));
            let parsed = Pattern::parse(&pattern).unwrap();
            prop_assert_eq!(parsed.matches(None, &name), plain(pattern.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,40}", name in "\\PC{0,40}", user in "\\PC{0,10}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                pattern.matches(Some(&user), &name);
            }
        }
    }

    #[test]
    fn a_hostile_pattern_costs_little() {
        let pattern = Pattern::parse(&["**/a*a*a*a"; 20].join("/")).unwrap();
        let name = vec!["aaaaaaaaaaaaaaaaab"; 14].join("/");
        assert!(!pattern.matches(None, &name));
    }
}
