//! Pure: the order in which people count: `a9` before `a10`.

use std::cmp::Ordering;

/// Compares two texts; runs of digits count as numbers.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (mut left_rest, mut right_rest) = (left, right);
    while !left_rest.is_empty() && !right_rest.is_empty() {
        let (a, after_a) = run(left_rest);
        let (b, after_b) = run(right_rest);
        let order = match (is_number(a), is_number(b)) {
            (true, true) => number(a, b),
            _ => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
        (left_rest, right_rest) = (after_a, after_b);
    }
    left_rest.len().cmp(&right_rest.len()).then_with(|| left.cmp(right))
}

/// The first run of digits or of other characters, and what follows it.
fn run(text: &str) -> (&str, &str) {
    let digits = is_number(text);
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

fn is_number(run: &str) -> bool {
    run.starts_with(|c: char| c.is_ascii_digit())
}

fn number(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_count() {
        let mut words = ["zeta", "a10", "a9", "a", "a9b", "10", "9", "a09", "b"];
        words.sort_by(|a, b| super::compare(a, b));
        assert_eq!(words, ["9", "10", "a", "a09", "a9", "a9b", "a10", "b", "zeta"]);
    }
}
