//! Acts: `registry ls`, `registry tags`.

use super::place::{access, repository, split_host};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::registry_access::TagTarget;
use crate::render::template::{self, Row};
use naru_errdefs::Fault;

const REPOSITORIES: &str = "{{.Repository}}";
const TAGS: &str = "{{.Tag}}";
const TAGS_DIGESTS: &str = "{{.Tag}}\t{{.Digest}}\t{{.MediaType}}";
const HEADERS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Reference", "REFERENCE"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("MediaType", "MEDIA TYPE"),
];

pub(super) fn repositories(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let named = flags.args().first().map(String::as_str);
    let (registry, shown) = access(app, flags, named)?;
    let mut names = registry.repositories()?;
    names.sort();
    let row =
        |name: &String| cells(&[("Repository", name), ("Reference", &format!("{shown}{name}"))]);
    print(flags, &names, REPOSITORIES, &|| names.iter().map(row).collect())
}

pub(super) fn tags(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let (host, name) = split_host(flags.arg(0));
    let name = repository(name)?;
    let (registry, shown) = access(app, flags, host)?;
    let mut tags = registry.tags(&name)?;
    // Not every registry lists them in an order.
    tags.sort();
    let wants = |field: &str| flags.text("format").is_some_and(|format| format.contains(field));
    let is_json = flags.text("format").is_some_and(|format| format.trim_end() == "json");
    let is_described =
        flags.switch("digests") || wants(".Digest") || wants(".MediaType") || is_json;
    let is_quiet = flags.switch("quiet") && flags.text("format").is_none();
    let targets: Vec<Option<TagTarget>> = if is_described && !is_quiet {
        // A tag that went meanwhile is not there to be described.
        registry.targets(&name, &tags).into_iter().map(Result::ok).collect()
    } else {
        vec![None; tags.len()]
    };
    let row = |(tag, target): (&String, &Option<TagTarget>)| {
        let none = || "<none>".to_owned();
        let (digest, media_type) = match target {
            Some(target) => (target.digest.clone(), target.media_type.clone()),
            None => (none(), none()),
        };
        cells(&[
            ("Repository", &name),
            ("Reference", &format!("{shown}{name}:{tag}")),
            ("Tag", tag),
            ("Digest", &digest),
            ("MediaType", &media_type),
        ])
    };
    let table = if flags.switch("digests") { TAGS_DIGESTS } else { TAGS };
    print(flags, &tags, table, &|| tags.iter().zip(&targets).map(row).collect())
}

/// Pure: a line's fields.
fn cells(cells: &[(&str, &String)]) -> Row {
    cells.iter().map(|(field, text)| ((*field).to_owned(), text.as_str().into())).collect()
}

fn print(
    flags: &Flags,
    names: &[String],
    table: &str,
    rows: &dyn Fn() -> Vec<Row>,
) -> Result<ExitStatus, Failed> {
    let custom = flags.text("format");
    let text = if flags.switch("quiet") && custom.is_none() {
        names.iter().map(|name| format!("{name}\n")).collect()
    } else {
        template::render_list(&template::parse_format(custom, table), HEADERS, &rows())
            .map_err(|error| Fault::invalid(error.message))?
    };
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}
