//! Pure: times as Go writes them, whose tools everybody compares ours with.

/// Nanoseconds as Go's `Duration` writes them.
pub fn go_duration(nanoseconds: i64) -> String {
    let all = nanoseconds.unsigned_abs();
    let (seconds, rest) = (all / 1_000_000_000, all % 1_000_000_000);
    let fraction = |value: u64, digits: usize| {
        let text = format!("{value:0digits$}");
        let text = text.trim_end_matches('0');
        if text.is_empty() { String::new() } else { format!(".{text}") }
    };
    if all == 0 {
        return "0s".to_owned();
    }
    if seconds == 0 {
        return match rest {
            rest if rest >= 1_000_000 => {
                format!("{}{}ms", rest / 1_000_000, fraction(rest % 1_000_000, 6))
            }
            rest if rest >= 1000 => format!("{}{}µs", rest / 1000, fraction(rest % 1000, 3)),
            rest => format!("{rest}ns"),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let last = format!("{}{}s", seconds % 60, fraction(rest, 9));
    match (hours, minutes) {
        (0, 0) => last,
        (0, minutes) => format!("{minutes}m{last}"),
        (hours, minutes) => format!("{hours}h{minutes}m{last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        for (nanoseconds, want) in [
            (0, "0s"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (1_500_000_000, "1.5s"),
            (500_000_000, "500ms"),
            (1_500_000, "1.5ms"),
            (1500, "1.5µs"),
            (7, "7ns"),
        ] {
            assert_eq!(go_duration(nanoseconds), want);
        }
    }
}
