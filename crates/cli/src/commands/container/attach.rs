//! Acts: `attach` and `start`.

use super::run;
use crate::commands::each::each;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::session::{Ended, Session, Signals, Target};
use crate::terminal;
use naru_api_types::Query;
use naru_api_types::container::{ContainerInspect, WaitCondition};
use naru_client::Client;
use naru_errdefs::Fault;

pub(super) fn attach(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let keys = run::detach_keys(flags)?;
    app.talk(async |client| {
        let container = client.inspect_container(flags.arg(0)).await?;
        let refuse = |why: &str, hint: &str| {
            Failed::from(Fault::conflict(why.to_owned()).with_hint(hint.to_owned()))
        };
        if !container.state.running {
            return Err(refuse(
                "You cannot attach to a stopped container, start it first",
                "use `start -a`",
            ));
        }
        if container.state.paused {
            return Err(refuse(
                "You cannot attach to a paused container, unpause it first",
                "use `unpause`",
            ));
        }
        if container.state.restarting {
            return Err(refuse(
                "You cannot attach to a restarting container, wait until it is running",
                "try again in a moment",
            ));
        }
        let stdin = !flags.switch("no-stdin") && container.config.open_stdin;
        terminal::check_tty(stdin, container.config.tty)?;
        let session = session(flags, &container, keys, stdin);
        let condition = WaitCondition::NotRunning;
        follow(client, (&container.id, session), condition, async { Ok(()) }).await
    })
}

pub(super) fn start(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    if !flags.switch("attach") && !flags.switch("interactive") {
        return app.talk(async |client| {
            each(flags.args(), |name| async move {
                client.start_container(name).await?;
                Ok(name.to_owned())
            })
            .await
        });
    }
    if flags.args().len() > 1 {
        return Err(
            Fault::invalid("you cannot start and attach multiple containers at once").into()
        );
    }
    let keys = run::detach_keys(flags)?;
    app.talk(async |client| {
        let container = client.inspect_container(flags.arg(0)).await?;
        let stdin = flags.switch("interactive") && container.config.open_stdin;
        terminal::check_tty(stdin, container.config.tty)?;
        let session = session(flags, &container, keys, stdin);
        let condition = if container.host_config.auto_remove {
            WaitCondition::Removed
        } else if container.state.running {
            WaitCondition::NotRunning
        } else {
            WaitCondition::NextExit
        };
        // Docker ends with 1 here, whatever was wrong with the command.
        let begin = client.start_container(&container.id);
        follow(client, (&container.id, session), condition, begin).await
    })
}

/// A session with a container's first process.
fn session(flags: &Flags, container: &ContainerInspect, keys: Vec<u8>, stdin: bool) -> Session {
    Session {
        target: Target::Container(container.id.clone()),
        tty: container.config.tty,
        stdin,
        detach_keys: keys,
        // On a terminal the keys are signals enough, as in docker.
        proxy_signals: flags.switch("sig-proxy") && !container.config.tty,
    }
}

/// Shows what a container says until it ends, or until the person leaves. What `begin` does comes when everything is connected, so
/// that nothing is missed.
async fn follow(
    client: &Client,
    (id, session): (&str, Session),
    condition: WaitCondition,
    begin: impl Future<Output = Result<(), Fault>>,
) -> Result<ExitStatus, Failed> {
    let mut signals = Signals::catch(&session)?;
    let query = Query::new()
        .with("stream", "1")
        .with_flag("stdin", session.stdin)
        .with("stdout", "1")
        .with("stderr", "1");
    let (streams, waiting) =
        tokio::join!(client.attach_container(id, &query), client.wait_container(id, condition));
    let (streams, waiting) = (streams?, waiting?);
    let raw = session.raw_mode()?;
    begin.await?;
    if session.tty {
        session.resize(client).await;
    }
    let ended = session.run(client, streams, &mut signals).await?;
    drop(raw);
    if ended == Ended::Detached {
        return Ok(ExitStatus::SUCCESS);
    }
    session.outlast(client, &mut signals, run::ended(waiting)).await
}
