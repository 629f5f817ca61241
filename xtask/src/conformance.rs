//! `cargo xtask conformance`: the conformance suite of the OCI distribution specification against our registry. Acts.
//!
//! The suite is a Go program of the specification's repository (`conformance/`); its built binary is named by `OCI_CONFORMANCE`.

use crate::bench::Server;
use crate::shell;
use std::path::Path;
use std::process::Command;

/// What the suite is told beyond its defaults: all that is optional in profile 1.1 and that we have.
const SETTINGS: [(&str, &str); 10] = [
    ("OCI_VERSION", "1.1"),
    ("OCI_TLS", "disabled"),
    ("OCI_DATA_SHA512", "true"),
    ("OCI_API_REFERRER", "true"),
    ("OCI_DATA_SUBJECT", "true"),
    ("OCI_API_TAGS_DELETE", "true"),
    ("OCI_API_BLOBS_UPLOAD_CANCEL", "true"),
    ("OCI_API_MANIFESTS_TAG_PARAM", "true"),
    ("OCI_API_BLOBS_DIGEST_HEADER", "true"),
    ("OCI_API_MANIFESTS_DIGEST_HEADER", "true"),
];

/// Runs the suite when its binary is named; otherwise says loudly that it was not run.
pub fn run_if_named(binary: &Path) -> Result<(), String> {
    match std::env::var_os("OCI_CONFORMANCE") {
        Some(suite) => run(binary, Path::new(&suite)),
        None => {
            shell::say(
                "!!! THE OCI CONFORMANCE SUITE WAS NOT RUN: name its binary by OCI_CONFORMANCE (docs/registry.md)",
            );
            Ok(())
        }
    }
}

/// Runs the suite against `naru registry serve`; any failure is an error.
fn run(binary: &Path, suite: &Path) -> Result<(), String> {
    let dir = tempfile::Builder::new()
        .prefix("naru-conformance")
        .tempdir()
        .map_err(|error| error.to_string())?;
    let server = Server::ours(binary, dir.path())?;
    let results = dir.path().join("results");
    let status = Command::new(suite)
        .current_dir(dir.path())
        .envs(SETTINGS)
        .env("OCI_REGISTRY", &server.address)
        .env("OCI_RESULTS_DIR", &results)
        .status()
        .map_err(|error| {
            format!("cannot run the conformance suite `{}`: {error}", suite.display())
        })?;
    let report = std::fs::read_to_string(results.join("junit.xml"))
        .map_err(|error| format!("the conformance suite wrote no report: {error}"))?;
    let totals = totals(&report).ok_or("the conformance suite's report has no totals")?;
    let [tests, failures, errors, skipped] = totals;
    shell::say(&format!(
        "OCI conformance: {tests} tests, {failures} failures, {errors} errors, {skipped} skipped"
    ));
    if failures + errors > 0 || tests == 0 || !status.success() {
        for line in report.lines().filter(|line| line.contains("<failure")).take(20) {
            shell::say(line);
        }
        return Err(format!("the conformance suite failed: {status}"));
    }
    Ok(())
}

/// Pure: tests, failures, errors and skipped of the first suite in a JUnit report.
fn totals(report: &str) -> Option<[u64; 4]> {
    let suite = report.split_once("<testsuite ")?.1.split_once('>')?.0;
    let number = |name: &str| {
        let (_, rest) = suite.split_once(&format!("{name}=\""))?;
        rest.split('"').next()?.parse().ok()
    };
    // What is nought may be left out, but for the number of tests.
    let skipped = number("skipped").unwrap_or(0);
    Some([number("tests")?, number("failures")?, number("errors")?, skipped])
}

#[cfg(test)]
mod tests {
    use super::totals;

    #[test]
    fn totals_are_read_from_the_report() {
        let report = r#"<?xml?><testsuites tests="1"><testsuite name="x" tests="986" failures="0" errors="0" skipped="2" time="2.8"><testcase/>"#;
        assert_eq!(totals(report), Some([986, 0, 0, 2]));
        let without = report.replace(" skipped=\"2\"", "");
        assert_eq!(totals(&without), Some([986, 0, 0, 0]));
        assert_eq!(totals("<html>"), None);
    }
}
