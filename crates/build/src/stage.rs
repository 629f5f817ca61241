//! Acts: builds one stage: its base, then instruction by instruction.

use crate::build::Session;
use crate::event::{BuildEvent, BuildFailure};
use crate::ports::{Base, ImageRequest};
use crate::scope::Scope;
use crate::stages::{self, Origin};
use crate::{config, steps, wording};
use naru_dockerfile::{Instruction, Statement};
use naru_errdefs::{Fault, one_line};
use naru_oci::{ChainId, Config, Descriptor, Digest, Manifest, Platform, media_type};
use naru_store::{CachedStep, Store};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// The longest image config and manifest that are read.
const MAX_DOCUMENT: u64 = 8 << 20;

/// A stage, as far as it is built.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// Its configuration, with history and layers.
    pub(crate) config: Config,
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
    /// The triggers of its base, yet to be carried out.
    triggers: Vec<String>,
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
    let label = stages::label(described, number);
    let no_cache = shared.options.no_cache
        || shared.options.no_cache_filter.iter().any(|name| name.eq_ignore_ascii_case(&label));
    let total = described.steps.iter().filter(|step| wording::makes_files(&step.what)).count() + 1;
    let mut step = session.first_step.get(&number).copied().unwrap_or(1);
    let prefix = |at: usize| match file.stages.len() {
        1 => format!("[{at}/{total}]"),
        _ => format!("[{label} {at}/{total}]"),
    };

    // A vertex begins when what it is made from is there, so that its time is its own.
    let text = session.bases.get(number).map_or("", String::as_str);
    if let Origin::Stage(other) = stages::base(file, number, text) {
        session.stage(other).await?;
    }
    let id = shared.next_id();
    let started = Instant::now();
    shared
        .tell(BuildEvent::VertexStarted {
            id,
            name: format!("{} {}", prefix(1), described.from.text),
            instruction: described.from.text.clone(),
            stage: Some(label.clone()),
            step: Some((step, session.steps)),
        })
        .await;
    let base = base(session, number, id).await;
    let mut stage =
        finish(session, (id, started), base, |stage| (stage.cached, Some(result_of(stage))))
            .await?;

    let mut scope = Scope::new(&shared.options.build_args, &session.global);
    let triggers = triggers(&std::mem::take(&mut stage.triggers))?;
    let mut at = 1;
    for statement in triggers.iter().chain(&described.steps) {
        step += 1;
        for other in stages::of_step(file, &statement.what) {
            session.stage(other).await?;
        }
        let id = shared.next_id();
        let started = Instant::now();
        let shown = steps::shown(session, &stage, &scope, statement);
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
                step: Some((step.min(session.steps), session.steps)),
            })
            .await;
        let mut running = Step { session, id, statement, no_cache, cached: true };
        let done = Box::pin(steps::carry_out(&mut running, &mut stage, &mut scope)).await;
        let cached = running.cached;
        stage.cached &= cached;
        finish(session, (id, started), done, |()| (cached, Some(result_of(&stage)))).await?;
    }
    Ok(stage)
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
    let mut key = crate::key::KeyMaker::new("stage", stage.chain);
    key.text(&serde_json::to_string(&stage.config.config).unwrap_or_default());
    key.number(stage.config.history.len() as u64);
    key.digest()
}

async fn base(session: &Arc<Session>, number: usize, id: u32) -> Result<Stage, BuildFailure> {
    let shared = &session.shared;
    let text = session.bases.get(number).cloned().unwrap_or_default();
    let name = match stages::base(&shared.file, number, &text) {
        Origin::Stage(other) => {
            let mut stage = Stage::clone(&*session.stage(other).await?);
            stage.inherited = stage.config.history.len().min(stage.inherited);
            stage.has_cmd = false;
            stage.triggers = std::mem::take(&mut stage.config.config.on_build);
            return Ok(stage);
        }
        Origin::Other(name) => name,
    };
    let platform = stage_platform(session, number)?;
    image(session, &name, &platform, id).await
}

/// The platform of a stage: as it says, or as the build does.
fn stage_platform(session: &Session, number: usize) -> Result<Platform, Fault> {
    let file = &session.shared.file;
    let asked = file.stages.get(number).and_then(|stage| stage.platform.as_deref());
    let Some(asked) = asked else { return Ok(session.platform.clone()) };
    let lookup = |name: &str| session.global.get(name).cloned();
    let text = naru_dockerfile::Expander::new(file.directives.escape, &lookup)
        .word(asked)
        .map_err(|error| Fault::invalid(error.to_string()))?;
    Ok(text.parse::<Platform>()?)
}

/// The stage that an image is.
pub(crate) async fn image(
    session: &Arc<Session>,
    name: &str,
    platform: &Platform,
    id: u32,
) -> Result<Stage, BuildFailure> {
    let shared = &session.shared;
    let name = match shared.options.named_contexts.get(name) {
        Some(other) => other.strip_prefix("docker-image://").unwrap_or(other).to_owned(),
        None => name.to_owned(),
    };
    if name == "scratch" {
        return Ok(Stage {
            config: config::scratch(platform),
            layers: Vec::new(),
            chain: None,
            size: 0,
            cached: true,
            inherited: 0,
            has_cmd: false,
            triggers: Vec::new(),
        });
    }
    let (sender, mut progress) = mpsc::channel(16);
    let request = ImageRequest {
        name: &name,
        platform,
        pull: shared.options.pull,
        auth: &shared.options.registry_auth,
    };
    let asking = shared.inner.sources.image(request, sender);
    let telling = async {
        while let Some((what, current, total)) = progress.recv().await {
            shared.tell(BuildEvent::VertexProgress { id, what, current, total }).await;
        }
    };
    let (found, ()) = tokio::join!(asking, telling);
    let Base { record } = found?;
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
        config,
        layers: layers.collect(),
        chain: record.chain,
        size: record.size,
        cached: true,
        has_cmd: false,
        triggers,
    })
}

/// The OCI name of what docker calls otherwise.
fn oci_type(name: &str) -> &str {
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
