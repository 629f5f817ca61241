//! Pure: wildcards of COPY and ADD, as Go's `filepath.Match` has them: `*`, `?`, `[a-z]`, `[^a-z]`, `\` before a character;
//! none of them matches a slash.

/// Whether a path holds a wildcard.
pub(crate) fn is_pattern(path: &[u8]) -> bool {
    path.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// A pattern that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadPattern;

/// Whether a name (without slashes) matches a pattern (likewise).
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> Result<bool, BadPattern> {
    // The last star and where the name was then: a mismatch goes back there with one more byte for the star.
    let (mut at, mut pos) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    check(pattern)?;
    loop {
        let matched = match pattern.get(at) {
            None if pos == name.len() => return Ok(true),
            None => None,
            Some(b'*') => {
                star = Some((at + 1, pos));
                at += 1;
                continue;
            }
            Some(_) if pos == name.len() => return Ok(false),
            Some(_) => one(pattern, at, name, pos)?,
        };
        match (matched, star) {
            (Some((next_at, next_pos)), _) => (at, pos) = (next_at, next_pos),
            (None, Some((after, from))) if from < name.len() => {
                star = Some((after, from + 1));
                (at, pos) = (after, from + 1);
            }
            (None, _) => return Ok(false),
        }
    }
}

/// Go looks at the whole pattern, so that a bad one is refused whatever it is compared with.
fn check(pattern: &[u8]) -> Result<(), BadPattern> {
    let mut at = 0;
    while let Some(byte) = pattern.get(at) {
        at = match byte {
            b'*' | b'?' => at + 1,
            b'[' => class(pattern, at, u32::from(b'a'))?.1,
            b'\\' => {
                pattern.get(at + 1).ok_or(BadPattern)?;
                at + 2
            }
            _ => at + 1,
        };
    }
    Ok(())
}

/// Matches one character; answers where pattern and name go on.
fn one(
    pattern: &[u8],
    at: usize,
    name: &[u8],
    pos: usize,
) -> Result<Option<(usize, usize)>, BadPattern> {
    let (letter, length) = letter(name, pos);
    let step = |matched: bool, next: usize| Ok(matched.then_some((next, pos + length)));
    match pattern.get(at) {
        Some(b'?') => step(true, at + 1),
        Some(b'[') => {
            let (inside, next) = class(pattern, at, letter)?;
            step(inside, next)
        }
        Some(b'\\') => {
            let (wanted, wanted_length) = self::letter(pattern, at + 1);
            step(wanted == letter, at + 1 + wanted_length)
        }
        Some(_) => {
            let (wanted, wanted_length) = self::letter(pattern, at);
            step(wanted == letter, at + wanted_length)
        }
        None => Ok(None),
    }
}

/// The character at a place and its length in bytes; a byte that is no UTF-8 stands for itself.
fn letter(text: &[u8], at: usize) -> (u32, usize) {
    let rest = text.get(at..).unwrap_or_default();
    for length in 1..=4 {
        let Some(bytes) = rest.get(..length) else { break };
        if let Ok(found) = std::str::from_utf8(bytes) {
            return (found.chars().next().map_or(0, u32::from), length);
        }
    }
    (rest.first().map_or(0, |byte| 0x11_0000 + u32::from(*byte)), 1)
}

/// Whether a letter is in the class that begins at `at`, and where the class ends.
fn class(pattern: &[u8], at: usize, wanted: u32) -> Result<(bool, usize), BadPattern> {
    let mut at = at + 1;
    let negated = pattern.get(at) == Some(&b'^');
    if negated {
        at += 1;
    }
    let (mut inside, mut ranges) = (false, 0);
    loop {
        if pattern.get(at) == Some(&b']') && ranges > 0 {
            return Ok((inside != negated, at + 1));
        }
        let (low, next) = bound(pattern, at)?;
        let (high, next) =
            if pattern.get(next) == Some(&b'-') { bound(pattern, next + 1)? } else { (low, next) };
        inside |= (low..=high).contains(&wanted);
        ranges += 1;
        at = next;
    }
}

fn bound(pattern: &[u8], at: usize) -> Result<(u32, usize), BadPattern> {
    let at = match pattern.get(at) {
        None | Some(b'-' | b']') => return Err(BadPattern),
        Some(b'\\') => at + 1,
        Some(_) => at,
    };
    pattern.get(at).ok_or(BadPattern)?;
    let (letter, length) = letter(pattern, at);
    // A class must end.
    pattern.get(at + length).ok_or(BadPattern)?;
    Ok((letter, at + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The cases of Go's own test of `filepath.Match`, as far as they have no slash.
    #[test]
    fn wildcards_match_as_in_go() {
        for (pattern, name, want) in [
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*c", "abc", Some(true)),
            ("a*", "a", Some(true)),
            ("a*", "abc", Some(true)),
            ("a*b*c*d*e*", "axbxcxdxe", Some(true)),
            ("a*b*c*d*e*", "axbxcxdxexxx", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Some(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Some(false)),
            ("ab[c]", "abc", Some(true)),
            ("ab[b-d]", "abc", Some(true)),
            ("ab[e-g]", "abc", Some(false)),
            ("ab[^c]", "abc", Some(false)),
            ("ab[^b-d]", "abc", Some(false)),
            ("ab[^e-g]", "abc", Some(true)),
            ("a\\*b", "a*b", Some(true)),
            ("a\\*b", "ab", Some(false)),
            ("a?b", "a\u{263a}b", Some(true)),
            ("a[^a]b", "a\u{263a}b", Some(true)),
            ("a???b", "a\u{263a}b", Some(false)),
            ("a[^a][^a][^a]b", "a\u{263a}b", Some(false)),
            ("[a-\u{3b6}]*", "\u{3b1}", Some(true)),
            ("*[a-\u{3b6}]", "A", Some(false)),
            ("[\\]a]", "]", Some(true)),
            ("[\\-]", "-", Some(true)),
            ("[x\\-]", "x", Some(true)),
            ("[x\\-]", "-", Some(true)),
            ("[x\\-]", "z", Some(false)),
            ("[\\-x]", "x", Some(true)),
            ("[]a]", "]", None),
            ("[-]", "-", None),
            ("[x-]", "x", None),
            ("[-x]", "x", None),
            ("\\", "a", None),
            ("[a-b-c]", "a", None),
            ("[", "a", None),
            ("[^", "a", None),
            ("[^bc", "a", None),
            ("a[", "a", None),
            ("a[", "ab", None),
            ("*x", "xxx", Some(true)),
            ("", "", Some(true)),
            ("*", "", Some(true)),
            ("?", "", Some(false)),
        ] {
            let found = matches(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found.ok(), want, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "a*".repeat(200) + "b";
        assert_eq!(matches(pattern.as_bytes(), "a".repeat(5000).as_bytes()), Ok(false));
    }
}
