//! Acts: `exec`.

use super::run;
use crate::context::{self, App};
use crate::exit::{self, ExitStatus, Failed};
use crate::flags::Flags;
use crate::opts;
use crate::session::{Ended, Session, Signals, Target};
use crate::terminal;
use naru_api_types::StrSlice;
use naru_api_types::container::{ExecCreateRequest, ExecStartRequest};
use naru_errdefs::{Fault, Kind};

pub(super) fn exec(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let detach = flags.switch("detach");
    let (interactive, tty) = (flags.switch("interactive"), flags.switch("tty"));
    if !detach {
        terminal::check_tty(interactive, tty)?;
    }
    let keys = run::detach_keys(flags)?;
    let console_size = terminal::size()
        .filter(|_| tty)
        .map(|(rows, columns)| [u64::from(rows), u64::from(columns)]);
    let request = ExecCreateRequest {
        user: flags.text("user").unwrap_or_default().to_owned(),
        privileged: flags.switch("privileged"),
        tty,
        console_size,
        attach_stdin: interactive && !detach,
        attach_stdout: !detach,
        attach_stderr: !detach,
        detach,
        detach_keys: flags.text("detach-keys").unwrap_or_default().to_owned(),
        env: environment(flags)?,
        working_dir: flags.text("workdir").unwrap_or_default().to_owned(),
        cmd: StrSlice(Some(flags.args().get(1..).unwrap_or_default().to_vec())),
    };
    app.talk(async |client| {
        let id = client.create_exec(flags.arg(0), &request).await?;
        let start = ExecStartRequest { detach, tty, console_size };
        if detach {
            client.start_exec_detached(&id, &start).await.map_err(not_started)?;
            return Ok(ExitStatus::SUCCESS);
        }
        let session = Session {
            target: Target::Exec(id.clone()),
            tty,
            stdin: interactive,
            detach_keys: keys,
            proxy_signals: false,
        };
        let mut signals = Signals::catch(&session)?;
        let raw = session.raw_mode()?;
        let streams = client.start_exec(&id, &start).await.map_err(not_started)?;
        if tty {
            session.resize(client).await;
        }
        let ended = session.run(client, streams, &mut signals).await?;
        drop(raw);
        if ended == Ended::Detached {
            return Ok(ExitStatus::SUCCESS);
        }
        let end = client.inspect_exec(&id).await?;
        Ok(ExitStatus::of_container(end.exit_code.unwrap_or(0)))
    })
}

/// A command that is missing has a status of its own, as has one that cannot be started for another reason. Where there
/// was nothing to start it in, it is 1, as in docker.
fn not_started(fault: Fault) -> Failed {
    let status = match exit::of_start_failure(fault.kind(), &naru_errdefs::one_line(&fault)) {
        ExitStatus::NOT_RUN => match fault.kind() {
            Kind::NotFound | Kind::Conflict | Kind::Unavailable => ExitStatus::FAILURE,
            _ => ExitStatus::NOT_EXECUTABLE,
        },
        status => status,
    };
    Failed::with_status(fault, status)
}

fn environment(flags: &Flags) -> Result<Option<Vec<String>>, Failed> {
    let mut env = Vec::new();
    for file in flags.list("env-file") {
        let bytes = std::fs::read(file)
            .map_err(|error| Fault::io(format!("open {file}: cannot read the env file"), error))?;
        let lines = opts::env::parse_file(file, &bytes, &context::variable);
        env.extend(lines.map_err(|error| Fault::invalid(error.message))?);
    }
    env.extend(flags.parsed_list("env", |text| opts::env::parse(text, &context::variable))?);
    Ok((!env.is_empty()).then_some(env))
}
