//! Acts: `container prune`.

use crate::commands::system::prune::{confirm, filters};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::units;

pub(super) fn prune(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let filters = filters(flags)?;
    confirm(flags, "WARNING! This will remove all stopped containers.")?;
    let answer = app.talk(async |client| Ok(client.prune_containers(&filters).await?))?;
    let mut text = String::new();
    let deleted = answer.containers_deleted.unwrap_or_default();
    if !deleted.is_empty() {
        text.push_str("Deleted Containers:\n");
        text.extend(deleted.iter().map(|id| format!("{id}\n")));
        text.push('\n');
    }
    let space = i64::try_from(answer.space_reclaimed).unwrap_or(i64::MAX);
    text.push_str(&format!("Total reclaimed space: {}\n", units::human_size(space)));
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}
