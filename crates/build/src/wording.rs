//! Pure: what the history says of each instruction, in BuildKit's words.

use naru_dockerfile::{Files, Instruction};
use naru_oci::{Healthcheck, go_duration};

/// What the history says who made it.
pub(crate) const COMMENT: &str = "buildkit.dockerfile.v0";

/// A list as Go's `%q` shows it.
pub(crate) fn quoted(list: &[String]) -> String {
    let words: Vec<String> = list.iter().map(|word| quote(word)).collect();
    format!("[{}]", words.join(" "))
}

fn quote(word: &str) -> String {
    let mut text = String::from("\"");
    for letter in word.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\u{b}' => text.push_str("\\v"),
            '\u{c}' => text.push_str("\\f"),
            letter if letter.is_control() => {
                text.push_str(&format!("\\x{:02x}", u32::from(letter)));
            }
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

/// `ENV` and `LABEL`.
pub(crate) fn pairs(instruction: &str, pairs: &[(String, String)]) -> String {
    let words: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{instruction} {}", words.join(" "))
}

/// `COPY` and `ADD`: flags, sources and destination as they are after expansion.
pub(crate) fn files(
    (instruction, parents): (&str, bool),
    (chown, chmod): (Option<&str>, Option<&str>),
    files: &Files,
    (sources, to): (&[String], &str),
) -> String {
    let mut text = instruction.to_owned();
    if parents {
        text.push_str(" --parents");
    }
    for (name, value) in [("chown", chown), ("chmod", chmod)] {
        if let Some(value) = value {
            text.push_str(&format!(" --{name}={value}"));
        }
    }
    for source in sources {
        text.push_str(&format!(" {source}"));
    }
    for inline in &files.inline {
        text.push_str(&format!(" <<{}", inline.name));
    }
    format!("{text} {to} # buildkit")
}

/// `RUN`: the build arguments that it sees, and what is executed.
pub(crate) fn run(args: &[String], command: &[String]) -> String {
    let mut text = String::from("RUN ");
    if !args.is_empty() {
        text.push_str(&format!("|{} {} ", args.len(), args.join(" ")));
    }
    format!("{text}{} # buildkit", command.join(" "))
}

/// `HEALTHCHECK`, as Go shows the structure.
pub(crate) fn healthcheck(check: &Healthcheck) -> String {
    format!(
        "HEALTHCHECK &{{{} {} {} {} {} {}}}",
        quoted(&check.test),
        quote(&go_duration(check.interval)),
        quote(&go_duration(check.timeout)),
        quote(&go_duration(check.start_period)),
        quote(&go_duration(check.start_interval)),
        rune(check.retries),
    )
}

fn rune(number: i64) -> String {
    match u32::try_from(number).ok().and_then(char::from_u32) {
        Some('\t') => "'\\t'".to_owned(),
        Some('\n') => "'\\n'".to_owned(),
        Some('\u{7}') => "'\\a'".to_owned(),
        Some('\u{8}') => "'\\b'".to_owned(),
        Some(letter) if letter.is_control() => format!("'\\x{:02x}'", u32::from(letter)),
        Some(letter) => format!("'{letter}'"),
        None => number.to_string(),
    }
}

/// Whether an instruction changes files, so that it is a vertex of its own.
pub(crate) fn makes_files(instruction: &Instruction) -> bool {
    matches!(
        instruction,
        Instruction::Run(_) | Instruction::Copy(_) | Instruction::Add(_) | Instruction::Workdir(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_quoted_as_in_go() {
        let list = ["/bin/sh".to_owned(), "-c".to_owned(), "echo \"a\\b\"\n".to_owned()];
        assert_eq!(quoted(&list), r#"["/bin/sh" "-c" "echo \"a\\b\"\n"]"#);
    }
}
