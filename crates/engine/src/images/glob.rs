//! Pure: patterns of names, as Go's `path.Match` reads them: `*` and `?` stop at a slash, `[a-z]` is a class,
//! `\` takes the next character as it is.

/// Whether a pattern fits the whole text; `None` when it is no pattern.
pub(super) fn matches(pattern: &str, text: &str) -> Option<bool> {
    let pattern = parse(pattern)?;
    let text: Vec<char> = text.chars().collect();
    Some(fits(&pattern, &text))
}

#[derive(Debug)]
enum Part {
    Star,
    Any,
    One(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

fn parse(pattern: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        parts.push(match character {
            '*' => Part::Star,
            '?' => Part::Any,
            '\\' => Part::One(rest.next()?),
            '[' => {
                let negated = rest.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                let literal =
                    |rest: &mut std::iter::Peekable<std::str::Chars<'_>>| match rest.next()? {
                        '\\' => rest.next(),
                        '-' | ']' => None,
                        other => Some(other),
                    };
                loop {
                    if !ranges.is_empty() && rest.next_if_eq(&']').is_some() {
                        break;
                    }
                    let low = literal(&mut rest)?;
                    let high = match rest.next_if_eq(&'-') {
                        Some(_) => literal(&mut rest)?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Part::Class { negated, ranges }
            }
            other => Part::One(other),
        });
    }
    Some(parts)
}

/// Goes back to the last star only, so that no pattern takes more than the product of both lengths.
fn fits(parts: &[Part], text: &[char]) -> bool {
    let (mut part, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let here = text.get(at).copied();
        let step = match (parts.get(part), here) {
            (None, None) => return true,
            (Some(Part::Star), _) => {
                star = Some((part, at));
                part += 1;
                continue;
            }
            (Some(Part::Any), Some(character)) => character != '/',
            (Some(Part::One(wanted)), Some(character)) => *wanted == character,
            (Some(Part::Class { negated, ranges }), Some(character)) => {
                character != '/'
                    && ranges.iter().any(|(low, high)| (*low..=*high).contains(&character))
                        != *negated
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        if step {
            part += 1;
            at += 1;
            continue;
        }
        match star {
            Some((starred, from)) if text.get(from).is_some_and(|character| *character != '/') => {
                star = Some((starred, from + 1));
                part = starred + 1;
                at = from + 1;
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    #[test]
    fn patterns_fit_as_in_go() {
        for (pattern, text, fits) in [
            ("debian", "debian", Some(true)),
            ("deb*", "debian", Some(true)),
            ("deb*", "library/debian", Some(false)),
            ("*/x:1*", "a/x:12", Some(true)),
            ("*", "a/b", Some(false)),
            ("*", "", Some(true)),
            ("a?c", "abc", Some(true)),
            ("a?c", "a/c", Some(false)),
            ("[a-c]x", "bx", Some(true)),
            ("[^a-c]x", "bx", Some(false)),
            ("\\*", "*", Some(true)),
            ("a*b*c", "aXbYc", Some(true)),
            ("a*b*c", "aXc", Some(false)),
            ("[", "a", None),
            ("[]", "a", None),
            ("\\", "a", None),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in ".{0,20}", text in ".{0,20}") {
            matches(&pattern, &text);
        }

        #[test]
        fn a_text_without_marks_fits_itself(text in "[a-z/:.0-9]{0,20}") {
            prop_assert_eq!(matches(&text, &text), Some(true));
        }
    }
}
