//! Acts: `container prune`.

use crate::commands::system::prune::{confirm, deleted, filters, reclaimed};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;

pub(super) fn prune(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let filters = filters(flags)?;
    confirm(flags, "WARNING! This will remove all stopped containers.")?;
    let answer = app.talk(async |client| Ok(client.prune_containers(&filters).await?))?;
    let gone = deleted("Containers", &answer.containers_deleted.unwrap_or_default());
    printer::out(&(gone + &reclaimed(answer.space_reclaimed)))?;
    Ok(ExitStatus::SUCCESS)
}
