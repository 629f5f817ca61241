//! Acts: `RUN --mount`.

use super::super::files::Place;
use super::super::located;
use super::super::vertex::{self, Hand};
use crate::agent::AgentSocket;
use crate::build::{Session, Shared};
use crate::config::working_dir;
use crate::context::BuildContext;
use crate::copy::{Copying, Pattern, Target, View, copy, find};
use crate::mounts::{CacheMount, Scratch};
use crate::ports::{MountSource, RunMount};
use crate::stage::{Stage, Step};
use naru_dockerfile::{MountKind, Run};
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_kernel::mount::{Change, attribute, clone_inside, clone_tree, set_attributes};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::{OFlags, open_directory, open_in_root};
use naru_kernel::pinned;
use naru_kernel::times::FileTime;
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A mount that is wanted, its target absolute.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    kind: MountKind,
    target: String,
    read_only: bool,
}

impl Wanted {
    /// Where its files come from: a name, or the context, and the path there; nothing when it shows no files.
    pub(super) fn files(&self) -> Option<(Option<&str>, &str)> {
        match &self.kind {
            MountKind::Bind { from, source } => {
                Some((from.as_deref(), source.as_deref().unwrap_or("/")))
            }
            MountKind::Cache { .. }
            | MountKind::Tmpfs { .. }
            | MountKind::Secret { .. }
            | MountKind::Ssh { .. } => None,
        }
    }

    /// The stage or image it shows.
    pub(super) fn from(&self) -> Option<&str> {
        match &self.kind {
            MountKind::Bind { from, .. } | MountKind::Cache { from, .. } => from.as_deref(),
            MountKind::Tmpfs { .. } | MountKind::Secret { .. } | MountKind::Ssh { .. } => None,
        }
    }

    /// What of it counts for the key. What a secret is does not.
    pub(super) fn described(&self) -> String {
        format!("{:?} {} {}", self.kind, self.target, self.read_only)
    }
}

/// The mounts of a RUN.
pub(super) fn wanted(step: &Step<'_>, stage: &Stage, run: &Run) -> Result<Vec<Wanted>, Fault> {
    let mut list = Vec::with_capacity(run.mounts.len());
    for flag in &run.mounts {
        let lookup = |name: &str| stage.scope.get(name);
        let escape = step.session.shared.file.directives.escape;
        let mut expand = |text: &str| naru_dockerfile::Expander::new(escape, &lookup).word(text);
        let mount = flag.resolve(&mut expand).map_err(|error| located(step, &error.to_string()))?;
        let current = match stage.config.config.working_dir.as_str() {
            "" => "/",
            path => path,
        };
        let target = match (&mount.target, &mount.kind) {
            (Some(target), _) => working_dir(current, target),
            (None, MountKind::Secret { id, env, .. }) if env.is_none() => {
                format!("/run/secrets/{}", id.rsplit('/').next().unwrap_or(id))
            }
            (None, MountKind::Ssh { .. }) => {
                let number = list
                    .iter()
                    .filter(|wanted: &&Wanted| matches!(wanted.kind, MountKind::Ssh { .. }));
                format!("/run/buildkit/ssh_agent.{}", number.count())
            }
            (None, MountKind::Secret { .. }) => String::new(),
            (None, _) => current.to_owned(),
        };
        if target == "/" {
            return Err(located(step, "invalid mount target \"/\"")
                .with_hint("say with `target=` where the mount is to be"));
        }
        list.push(Wanted { kind: mount.kind, target, read_only: mount.read_only });
    }
    Ok(list)
}

/// Mounts that are ready, and what has to stay until the process has ended.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) mounts: Vec<RunMount>,
    pub(super) env: Vec<String>,
    caches: Vec<CacheMount>,
    agents: Vec<AgentSocket>,
}

impl Ready {
    fn add(&mut self, wanted: &Wanted, read_only: bool, source: MountSource) {
        self.mounts.push(RunMount { target: wanted.target.clone(), read_only, source });
    }

    /// A script that is executed as a file.
    pub(super) fn script(
        &mut self,
        scratch: &Scratch,
        name: &str,
        text: &str,
    ) -> Result<(), Fault> {
        let path = file(scratch, text.as_bytes(), 0o755, (0, 0))?;
        self.mounts.push(RunMount {
            target: format!("/dev/pipes/{name}"),
            read_only: true,
            source: MountSource::Path(path),
        });
        Ok(())
    }
}

/// A file in the directory of a step.
fn file(
    scratch: &Scratch,
    bytes: &[u8],
    mode: u32,
    (uid, gid): (u32, u32),
) -> Result<PathBuf, Fault> {
    let path = scratch.path().join(crate::layer::random()?.get(..16).unwrap_or("file"));
    let failed = || "cannot prepare a file for a step".to_owned();
    let mut file = naru_kernel::fs::create_new(&path, 0o600).during(failed)?;
    file.write_all(bytes).during(failed)?;
    std::os::unix::fs::fchown(&file, Some(uid), Some(gid)).during(failed)?;
    file.set_permissions(PermissionsExt::from_mode(mode)).during(failed)?;
    Ok(path)
}

/// Makes one mount ready.
pub(super) async fn make_ready(
    hand: &Hand,
    session: &Arc<Session>,
    wanted: &Wanted,
    place: &Place,
    scratch: &Scratch,
    ready: &mut Ready,
) -> Result<(), Fault> {
    let shared = &session.shared;
    match &wanted.kind {
        MountKind::Tmpfs { size } => {
            ready.add(wanted, wanted.read_only, MountSource::Memory(*size));
        }
        MountKind::Secret { id, env, required, mode, uid, gid } => {
            let Some(secret) = shared.options.secrets.get(id) else {
                if *required {
                    return Err(Fault::invalid(format!("secret {id}: not found"))
                        .with_hint(format!("give it with `--secret id={id},src=FILE`")));
                }
                return Ok(());
            };
            if let Some(name) = env {
                let value = std::str::from_utf8(&secret.0).map_err(|_bad| {
                    Fault::invalid(format!("secret {id} is no text, so no variable can hold it"))
                })?;
                ready.env.push(format!("{name}={value}"));
            }
            if !wanted.target.is_empty() {
                let owner = (uid.unwrap_or(0), gid.unwrap_or(0));
                let path = secret_file(hand, &secret.0, mode.unwrap_or(0o400), owner)?;
                ready.add(wanted, true, MountSource::Mount(path));
            }
        }
        MountKind::Ssh { id, required, mode, uid, gid } => {
            let id = id.as_deref().unwrap_or("default");
            match shared.options.ssh.as_ref().filter(|lent| lent.has(id)) {
                Some(lent) => {
                    let owner = (mode.unwrap_or(0o600), uid.unwrap_or(0), gid.unwrap_or(0));
                    let socket = AgentSocket::open(scratch.path(), lent, id, owner)?;
                    ready.add(wanted, false, MountSource::Path(socket.path().to_owned()));
                    ready.env.push(format!("SSH_AUTH_SOCK={}", wanted.target));
                    ready.agents.push(socket);
                }
                None if *required => {
                    return Err(Fault::invalid(format!("unset ssh forward key {id}"))
                        .with_hint(format!("give it with `--ssh {id}`")));
                }
                None => {}
            }
        }
        MountKind::Cache { id, source, sharing, mode, uid, gid, .. } => {
            let id = id.clone().unwrap_or_else(|| wanted.target.clone());
            let id = match shared.options.build_args.get("BUILDKIT_CACHE_MOUNT_NS") {
                Some(Some(space)) if !space.is_empty() => format!("{space}/{id}"),
                Some(_) | None => id,
            };
            let owner = (mode.unwrap_or(0o755), uid.unwrap_or(0), gid.unwrap_or(0));
            let cache = hand.inner.mounts.take(&hand.inner.place, &id, *sharing, owner).await?;
            if cache.is_new {
                let (dir, source) = (cache.dir(), source.clone().unwrap_or_default());
                let place = place.clone();
                hand.blocking(move |hand| seed(hand, place, &source, &dir)).await?;
            }
            ready.add(wanted, wanted.read_only, MountSource::Path(cache.dir()));
            ready.caches.push(cache);
        }
        MountKind::Bind { from, source } => {
            let source = source.clone().unwrap_or_default();
            let tree = match place {
                Place::Root(chain) => {
                    let chain = *chain;
                    let found = hand.blocking(move |hand| vertex::view(&hand.inner.store, chain));
                    found.await?
                }
                Place::Context(of) => {
                    Some(context(shared, from.as_deref().unwrap_or_default(), of).await?)
                }
            };
            let tree = tree.ok_or_else(|| missing(&source))?;
            let is_written = !wanted.read_only;
            let place = scratch.path().to_owned();
            let mount =
                hand.blocking(move |_| bind(tree, &source, is_written.then_some(&place))).await?;
            ready.add(wanted, wanted.read_only, MountSource::Mount(mount));
        }
    }
    Ok(())
}

fn missing(source: &str) -> Fault {
    Fault::not_found(format!("\"/{}\": not found", source.trim_start_matches('/')))
}

/// A file that is in no directory of the disk: a secret must not be found anywhere when the power fails.
fn secret_file(
    _hand: &Hand,
    bytes: &[u8],
    mode: u32,
    (uid, gid): (u32, u32),
) -> Result<OwnedFd, Fault> {
    let failed = || "cannot prepare a secret".to_owned();
    let options = [("mode".to_owned(), Some("0700".to_owned()))];
    let memory = naru_kernel::mount::new_file_system(&naru_kernel::mount::NewFileSystem {
        kind: "tmpfs",
        source: "naru",
        options: &options,
        attributes: 0,
    })
    .during(failed)?;
    let mut file = naru_kernel::path::create_new(&memory, "secret", 0o600).during(failed)?;
    file.write_all(bytes).during(failed)?;
    std::os::unix::fs::fchown(&file, Some(uid), Some(gid)).during(failed)?;
    file.set_permissions(PermissionsExt::from_mode(mode)).during(failed)?;
    drop(file);
    clone_inside(memory, Path::new("secret")).during(failed)
}

/// What a bind shows. What is written to it goes into a directory that nobody keeps.
fn bind(tree: OwnedFd, source: &str, written: Option<&PathBuf>) -> Result<OwnedFd, Fault> {
    let path = source.trim_start_matches('/');
    if let Some(place) = written {
        // Each mount writes to a place of its own.
        let place = place.join(crate::layer::random()?.get(..16).unwrap_or("written"));
        let (upper, work) = (place.join("upper"), place.join("work"));
        let failed = || format!("cannot mount `{source}` to be written to");
        fs::create_dir_all(&upper).during(failed)?;
        let found = open_in_root(&tree, path, OFlags::PATH).map_err(|_gone| missing(source))?;
        let like = node::status(&found).during(failed)?;
        if like.kind != NodeKind::Directory {
            // One file: what is written goes to a copy.
            let copy = place.join("file");
            let from = pinned::reopen(&found, OFlags::RDONLY).during(failed)?;
            let to = naru_kernel::fs::create_new(&copy, 0o600).during(failed)?;
            naru_kernel::sparse::copy(&from, &to).during(failed)?;
            node::set_owner(&to, like.uid, like.gid).during(failed)?;
            node::set_mode(&to, like.mode).during(failed)?;
            return naru_kernel::mount::clone_path(&copy, false).during(failed);
        }
        let lower = naru_kernel::path::proc_path(found.as_fd());
        return naru_kernel::overlay::writable(&[lower], &upper, &work).during(failed);
    }
    let mount = if path.is_empty() { Ok(tree) } else { clone_inside(tree, Path::new(path)) };
    let mount = mount.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => missing(source),
        _ => Fault::io(format!("cannot mount `{source}`"), error),
    })?;
    let change = Change { set: attribute::READ_ONLY, ..Change::default() };
    set_attributes(mount.as_fd(), change).during(|| format!("cannot mount `{source}`"))?;
    Ok(mount)
}

/// A context as a directory, once a build.
async fn context(
    shared: &Arc<Shared>,
    name: &str,
    context: &BuildContext,
) -> Result<OwnedFd, Fault> {
    let place = shared.materialized.of(name);
    let scratch = place
        .get_or_try_init(|| async {
            let view = View::Context(context.clone());
            shared
                .blocking(move |shared| {
                    let scratch = Scratch::new(&shared.inner.place)?;
                    fill(&view, "", scratch.path())?;
                    Ok(scratch)
                })
                .await
        })
        .await?;
    let root = open_directory(scratch.path()).during(|| "cannot open the context".to_owned())?;
    clone_tree(&root, "", false).during(|| "cannot mount the context".to_owned())
}

/// What a new cache mount starts from.
fn seed(hand: &Hand, place: Place, source: &str, dir: &Path) -> Result<(), Fault> {
    let chain = match place {
        Place::Root(chain) => chain,
        Place::Context(context) => return fill(&View::Context(context), source, dir),
    };
    let Some(root) = vertex::view(&hand.inner.store, chain)? else { return Ok(()) };
    let there = open_in_root(&root, source, OFlags::PATH | OFlags::DIRECTORY);
    match there {
        Ok(_) => fill(&View::Root(Arc::new(root)), source, dir),
        Err(error) => Err(Fault::new(Kind::NotFound, missing(source).message()).with_source(error)),
    }
}

/// Copies a directory of a view.
fn fill(view: &View, source: &str, dir: &Path) -> Result<(), Fault> {
    let pieces = find(view, source, Pattern::None, false)?;
    let failed = || "cannot prepare a directory for a step".to_owned();
    let mut target = Target::new(dir, None).during(failed)?;
    let how = Copying {
        destination: "/",
        owner: None,
        mode: None,
        parents: false,
        excluded: None,
        cancelled: Arc::default(),
        now: FileTime::default(),
    };
    let none = || Err(Fault::internal("nothing is unpacked here"));
    copy(&pieces, &mut target, &how, &none)?;
    fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).during(failed)
}
