//! Pure: what the lines of the console mean.

/// Begins the line of a test that passed; its name follows.
pub const PASSED: &str = "@@passed";
/// Begins the line of a test that failed; its output went before.
pub const FAILED: &str = "@@failed";
/// Begins the line of anything else that went wrong.
pub const FAILURE: &str = "@@cannot";
/// The last line.
pub const END: &str = "@@end";

/// Whether a line is worth showing while the machine runs.
pub fn is_news(line: &str) -> bool {
    line.starts_with(FAILED) || line.starts_with(FAILURE)
}

/// Every expected test must have passed, once, and the end must have been reached.
pub fn judge(lines: &[String], expected: &[String]) -> Result<String, String> {
    let said = |context: usize| {
        lines.iter().rev().take(context).rev().cloned().collect::<Vec<_>>().join("\n")
    };
    let mut wrong: Vec<String> = lines.iter().filter(|line| is_news(line)).cloned().collect();
    if !wrong.is_empty() {
        wrong.push(format!("the machine said:\n{}", said(200)));
        return Err(wrong.join("\n"));
    }
    if !lines.iter().any(|line| line == END) {
        return Err(format!("the machine did not reach the end; it said:\n{}", said(60)));
    }
    let passed: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix(PASSED)).map(str::trim).collect();
    let missing: Vec<&str> =
        expected.iter().map(String::as_str).filter(|name| !passed.contains(name)).collect();
    if !missing.is_empty() {
        return Err(format!(
            "these tests did not run in the machine: {}\nit said:\n{}",
            missing.join(", "),
            said(60)
        ));
    }
    Ok(format!("{} tests passed", expected.len()))
}

#[cfg(test)]
mod tests {
    use super::judge;

    fn check(lines: &[&str], expected: &[&str], good: bool) {
        let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(judge(&own(lines), &own(expected)).is_ok(), good, "{lines:?}");
    }

    #[test]
    fn only_a_complete_run_is_good() {
        check(&["boot", "@@passed a", "@@passed b", "@@end"], &["a", "b"], true);
        check(&["@@passed a", "@@end"], &["a", "b"], false);
        check(&["@@passed a", "@@passed b"], &["a", "b"], false);
        check(&["@@passed a", "@@failed b", "@@end"], &["a", "b"], false);
        check(&["@@passed a", "@@cannot mount cgroup2", "@@end"], &["a"], false);
        check(&[], &["a"], false);
    }
}
