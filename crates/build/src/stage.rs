//! Acts: builds one stage: its base, then instruction by instruction.

use crate::build::Session;
use crate::event::{BuildEvent, BuildFailure};
use crate::key::KeyMaker;
use crate::options::NamedContext;
use crate::ports::{Base, ImageRequest};
use crate::{config, plan, steps, wording};
use naru_dockerfile::{Instruction, Origin, Scope, Statement};
use naru_errdefs::{Fault, one_line};
use naru_oci::{ChainId, Config, Descriptor, Digest, Manifest, Platform, media_type};
use naru_store::{CachedStep, Store};
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use tokio::sync::mpsc;

/// The longest image config and manifest that are read.
const MAX_DOCUMENT: u64 = 8 << 20;

/// A stage, as far as it is built.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// Its configuration, with history and layers.
    pub(crate) config: Config,
    /// The variables that its next instruction sees.
    pub(crate) scope: Scope,
    /// The blobs of its layers.
    pub(crate) layers: Vec<Descriptor>,
    /// Its file system.
    pub(crate) chain: Option<ChainId>,
    /// Unpacked bytes.
    pub(crate) size: u64,
    /// Whether all of it came from the cache.
    pub(crate) cached: bool,
    /// How many lines of the history are its base's.
    pub(crate) inherited: usize,
    /// Whether it has a `CMD` of its own.
    pub(crate) has_cmd: bool,
    /// Images of caches whose history it has followed so far.
    pub(crate) follows: Vec<crate::cache::Follow>,
    /// The triggers of its base, yet to be carried out.
    triggers: Vec<String>,
    /// What docker's classic stream shows of its base: nothing when it starts from nothing.
    base: Option<Digest>,
}

impl Stage {
    /// What came of a vertex becomes its newest layer.
    pub(crate) fn push(&mut self, step: &CachedStep, created_by: String) {
        let created = crate::assemble::rfc3339(step.created);
        config::note(&mut self.config, created_by, Some(created), step.layer.is_none());
        if let Some(layer) = &step.layer {
            self.layers.push(layer.blob.clone());
            self.config.rootfs.diff_ids.push(layer.diff_id);
            self.size += layer.size;
            self.chain = step.chain;
        }
    }
}

/// One instruction under way.
pub(crate) struct Step<'a> {
    pub(crate) session: &'a Arc<Session>,
    /// The number of its stage.
    pub(crate) stage: usize,
    /// The vertex's number.
    pub(crate) id: u32,
    pub(crate) statement: &'a Statement<Instruction>,
    /// Whether nothing is taken from the cache.
    pub(crate) no_cache: bool,
    /// Whether it came from the cache.
    pub(crate) cached: bool,
}

/// Builds a stage.
pub(crate) async fn build(session: &Arc<Session>, number: usize) -> Result<Stage, BuildFailure> {
    let shared = &session.shared;
    let file = &shared.file;
    let Some(described) = file.stages.get(number) else {
        return Err(Fault::internal("a stage has gone from its file").into());
    };
    let label = plan::label(described, number);
    let no_cache = shared.options.no_cache
        || shared.options.no_cache_filter.iter().any(|name| name.eq_ignore_ascii_case(&label));
    // What a further context replaces has no instructions.
    let replaced = described.name.as_deref().filter(|name| shared.options.named(name).is_some());
    let instructions: &[Statement<Instruction>] =
        if replaced.is_some() { &[] } else { &described.steps };
    let total = instructions.iter().filter(|step| wording::makes_files(&step.what)).count() + 1;
    let first = session.plan.first_step.get(&number).copied();
    let place = |at: usize| Some((first? + at, session.plan.steps));
    let prefix = |at: usize| match file.stages.len() {
        1 => format!("[{at}/{total}]"),
        _ => format!("[{label} {at}/{total}]"),
    };

    // A vertex begins when what it is made from is there, so that its time is its own.
    if let Some(Origin::Stage(other)) = session.plan.graph.base(number)
        && replaced.is_none()
    {
        session.stage(*other).await?;
    }
    let id = shared.next_id();
    let started = Instant::now();
    shared
        .tell(BuildEvent::VertexStarted {
            id,
            name: format!("{} {}", prefix(1), described.from.text),
            instruction: described.from.text.clone(),
            stage: Some(label.clone()),
            step: place(0),
        })
        .await;
    let base = match replaced {
        Some(name) => {
            let platform = session.plan.platform(number).unwrap_or(&session.platform);
            image(session, name, platform, id)
                .await
                .map(|stage| Stage { triggers: Vec::new(), ..stage })
        }
        None => base(session, number, id).await,
    };
    if let Ok(stage) = &base {
        announce(session, id, stage.triggers.len()).await;
    }
    let mut stage =
        finish(session, (id, started), base, |stage| (stage.cached, stage.base)).await?;

    if no_cache {
        stage.follows.clear();
    }
    let triggers = triggers(&std::mem::take(&mut stage.triggers))?;
    // Triggers have no steps of their own: they belong to the `FROM`.
    let triggers = triggers.iter().map(|statement| (statement, None));
    let steps = instructions.iter().enumerate();
    let steps = steps.map(|(at, statement)| (statement, place(at + 1)));
    let mut at = 1;
    for (statement, place) in triggers.chain(steps) {
        for name in sources(&statement.what) {
            if shared.options.named(name).is_some() {
                continue;
            }
            if let Some(Origin::Stage(other)) = session.plan.graph.source(number, name) {
                session.stage(other).await?;
            }
        }
        let id = shared.next_id();
        let started = Instant::now();
        let shown = steps::shown(session, &stage, statement);
        let name = if wording::makes_files(&statement.what) {
            at += 1;
            format!("{} {shown}", prefix(at))
        } else {
            shown.clone()
        };
        shared
            .tell(BuildEvent::VertexStarted {
                id,
                name,
                instruction: shown,
                stage: Some(label.clone()),
                step: place,
            })
            .await;
        let mut running = Step { session, stage: number, id, statement, no_cache, cached: true };
        let (before, layers) = (result_of(&stage), stage.layers.len());
        let lines = stage.config.history.len();
        let mut done = Box::pin(steps::carry_out(&mut running, &mut stage)).await;
        let mut cached = running.cached;
        stage.cached &= cached;
        let followed = done.is_ok() && shared.imported.advance(&mut stage, (lines, layers));
        if done.is_ok() && stage.layers.len() == layers {
            match known(session, &before, statement, (no_cache, followed)) {
                Ok(known) => cached &= known,
                Err(fault) => done = Err(fault.into()),
            }
        }
        finish(session, (id, started), done, |()| (cached, Some(result_of(&stage)))).await?;
    }
    Ok(stage)
}

/// Says, as docker does, that triggers of the base come first.
async fn announce(session: &Session, id: u32, triggers: usize) {
    let text = match triggers {
        0 => return,
        1 => "# Executing 1 build trigger\n".to_owned(),
        more => format!("# Executing {more} build triggers\n"),
    };
    session.shared.tell(BuildEvent::VertexOutput { id, stderr: false, bytes: text.into() }).await;
}

/// Whether a step that made no layer was done on this very state before. From now on it was.
fn known(
    session: &Session,
    before: &Digest,
    statement: &Statement<Instruction>,
    (no_cache, followed): (bool, bool),
) -> Result<bool, Fault> {
    let shared = &session.shared;
    let mut key = KeyMaker::new("step", None);
    key.text(&before.hex()).text(&statement.text);
    let key = key.finish();
    let keys = [key];
    steps::note_nothing(session, None, &keys);
    let told = followed || !no_cache && shared.imported.find(shared, None, &keys)?.is_some();
    let [key] = keys;
    let asks = !no_cache && (followed || !shared.options.only_named_caches);
    if asks && shared.inner.store.build_cache.get(&key)?.is_some() {
        shared.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        return Ok(true);
    }
    let description = statement.text.chars().take(100).collect();
    shared.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(key, description);
    Ok(told)
}

/// What an instruction takes files from, besides its own stage and the context.
fn sources(instruction: &Instruction) -> Vec<&str> {
    if let Instruction::Copy(copy) = instruction {
        return copy.from.as_deref().into_iter().collect();
    }
    if let Instruction::Run(run) = instruction {
        return run.mounts.iter().filter_map(|mount| mount.from.as_deref()).collect();
    }
    Vec::new()
}

/// Tells how a vertex ended.
async fn finish<T>(
    session: &Session,
    (id, started): (u32, Instant),
    done: Result<T, BuildFailure>,
    what: impl FnOnce(&T) -> (bool, Option<Digest>),
) -> Result<T, BuildFailure> {
    let (cached, result) = done.as_ref().map_or((false, None), what);
    let error = done.as_ref().err().map(|failure| one_line(&failure.fault));
    let took = started.elapsed();
    session.shared.tell(BuildEvent::VertexDone { id, cached, took, result, error }).await;
    done
}

/// A digest for docker's classic stream, which shows one after each step.
fn result_of(stage: &Stage) -> Digest {
    let mut key = KeyMaker::new("stage", stage.chain);
    key.text(&serde_json::to_string(&stage.config.config).unwrap_or_default());
    key.number(stage.config.history.len() as u64);
    key.digest()
}

async fn base(session: &Arc<Session>, number: usize, id: u32) -> Result<Stage, BuildFailure> {
    let lost = || Fault::internal("a stage has gone from its plan");
    let base = session.plan.bases.get(number).ok_or_else(lost)?;
    let is_context = session.shared.options.named(&base.name).is_some();
    match session.plan.graph.base(number) {
        Some(Origin::Stage(other)) if !is_context => {
            say_ignored(session, number, *other).await;
            let mut stage = Stage::clone(&*session.stage(*other).await?);
            stage.has_cmd = false;
            stage.base = Some(result_of(&stage));
            stage.triggers = std::mem::take(&mut stage.config.config.on_build);
            Ok(stage)
        }
        _ => {
            let platform = session.plan.platform(number).unwrap_or(&session.platform);
            let mut stage = image(session, &base.name, platform, id).await?;
            stage.follows = session.shared.imported.follow(&stage);
            Ok(stage)
        }
    }
}

/// A stage that starts from another one is for what that one is for, as in BuildKit; there it goes without a word.
async fn say_ignored(session: &Session, number: usize, other: usize) {
    let Some(described) = session.shared.file.stages.get(number) else { return };
    let mut base = other;
    while let Some(Origin::Stage(next)) = session.plan.graph.base(base) {
        base = *next;
    }
    let platform = session.plan.platform(base).unwrap_or(&session.platform);
    if let Some(asked) = session.plan.platform(number).filter(|asked| *asked != platform) {
        let text = format!(
            "--platform={asked} means nothing here: the stage that this one starts from is for {platform}; write it where that one begins"
        );
        session.shared.warn("", text, described.from.span.start).await;
    }
}

/// The stage that an image is, or that the files of a further context are.
pub(crate) async fn image(
    session: &Arc<Session>,
    name: &str,
    platform: &Platform,
    id: u32,
) -> Result<Stage, BuildFailure> {
    let shared = &session.shared;
    let named = shared.options.named(name);
    let name = match named {
        Some(NamedContext::Files(_) | NamedContext::Address(_)) => {
            let mut stage = nothing(platform);
            Box::pin(steps::of_context(session, name, id, &mut stage)).await?;
            return Ok(stage);
        }
        Some(NamedContext::Image(other)) => other.clone(),
        Some(NamedContext::Content(_)) | None => name.to_owned(),
    };
    if name == "scratch" {
        return Ok(nothing(platform));
    }
    let (sender, mut progress) = mpsc::channel(16);
    let request = ImageRequest {
        name: &name,
        platform,
        pull: shared.options.pull,
        auth: &shared.options.registry_auth,
    };
    let asking = async {
        match named {
            Some(NamedContext::Content(digest)) => {
                drop(sender);
                shared.inner.sources.content(*digest, platform).await
            }
            _ => shared.inner.sources.image(request, sender).await,
        }
    };
    let telling = async {
        while let Some((what, current, total)) = progress.recv().await {
            shared.tell(BuildEvent::VertexProgress { id, what, current, total }).await;
        }
    };
    let (found, ()) = tokio::join!(asking, telling);
    let Base { record } = found?;
    // A layout has no name that others could find it by.
    if !matches!(named, Some(NamedContext::Content(_))) {
        shared.materials.image(&name, platform, record.target.digest);
    }
    let lease = Arc::clone(&shared.lease);
    let stage = shared
        .blocking(move |shared| {
            let store = &shared.inner.store;
            lease.hold_blob(&record.manifest)?;
            if let Some(chain) = &record.chain {
                lease.hold_snapshot(chain)?;
            }
            read_image(store, &record)
        })
        .await?;
    Ok(stage)
}

/// A stage that starts from nothing.
fn nothing(platform: &Platform) -> Stage {
    let config = config::scratch(platform);
    Stage {
        scope: Scope::new(config.config.env.iter().map(String::as_str)),
        config,
        base: None,
        layers: Vec::new(),
        chain: None,
        size: 0,
        cached: true,
        inherited: 0,
        has_cmd: false,
        follows: Vec::new(),
        triggers: Vec::new(),
    }
}

fn read_image(store: &Store, record: &naru_store::ImageRecord) -> Result<Stage, Fault> {
    let damaged = |what: &'static str| {
        move |error: serde_json::Error| {
            Fault::new(
                naru_errdefs::Kind::DataLoss,
                format!("the {what} of a base image is damaged"),
            )
            .with_source(error)
        }
    };
    let bytes = store.content.read(&record.config, MAX_DOCUMENT)?;
    let base: Config = serde_json::from_slice(&bytes).map_err(damaged("config"))?;
    let bytes = store.content.read(&record.manifest, MAX_DOCUMENT)?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(damaged("manifest"))?;
    let layers = manifest
        .layers
        .into_iter()
        .map(|layer| Descriptor { media_type: oci_type(&layer.media_type).to_owned(), ..layer });
    let triggers = base.config.on_build.clone();
    let config = config::inherit(base);
    Ok(Stage {
        inherited: config.history.len(),
        scope: Scope::new(config.config.env.iter().map(String::as_str)),
        config,
        base: Some(record.image_id.0),
        layers: layers.collect(),
        chain: record.chain,
        size: record.size,
        cached: true,
        has_cmd: false,
        follows: Vec::new(),
        triggers,
    })
}

/// The OCI name of what docker calls otherwise.
pub(crate) fn oci_type(name: &str) -> &str {
    match name {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => media_type::OCI_LAYER_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar" => media_type::OCI_LAYER,
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => media_type::OCI_LAYER_ZSTD,
        other => other,
    }
}

/// The instructions that a base image wants to be carried out first.
fn triggers(list: &[String]) -> Result<Vec<Statement<Instruction>>, Fault> {
    list.iter()
        .map(|text| {
            naru_dockerfile::parse_trigger(text).map_err(|problems| {
                let why = problems.first().sentence();
                Fault::invalid(format!("a trigger of the base image is no instruction: {why}"))
            })
        })
        .collect()
}
