//! Acts: `logs`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::opts::timestamp;
use crate::{printer, session};
use naru_api_types::frame::{self, Splitter};
use naru_api_types::{Query, Route};
use naru_client::Content;
use naru_errdefs::Fault;
use time::OffsetDateTime;

pub(super) fn logs(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let now = OffsetDateTime::now_utc();
    let moment = |long: &str| flags.parsed(long, |text| timestamp::parse(text, now));
    let (since, until) = (moment("since")?, moment("until")?);
    let tail = flags.text("tail");
    if let Some(tail) = tail
        && tail != "all"
        && tail.parse::<i64>().is_err()
    {
        return Err(Fault::invalid(format!("invalid number of lines to show: `{tail}`"))
            .with_hint("give a number, or `all`")
            .into());
    }
    let query = Query::new()
        .with("stdout", "1")
        .with("stderr", "1")
        .with_flag("follow", flags.switch("follow"))
        .with_flag("timestamps", flags.switch("timestamps"))
        .with_flag("details", flags.switch("details"))
        .with_some("tail", tail)
        .with_some("since", since)
        .with_some("until", until);
    app.talk(async |client| {
        let route = Route::ContainerLogs { name: flags.arg(0).to_owned() };
        let mut answer = client.open(route, &query, Content::None).await?;
        let framed = match answer.header("content-type") {
            Some(frame::MULTIPLEXED) => true,
            Some(frame::RAW) => false,
            // A daemon that does not say so has to be asked.
            _ => !client.inspect_container(flags.arg(0)).await?.config.tty,
        };
        let mut splitter = Splitter::new();
        while let Some(piece) = answer.piece().await? {
            if framed {
                session::split(&mut splitter, &piece)?;
            } else {
                printer::raw_out(&piece)?;
            }
        }
        Ok(ExitStatus::SUCCESS)
    })
}
