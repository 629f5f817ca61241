//! Acts: `images`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::template::{self, LABELS, Row};
use crate::render::units;
use naru_api_types::image::ImageSummary;
use naru_api_types::{Filters, Query};
use naru_errdefs::Fault;
use time::OffsetDateTime;

const TABLE: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const TABLE_DIGESTS: &str =
    "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const HEADERS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

pub(super) fn list(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let mut filters = Filters::new();
    for (key, value) in flags.parsed_list("filter", crate::opts::filter::parse)? {
        filters.add(key, value);
    }
    if let Some(name) = flags.args().first() {
        filters.add("reference", name.clone());
    }
    let query = Query::new().with_flag("all", flags.switch("all")).with_filters(&filters);
    let images = app.talk(async |client| Ok(client.list_images(&query).await?))?;
    let whole = flags.switch("no-trunc");
    let custom = flags.text("format");
    let text = if flags.switch("quiet") && custom.is_none() {
        let mut lines = String::new();
        for image in &images {
            // One line for each name, as in docker.
            for _ in names(image)
                .iter()
                .filter(|name| name.1 != "<none>")
                .take(100)
                .chain(names(image).iter().filter(|name| name.1 == "<none>").take(1))
            {
                lines.push_str(&shown_id(&image.id, whole));
                lines.push('\n');
            }
        }
        lines
    } else {
        let digests = flags.switch("digests");
        let format = template::parse_format(custom, if digests { TABLE_DIGESTS } else { TABLE });
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let by_digest = digests || custom.is_some_and(|format| format.contains(".Digest"));
        let rows: Vec<Row> =
            images.iter().flat_map(|image| rows(image, now, whole, by_digest)).collect();
        template::render_list(&format, HEADERS, &rows)
            .map_err(|error| Fault::invalid(error.message))?
    };
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}

fn shown_id(id: &str, whole: bool) -> String {
    if whole { id.to_owned() } else { units::short_id(id) }
}

/// Pure: repository, tag and digest of each name of an image; `<none>` for what is missing.
fn names(image: &ImageSummary) -> Vec<(String, String, String)> {
    let none = || "<none>".to_owned();
    let digest_of = |repository: &str| {
        image
            .repo_digests
            .iter()
            .filter_map(|name| name.split_once('@'))
            .find(|(name, _)| *name == repository)
            .map_or_else(none, |(_, digest)| digest.to_owned())
    };
    let mut names: Vec<_> = image
        .repo_tags
        .iter()
        .filter(|name| *name != "<none>:<none>")
        .filter_map(|name| name.rsplit_once(':'))
        .map(|(repository, tag)| (repository.to_owned(), tag.to_owned(), digest_of(repository)))
        .collect();
    if names.is_empty() {
        names.extend(
            image
                .repo_digests
                .iter()
                .filter(|name| *name != "<none>@<none>")
                .filter_map(|name| name.split_once('@'))
                .map(|(repository, digest)| (repository.to_owned(), none(), digest.to_owned())),
        );
    }
    if names.is_empty() {
        names.push((none(), none(), none()));
    }
    names
}

fn rows(image: &ImageSummary, now: i64, whole: bool, _by_digest: bool) -> Vec<Row> {
    let size = units::short_size(image.size);
    let shared =
        if image.shared_size < 0 { "N/A".to_owned() } else { units::short_size(image.shared_size) };
    let count = if image.containers < 0 { "N/A".to_owned() } else { image.containers.to_string() };
    let labels: serde_json::Map<String, serde_json::Value> = image
        .labels
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    names(image)
        .into_iter()
        .map(|(repository, tag, digest)| {
            let cells = [
                ("Repository", repository),
                ("Tag", tag),
                ("Digest", digest),
                ("ID", shown_id(&image.id, whole)),
                ("CreatedSince", units::ago(Some(image.created).filter(|at| *at > 0), now)),
                ("CreatedAt", units::go_time(image.created)),
                ("Size", size.clone()),
                ("VirtualSize", size.clone()),
                ("SharedSize", shared.clone()),
                ("UniqueSize", "N/A".to_owned()),
                ("Containers", count.clone()),
            ];
            let mut row: Row =
                cells.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
            row.insert(LABELS.to_owned(), serde_json::Value::Object(labels.clone()));
            row
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageSummary {
        ImageSummary {
            id: "sha256:0123456789abcdef0123".to_owned(),
            repo_tags: vec!["debian:12".to_owned(), "localhost:5000/x:y".to_owned()],
            repo_digests: vec!["debian@sha256:ff".to_owned()],
            created: 1_700_000_000,
            size: 124_000_000,
            shared_size: -1,
            containers: -1,
            ..ImageSummary::default()
        }
    }

    fn check(format: Option<&str>, image: &ImageSummary, expected: &str) {
        let format = template::parse_format(format, TABLE);
        let rows = rows(image, 1_700_000_000 + 86_400 * 21, false, false);
        assert_eq!(template::render_list(&format, HEADERS, &rows).unwrap(), expected);
    }

    #[test]
    fn a_line_for_each_name() {
        check(
            None,
            &image(),
            "REPOSITORY         TAG       IMAGE ID       CREATED       SIZE\n\
             debian             12        0123456789ab   3 weeks ago   124MB\n\
             localhost:5000/x   y         0123456789ab   3 weeks ago   124MB\n",
        );
        check(
            Some("{{.Repository}}@{{.Digest}}"),
            &image(),
            "debian@sha256:ff\nlocalhost:5000/x@<none>\n",
        );
    }

    #[test]
    fn names_that_are_missing() {
        let bare =
            ImageSummary { repo_tags: Vec::new(), repo_digests: Vec::new(), created: 0, ..image() };
        check(Some("{{.Repository}}:{{.Tag}} {{.CreatedSince}}"), &bare, "<none>:<none> N/A\n");
        let by_digest = ImageSummary { repo_tags: Vec::new(), ..image() };
        check(
            Some("{{.Repository}}:{{.Tag}}@{{.Digest}}"),
            &by_digest,
            "debian:<none>@sha256:ff\n",
        );
    }
}
