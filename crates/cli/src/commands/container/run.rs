//! Acts: `run` and `create`.

use super::request::{self, Surroundings};
use crate::commands::image::transfer::{Pull, Show};
use crate::commands::registry::Registries;
use crate::context::{self, App};
use crate::exit::{self, ExitStatus, Failed};
use crate::flags::Flags;
use crate::opts::keys;
use crate::printer;
use crate::session::{Ended, Session, Signals, Target};
use crate::terminal;
use naru_api_types::Query;
use naru_api_types::container::{ContainerCreateRequest, ContainerCreateResponse, WaitCondition};
use naru_client::{Client, Waiting};
use naru_errdefs::{Fault, Kind};
use naru_oci::Reference;
use std::io::Write;

pub(crate) fn run(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    run_before(app, flags).map_err(Failed::before_run)
}

fn run_before(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let detach = flags.switch("detach");
    let mut request = request(flags, detach)?;
    if !detach {
        terminal::check_tty(request.config.attach_stdin, request.config.tty)?;
    }
    let keys = detach_keys(flags)?;
    if request.config.tty
        && let Some((rows, columns)) = terminal::size()
    {
        request.host_config.console_size = [u64::from(rows), u64::from(columns)];
    }
    let cid_file = CidFile::reserve(flags)?;
    app.talk(async |client| {
        let made = create_container(app, client, flags, &request).await?;
        cid_file.write(&made.id)?;
        if detach {
            start(client, &made.id).await?;
            printer::out(&format!("{}\n", made.id))?;
            return Ok(ExitStatus::SUCCESS);
        }
        let session = Session {
            target: Target::Container(made.id.clone()),
            tty: request.config.tty,
            stdin: request.config.attach_stdin,
            detach_keys: keys,
            proxy_signals: flags.switch("sig-proxy"),
        };
        attached(client, &made.id, &request, session).await
    })
}

/// Attach and wait are in the daemon's books before the start, so that neither output nor end can be missed.
async fn attached(
    client: &Client,
    id: &str,
    request: &ContainerCreateRequest,
    session: Session,
) -> Result<ExitStatus, Failed> {
    let config = &request.config;
    let mut signals = Signals::catch(&session)?;
    let condition = if request.host_config.auto_remove {
        WaitCondition::Removed
    } else {
        WaitCondition::NextExit
    };
    let query = Query::new()
        .with("stream", "1")
        .with_flag("stdin", config.attach_stdin)
        .with_flag("stdout", config.attach_stdout)
        .with_flag("stderr", config.attach_stderr);
    let any = config.attach_stdin || config.attach_stdout || config.attach_stderr;
    let (streams, waiting) = tokio::join!(
        async { if any { client.attach_container(id, &query).await.map(Some) } else { Ok(None) } },
        client.wait_container(id, condition)
    );
    let (streams, waiting) = (streams?, waiting?);
    let raw = session.raw_mode()?;
    if let Err(failed) = start(client, id).await {
        drop(raw);
        if request.host_config.auto_remove {
            // The daemon removes what could not start; the user is told once that is done.
            waiting.end().await.ok();
        }
        return Err(failed);
    }
    if session.tty {
        session.resize(client).await;
    }
    if let Some(streams) = streams
        && session.run(client, streams, &mut signals).await? == Ended::Detached
    {
        drop(raw);
        return Ok(ExitStatus::SUCCESS);
    }
    drop(raw);
    session.outlast(client, &mut signals, ended(waiting)).await
}

/// How the container ended.
pub(super) async fn ended(waiting: Waiting) -> Result<ExitStatus, Failed> {
    let end = waiting.end().await?;
    if let Some(error) = end.error.filter(|error| !error.message.is_empty()) {
        return Err(Failed::with_status(Fault::internal(error.message), ExitStatus::NOT_RUN));
    }
    Ok(ExitStatus::of_container(end.status_code))
}

/// Starts a container; a command that is missing or cannot be executed has its own status.
pub(super) async fn start(client: &Client, id: &str) -> Result<(), Failed> {
    client.start_container(id).await.map_err(|fault| {
        let status = exit::of_start_failure(fault.kind(), &naru_errdefs::one_line(&fault));
        Failed::with_status(fault, status)
    })
}

pub(super) fn detach_keys(flags: &Flags) -> Result<Vec<u8>, Failed> {
    let keys = flags.parsed("detach-keys", keys::parse)?;
    Ok(keys.unwrap_or_else(|| keys::DEFAULT.to_vec()))
}

pub(crate) fn create(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let made = || {
        let request = request(flags, false).map_err(Failed::before_run)?;
        let cid_file = CidFile::reserve(flags)?;
        app.talk(async |client| {
            let made = create_container(app, client, flags, &request).await?;
            cid_file.write(&made.id)?;
            printer::out(&format!("{}\n", made.id))?;
            Ok(ExitStatus::SUCCESS)
        })
    };
    made()
}

fn request(flags: &Flags, detach: bool) -> Result<ContainerCreateRequest, Failed> {
    if flags.arg(0).is_empty() {
        return Err(Fault::invalid("invalid reference format: the image's name is empty").into());
    }
    pull_when(flags)?;
    let around = Surroundings {
        cwd: &context::working_directory,
        lookup: &context::variable,
        read: &|path| std::fs::read(path),
    };
    request::build(flags, &around, detach)
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PullWhen {
    Always,
    Missing,
    Never,
}

fn pull_when(flags: &Flags) -> Result<PullWhen, Failed> {
    match flags.text("pull") {
        None | Some("missing" | "") => Ok(PullWhen::Missing),
        Some("always") => Ok(PullWhen::Always),
        Some("never") => Ok(PullWhen::Never),
        Some(other) => Err(Fault::invalid(format!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        ))
        .into()),
    }
}

/// Lets the daemon make the container; an image that is not there is pulled before, with the progress on standard error.
async fn create_container(
    app: &App<'_>,
    client: &Client,
    flags: &Flags,
    request: &ContainerCreateRequest,
) -> Result<ContainerCreateResponse, Failed> {
    let when = pull_when(flags)?;
    // An ID names nothing that could be pulled.
    let reference = flags.arg(0).parse::<Reference>().map(Reference::or_latest).ok();
    let pull = async || {
        let Some(reference) = &reference else { return Ok(()) };
        let what = Pull {
            reference,
            all_tags: false,
            platform: flags.text("platform").filter(|platform| !platform.is_empty()),
            limit_rate: None,
        };
        let progress = if flags.switch("quiet") { Show::Nowhere } else { Show::Err };
        what.run(client, &Registries::of(app)?, progress).await
    };
    let create =
        async || client.create_container(flags.text("name"), flags.text("platform"), request).await;
    if when == PullWhen::Always {
        pull().await?;
    }
    let made = match (create().await, &reference) {
        (Err(fault), Some(reference)) if when == PullWhen::Missing && is_missing(&fault) => {
            if !flags.switch("quiet") {
                printer::note(&format!("Unable to find image '{}' locally", reference.familiar()));
            }
            pull().await?;
            create().await?
        }
        (made, _) => made?,
    };
    for warning in &made.warnings {
        printer::note(&format!("WARNING: {warning}"));
    }
    Ok(made)
}

/// Whether it is the image that is not there, and nothing else.
fn is_missing(fault: &Fault) -> bool {
    fault.kind() == Kind::NotFound && fault.message().starts_with("No such image")
}

/// The file that will hold the container's ID. It must not be there before, and does not stay when nothing was made.
struct CidFile(Option<(String, std::cell::RefCell<Option<std::fs::File>>)>);

impl CidFile {
    fn reserve(flags: &Flags) -> Result<CidFile, Failed> {
        let Some(path) = flags.text("cidfile").filter(|path| !path.is_empty()) else {
            return Ok(CidFile(None));
        };
        let made = std::fs::File::options().write(true).create_new(true).open(path);
        match made {
            Ok(file) => Ok(CidFile(Some((path.to_owned(), Some(file).into())))),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(Fault::conflict(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            ))
            .into()),
            Err(error) => {
                Err(Fault::io(format!("failed to create the container ID file `{path}`"), error).into())
            }
        }
    }

    fn write(&self, id: &str) -> Result<(), Failed> {
        let Some((path, file)) = &self.0 else { return Ok(()) };
        let Some(mut file) = file.take() else { return Ok(()) };
        file.write_all(id.as_bytes()).map_err(|error| {
            Fault::io(format!("cannot write the container ID to `{path}`"), error).into()
        })
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if let Some((path, file)) = &self.0
            && file.borrow().is_some()
        {
            // Nothing was written, so nobody misses it.
            std::fs::remove_file(path).ok();
        }
    }
}
