//! Acts: `build`: asks the daemon, shows what it tells, and sees to what follows.

use super::file::{self, Given, Place};
use super::output::Output;
use super::request::{Asked, Surroundings};
use super::send::{self, Body};
use super::view::{TICK, View};
use super::{after, agents, cache, check, contexts, export};
use crate::commands::image::transfer::{Show, show_to_the_end};
use crate::commands::registry::Registries;
use crate::context::{self, App};
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use naru_api_types::build::{
    BUILD_STREAM, Base64, BuildExtras, BuildLine, BuiltImage, REGISTRY_CONFIG, failure,
};
use naru_client::{Client, Lines};
use naru_errdefs::{Fault, Kind};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;

/// Bytes that are read of a file of known hosts.
const LONGEST_HOSTS: u64 = 8 << 20;

pub(super) fn build(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let method =
        flags.text("call").unwrap_or("build").split(',').next().unwrap_or_default().to_owned();
    if flags.switch("check") || ["check", "lint"].contains(&method.as_str()) {
        return check::check(flags);
    }
    if method != "build" {
        return Err(Fault::unsupported(format!("`--call={method}` is not supported"))
            .with_hint("the methods are `build` and `check`")
            .into());
    }
    let around = Surroundings {
        lookup: &context::variable,
        read: &read,
        is_socket: &|path| std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket()),
    };
    let asked = Asked::of(flags, &around)?;
    if asked.outputs.iter().filter(|output| output.is_stdout()).count() > 1 {
        return Err(Fault::invalid("only one output can go to standard output").into());
    }
    let stdout_is_free = !asked.outputs.iter().any(Output::is_stdout);
    if !stdout_is_free && printer::stdout_is_terminal() {
        return Err(Fault::invalid(
            "dest file not specified and stdout is a terminal: refusing to write an archive there",
        )
        .with_hint("add `dest=FILE`, or redirect the output")
        .into());
    }
    let given = file::find(flags)?;
    let registries = Registries::of(app)?;
    let mut view = View::of(flags, stdout_is_free)?;
    let made = app.talk(async |client| {
        if client.tells_steps().await? {
            let mut extras = asked.extras.clone();
            let directory = cache::prepare(client, &mut extras).await?;
            extras.known_hosts = known_hosts(&asked, &given);
            contexts::prepare(client, &mut extras, &mut view).await?;
            let built = ours(client, (&asked, extras), given, &registries, &mut view).await;
            view.end();
            let built = built?;
            if let Some(directory) = directory {
                directory.take(client, &built).await?;
            }
            after::identify(flags, &asked, &built)?;
            export::export(client, &asked, &built).await?;
            if asked.push {
                after::push(client, &asked, &registries, flags.switch("quiet")).await?;
            }
            return Ok(built.id);
        }
        let id = theirs(client, &asked, given, &registries, flags.switch("quiet")).await?;
        let built = BuiltImage { id: id.clone(), ..BuiltImage::default() };
        after::identify(flags, &asked, &built)?;
        if asked.push {
            after::push(client, &asked, &registries, flags.switch("quiet")).await?;
        }
        Ok(id)
    })?;
    if flags.switch("quiet") && stdout_is_free {
        printer::out(&format!("{made}\n"))?;
    }
    Ok(ExitStatus::SUCCESS)
}

/// The hosts that the user's `ssh` knows, where repositories may come by it.
fn known_hosts(asked: &Asked, given: &Given) -> Option<Base64> {
    let by_ssh = |text: &str| text.contains("ssh://") || text.contains("git@");
    let file = given.dockerfile.as_ref().map(|file| String::from_utf8_lossy(&file.text));
    let address = match &given.context {
        Place::Address(address) => Some(address),
        Place::Directory(_) | Place::Archive(..) | Place::Nothing => None,
    };
    let mut places = asked.extras.named_contexts.values().chain(address);
    // Submodules of an address may come by it, too.
    let may = !asked.agents.is_empty()
        || address.is_some()
        || places.any(|place| by_ssh(place))
        || file.is_some_and(|text| by_ssh(&text));
    let home = context::variable("HOME").filter(|_| may)?;
    let mut text = Vec::new();
    for name in [".ssh/known_hosts", ".ssh/known_hosts2"] {
        let Ok(file) = std::fs::File::open(std::path::Path::new(&home).join(name)) else {
            continue;
        };
        // Whoever cannot read them builds without, as `ssh` goes on without.
        file.take(LONGEST_HOSTS).read_to_end(&mut text).ok()?;
        text.push(b'\n');
    }
    (!text.is_empty()).then(|| Base64::new(&text))
}

/// A file with a secret.
fn read(path: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(super::secret::LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A build by our own daemon.
async fn ours(
    client: &Client,
    (asked, mut extras): (&Asked, BuildExtras),
    given: Given,
    registries: &Registries,
    view: &mut View,
) -> Result<BuiltImage, Failed> {
    let mut query = asked.query.clone();
    if let Place::Address(address) = &given.context {
        query = query.with("remote", address.as_str());
    }
    if given.dockerfile.is_none() {
        query = query.with_some("dockerfile", given.named.clone());
    }
    let file = given.dockerfile.as_ref().map(|file| (file.name.clone(), file.text.clone()));
    // They are lent until the build has ended.
    let lent = agents::lend(client, &asked.agents).await?;
    extras.agents = lent.as_ref().map(|lent| lent.told());
    let Body { content, failure: unsent } = send::ours(client, given, extras, view).await?;
    let headers =
        vec![("Accept", BUILD_STREAM.to_owned()), (REGISTRY_CONFIG, registries.all_headers())];
    let answer = ticking(view, client.build(&query, headers, content)).await;
    let answer = answer.map_err(|fault| unsent_or(unsent.as_ref(), fault));
    if let (Err(fault), Some((name, text))) = (&answer, &file) {
        point_at(fault, name, text);
    }
    let mut lines = answer?.lines();
    let mut built = None;
    while let Some(line) = next(&mut lines, view).await? {
        view.line(&line)?;
        match line {
            BuildLine::Built(image) => built = Some(image),
            BuildLine::Failed(detail) => {
                return Err(unsent_or(unsent.as_ref(), failure(&detail)).into());
            }
            _ => {}
        }
    }
    drop(lent);
    built.ok_or_else(|| {
        Fault::new(Kind::Unavailable, "the daemon's answer broke off before the build ended")
            .with_hint("see whether the daemon still runs, and what it logged; what was built by then is in its cache")
            .into()
    })
}

/// Shows the lines that a failure is about, when it is that the Dockerfile is not understood.
fn point_at(fault: &Fault, name: &str, text: &[u8]) {
    if fault.message().starts_with("dockerfile parse error")
        && let Err(problems) = naru_dockerfile::parse(text)
    {
        printer::raw_err(problems.first().place(name).as_bytes());
    }
}

/// What failed here is the reason why it failed there.
fn unsent_or(unsent: Option<&crate::build_context::pack::Failure>, fault: Fault) -> Fault {
    unsent
        .and_then(crate::build_context::pack::Failure::take)
        .filter(|own| own.kind() != Kind::Cancelled)
        .unwrap_or(fault)
}

async fn next(lines: &mut Lines, view: &mut View) -> Result<Option<BuildLine>, Fault> {
    ticking(view, lines.next()).await
}

/// Waits for something while the picture is drawn again and again.
async fn ticking<T>(view: &mut View, awaited: impl Future<Output = T>) -> T {
    let mut awaited = std::pin::pin!(awaited);
    loop {
        if !view.moves() {
            return awaited.await;
        }
        match tokio::time::timeout(TICK, &mut awaited).await {
            Ok(done) => return done,
            Err(_) => view.draw(false),
        }
    }
}

/// A build by another daemon, in docker's classic way.
async fn theirs(
    client: &Client,
    asked: &Asked,
    given: Given,
    registries: &Registries,
    quiet: bool,
) -> Result<String, Failed> {
    refuse(&asked.extras)?;
    if !asked.agents.is_empty() {
        return Err(elsewhere("flag `--ssh`").into());
    }
    if let Some(output) = asked.outputs.iter().find(|output| !output.keeps_image()) {
        return Err(elsewhere(&format!("`--output` ({output:?})")).into());
    }
    let mut query = asked.query.clone().with_flag("q", quiet);
    if let Place::Address(address) = &given.context {
        query = query.with("remote", address.as_str());
    }
    let cache: &[String] = &asked.extras.cache_from;
    if !cache.is_empty() {
        query = query.with("cachefrom", serde_json::to_string(cache).unwrap_or_default());
    }
    let (body, dockerfile) = send::theirs(given)?;
    let query = query.with_some("dockerfile", dockerfile);
    let headers = vec![(REGISTRY_CONFIG, registries.all_headers())];
    let answer = client.build(&query, headers, body.content).await;
    let lines = answer.map_err(|fault| unsent_or(body.failure.as_ref(), fault))?.lines();
    if quiet {
        return id_of_quiet(lines).await;
    }
    let last = show_to_the_end(lines, Show::Out).await?;
    let id = last.as_ref().and_then(|aux| aux.get("ID")).and_then(serde_json::Value::as_str);
    id.map(str::to_owned)
        .ok_or_else(|| Fault::internal("the daemon does not say what it built").into())
}

/// A quiet build says one line, or what went wrong.
async fn id_of_quiet(mut lines: Lines) -> Result<String, Failed> {
    let mut last = String::new();
    let mut said = String::new();
    while let Some(line) = lines.next::<naru_api_types::progress::ProgressLine>().await? {
        if let Some(fault) = line.failure() {
            printer::raw_err(said.as_bytes());
            return Err(fault.into());
        }
        if let Some(text) = line.stream {
            last = text.trim().to_owned();
            said.push_str(&text);
        }
    }
    Ok(last)
}

/// What another daemon cannot be told.
fn refuse(extras: &BuildExtras) -> Result<(), Fault> {
    for (name, given) in [
        ("--secret", !extras.secrets.is_empty()),
        ("--no-cache-filter", !extras.no_cache_filter.is_empty()),
        ("--cache-to", !extras.cache_to.is_empty()),
        ("--build-context", !extras.named_contexts.is_empty()),
        ("--output type=image,compression", extras.compression.is_some()),
        ("--sbom", extras.sbom),
        ("--provenance", extras.provenance.is_some()),
        ("--annotation", !extras.annotations.is_empty()),
        ("--allow", !extras.entitlements.is_empty()),
    ] {
        if given {
            return Err(elsewhere(&format!("flag `{name}`")));
        }
    }
    Ok(())
}

fn elsewhere(what: &str) -> Fault {
    Fault::unsupported(format!("{what} is not supported by the daemon that was asked"))
        .with_hint("it is not Naru's and only knows docker's classic builds; leave the flag out, or ask a Naru daemon with `-H`")
}
