//! Acts: `cp`. Archives are made and unpacked on threads of their own, with a pipe between them and the connection; what
//! is unpacked here never leaves the destination, whatever the archive says.

mod local;
mod paths;

use crate::commands::image::archive::Source as Input;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::units;
use crate::unpacking::{Unpacking, extract, join};
use naru_api_types::Query;
use naru_api_types::container::PathStat;
use naru_api_types::container::copy::go_mode;
use naru_client::{Client, Content};
use naru_errdefs::{Failure, Fault, Kind};
use naru_kernel::path::open_directory;
use naru_layer::{ArchiveError, Owners, Rename, Subject};
use paths::{Placing, Side, Source, Target};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was asked for besides the two paths.
#[derive(Debug, Clone, Copy)]
struct Options {
    keep_owners: bool,
    follow: bool,
    quiet: bool,
}

pub(super) fn copy(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let (source, destination) = (flags.arg(0), flags.args().get(1).map_or("", String::as_str));
    if source.is_empty() {
        return Err(Fault::invalid("source can not be empty").into());
    }
    if destination.is_empty() {
        return Err(Fault::invalid("destination can not be empty").into());
    }
    let options = Options {
        keep_owners: flags.switch("archive"),
        follow: flags.switch("follow-link"),
        // Unless somebody said so, progress is for terminals only.
        quiet: if flags.given("quiet") {
            flags.switch("quiet")
        } else {
            !printer::stdout_is_terminal()
        },
    };
    match (Side::parse(source), Side::parse(destination)) {
        (Side::Container { name, path }, Side::Local(to)) => {
            app.talk(async |client| copy_out(client, (&name, &path), &to, options).await)?;
        }
        (Side::Local(from), Side::Container { name, path }) => {
            app.talk(async |client| copy_in(client, &from, (&name, &path), options).await)?;
        }
        (Side::Container { .. }, Side::Container { .. }) => {
            let program = app.program();
            return Err(Fault::invalid("copying between containers is not supported")
                .with_hint(format!(
                    "use `{program} cp CONTAINER:PATH - | {program} cp - OTHER:PATH`"
                ))
                .into());
        }
        (Side::Local(_), Side::Local(_)) => {
            return Err(Fault::invalid("must specify at least one container source")
                .with_hint("name a path in a container as `CONTAINER:PATH`")
                .into());
        }
    }
    Ok(ExitStatus::SUCCESS)
}

fn say(options: Options, bytes: u64, destination: &str) {
    if !options.quiet {
        let size = units::short_size(i64::try_from(bytes).unwrap_or(i64::MAX));
        printer::note(&format!("Successfully copied {size} to {destination}"));
    }
}

async fn copy_out(
    client: &Client,
    (container, from): (&str, &str),
    to: &str,
    options: Options,
) -> Result<(), Failed> {
    let to = if to == "-" { to.to_owned() } else { local::absolute(to)? };
    if to != "-" {
        local::check_output(&to)?;
    }
    let (mut path, mut rebase) = (from.to_owned(), None);
    if options.follow
        && let Ok(stat) = client.stat_path(container, from).await
        && stat.is_link()
    {
        (path, rebase) = paths::rebase(from, &paths::join_link(from, &stat.link_target));
    }
    let (stat, mut answer) = client.copy_from_container(container, &path).await?;
    if to == "-" {
        while let Some(piece) = answer.piece().await? {
            printer::raw_out(&piece)?;
        }
        return Ok(());
    }
    let source = Source { path, is_directory: stat.is_directory(), rebase };
    let placing = paths::place(&source, &local::target(&to)?)?;
    let unpacking = unpack(&source, placing, options)?;
    let mut bytes = 0u64;
    let mut broke_off = None;
    let mut pipe = Some(unpacking.0);
    while let Some(writer) = &mut pipe {
        match answer.piece().await {
            Ok(Some(piece)) => {
                bytes += piece.len() as u64;
                // Whoever unpacks has given up, and says why.
                if writer.write_all(&piece).is_err() {
                    pipe = None;
                }
            }
            Ok(None) => pipe = None,
            Err(fault) => {
                broke_off = Some(fault);
                pipe = None;
            }
        }
    }
    let unpacked = join(unpacking.1);
    match broke_off {
        Some(fault) => return Err(fault.into()),
        None => unpacked?,
    }
    say(options, bytes, &to);
    Ok(())
}

/// Begins to unpack what comes through a pipe.
fn unpack(
    source: &Source,
    placing: Placing,
    options: Options,
) -> Result<(io::PipeWriter, Unpacking), Fault> {
    let failed = |error| Fault::io(format!("cannot write to `{}`", placing.directory), error);
    let root = open_directory(&placing.directory).map_err(failed)?;
    let (reader, writer) = io::pipe().map_err(failed)?;
    let owners = match options.keep_owners {
        true if naru_kernel::process::user_id() == 0 => Owners::Archive,
        true => {
            printer::note("warning: only root can keep owners; the files become yours");
            Owners::Own
        }
        false => Owners::Own,
    };
    let old = source.name();
    let work = move || {
        let rename = match &placing.name {
            None => Rename::No,
            Some(new) if old.is_empty() || old == "." => Rename::Below(OsStr::new(new)),
            Some(new) => Rename::First(OsStr::new(&old), OsStr::new(new)),
        };
        extract(reader, &root, (owners, rename))
    };
    let thread = std::thread::Builder::new().name("tar".to_owned()).spawn(work);
    thread.map(|thread| (writer, thread)).map_err(|error| Fault::io("cannot start a thread", error))
}

async fn copy_in(
    client: &Client,
    from: &str,
    (container, to): (&str, &str),
    options: Options,
) -> Result<(), Failed> {
    let target = container_target(client, (container, to)).await?;
    let query = Query::new().with("noOverwriteDirNonDir", "true");
    if from == "-" {
        if !target.is_directory {
            return Err(Fault::invalid(format!(
                "destination \"{container}:{to}\" must be a directory"
            ))
            .into());
        }
        let query = query.with("path", &target.path);
        client.copy_to_container(container, &query, Content::reader(Input::stdin())).await?;
        return Ok(());
    }
    let source = local::source(&local::absolute(from)?, options.follow)?;
    let placing = paths::place(&source, &target)?;
    let directory = if placing.directory.is_empty() { "/" } else { &placing.directory };
    let query = query.with("path", directory);
    let packing = pack(&source, placing.name.as_deref(), options)?;
    let archive = Content::reader(Input::from_file(packing.reader));
    let sent = client.copy_to_container(container, &query, archive).await;
    match (sent, join(packing.thread)) {
        // Why the archive broke off is more than that it did.
        (_, Err(fault)) if fault.kind() != Kind::Cancelled => Err(fault.into()),
        (Err(fault), _) => Err(fault.into()),
        (Ok(()), _) => {
            say(options, packing.bytes.load(Ordering::Relaxed), &format!("{container}:{to}"));
            Ok(())
        }
    }
}

/// What is at the destination, behind a link if there is one.
async fn container_target(client: &Client, (container, to): (&str, &str)) -> Result<Target, Fault> {
    let mut path = to.to_owned();
    let mut found = client.stat_path(container, to).await.ok();
    if let Some(stat) = found.as_ref().filter(|stat| stat.is_link()) {
        path = paths::join_link(to, &stat.link_target);
        found = client.stat_path(container, &path).await.ok();
    }
    let mode = found.as_ref().map_or(0, |stat| stat.mode);
    for (bit, what) in [(go_mode::DEVICE, "a device"), (go_mode::IRREGULAR, "an irregular file")] {
        if mode & bit != 0 {
            return Err(Fault::invalid(format!(
                "destination \"{container}:{to}\" must be a directory or a regular file: got {what}"
            )));
        }
    }
    let is_directory = found.as_ref().is_some_and(PathStat::is_directory);
    Ok(Target { path, exists: found.is_some(), is_directory })
}

/// An archive that is being made.
struct Packing {
    reader: File,
    bytes: Arc<AtomicU64>,
    thread: Unpacking,
}

fn pack(source: &Source, name: Option<&str>, options: Options) -> Result<Packing, Fault> {
    let failed = |error| Fault::io(format!("cannot read `{}`", source.path), error);
    let (dir, own_name) = paths::split(&source.path);
    let held = if source.is_directory {
        open_directory(&source.path).map_err(failed)?
    } else {
        open_directory(&dir).map_err(failed)?
    };
    let name = match name {
        Some(name) => name.to_owned(),
        None if own_name.is_empty() => "/".to_owned(),
        None => own_name.clone(),
    };
    let owner = (!options.keep_owners).then_some((0, 0));
    let (reader, writer) = io::pipe().map_err(failed)?;
    let bytes = Arc::new(AtomicU64::new(0));
    let is_directory = source.is_directory;
    let counted = Counted {
        inner: io::BufWriter::with_capacity(256 << 10, writer),
        bytes: Arc::clone(&bytes),
    };
    let work = move || {
        let subject = if is_directory {
            Subject::Directory(held.as_fd())
        } else {
            Subject::Entry(held.as_fd(), OsStr::new(&own_name))
        };
        match naru_layer::archive_live(subject, Path::new(&name), owner, counted) {
            Ok(archived) => {
                for note in &archived.notes {
                    printer::note(&format!("warning: {note}"));
                }
                Ok(())
            }
            Err(error @ ArchiveError::Write(_)) => Err(Fault::new(error.kind(), error.to_string())),
            Err(error) => Err(error.into()),
        }
    };
    let thread = std::thread::Builder::new()
        .name("tar".to_owned())
        .spawn(work)
        .map_err(|error| Fault::io("cannot start a thread", error))?;
    Ok(Packing { reader: File::from(OwnedFd::from(reader)), bytes, thread })
}

/// Counts what goes through.
struct Counted<W> {
    inner: W,
    bytes: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
