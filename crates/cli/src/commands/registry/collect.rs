//! Acts: `registry gc`.

use super::place::access;
use super::usage::Uploads;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::opts::duration;
use crate::printer;
use crate::registry_access::CollectRequest;
use crate::render::units;
use naru_errdefs::Fault;
use serde::Deserialize;

/// What the registry reports; what it does not say is nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    repositories: Vec<Repository>,
    uploads: Uploads,
    blobs: u64,
    snapshots: u64,
    bytes: i64,
    unreadable: Vec<String>,
    error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Repository {
    name: String,
    tags: Vec<Tag>,
    members: Vec<String>,
    busy: bool,
    unreadable: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tag {
    tag: String,
}

pub(super) fn collect(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let is_json = match flags.text("format") {
        None | Some("") => false,
        Some("json") => true,
        Some(other) => {
            return Err(Fault::unsupported(format!("cannot format a report as `{other}`"))
                .with_hint("use `--format json`, and take it apart with another program")
                .into());
        }
    };
    let how = CollectRequest {
        dry_run: flags.switch("dry-run"),
        delete_untagged: flags.switch("delete-untagged"),
        grace: flags.parsed("grace", duration::parse)?,
    };
    let named = flags.args().first().map(String::as_str);
    let (registry, shown) = access(app, flags, named)?;
    let text = registry.collect(how)?;
    let told = read(&text)?;
    if is_json {
        printer::out(&format!("{}\n", text.trim()))?;
        return Ok(ExitStatus::SUCCESS);
    }
    for warning in warnings(&told, &shown) {
        printer::note(&format!("WARNING: {warning}"));
    }
    printer::out(&report(&told, &shown, flags.switch("quiet"), how.dry_run))?;
    Ok(ExitStatus::SUCCESS)
}

fn read(text: &str) -> Result<Told, Fault> {
    let told: Told = serde_json::from_str(text.trim())
        .map_err(|error| Fault::invalid("the registry gave no report").with_source(error))?;
    if told.error.is_empty() {
        return Ok(told);
    }
    Err(Fault::internal(told.error).context("the registry could not collect"))
}

/// Pure: what did not go as asked.
fn warnings(told: &Told, shown: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    for found in &told.repositories {
        if found.busy {
            warnings.push(format!("{shown}{} changed all the time and was left alone", found.name));
        }
        for digest in &found.unreadable {
            warnings.push(format!(
                "{shown}{}@{digest} cannot be read, so nothing of its repository is removed",
                found.name
            ));
        }
    }
    for digest in &told.unreadable {
        warnings.push(format!("the manifest {digest} cannot be read, so no blob is removed"));
    }
    warnings
}

/// Pure: what went, one line each, and the space.
fn report(told: &Told, shown: &str, is_quiet: bool, is_dry: bool) -> String {
    let mut text = String::new();
    if !is_quiet {
        for found in &told.repositories {
            for tag in &found.tags {
                text.push_str(&format!("Untagged: {shown}{}:{}\n", found.name, tag.tag));
            }
            for digest in &found.members {
                text.push_str(&format!("Deleted: {shown}{}@{digest}\n", found.name));
            }
        }
        if told.uploads.count > 0 {
            text.push_str(&format!("Deleted uploads: {}\n", told.uploads.count));
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("Blobs: {}, snapshots: {}\n", told.blobs, told.snapshots));
    }
    let space = units::human_size(told.bytes.saturating_add(told.uploads.bytes));
    text.push_str(&match (is_quiet, is_dry) {
        (true, _) => format!("{space}\n"),
        (false, true) => format!("Total space that can be reclaimed now: {space}\n"),
        (false, false) => format!("Total reclaimed space: {space}\n"),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = r#"

        {"repositories": [{"name": "a/b", "tags": [{"tag": "v1", "reasons": []}], "members": ["sha256:1"], "busy": false, "unreadable": []},
         {"name": "c", "tags": [], "members": [], "busy": true, "unreadable": ["sha256:2"]}],
         "uploads": {"count": 2, "bytes": 1000}, "blobs": 3, "snapshots": 0, "bytes": 4000, "unreadable": []}"#;

    #[test]
    fn a_report_is_shown() {
        let told = read(TOLD).unwrap();
        assert_eq!(
            report(&told, "r:1/", false, false),
            "Untagged: r:1/a/b:v1\nDeleted: r:1/a/b@sha256:1\nDeleted uploads: 2\n\nBlobs: 3, snapshots: 0\nTotal reclaimed space: 5kB\n"
        );
        assert_eq!(report(&told, "", true, false), "5kB\n");
        assert!(report(&told, "", false, true).ends_with("can be reclaimed now: 5kB\n"));
        let warnings = warnings(&told, "");
        assert!(warnings[0].starts_with("c changed") && warnings[1].starts_with("c@sha256:2"));
    }

    #[test]
    fn a_failure_in_the_middle_is_one() {
        assert_eq!(read("{}").unwrap().blobs, 0);
        assert!(read("\n\n{\"error\": \"the disk is full\"}").is_err());
        assert!(read("").is_err(), "an answer that broke off");
    }
}
