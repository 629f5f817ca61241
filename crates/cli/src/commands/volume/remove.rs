//! Acts: `volume rm` and `volume prune`.

use crate::commands::each::each;
use crate::commands::system::prune::{confirm, deleted, filters, reclaimed};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use naru_errdefs::Fault;

pub(super) fn remove(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let force = flags.switch("force");
    app.talk(async |client| {
        each(flags.args(), |name| async move {
            client.remove_volume(name, force).await?;
            Ok(name.to_owned())
        })
        .await
    })
}

pub(super) fn prune(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let mut filters = filters(flags)?;
    let all = flags.switch("all");
    if all {
        if filters.has("all") {
            return Err(Fault::invalid(
                "conflicting options: cannot specify both --all and --filter all=1",
            )
            .into());
        }
        filters.add("all", "true");
    }
    confirm(
        flags,
        if all {
            "WARNING! This will remove all local volumes not used by at least one container."
        } else {
            "WARNING! This will remove anonymous local volumes not used by at least one container."
        },
    )?;
    let answer = app.talk(async |client| Ok(client.prune_volumes(&filters).await?))?;
    let gone = deleted("Volumes", &answer.volumes_deleted.unwrap_or_default());
    printer::out(&(gone + &reclaimed(answer.space_reclaimed)))?;
    Ok(ExitStatus::SUCCESS)
}
