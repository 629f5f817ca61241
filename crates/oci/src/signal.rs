//! Pure: a signal's name or number, as people type it, to its number.

use naru_errdefs::{Fault, Kind};

/// Names and numbers on the machines Naru runs on (x86-64 and aarch64 agree).
const NAMES: [(&str, u8); 33] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
];

const SYS: u8 = 31;
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

/// Ends a process for sure.
pub const KILL: u8 = 9;
/// Asks a process to end.
pub const TERM: u8 = 15;

/// Reads `SIGTERM`, `term`, `15`, `RTMIN+3`.
pub fn parse(text: &str) -> Result<u8, Fault> {
    let refused = || {
        Fault::new(Kind::InvalidInput, format!("invalid signal: {text}"))
            .with_hint("use a name such as `SIGTERM` or a number from 1 to 64")
    };
    if let Ok(number) = text.parse::<u8>() {
        return if (1..=RTMAX).contains(&number) { Ok(number) } else { Err(refused()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if name == "SYS" {
        return Ok(SYS);
    }
    if let Some(&(_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(number);
    }
    let offset = |digits: &str, sign: char| {
        digits.strip_prefix(sign).and_then(|digits| digits.parse::<u8>().ok())
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => Some(RTMIN),
        (Some(rest), _) => offset(rest, '+').and_then(|more| RTMIN.checked_add(more)),
        (None, Some("")) => Some(RTMAX),
        (None, Some(rest)) => offset(rest, '-').and_then(|less| RTMAX.checked_sub(less)),
        (None, None) => None,
    };
    number.filter(|number| (RTMIN..=RTMAX).contains(number)).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_numbers_and_real_time_signals_are_read() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("RTMIN", 34),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("64", 64),
            ("SYS", 31),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for text in ["", "0", "65", "-1", "SIG", "FOO", "RTMIN+40", "RTMAX-60", "9 "] {
            assert_eq!(
                parse(text).unwrap_err().message(),
                format!("invalid signal: {text}"),
                "{text}"
            );
        }
    }
}
