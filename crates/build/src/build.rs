//! Acts: one build from its options to an image in the store: stages side by side, what came of the target put together.

mod first;

use crate::assemble;
use crate::attest::Materials;
use crate::cache::{self, Imported, Noted};
use crate::context::{BuildContext, Files};
use crate::event::{BuildEvent, BuildFailure, BuildWarning, Built};
use crate::flight::Flights;
use crate::named::Once;
use crate::options::{BuildOptions, DockerfileSource};
use crate::plan::{self, Plan};
use crate::ports::{Caches, Executor, Sources};
use crate::stage::{self, Stage};
use naru_dockerfile::{CheckDirective, Dockerfile, Given, check};
use naru_errdefs::{Fault, Kind};
use naru_oci::Platform;
use naru_store::{Lease, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// Longer than any build takes; the lease ends with the build.
pub(crate) const LEASE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most instructions of a Dockerfile.
const MOST_INSTRUCTIONS: usize = 20_000;
/// The longest Dockerfile that is read.
pub(crate) const MAX_DOCKERFILE: u64 = 16 << 20;

/// Builds images into one store.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) files: Files,
    pub(crate) place: PathBuf,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) sources: Arc<dyn Sources>,
    pub(crate) caches: Arc<dyn Caches>,
    pub(crate) flights: Flights,
    /// Vertices that may be made at once.
    pub(crate) turns: Arc<Semaphore>,
    /// Files of the network that are being fetched.
    pub(crate) fetching: crate::remote::Turns,
    /// Cache mounts that are in use, and by how many.
    pub(crate) mounts: crate::mounts::InUse,
    numbers: AtomicU32,
}

impl Builder {
    /// A builder whose own files lie under `place`, a directory on the file system of the store.
    pub fn open(
        store: Store,
        place: &Path,
        executor: Arc<dyn Executor>,
        sources: Arc<dyn Sources>,
        caches: Arc<dyn Caches>,
    ) -> Result<Builder, Fault> {
        let files = Files::open(&place.join("files"))?;
        crate::mounts::clear(place)?;
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let inner = Inner {
            store,
            files,
            place: place.to_owned(),
            executor,
            sources,
            caches,
            flights: Flights::default(),
            turns: Arc::new(Semaphore::new(processors.max(2) * 4)),
            fetching: crate::remote::Turns::default(),
            mounts: crate::mounts::InUse::default(),
            numbers: AtomicU32::new(0),
        };
        Ok(Builder { inner: Arc::new(inner) })
    }

    /// Contents of contexts.
    pub fn files(&self) -> &Files {
        &self.inner.files
    }

    /// Builds an image. Dropping the future cancels the build with everything it started.
    pub async fn build(
        &self,
        context: Option<BuildContext>,
        mut options: BuildOptions,
        events: mpsc::Sender<BuildEvent>,
    ) -> Result<Built, BuildFailure> {
        let cancelled = CancelOnDrop(Arc::default());
        let context = match (context, options.remote.take()) {
            (Some(context), None) => context,
            (None, Some(address)) => {
                let told = (&events, &cancelled.0);
                crate::remote::context(&self.inner, &address, &mut options, told).await?
            }
            (Some(_), Some(_)) => {
                return Err(Fault::invalid("a build has one context: an address or files").into());
            }
            (None, None) => self.inner.files.assemble(crate::Tree::default())?,
        };
        let (name, text) = dockerfile(&context, &options.dockerfile)?;
        if text.is_empty() {
            return Err(Fault::invalid(format!("the Dockerfile ({name}) cannot be empty"))
                .with_hint("begin it with `FROM IMAGE`")
                .into());
        }
        let mut file = naru_dockerfile::parse(&text)
            .map_err(|problems| Fault::invalid(problems.to_string().trim_end().to_owned()))?;
        if let Some(text) = crate::remote::setting(&options, CheckDirective::ARGUMENT) {
            file.directives.check = CheckDirective::of_argument(text)?;
        }
        bound(&file)?;
        let (context, ignored) =
            crate::ignore::apply(&context, &name, options.ignore_file.as_deref())?;
        let platforms = if options.platforms.is_empty() {
            vec![Platform::host()]
        } else {
            options.platforms.clone()
        };
        let shared = Arc::new(Shared {
            inner: Arc::clone(&self.inner),
            number: self.inner.numbers.fetch_add(1, Ordering::Relaxed),
            lease: Arc::new(self.inner.store.leases.create(LEASE)),
            context,
            ignored,
            file,
            text,
            file_name: name,
            options,
            events,
            ids: AtomicU32::new(0),
            warnings: Mutex::default(),
            cancelled: Arc::clone(&cancelled.0),
            used: Mutex::default(),
            imported: Imported::default(),
            exports: Noted::default(),
            materials: Materials::default(),
            noted: Mutex::default(),
            materialized: Once::default(),
            fetched: Once::default(),
            now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        });
        shared.check().await?;
        shared.say_first().await;
        Imported::open(&shared).await;
        let built = loop {
            let built = run_all(&shared, &platforms).await;
            // What a cache promised and does not have is made anew, and all that stands on it.
            if built.is_err() && shared.imported.takes_again() {
                shared.exports.clear();
                continue;
            }
            break built;
        };
        shared.imported.conclude(&shared).await;
        shared.inner.touch(&shared);
        drop(shared);
        self.inner.bound_contents();
        built
    }
}

/// Files with more instructions than anybody writes are refused: each of them is told of, kept and looked up.
fn bound(file: &Dockerfile) -> Result<(), Fault> {
    let count: usize = file.stages.iter().map(|stage| stage.steps.len() + 1).sum();
    if count <= MOST_INSTRUCTIONS {
        return Ok(());
    }
    let text = format!(
        "the Dockerfile has {count} instructions, and at most {MOST_INSTRUCTIONS} are carried out"
    );
    Err(Fault::invalid(text)
        .with_hint("one `ENV`, `LABEL`, `COPY` or `RUN` can do what many of them do"))
}

/// Builds the target for all platforms and records it.
async fn run_all(shared: &Arc<Shared>, platforms: &[Platform]) -> Result<Built, BuildFailure> {
    let mut results = Vec::new();
    for (index, platform) in platforms.iter().enumerate() {
        let result = run(shared, platform.clone(), index).await?;
        cache::bring_whole(shared, result.chain).await?;
        results.push((platform.clone(), result));
    }
    let mut built = assemble::assemble(shared, results.clone()).await?;
    built.cache = cache::export(shared, &results).await?;
    Ok(built)
}

#[derive(Debug)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What all platforms of one build share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) inner: Arc<Inner>,
    pub(crate) number: u32,
    pub(crate) lease: Arc<Lease>,
    pub(crate) context: BuildContext,
    pub(crate) ignored: crate::ignore::Ignored,
    pub(crate) file: Dockerfile,
    /// Its text.
    pub(crate) text: Vec<u8>,
    pub(crate) file_name: String,
    pub(crate) options: BuildOptions,
    pub(crate) events: mpsc::Sender<BuildEvent>,
    ids: AtomicU32,
    warnings: Mutex<Vec<BuildWarning>>,
    pub(crate) cancelled: Arc<AtomicBool>,
    /// Rows of the cache that were used, to be written with the time of their use at the end.
    pub(crate) used: Mutex<BTreeSet<String>>,
    /// Caches from elsewhere.
    pub(crate) imported: Imported,
    /// Keys that were used or made, for caches elsewhere.
    pub(crate) exports: Noted,
    /// What it was made from, for its provenance.
    pub(crate) materials: Materials,
    /// Steps that made no layer and were not known, by key, to be noted at the end.
    pub(crate) noted: Mutex<BTreeMap<String, String>>,
    /// Contexts as directories, for binds, by their names; the build's own has none.
    pub(crate) materialized: Once<crate::mounts::Scratch>,
    /// Files of further contexts, by their addresses.
    pub(crate) fetched: Once<BuildContext>,
    /// Seconds since 1970, when the build began.
    pub(crate) now: u64,
}

impl Shared {
    /// The number of the next vertex.
    pub(crate) fn next_id(&self) -> u32 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells something. Whoever reads slowly is waited for; whoever has gone is not told.
    pub(crate) async fn tell(&self, event: BuildEvent) {
        self.events.send(event).await.ok();
    }

    /// Warns.
    pub(crate) async fn warn(&self, rule: &str, message: String, line: usize) {
        let warning = BuildWarning {
            rule: rule.to_owned(),
            message,
            file: self.file_name.clone(),
            line,
            url: String::new(),
        };
        self.say(warning).await;
    }

    async fn say(&self, warning: BuildWarning) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning.clone());
        self.tell(BuildEvent::Warning(warning)).await;
    }

    /// What the build was given, for a platform.
    fn given<'a>(&'a self, host: &'a Platform, target: &'a Platform) -> Given<'a> {
        Given {
            build: host,
            target,
            stage: self.options.target.as_deref(),
            arguments: &self.options.build_args,
        }
    }

    /// Says what the build checks find; where the file says so, that fails the build.
    async fn check(&self) -> Result<(), Fault> {
        let (warnings, violation) = self.findings();
        for warning in warnings {
            self.say(warning).await;
        }
        violation.map_or(Ok(()), |text| Err(Fault::invalid(text)))
    }

    fn findings(&self) -> (Vec<BuildWarning>, Option<String>) {
        let host = Platform::host();
        let given = self.given(&host, self.options.platforms.first().unwrap_or(&host));
        // Base images are not looked at: what they may set is not said to be missing.
        let unknown = |_stage: usize| None;
        let context = check::Context { given, base: &unknown, ignore: self.ignored.patterns() };
        let findings = check::check(&self.file, &context);
        let violation = check::violation(&self.file, &findings);
        let warnings = findings.into_iter().map(|finding| BuildWarning {
            rule: finding.rule.name().to_owned(),
            message: finding.message,
            file: self.file_name.clone(),
            line: finding.span.start,
            url: finding.rule.url(),
        });
        (warnings.collect(), violation)
    }

    /// What was said.
    pub(crate) fn warnings(&self) -> Vec<BuildWarning> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time of the build for what it makes: as it was asked for, or now.
    pub(crate) fn time(&self) -> u64 {
        self.options.source_date_epoch.unwrap_or(self.now)
    }

    /// Runs work that waits for the disk on a thread that may.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Shared>,
        work: impl FnOnce(&Shared) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let me = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&me)).await {
            Ok(done) => done,
            Err(error) => Err(Fault::internal("a step of a build was lost").with_source(error)),
        }
    }
}

/// A build for one platform.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    host: Platform,
    pub(crate) platform: Platform,
    /// Its number among the platforms of the build.
    pub(crate) index: usize,
    /// What is going to be done.
    pub(crate) plan: Plan,
    /// What came of each stage.
    stages: Vec<watch::Sender<Option<Arc<Stage>>>>,
    /// Where stages are asked for that the plan does not know of: triggers of base images name them.
    wanted: mpsc::UnboundedSender<usize>,
}

impl Session {
    /// What came of a stage, when it is there.
    pub(crate) async fn stage(&self, number: usize) -> Result<Arc<Stage>, Fault> {
        let lost = || Fault::internal("a stage was left out of its build");
        let mut receiver = self.stages.get(number).ok_or_else(lost)?.subscribe();
        if receiver.borrow().is_none() && !self.plan.needed.contains(&number) {
            self.wanted.send(number).map_err(|_over| lost())?;
        }
        let found = receiver.wait_for(Option::is_some).await;
        found.ok().and_then(|stage| stage.clone()).ok_or_else(lost)
    }

    /// What the build was given.
    pub(crate) fn given(&self) -> Given<'_> {
        self.shared.given(&self.host, &self.platform)
    }
}

/// Builds the target of a file for a platform.
async fn run(
    shared: &Arc<Shared>,
    platform: Platform,
    index: usize,
) -> Result<Arc<Stage>, BuildFailure> {
    let file = &shared.file;
    let host = Platform::host();
    let replaced = |name: &str| shared.options.named(name).is_some();
    let given = shared.given(&host, &platform);
    let plan = plan::plan(file, &shared.file_name, given, &replaced)?;
    shared.tell(BuildEvent::Planned { vertices: plan.steps }).await;
    let (wanted, mut asked) = mpsc::unbounded_channel();
    let session = Arc::new(Session {
        shared: Arc::clone(shared),
        host,
        platform,
        index,
        plan,
        stages: file.stages.iter().map(|_| watch::Sender::new(None)).collect(),
        wanted,
    });
    let target = session.plan.target;
    let mut begun = BTreeSet::new();
    let mut work = JoinSet::new();
    let mut begin = |work: &mut JoinSet<_>, number: usize| {
        if begun.insert(number) {
            let session = Arc::clone(&session);
            work.spawn(async move { (number, stage::build(&session, number).await) });
        }
    };
    for number in &session.plan.needed {
        begin(&mut work, *number);
    }
    let lost = || Fault::internal("the target was left out of its build");
    loop {
        let done = tokio::select! {
            Some(number) = asked.recv() => {
                begin(&mut work, number);
                continue;
            }
            done = work.join_next() => done,
        };
        let (number, stage) = done
            .ok_or_else(lost)?
            .map_err(|error| Fault::internal("a stage of a build was lost").with_source(error))?;
        let stage = Arc::new(stage?);
        if let Some(place) = session.stages.get(number) {
            place.send_replace(Some(Arc::clone(&stage)));
        }
        if number == target {
            return Ok(stage);
        }
    }
}

/// The Dockerfile's name and text.
fn dockerfile(
    context: &BuildContext,
    source: &DockerfileSource,
) -> Result<(String, Vec<u8>), Fault> {
    match source {
        DockerfileSource::Text { name, text } => Ok((name.clone(), text.to_vec())),
        DockerfileSource::Path(path) => {
            let name = if path.is_empty() { "Dockerfile" } else { path.as_str() };
            let text = match context.read(name, MAX_DOCKERFILE)? {
                // As docker does for those who write it small.
                None if name == "Dockerfile" => context.read("dockerfile", MAX_DOCKERFILE)?,
                found => found,
            };
            let text = text.ok_or_else(|| {
                Fault::new(
                    Kind::InvalidInput,
                    format!("Cannot locate specified Dockerfile: {name}"),
                )
                .with_hint("name it with `-f`, as a path below the context")
            })?;
            Ok((name.to_owned(), text))
        }
    }
}

/// So many bytes of contexts stay for the next ones.
const MOST_CONTENTS: u64 = 16 << 30;
/// How often it is looked how many they are.
const LOOK_EVERY: u32 = 16;

impl Inner {
    /// Sees to it that contents of contexts do not grow without bound. While builds run, nothing goes.
    fn bound_contents(&self) {
        if !self.numbers.load(Ordering::Relaxed).is_multiple_of(LOOK_EVERY) {
            return;
        }
        let files = self.files.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(fault) = files.shrink(MOST_CONTENTS, Duration::ZERO) {
                tracing::warn!(
                    "cannot bound the contents of contexts: {}",
                    naru_errdefs::one_line(&fault)
                );
            }
        });
    }

    /// Notes which rows of the cache a build used, and which steps of configurations are known now. Worth no wait: it only
    /// decides what is pruned first, and what is said to be from the cache.
    fn touch(&self, shared: &Shared) {
        let used = std::mem::take(&mut *shared.used.lock().unwrap_or_else(PoisonError::into_inner));
        let mut batch = naru_store::Batch::new();
        for key in used {
            if let Ok(Some(mut step)) = self.store.build_cache.get(&key) {
                step.last_used = shared.now;
                step.uses += 1;
                batch.put_cached_step(&key, &step);
            }
        }
        let noted =
            std::mem::take(&mut *shared.noted.lock().unwrap_or_else(PoisonError::into_inner));
        for (key, description) in noted {
            let step = naru_store::CachedStep {
                // Nothing is held for a line of a configuration.
                chain: None,
                parent: None,
                layer: None,
                description,
                created: shared.now,
                last_used: shared.now,
                uses: 0,
                content_key: None,
            };
            batch.put_cached_step(&key, &step);
        }
        if let Err(error) = self.store.commit_volatile(batch) {
            tracing::debug!(%error, "the use of the build cache was not noted");
        }
    }
}
