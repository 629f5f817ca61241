//! Acts: `run` and `create`.

use super::request::{self, Surroundings};
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
        let made = create_container(client, flags, &request).await?;
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
            let made = create_container(client, flags, &request).await?;
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
    check_pull(flags)?;
    let around = Surroundings {
        cwd: &context::working_directory,
        lookup: &context::variable,
        read: &|path| std::fs::read(path),
    };
    request::build(flags, &around, detach)
}

fn check_pull(flags: &Flags) -> Result<(), Failed> {
    match flags.text("pull") {
        None | Some("missing" | "never" | "") => Ok(()),
        Some("always") => Err(cannot_pull("`--pull always` is not supported yet").into()),
        Some(other) => Err(Fault::invalid(format!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        ))
        .into()),
    }
}

fn cannot_pull(message: &str) -> Fault {
    Fault::unsupported(message).with_hint(
        "bring the image as an archive and load it with `naru load`, or try the embedded image `naru/hello`",
    )
}

async fn create_container(
    client: &Client,
    flags: &Flags,
    request: &ContainerCreateRequest,
) -> Result<ContainerCreateResponse, Failed> {
    let made = client.create_container(flags.text("name"), flags.text("platform"), request).await;
    let made = made.map_err(|fault| missing_image(fault, flags))?;
    for warning in &made.warnings {
        printer::note(&format!("WARNING: {warning}"));
    }
    Ok(made)
}

/// A missing image would be pulled; as it cannot be, that is said as well.
fn missing_image(fault: Fault, flags: &Flags) -> Fault {
    let missing = fault.kind() == Kind::NotFound && fault.message().starts_with("No such image");
    if !missing || flags.text("pull") == Some("never") {
        return fault;
    }
    let image = flags.arg(0);
    let name = image
        .parse::<naru_oci::Reference>()
        .map_or_else(|_| image.to_owned(), |reference| reference.or_latest().familiar());
    printer::note(&format!("Unable to find image '{name}' locally"));
    cannot_pull(&format!("image `{name}` cannot be pulled yet")).with_source(fault)
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
