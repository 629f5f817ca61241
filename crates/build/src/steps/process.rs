//! Acts: RUN.

mod mount;
mod scrub;

use super::files::{Place, place_of};
use super::located;
use super::vertex::{self, Hand, make};
use crate::build::Session;
use crate::copy::{self, View};
use crate::event::BuildFailure;
use crate::key::KeyMaker;
use crate::mounts::Scratch;
use crate::options::NetworkChoice;
use crate::ports::RunRequest;
use crate::stage::{Stage, Step};
use crate::{cache, config, wording};
use bytes::Bytes;
use mount::Wanted;
use naru_dockerfile::{Command, Heredoc, Run, RunNetwork, RunSecurity, Script, script};
use naru_errdefs::{Fault, Kind};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What a RUN executes.
struct Line {
    /// Program and arguments.
    args: Vec<String>,
    /// A script that is a file of its own, and its name.
    script: Option<(String, String)>,
}

/// RUN.
pub(super) async fn run(
    step: &mut Step<'_>,
    stage: &mut Stage,
    run: &Run,
) -> Result<(), BuildFailure> {
    let shared = &step.session.shared;
    if let Some(device) = run.devices.first() {
        return Err(Fault::unsupported(format!(
            "{}: RUN --device={} is not supported",
            shared.file_name, device.name
        ))
        .with_hint("run what needs a device in a container: `naru run --device`")
        .into());
    }
    let insecure = run.security == RunSecurity::Insecure;
    let granted = |what: &str| shared.options.entitlements.iter().any(|known| known == what);
    if insecure && !granted("security.insecure") {
        return Err(located(step, "security.insecure is not allowed")
            .with_hint("allow it with `--allow security.insecure`")
            .into());
    }
    let network = match run.network {
        RunNetwork::Default => shared.options.network.clone(),
        RunNetwork::None => NetworkChoice::None,
        RunNetwork::Host if granted("network.host") => NetworkChoice::Host,
        RunNetwork::Host => {
            return Err(located(step, "network.host is not allowed")
                .with_hint("allow it with `--allow network.host`, or build with `--network host`")
                .into());
        }
    };
    let line = line(&stage.config.config, &run.command, &step.statement.heredocs);
    let defaults = stage.config.config.clone();
    let scope = &stage.scope;
    let pair = |(name, value): (&str, &str)| format!("{name}={value}");
    let counted: Vec<String> = scope.arguments().map(pair).collect();
    let silent: Vec<String> = scope.predefined(step.session.given()).map(pair).collect();
    let shown_command = match &line.script {
        Some((name, _)) => vec![format!("<<{name}")],
        None => line.args.clone(),
    };
    let declared: Vec<String> =
        scope.declared().map(|(name, value)| format!("{name}={value}")).collect();
    let created_by = wording::run(&declared, &shown_command);
    let hostname = crate::remote::setting(&shared.options, "BUILDKIT_SANDBOX_HOSTNAME")
        .unwrap_or(HOST_NAME)
        .to_owned();

    let mounts = mount::wanted(step, stage, run)?;
    let mut key = KeyMaker::new("RUN", stage.chain);
    key.list(&line.args);
    if let Some((name, script)) = &line.script {
        key.text(name).text(script);
    }
    key.list(&defaults.env).list(&counted).text(&defaults.user).text(&defaults.working_dir);
    key.text(&format!("{network:?} {insecure}")).text(&hostname);
    for mount in &mounts {
        mount_key(step, mount, &mut key).await?;
    }
    key.text(&format!("{:?} {:?}", shared.options.compression, shared.options.source_date_epoch));
    let keys = vec![key.finish()];
    // What is mounted, a script that is a file, and the network are in no line of a history; nor is where a word begins.
    let is_told = run.mounts.is_empty()
        && line.script.is_none()
        && !insecure
        && run.network == RunNetwork::Default
        && match &run.command {
            Command::Exec(words) => !words.iter().any(|word| word.contains(char::is_whitespace)),
            Command::Shell(_) => true,
        };
    let texts =
        if is_told { cache::run_texts(&counted, &line.args, &created_by) } else { Vec::new() };
    let found = if step.no_cache {
        None
    } else {
        vertex::cached(step, (stage, stage.chain), &keys, &texts)?
    };
    let made = match found {
        Some(found) => found,
        None => {
            let platform = stage.config.platform();
            let place = format!("{}:{}", shared.file_name, step.statement.span.start);
            if let Some(fault) = crate::foreign::refusal(&platform, &step.statement.text, &place) {
                return Err(fault.into());
            }
            let order = Order {
                session: Arc::clone(step.session),
                line,
                env: [&defaults.env[..], &counted, &silent].concat(),
                user: defaults.user.clone(),
                working_dir: defaults.working_dir.clone(),
                network,
                hostname,
                insecure,
                mounts: resolve(step, mounts).await?,
            };
            make(step, stage.chain, keys, |hand| execute(hand, order)).await?
        }
    };
    stage.push(&made, created_by);
    Ok(())
}

/// The name that processes of builds see for their host, unless the build says another; the same everywhere, so that it changes
/// no result.
const HOST_NAME: &str = "buildkitsandbox";

/// What is executed: words, a line for the shell, a script for the shell, or a script with an interpreter of its own.
fn line(defaults: &naru_oci::ContainerDefaults, what: &Command, heredocs: &[Heredoc]) -> Line {
    match script(what, heredocs) {
        Script::Exec(args) => Line { args, script: None },
        Script::Shell(text) => {
            let mut args = config::shell(defaults);
            args.push(text);
            Line { args, script: None }
        }
        Script::File { name, content } => {
            Line { args: vec![format!("/dev/pipes/{name}")], script: Some((name, content)) }
        }
    }
}

/// What a mount shows; the root of nothing where it shows no files.
async fn place(step: &Step<'_>, mount: &Wanted) -> Result<Place, BuildFailure> {
    match mount.from() {
        Some(from) => place_of(step, from).await,
        None if mount.files().is_some() => Ok(Place::Context(step.session.shared.context.clone())),
        None => Ok(Place::Root(None)),
    }
}

async fn mount_key(
    step: &Step<'_>,
    mount: &Wanted,
    key: &mut KeyMaker,
) -> Result<(), BuildFailure> {
    key.text(&mount.described());
    let Some((_, source)) = mount.files() else { return Ok(()) };
    match place(step, mount).await? {
        Place::Root(chain) => {
            key.text(&format!("{chain:?} {source}"));
        }
        Place::Context(context) => {
            let view = View::Context(context);
            let source = source.to_owned();
            let digest = step.session.shared.blocking(move |_| {
                let pieces = copy::find(&view, &source, copy::Pattern::None, false)?;
                copy::content_of(&pieces, None, false)
            });
            key.text(&digest.await?);
        }
    }
    Ok(())
}

/// Mounts with what they show.
async fn resolve(
    step: &Step<'_>,
    mounts: Vec<Wanted>,
) -> Result<Vec<(Wanted, Place)>, BuildFailure> {
    let mut list = Vec::with_capacity(mounts.len());
    for mount in mounts {
        let place = place(step, &mount).await?;
        if let Place::Root(chain) = place {
            cache::bring(&step.session.shared, chain, step.id).await?;
        }
        list.push((mount, place));
    }
    Ok(list)
}

struct Order {
    session: Arc<Session>,
    line: Line,
    env: Vec<String>,
    user: String,
    working_dir: String,
    network: NetworkChoice,
    hostname: String,
    insecure: bool,
    mounts: Vec<(Wanted, Place)>,
}

async fn execute(hand: Hand, order: Order) -> Result<naru_store::CachedStep, BuildFailure> {
    let scratch = Scratch::new(&hand.inner.place)?;
    let changes = hand.blocking(Hand::begin).await?;
    let mut ready = mount::Ready::default();
    for (mount, place) in &order.mounts {
        mount::make_ready(&hand, &order.session, mount, place, &scratch, &mut ready).await?;
    }
    if let Some((name, script)) = &order.line.script {
        ready.script(&scratch, name, script)?;
    }
    let mut env = order.env.clone();
    env.append(&mut ready.env);
    let mut targets: Vec<String> = ready.mounts.iter().map(|mount| mount.target.clone()).collect();
    targets.push(order.working_dir.clone());
    let request = RunRequest {
        chain: hand.parent,
        args: order.line.args.clone(),
        env,
        user: order.user.clone(),
        working_dir: order.working_dir.clone(),
        network: order.network.clone(),
        hostname: order.hostname.clone(),
        mounts: std::mem::take(&mut ready.mounts),
        limits: order.session.shared.options.limits.clone(),
        insecure: order.insecure,
    };
    let (sender, mut output) = mpsc::channel::<(bool, Bytes)>(16);
    let log = Arc::clone(&hand.log);
    let running = hand.inner.executor.run(request, changes.dir(), sender);
    let reading = async {
        while let Some((stderr, bytes)) = output.recv().await {
            log.write(stderr, bytes);
        }
    };
    let (ran, ()) = tokio::join!(running, reading);
    let ran = ran?;
    drop(ready);
    if ran.code != 0 {
        let words = order.line.args.join(" ");
        let text = format!(
            "The command '{words}' returned a non-zero code: {}{}",
            ran.code,
            if ran.out_of_memory { " (it ran out of memory)" } else { "" }
        );
        return Err(BuildFailure {
            fault: Fault::new(Kind::InvalidInput, text),
            code: Some(ran.code),
        });
    }
    let step = hand.blocking(move |hand| {
        let lower = vertex::view(&hand.inner.store, hand.parent)?;
        scrub::scrub(&changes.dir(), lower.as_ref(), &targets)?;
        hand.commit(changes)
    });
    let step = step.await?;
    drop(scratch);
    Ok(step)
}
