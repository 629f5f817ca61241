//! Acts: `export`.

use crate::commands::image::archive::Target;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use naru_api_types::{Query, Route};
use naru_client::Content;

pub(super) fn export(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let target = Target::choose(flags.text("output"))?;
    app.talk(async |client| {
        let route = Route::ContainerExport { name: flags.arg(0).to_owned() };
        let answer = client.open(route, &Query::new(), Content::None).await?;
        target.fill(answer).await?;
        Ok(ExitStatus::SUCCESS)
    })
}
