//! Acts: `volume backup` and `volume restore`, extensions of ours.

use crate::commands::image::archive::{Source, Target};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::terminal;
use naru_client::Content;
use naru_errdefs::Fault;

pub(super) fn backup(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let target =
        Target::choose(flags.args().get(1).map(String::as_str).filter(|path| *path != "-"))?;
    app.talk(async |client| {
        let answer = client.backup_volume(flags.arg(0)).await?;
        target.fill(answer).await?;
        Ok(ExitStatus::SUCCESS)
    })
}

pub(super) fn restore(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let archive = match flags.args().get(1).map(String::as_str) {
        None | Some("-") => {
            if terminal::stdin_is_terminal() {
                return Err(Fault::invalid("requested restore from stdin, but stdin is empty")
                    .with_hint("name the archive, or pipe it in")
                    .into());
            }
            Source::stdin()
        }
        Some(path) => Source::open(path)?,
    };
    app.talk(async |client| {
        let archive = Content::reader(archive);
        client.restore_volume(flags.arg(0), archive, flags.switch("force")).await?;
        Ok(ExitStatus::SUCCESS)
    })
}
