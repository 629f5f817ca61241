//! Acts: `builder prune`.

use crate::commands::system::prune::{confirm, deleted, filters, reclaimed};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::opts::memory;
use crate::printer;
use naru_api_types::Query;

pub(super) fn prune(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let all = flags.switch("all");
    let bytes = |name: &str| flags.parsed(name, memory::parse).map(|n| n.map(|n| n.to_string()));
    let query = Query::new()
        .with_flag("all", all)
        .with_some("keep-storage", bytes("keep-storage")?)
        .with_some("reserved-space", bytes("reserved-space")?)
        .with_some("max-used-space", bytes("max-used-space")?)
        .with_filters(&filters(flags)?);
    let what = if all { "all build cache" } else { "all dangling build cache" };
    confirm(flags, &format!("WARNING! This will remove {what}."))?;
    let answer = app.talk(async |client| Ok(client.prune_builds(&query).await?))?;
    let gone = deleted("build cache objects", &answer.caches_deleted.unwrap_or_default());
    printer::out(&(gone + &reclaimed(answer.space_reclaimed)))?;
    Ok(ExitStatus::SUCCESS)
}
