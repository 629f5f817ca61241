//! Pure: `--env`, `--label` and the files that hold many of them, with docker's rules for such files.
//!
//! A file has one `NAME=VALUE` a line; blank lines and lines that begin with `#` are skipped, blanks before a name are
//! cut, a name with blanks in it is refused, and a name alone takes its value from our own environment (or is left out).

use super::OptError;

/// `NAME=VALUE`, or the name alone, looked up; nothing when the name alone is not set (docker sends the bare name then).
pub fn parse(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, OptError> {
    match text.split_once('=') {
        Some(("", _)) => Err(OptError::new(format!("invalid environment variable: {text}"))),
        Some(_) => Ok(text.to_owned()),
        None if text.is_empty() => Err(OptError::new("invalid environment variable: ")),
        None => Ok(match lookup(text) {
            Some(value) => format!("{text}={value}"),
            None => text.to_owned(),
        }),
    }
}

/// The lines of a file of variables.
pub fn parse_file(
    name: &str,
    bytes: &[u8],
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, OptError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = Vec::new();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = at + 1;
        let Ok(line) = std::str::from_utf8(line) else {
            return Err(OptError::new(format!(
                "invalid utf8 bytes at line {number} of env file `{name}`"
            )));
        };
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (variable, value) = match line.split_once('=') {
            Some((variable, value)) => (variable, Some(value)),
            None => (line, None),
        };
        let variable = variable.trim_start();
        if variable.is_empty() {
            return Err(OptError::new(format!(
                "poorly formatted environment: no variable name on line '{line}' of `{name}`"
            )));
        }
        if variable.chars().any(char::is_whitespace) {
            return Err(OptError::new(format!(
                "poorly formatted environment: variable '{variable}' contains whitespaces (line {number} of `{name}`)"
            )));
        }
        match value {
            Some(value) => variables.push(format!("{variable}={value}")),
            None => variables
                .extend(lookup(line.trim()).map(|value| format!("{}={value}", line.trim()))),
        }
    }
    Ok(variables)
}

/// A label: `KEY=VALUE`, or a key with an empty value.
pub fn label(text: &str) -> Result<(String, String), OptError> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.trim().is_empty() {
        return Err(OptError::new(format!("invalid label '{text}': empty name")));
    }
    if key.trim_start().contains(char::is_whitespace) {
        return Err(OptError::new(format!("label '{}' contains whitespaces", key.trim_start())));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// `KEY=VALUE`, both needed (`--sysctl`, `--log-opt`, `--storage-opt`).
pub fn pair(text: &str) -> Result<(String, String), OptError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(OptError::new(format!("`{text}` is not of the form KEY=VALUE"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opts::tests::check;

    fn lookup(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/h".to_owned())
    }

    #[test]
    fn variables() {
        check(
            |text| parse(text, &lookup),
            &[
                ("A=1", "A=1".to_owned()),
                ("A=", "A=".to_owned()),
                ("A=b=c", "A=b=c".to_owned()),
                ("HOME", "HOME=/h".to_owned()),
                ("UNSET", "UNSET".to_owned()),
            ],
            &[("", "invalid environment variable"), ("=x", "invalid environment variable: =x")],
        );
    }

    #[test]
    fn files() {
        let text = b"\xef\xbb\xbf# a note\n\n  A=1 \r\nB=x y\nHOME\nUNSET\nC=\"q\"\n";
        assert_eq!(
            parse_file("f", text, &lookup).unwrap(),
            ["A=1 ", "B=x y", "HOME=/h", "C=\"q\""]
        );
        for (text, message) in [
            (&b"A B=1\n"[..], "variable 'A B' contains whitespaces"),
            (b"=1\n", "no variable name"),
            (b"ok=1\n\xff=1\n", "invalid utf8 bytes at line 2"),
        ] {
            let error = parse_file("f", text, &lookup).unwrap_err();
            assert!(error.message.contains(message), "{}", error.message);
        }
    }

    #[test]
    fn labels_and_pairs() {
        let two = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        check(
            label,
            &[("a", two("a", "")), ("a=b=c", two("a", "b=c")), ("a=b c", two("a", "b c"))],
            &[("=x", "empty name"), (" a b=c", "label 'a b' contains whitespaces")],
        );
        check(pair, &[("a=b", two("a", "b"))], &[("a", "KEY=VALUE"), ("=a", "KEY=VALUE")]);
    }
}
