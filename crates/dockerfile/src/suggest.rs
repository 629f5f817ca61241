//! Pure: what was probably meant: the option with the fewest edits, if they are fewer than three.

/// The nearest of `options` by edits, compared as written.
pub(crate) fn nearest<'a>(
    word: &str,
    options: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(100).collect();
    let mut best = None;
    // A word of which nothing is left is no near miss.
    let mut fewest = word.len().min(3);
    for option in options {
        let edits = distance(&word, option, fewest);
        if edits == 0 {
            // What was written exists, so it is not what is wrong.
            return None;
        }
        if edits < fewest {
            fewest = edits;
            best = Some(option);
        }
    }
    best
}

/// The nearest of upper-case `options` whatever the case of `word`, written as `word` is.
pub(crate) fn nearest_keyword(word: &str, options: &[&str]) -> Option<String> {
    let upper = word.to_uppercase();
    let found = nearest(&upper, options.iter().copied())?;
    let lower = word == word.to_lowercase() && word != upper;
    Some(if lower { found.to_lowercase() } else { found.to_owned() })
}

/// The edits between two words, counted up to `limit`.
fn distance(word: &[char], option: &str, limit: usize) -> usize {
    let other: Vec<char> = option.chars().collect();
    if word.len().abs_diff(other.len()) >= limit {
        return limit;
    }
    if word != other && letters(word) == letters(&other) {
        // Letters in the wrong order are one slip, however many edits they are.
        return 1;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in word.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        let mut next = vec![left];
        for (above, b) in row.iter().skip(1).zip(&other) {
            let edits =
                if a == b { diagonal } else { diagonal.min(left).min(*above).saturating_add(1) };
            next.push(edits);
            diagonal = *above;
            left = edits;
        }
        row = next;
    }
    row.last().copied().unwrap_or(limit).min(limit)
}

fn letters(word: &[char]) -> Vec<char> {
    let mut letters = word.to_vec();
    letters.sort_unstable();
    letters
}

#[cfg(test)]
mod tests {
    use super::{nearest, nearest_keyword};

    #[test]
    fn the_nearest_option_is_suggested_and_nothing_far() {
        let options = ["mount", "network", "security", "device"];
        for (word, expected) in [
            ("mout", Some("mount")),
            ("netwrok", Some("network")),
            ("securtiy", Some("security")),
            ("mount", None),
            ("volume", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, options), expected, "{word}");
        }
        assert_eq!(nearest_keyword("FRO", &["RUN", "FROM"]).as_deref(), Some("FROM"));
        assert_eq!(nearest_keyword("fro", &["RUN", "FROM"]).as_deref(), Some("from"));
        assert_eq!(nearest_keyword("Fro", &["RUN", "FROM"]).as_deref(), Some("FROM"));
        assert_eq!(nearest_keyword("구구구구", &["RUN", "FROM"]), None);
    }
}
