//! Rules about single source files: module docs, sizes, names, leftovers. Acts: reads every tracked `.rs` file.

use crate::shell;

/// A file of ours that passes this asks to be two; tests that have a file of their own may be longer.
const MOST_LINES: usize = 600;
const MOST_TEST_LINES: usize = 1000;

const REFUSED_FILES: &[&str] =
    &["utils.rs", "util.rs", "helpers.rs", "common.rs", "misc.rs", "types.rs", "mod.rs"];
const REFUSED_SUFFIXES: &[&str] = &["Manager", "Handler", "Helper", "Processor", "Impl"];

/// Adds a breach for each rule that a file breaks.
pub fn check(breaches: &mut Vec<String>) -> Result<(), String> {
    let list =
        shell::output("git", &["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])?;
    for path in list.lines() {
        let full = shell::root().join(path);
        if !full.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&full)
            .map_err(|error| format!("cannot read `{path}`: {error}"))?;
        breaches
            .extend(check_file(path, &text).into_iter().map(|breach| format!("{path}: {breach}")));
    }
    Ok(())
}

/// Pure: what is wrong with one file.
fn check_file(path: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let file = path.rsplit('/').next().unwrap_or(path);
    let is_test =
        file == "tests.rs" || path.contains("/tests/") || path.starts_with("integration-tests/");
    if REFUSED_FILES.contains(&file) {
        breaches.push(format!("names: a file called `{file}` tells nothing of what is in it"));
    }
    let most = if is_test { MOST_TEST_LINES } else { MOST_LINES };
    let lines = text.lines().count();
    if lines > most {
        breaches.push(format!("size: {lines} lines, more than {most}; it asks to be two files"));
    }
    let doc: String = text
        .lines()
        .skip_while(|line| line.starts_with("#!") || line.is_empty())
        .take_while(|line| line.starts_with("//!") || line.starts_with("#!"))
        .collect::<Vec<_>>()
        .join("\n");
    if doc.is_empty() && !is_test {
        breaches.push("docs: no module doc (`//!`) at the top".to_owned());
    } else if path.starts_with("crates/") && !is_test && !doc.is_empty() && !says_what_it_does(&doc)
    {
        breaches.push("docs: the module doc says neither `Pure` nor `Acts`".to_owned());
    }
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let at = number + 1;
        if line.starts_with("#[ignore") || line.starts_with("#[should_panic") {
            breaches.push(format!("tests: line {at}: ignored and should-panic tests are refused"));
        }
        if let Some(name) = public_name(line)
            && let Some(suffix) = REFUSED_SUFFIXES.iter().find(|suffix| name.ends_with(**suffix))
        {
            breaches
                .push(format!("names: line {at}: `{name}` ends in `{suffix}`, which says nothing"));
        }
        let is_comment = line.starts_with("//");
        if is_comment && ["TODO", "FIXME", "XXX"].iter().any(|mark| line.contains(mark)) {
            breaches.push(format!(
                "leftovers: line {at}: finish it, refuse it by name, or file an issue"
            ));
        }
    }
    breaches
}

fn says_what_it_does(doc: &str) -> bool {
    doc.split(|c: char| !c.is_alphanumeric())
        .any(|word| matches!(word, "Pure" | "pure" | "Acts" | "acts"))
}

/// The public type that a line declares, if it declares one.
fn public_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let rest =
        ["struct ", "enum ", "trait ", "type "].iter().find_map(|word| rest.strip_prefix(word))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[cfg(test)]
mod tests {
    use super::check_file;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let breaches = check_file(path, text);
        assert_eq!(breaches.len(), expected.len(), "{breaches:?}");
        for (breach, rule) in breaches.iter().zip(expected) {
            assert!(breach.starts_with(rule), "{breach} is not about {rule}");
        }
    }

    #[test]
    fn each_rule_has_a_case() {
        check("crates/a/src/x.rs", "//! Pure: x.\n", &[]);
        check("crates/a/src/x.rs", "//! x\n", &["docs:"]);
        check("crates/a/src/x.rs", "fn x() {}\n", &["docs:"]);
        check("crates/a/src/utils.rs", "//! Pure: x.\n", &["names:"]);
        check("crates/a/src/x.rs", "//! Pure: x.\npub struct ImageManager;\n", &["names:"]);
        check("crates/a/src/x.rs", &format!("//! Pure: x.\n{}", "// y\n".repeat(600)), &["size:"]);
        check("crates/a/src/x.rs", &format!("//! Pure: x.\n// {}: y\n", "TODO"), &["leftovers:"]);
        check("crates/a/src/x.rs", "//! Pure: x.\n#[ignore]\n", &["tests:"]);
    }
}
