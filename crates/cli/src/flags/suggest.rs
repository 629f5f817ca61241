//! Pure: what was probably meant by a word that is not known.

/// The candidate that is at most two slips away from the word, or begins with it.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = if word.chars().count() <= 3 { 1 } else { 2 };
    candidates
        .map(|candidate| {
            let begins = word.len() >= 3 && candidate.starts_with(word);
            (if begins { 1 } else { distance(word, candidate) }, candidate)
        })
        .filter(|(slips, _)| *slips <= allowed)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Edits from one word to the other; two neighbours swapped count once.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let at = |list: &[usize], n: usize| list.get(n).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&last, j) + usize::from(a != b)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped =
                i > 0 && j > 0 && from.get(i - 1) == Some(b) && to.get(j - 1) == Some(a) && a != b;
            if swapped {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_understood_and_strangers_are_not() {
        let known = ["volume", "memory", "rm", "name", "env", "env-file", "privileged"];
        for (word, expected) in [
            ("volmue", Some("volume")),
            ("memry", Some("memory")),
            ("priv", Some("privileged")),
            ("nmae", Some("name")),
            ("bogus", None),
            ("x", None),
            ("rn", Some("rm")),
        ] {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
        }
    }
}
