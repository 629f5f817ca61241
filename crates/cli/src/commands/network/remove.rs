//! Acts: `network rm`.

use crate::commands::each::each;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use naru_errdefs::{Fault, Kind};

pub(super) fn remove(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let force = flags.switch("force");
    app.talk(async |client| {
        each(flags.args(), |name| async move {
            if name.is_empty() {
                return Err(Fault::invalid("network name cannot be empty"));
            }
            match client.remove_network(name).await {
                Ok(()) => Ok(name.to_owned()),
                // What is gone need not be removed by force; docker says nothing.
                Err(fault) if force && fault.kind() == Kind::NotFound => Ok(String::new()),
                Err(fault) => Err(fault),
            }
        })
        .await
    })
}
