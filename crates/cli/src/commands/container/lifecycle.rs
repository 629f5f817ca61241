//! Acts: `stop`, `restart`, `kill`, `pause`, `unpause`, `rm`, `wait` and `rename`.

use crate::commands::each::each;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use naru_api_types::container::WaitCondition;
use naru_api_types::{Query, Route};
use naru_errdefs::{Fault, Kind};

fn stop_query(flags: &Flags) -> Result<Query, Failed> {
    let seconds = flags.number("timeout")?.or(flags.number("time")?);
    Ok(Query::new()
        .with_some("t", seconds.map(|seconds| seconds.to_string()))
        .with_some("signal", flags.text("signal")))
}

pub(super) fn stop(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let query = stop_query(flags)?;
    let query = &query;
    app.talk(async |client| {
        each(flags.args(), |name| async move {
            client.stop_container(name, query).await?;
            Ok(name.to_owned())
        })
        .await
    })
}

pub(super) fn restart(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let query = stop_query(flags)?;
    simple(app, flags, &query, |name| Route::ContainerRestart { name })
}

pub(super) fn kill(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let query = Query::new().with_some("signal", flags.text("signal"));
    simple(app, flags, &query, |name| Route::ContainerKill { name })
}

pub(super) fn pause(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    simple(app, flags, &Query::new(), |name| Route::ContainerPause { name })
}

pub(super) fn unpause(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    simple(app, flags, &Query::new(), |name| Route::ContainerUnpause { name })
}

fn simple(
    app: &App<'_>,
    flags: &Flags,
    query: &Query,
    route: impl Fn(String) -> Route,
) -> Result<ExitStatus, Failed> {
    app.talk(async |client| {
        let route = &route;
        each(flags.args(), |name| async move {
            client.act(route(name.to_owned()), query).await?;
            Ok(name.to_owned())
        })
        .await
    })
}

pub(super) fn rm(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let force = flags.switch("force");
    let query = Query::new().with_flag("force", force).with_flag("v", flags.switch("volumes"));
    let query = &query;
    app.talk(async |client| {
        each(flags.args(), |name| async move {
            let name = name.trim_matches('/');
            if name.is_empty() {
                return Err(Fault::invalid("container name cannot be empty"));
            }
            match client.act(Route::ContainerRemove { name: name.to_owned() }, query).await {
                Ok(()) => Ok(name.to_owned()),
                // What is gone need not be removed by force; docker says so and ends well.
                Err(fault) if force && fault.kind() == Kind::NotFound => {
                    crate::printer::report(&fault);
                    Ok(String::new())
                }
                Err(fault) => Err(fault),
            }
        })
        .await
    })
}

pub(super) fn wait(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    app.talk(async |client| {
        each(flags.args(), |name| async move {
            let waiting = client.wait_container(name, WaitCondition::NotRunning).await?;
            let end = waiting.end().await?;
            match end.error.filter(|error| !error.message.is_empty()) {
                Some(error) => Err(Fault::internal(error.message)),
                None => Ok(end.status_code.to_string()),
            }
        })
        .await
    })
}

pub(super) fn rename(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let (name, new) = (flags.arg(0), flags.arg(1));
    if name.is_empty() || new.is_empty() {
        return Err(Fault::invalid("neither old nor new names may be empty").into());
    }
    app.talk(async |client| {
        let route = Route::ContainerRename { name: name.to_owned() };
        client.act(route, &Query::new().with("name", new)).await?;
        Ok(ExitStatus::SUCCESS)
    })
}
