//! Acts: `history`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::template::{self, Row};
use crate::render::units;
use naru_api_types::image::ImageHistoryItem;
use naru_errdefs::Fault;
use time::OffsetDateTime;

const TABLE: &str = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const TABLE_EXACT: &str = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const HEADERS: &[(&str, &str)] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

pub(super) fn history(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let items = app.talk(async |client| Ok(client.image_history(flags.arg(0)).await?))?;
    let (whole, human) = (flags.switch("no-trunc"), flags.switch("human"));
    let custom = flags.text("format");
    let text = if flags.switch("quiet") && custom.is_none() {
        items.iter().map(|item| shown_id(item, whole) + "\n").collect()
    } else {
        let format = template::parse_format(custom, if human { TABLE } else { TABLE_EXACT });
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let rows: Vec<Row> = items.iter().map(|item| row(item, now, whole, human)).collect();
        template::render_list(&format, HEADERS, &rows)
            .map_err(|error| Fault::invalid(error.message))?
    };
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}

fn shown_id(item: &ImageHistoryItem, whole: bool) -> String {
    if whole || item.id == "<missing>" { item.id.clone() } else { units::short_id(&item.id) }
}

fn row(item: &ImageHistoryItem, now: i64, whole: bool, human: bool) -> Row {
    let by = item.created_by.replace('\t', " ");
    let cells = [
        ("ID", shown_id(item, whole)),
        ("CreatedSince", units::ago(Some(item.created).filter(|at| *at > 0), now)),
        ("CreatedAt", units::rfc3339(item.created)),
        ("CreatedBy", if whole { by } else { units::ellipsis(&by, 45) }),
        ("Size", if human { units::short_size(item.size) } else { item.size.to_string() }),
        ("Comment", item.comment.clone()),
    ];
    cells.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}
