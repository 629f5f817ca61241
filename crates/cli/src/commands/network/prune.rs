//! Acts: `network prune`.

use crate::commands::system::prune::{confirm, filters};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;

pub(super) fn prune(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let filters = filters(flags)?;
    confirm(
        flags,
        "WARNING! This will remove all custom networks not used by at least one container.",
    )?;
    let answer = app.talk(async |client| Ok(client.prune_networks(&filters).await?))?;
    printer::out(&deleted(&answer.networks_deleted.unwrap_or_default()))?;
    Ok(ExitStatus::SUCCESS)
}

/// Pure: what was removed; nothing when nothing was.
pub(crate) fn deleted(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: String = names.iter().map(|name| format!("{name}\n")).collect();
    format!("Deleted Networks:\n{names}\n")
}
