//! Acts: `network prune`.

use crate::commands::system::prune::{confirm, deleted, filters};
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
    printer::out(&deleted("Networks", &answer.networks_deleted.unwrap_or_default()))?;
    Ok(ExitStatus::SUCCESS)
}
