//! Acts: `registry du`.

use super::place::access;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::template::{self, Row};
use crate::render::units;
use naru_errdefs::Fault;
use serde::Deserialize;

const TABLE: &str = "{{.Repository}}\t{{.Tags}}\t{{.Manifests}}\t{{.Blobs}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}";
const HEADERS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Reference", "REFERENCE"),
    ("Tags", "TAGS"),
    ("Manifests", "MANIFESTS"),
    ("Blobs", "BLOBS"),
    ("Size", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

/// What the registry tells; what it does not say is nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    repositories: Vec<Repository>,
    bytes: i64,
    uploads: Uploads,
    /// Added up by us, from what the tags lead to.
    added_up: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Uploads {
    pub(super) count: u64,
    pub(super) bytes: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Repository {
    name: String,
    tags: u64,
    manifests: u64,
    blobs: u64,
    bytes: i64,
    unique: i64,
}

pub(super) fn usage(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let named = flags.args().first().map(String::as_str);
    let (registry, shown) = access(app, flags, named)?;
    let told: Told = serde_json::from_str(&registry.usage()?)
        .map_err(|error| Fault::invalid("the registry gave no usage").with_source(error))?;
    if told.added_up {
        printer::note(
            "this registry does not tell what it holds: added up from what its tags lead to",
        );
    }
    printer::out(&text(&told, &shown, flags)?)?;
    Ok(ExitStatus::SUCCESS)
}

/// Pure: what is printed.
fn text(told: &Told, shown: &str, flags: &Flags) -> Result<String, Fault> {
    let custom = flags.text("format");
    if flags.switch("quiet") && custom.is_none() {
        return Ok(format!("{}\n", told.bytes));
    }
    let rows: Vec<Row> = told.repositories.iter().map(|found| row(found, shown)).collect();
    let mut text = template::render_list(&template::parse_format(custom, TABLE), HEADERS, &rows)
        .map_err(|error| Fault::invalid(error.message))?;
    if custom.is_none() {
        let uploads = match told.uploads.count {
            0 => String::new(),
            count => format!(", open uploads: {count} ({})", units::human_size(told.uploads.bytes)),
        };
        text.push_str(&format!("\nTotal: {}{uploads}\n", units::human_size(told.bytes)));
    }
    Ok(text)
}

fn row(found: &Repository, shown: &str) -> Row {
    [
        ("Repository", found.name.clone()),
        ("Reference", format!("{shown}{}", found.name)),
        ("Tags", found.tags.to_string()),
        ("Manifests", found.manifests.to_string()),
        ("Blobs", found.blobs.to_string()),
        ("Size", units::human_size(found.bytes)),
        ("SharedSize", units::human_size(found.bytes.saturating_sub(found.unique))),
        ("UniqueSize", units::human_size(found.unique)),
    ]
    .into_iter()
    .map(|(field, text)| (field.to_owned(), text.into()))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_in_a_table() {
        let told: Told = serde_json::from_str(
            r#"{"repositories": [{"name": "a", "tags": 1, "manifests": 2, "blobs": 3, "bytes": 5000, "unique": 2000}],
                "bytes": 5000, "uploads": {"count": 1, "bytes": 7}}"#,
        )
        .unwrap();
        let shown = text(&told, "r:1/", &Flags::default()).unwrap();
        assert_eq!(
            shown,
            "REPOSITORY   TAGS      MANIFESTS   BLOBS     SIZE      SHARED SIZE   UNIQUE SIZE\na            1         2           3         5kB       3kB           2kB\n\nTotal: 5kB, open uploads: 1 (7B)\n"
        );
    }
}
