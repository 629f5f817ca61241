//! Acts: `volume create`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::{opts, printer};
use naru_api_types::volume::VolumeCreateRequest;
use naru_errdefs::Fault;

pub(super) fn create(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let name = match (flags.text("name"), flags.args().first()) {
        (Some(_), Some(_)) => {
            return Err(Fault::invalid(
                "conflicting options: either specify --name or provide positional arg, not both",
            )
            .into());
        }
        (Some(name), None) => name.to_owned(),
        (None, name) => name.cloned().unwrap_or_default(),
    };
    let request = VolumeCreateRequest {
        name,
        driver: flags.text("driver").unwrap_or("local").to_owned(),
        driver_opts: Some(flags.parsed_list("opt", opts::env::pair)?.into_iter().collect()),
        labels: Some(flags.parsed_list("label", opts::env::label)?.into_iter().collect()),
        cluster_volume_spec: None,
    };
    let made = app.talk(async |client| Ok(client.create_volume(&request).await?))?;
    printer::out(&format!("{}\n", made.name))?;
    Ok(ExitStatus::SUCCESS)
}
