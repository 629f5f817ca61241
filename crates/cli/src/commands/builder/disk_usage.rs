//! Acts: `builder du`: asks the daemon and prints. What is printed is decided by pure functions.

use crate::commands::system::prune::filters;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::opts::OptError;
use crate::printer;
use crate::render::{table, template, units};
use naru_api_types::Filters;
use naru_api_types::build::BuildCacheRecord;
use naru_errdefs::Fault;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn usage(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let filters = filters(flags)?;
    filters.only(&["id", "type", "description", "inuse", "shared", "private"])?;
    let template = match flags.text("format").filter(|text| !text.is_empty() && *text != "table") {
        Some("json") => Some(template::compile("{{json .}}").map_err(refuse)?),
        Some(text) => Some(template::compile(text).map_err(refuse)?),
        None => None,
    };
    let mut records = app.talk(async |client| Ok(client.build_cache().await?))?;
    records.retain(|record| matches(&filters, record));
    // The largest first, as in buildx.
    records.sort_by_key(|record| (std::cmp::Reverse(record.size), record.id.clone()));
    let text = match &template {
        Some(template) => {
            let mut text = String::new();
            for record in &records {
                let value = serde_json::to_value(record)
                    .map_err(|error| Fault::internal("cannot write a record").with_source(error))?;
                text.push_str(&template::render(template, &value).map_err(refuse)?);
                text.push('\n');
            }
            text
        }
        None if flags.switch("verbose") => details(&records) + &sums(&records),
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            list(&records, now) + &sums(&records)
        }
    };
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}

fn refuse(error: OptError) -> Fault {
    Fault::invalid(error.message)
}

/// Pure: whether a record is among those that are asked for.
fn matches(filters: &Filters, record: &BuildCacheRecord) -> bool {
    let flag = |key: &str, value: bool| {
        !filters.has(key) || filters.get(key).any(|text| matches!(text, "1" | "true") == value)
    };
    (!filters.has("id") || filters.get("id").any(|id| record.id.starts_with(id)))
        && filters.admits("type", &record.r#type)
        && (!filters.has("description")
            || filters.get("description").any(|text| record.description.contains(text)))
        && flag("inuse", record.in_use)
        && flag("shared", record.shared)
        && flag("private", !record.shared)
}

/// Pure: the table. A star marks what is in use or shared, so that a prune leaves it.
fn list(records: &[BuildCacheRecord], now: i64) -> String {
    let mut text = "ID\tRECLAIMABLE\tSIZE\tLAST ACCESSED\tDESCRIPTION\n".to_owned();
    for record in records {
        let star = if record.shared { "*" } else { "" };
        text.push_str(&format!(
            "{}\t{}\t{}{star}\t{}\t{}\n",
            record.id,
            !record.in_use,
            units::short_size(record.size),
            units::ago(record.last_used_at.as_deref().and_then(units::seconds), now),
            units::ellipsis(record.description.lines().next().unwrap_or_default(), 60),
        ));
    }
    table::layout(&text)
}

/// Pure: one block a record.
fn details(records: &[BuildCacheRecord]) -> String {
    let mut text = String::new();
    for record in records {
        text.push_str(&format!("ID:\t\t{}\n", record.id));
        for parent in record.parents.iter().flatten() {
            text.push_str(&format!("Parent:\t\t{parent}\n"));
        }
        text.push_str(&format!(
            "Created at:\t{}\nMutable:\t{}\nReclaimable:\t{}\nShared:\t\t{}\nSize:\t\t{}\nDescription:\t{}\nUsage count:\t{}\nLast used:\t{}\nType:\t\t{}\n\n",
            record.created_at,
            record.r#type == "exec.cachemount",
            !record.in_use,
            record.shared,
            units::short_size(record.size),
            record.description,
            record.usage_count,
            record.last_used_at.as_deref().unwrap_or("never"),
            record.r#type,
        ));
    }
    text
}

/// Pure: what all records together take.
fn sums(records: &[BuildCacheRecord]) -> String {
    let sum = |of: &dyn Fn(&BuildCacheRecord) -> bool| {
        let sizes = records.iter().filter(|record| of(record)).map(|record| record.size);
        units::short_size(sizes.fold(0, i64::saturating_add))
    };
    let mut text = String::new();
    if records.iter().any(|record| record.shared) {
        text.push_str(&format!("Shared:\t\t{}\n", sum(&|record| record.shared)));
        text.push_str(&format!("Private:\t{}\n", sum(&|record| !record.shared)));
    }
    text.push_str(&format!(
        "Reclaimable:\t{}\nTotal:\t\t{}\n",
        sum(&|record| !record.in_use && !record.shared),
        sum(&|_| true)
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, size: i64, in_use: bool, shared: bool) -> BuildCacheRecord {
        BuildCacheRecord {
            id: id.to_owned(),
            r#type: "regular".to_owned(),
            description: "RUN make".to_owned(),
            size,
            in_use,
            shared,
            last_used_at: Some("1970-01-01T00:00:10Z".to_owned()),
            ..BuildCacheRecord::default()
        }
    }

    #[test]
    fn a_table() {
        let records = [record("aaa", 2_000_000, false, false), record("bbb", 1000, true, true)];
        assert_eq!(
            list(&records, 130) + &sums(&records),
            "ID        RECLAIMABLE   SIZE      LAST ACCESSED   DESCRIPTION\n\
             aaa       true          2MB       2 minutes ago   RUN make\n\
             bbb       false         1kB*      2 minutes ago   RUN make\n\
             Shared:\t\t1kB\nPrivate:\t2MB\nReclaimable:\t2MB\nTotal:\t\t2MB\n"
        );
    }

    #[test]
    fn filters_choose() {
        let record = record("abc", 1, false, true);
        for (key, value, fits) in [
            ("id", "ab", true),
            ("id", "bc", false),
            ("type", "regular", true),
            ("type", "source.local", false),
            ("description", "make", true),
            ("shared", "true", true),
            ("private", "1", false),
            ("inuse", "0", true),
        ] {
            let mut filters = Filters::new();
            filters.add(key, value);
            assert_eq!(matches(&filters, &record), fits, "{key}={value}");
        }
    }
}
