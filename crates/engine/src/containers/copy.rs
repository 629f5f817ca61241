//! Acts: files in and out of a container, whether it runs or not.
//!
//! Who reads from a stopped container holds nobody up. Who writes to one has its turn, so that it is not started
//! meanwhile: two mounts must not write to one root. The work goes on a thread that may wait; when the client goes away
//! or falls silent it ends, and lets go of everything.

mod owner;
mod target;

use super::Containers;
use crate::container::Container;
use crate::images::archive::{AT_ONCE, PATIENCE, PIECES, Patient, Pieces};
use crate::lifecycle::State;
use crate::model::Timestamp;
use crate::record::Record;
use crate::streams::ExportStream;
use crate::supervisor::Supervisor;
use crate::view::View;
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_kernel::mount;
use naru_kernel::path::{self, OFlags, proc_path};
use naru_kernel::pinned;
use naru_layer::{Destination, Limits, Owners, Rename};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use target::{Asked, Found};
use tokio::io::AsyncRead;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio_util::io::SyncIoBridge;

/// Copies in work; further ones wait. A thread waits with each.
static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// How long a process that is said to run may be found to have ended before that is heard of.
const SETTLING: Duration = Duration::from_secs(5);

/// No more is read of a container's list of users.
const LONGEST_LIST: u64 = 4 << 20;

/// What is at a path in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// The last name of the path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Permissions and kind, in the bits of Go's `os.FileMode`.
    pub mode: u32,
    /// When it was last changed.
    pub modified: Timestamp,
    /// Where a link leads in the end; else empty.
    pub link_target: String,
}

/// How files are copied into a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyIn {
    /// A directory does not take the place of something else, nor the other way round.
    pub keep_kinds: bool,
    /// Everything becomes the container's user's, when it has one.
    pub to_user: bool,
}

impl Containers {
    /// What is at a path.
    pub async fn stat_path(&self, name: &str, path: &str) -> Result<PathStat, Fault> {
        let (_turn, view, _) = self.view_to_read(name).await?;
        let (asked, shown) = (Asked::parse(path), (path.to_owned(), name.to_owned()));
        self.inner
            .blocking(move |_| {
                look(&view, &asked)
                    .map(|(stat, _)| stat)
                    .map_err(|error| target::missing(error, &shown.0, &shown.1))
            })
            .await
    }

    /// What is at a path, as a tar stream.
    pub async fn copy_out(
        &self,
        name: &str,
        path: &str,
    ) -> Result<(PathStat, ExportStream), Fault> {
        let (turn, view, record) = self.view_to_read(name).await?;
        let (asked, shown) = (Asked::parse(path), (path.to_owned(), name.to_owned()));
        let (stat, found, view, asked) = self
            .inner
            .blocking(move |_| {
                let (stat, found) = look(&view, &asked)
                    .map_err(|error| target::missing(error, &shown.0, &shown.1))?;
                Ok((stat, found, view, asked))
            })
            .await?;
        self.inner.publish(&record, "archive-path", &[]);
        let (sender, receiver) = mpsc::channel(PIECES);
        let mut output = Pieces::new(sender);
        self.inner.runtime.spawn_blocking(move || {
            let archived =
                naru_layer::archive_live(found.subject(), asked.name.as_ref(), None, &mut output);
            let done = archived.map_err(Fault::from).and_then(|_archived| {
                output.flush().map_err(|error| Fault::io("cannot send the archive", error))
            });
            if let Err(fault) = done {
                // Whoever went away does not hear it.
                drop(output.sender.send(Err(fault)));
            }
            drop((found, view, turn));
        });
        Ok((stat, ExportStream { receiver }))
    }

    /// Unpacks an archive into a directory of the container. What was written before a failure stays.
    pub async fn copy_in(
        &self,
        name: &str,
        path: &str,
        options: CopyIn,
        archive: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<(), Fault> {
        let container = self.inner.find(name)?;
        let supervisor = self.inner.shared()?;
        let shown = (path.to_owned(), name.to_owned());
        // A task of its own, because the turn is given back when the work has ended, not when its client has.
        let work = self.inner.runtime.spawn(async move {
            let _turn = turn().await?;
            let record = container.seat().record.clone();
            let copying = container.copies.read().await;
            if let Some(view) = live(&supervisor, &container).await? {
                return unpack(&supervisor, record, view, options, shown, archive).await;
            }
            drop(copying);
            let alone = container.turn.lock().await;
            container.settled().await;
            // It may have been started or removed while its turn was waited for.
            let _copying = container.copies.read().await;
            if let Some(view) = live(&supervisor, &container).await? {
                drop(alone);
                return unpack(&supervisor, record, view, options, shown, archive).await;
            }
            refuse_leaving(&container, &shown.1)?;
            let record = container.seat().record.clone();
            let wanted = record.clone();
            let view = supervisor.blocking(move |me| me.writable_view(&wanted)).await?;
            unpack(&supervisor, record, view, options, shown, archive).await
        });
        match work.await {
            Ok(done) => done,
            Err(error) => Err(Fault::internal("a task of the engine was lost").with_source(error)),
        }
    }

    async fn view_to_read(
        &self,
        name: &str,
    ) -> Result<(SemaphorePermit<'static>, View, Record), Fault> {
        let container = self.inner.find(name)?;
        let turn = turn().await?;
        let record = container.seat().record.clone();
        if let Some(view) = live(&self.inner, &container).await? {
            return Ok((turn, view, record));
        }
        let wanted = record.clone();
        let view = self.inner.blocking(move |me| me.resting_view(&wanted)).await?;
        if let Some(view) = view {
            return Ok((turn, view, record));
        }
        // It was never started, so the places that its volumes are seen at have yet to be made.
        let _alone = container.turn.lock().await;
        if let Some(view) = live(&self.inner, &container).await? {
            return Ok((turn, view, record));
        }
        refuse_leaving(&container, name)?;
        let wanted = record.clone();
        let view = self
            .inner
            .blocking(move |me| {
                drop(me.writable_view(&wanted)?);
                me.resting_view(&wanted)
            })
            .await?;
        let view = view.ok_or_else(|| {
            Fault::internal(format!("the places of the mounts of container {name} went away"))
        })?;
        Ok((turn, view, record))
    }
}

async fn turn() -> Result<SemaphorePermit<'static>, Fault> {
    TURNS.acquire().await.map_err(|_closed| Fault::internal("no copies are made any more"))
}

/// The root of a container that runs; nothing when it does not.
async fn live(inner: &Arc<Supervisor>, container: &Container) -> Result<Option<View>, Fault> {
    let mut phase = container.phase.subscribe();
    let (record, pid) = {
        let seat = container.seat();
        let Some(pid) = seat.record.state.pid() else { return Ok(None) };
        (seat.record.clone(), pid)
    };
    match inner.blocking(move |me| me.live_view(&record, pid)).await {
        Ok(view) => Ok(Some(view)),
        Err(fault) if fault.kind() == Kind::NotFound => {
            // The news of its end is on the way.
            let ended = tokio::time::timeout(SETTLING, phase.wait_for(|phase| !phase.up));
            match ended.await {
                Ok(_) => Ok(None),
                Err(_late) => Err(Fault::new(Kind::Unavailable, fault.message().to_owned())),
            }
        }
        Err(fault) => Err(fault),
    }
}

fn refuse_leaving(container: &Container, name: &str) -> Result<(), Fault> {
    match container.seat().record.state {
        State::Removing { .. } | State::Dead { .. } => {
            Err(Fault::not_found(format!("No such container: {name}")))
        }
        _ => Ok(()),
    }
}

/// What is there, and a hold of it.
fn look(view: &View, asked: &Asked) -> io::Result<(PathStat, Found)> {
    let found = target::find(&view.root, asked)?;
    let status = found.status()?;
    let is_link = status.kind == naru_kernel::node::NodeKind::Link;
    let link_target = if is_link {
        target::follow(&view.root, &asked.path)?.to_string_lossy().into_owned()
    } else {
        String::new()
    };
    let nanoseconds = i64::from(status.modified.nanoseconds);
    let modified =
        status.modified.seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds);
    let stat = PathStat {
        name: asked.name.clone(),
        size: status.size,
        mode: target::go_mode(&status),
        modified: Timestamp(modified),
        link_target,
    };
    Ok((stat, found))
}

async fn unpack(
    supervisor: &Arc<Supervisor>,
    record: Record,
    view: View,
    options: CopyIn,
    (path, name): (String, String),
    archive: impl AsyncRead + Send + Unpin + 'static,
) -> Result<(), Fault> {
    let archive = SyncIoBridge::new(Patient::new(archive, PATIENCE));
    supervisor
        .blocking(move |me| {
            let asked = Asked::parse(&path);
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let place = match path::open_in_root(&view.root, &asked.path, flags) {
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    return Err(Fault::invalid("extraction point is not a directory"));
                }
                place => place.map_err(|error| target::missing(error, &path, &name))?,
            };
            refuse_read_only(&view, &place, &record)?;
            let owners = match record.config.user.as_str() {
                "" => Owners::Archive,
                user if options.to_user => {
                    let read = |file: &str| read_list(&view.root, file);
                    let (uid, gid) =
                        owner::resolve(user, &read("/etc/passwd")?, &read("/etc/group")?)?;
                    Owners::Fixed(uid, gid)
                }
                _ => Owners::Archive,
            };
            let limits = Limits::standard();
            let destination = Destination {
                root: view.root.as_fd(),
                place: &asked.path,
                owners,
                keep_kinds: options.keep_kinds,
                rename: Rename::No,
                limits: &limits,
            };
            let extracted = naru_layer::extract(archive, &destination)?;
            for note in &extracted.notes {
                tracing::info!(container = record.id, "copying into `{path}`: {note}");
            }
            me.publish(&record, "extract-to-dir", &[]);
            Ok(())
        })
        .await
}

/// Refuses to write where the container must not, also while it does not run.
fn refuse_read_only(view: &View, place: &OwnedFd, record: &Record) -> Result<(), Fault> {
    let mount_of = |fd: &OwnedFd| {
        mount::identity(proc_path(fd.as_fd()))
            .map(|(mount, ..)| mount)
            .during(|| "cannot tell the mounts of a container apart".to_owned())
    };
    let on_root = mount_of(place)? == mount_of(&view.root)?;
    if on_root && record.host.readonly_rootfs {
        return Err(Fault::new(Kind::Forbidden, "container rootfs is marked read-only"));
    }
    let read_only = mount::is_read_only(place)
        .during(|| "cannot tell whether a mount is read-only".to_owned())?;
    if read_only {
        return Err(Fault::new(Kind::Forbidden, "mounted volume is marked read-only"));
    }
    Ok(())
}

/// A short text file of the container's; empty when there is none.
fn read_list(root: &OwnedFd, file: &str) -> Result<String, Fault> {
    let failed = || format!("cannot read `{file}` of the container");
    let held = match path::open_in_root(root, file, OFlags::PATH) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        held => held.during(failed)?,
    };
    let status = naru_kernel::node::status(&held).during(failed)?;
    if status.kind != naru_kernel::node::NodeKind::File {
        return Err(Fault::invalid(format!("`{file}` of the container is not a file")));
    }
    let mut text = Vec::new();
    pinned::reopen(&held, OFlags::RDONLY)
        .and_then(|file| file.take(LONGEST_LIST).read_to_end(&mut text))
        .during(failed)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
