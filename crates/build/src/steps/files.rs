//! Acts: COPY, ADD and WORKDIR.

mod remote;

use super::vertex::{self, Hand, make};
use super::{Words, located};
use crate::build::Session;
use crate::context::BuildContext;
use crate::copy::{self, Copying, ModeChange, Piece, Target, View};
use crate::event::BuildFailure;
use crate::key::KeyMaker;
use crate::stage::{self, Stage, Step};
use crate::{config, users, wording};
use naru_dockerfile::{Add, Copy, Files, InlineFile, Instruction, Origin};
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_kernel::times::FileTime;
use remote::Later;
use std::path::PathBuf;
use std::sync::Arc;

/// COPY or ADD.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    keyword: &'static str,
    files: &'a Files,
    from: Option<&'a str>,
    parents: bool,
    checksum: Option<&'a str>,
    keep_git_dir: Option<bool>,
    unpack: Option<bool>,
}

/// What is copied: here, or found out about and fetched when nothing that was made of it is in the cache.
#[derive(Debug, Clone)]
enum Item {
    Here(Piece),
    Later(Later),
}

impl<'a> Asked<'a> {
    pub(super) fn from_copy(copy: &'a Copy) -> Asked<'a> {
        Asked {
            keyword: "COPY",
            files: &copy.files,
            from: copy.from.as_deref(),
            parents: copy.parents,
            checksum: None,
            keep_git_dir: None,
            unpack: Some(false),
        }
    }

    pub(super) fn from_add(add: &'a Add) -> Asked<'a> {
        Asked {
            keyword: "ADD",
            files: &add.files,
            from: None,
            parents: false,
            checksum: add.checksum.as_deref(),
            keep_git_dir: add.keep_git_dir,
            unpack: add.unpack,
        }
    }
}

/// Patterns of what is left out, ready to be asked.
type Excludes = Option<Arc<dyn Fn(&[u8], bool) -> bool + Send + Sync>>;

/// COPY and ADD.
pub(super) async fn copy(
    step: &mut Step<'_>,
    stage: &mut Stage,
    asked: &Asked<'_>,
) -> Result<(), BuildFailure> {
    let (sources, destination, chown, (chmod, mode), (left_out, excludes), inline, checksum) = {
        let words = Words::new(step, &stage.scope);
        let sources: Result<Vec<_>, _> =
            asked.files.sources.iter().map(|source| words.word(source)).collect();
        let destination = words.word(&asked.files.destination)?;
        // A flag that comes to nothing is as good as not given.
        let flag = |text: &Option<String>| -> Result<Option<String>, Fault> {
            let text = text.as_deref().map(|text| words.word(text)).transpose()?;
            Ok(text.filter(|text| !text.is_empty()))
        };
        let (chown, chmod) = (flag(&asked.files.chown)?, flag(&asked.files.chmod)?);
        let mode = chmod.as_deref().map(ModeChange::parse).transpose();
        let mode = mode.map_err(|message| located(step, &message))?;
        let list: Result<Vec<_>, _> =
            asked.files.exclude.iter().map(|pattern| words.word(pattern)).collect();
        let left_out: Vec<String> = list?;
        let excludes = crate::ignore::excludes(&left_out).map_err(|text| located(step, &text))?;
        let inline = inline(&words, &asked.files.inline)?;
        let checksum = asked.checksum.map(|text| words.word(text)).transpose()?;
        (sources?, destination, chown, (chmod, mode), (left_out, excludes), inline, checksum)
    };
    let asked = &Asked { checksum: checksum.as_deref().filter(|text| !text.is_empty()), ..*asked };
    let sources: Vec<String> = sources.into_iter().filter(|source| !source.is_empty()).collect();
    if sources.is_empty() && inline.is_empty() {
        return Err(located(
            step,
            &format!("no source files were specified for {}", asked.keyword),
        )
        .into());
    }
    let to = absolute(&stage.config.config.working_dir, &destination);
    let link = asked.files.link;
    let parent = if link { None } else { stage.chain };
    // A layer of its own does not stand on what is below, but for the names of users there.
    let is_name =
        |text: &String| text.contains(|letter: char| !letter.is_ascii_digit() && letter != ':');
    let by_name = link && chown.as_ref().is_some_and(is_name);
    let below = stage.chain.filter(|_| by_name).map(|chain| chain.to_string());
    let owner: Vec<&String> = chown.iter().chain(&below).collect();

    let created_by = wording::files(
        (asked.keyword, asked.parents),
        (chown.as_deref(), chmod.as_deref()),
        asked.files,
        (&sources, &destination),
    );
    let mut key = KeyMaker::new("COPY by origin", parent);
    key.text(&to).list(&sources).list(&owner).list(&left_out);
    key.text(&format!("{mode:?} {} {link} {}", asked.parents, compression(step)));
    let origin = origin_key(step, asked, key).await?;
    if let Some(key) = origin.as_ref().filter(|_| !step.no_cache)
        && let Some(found) = vertex::cached(step, (stage, parent), std::slice::from_ref(key), &[])?
    {
        let found = if link { rebase(step, stage, found).await? } else { found };
        stage.push(&found, created_by);
        return Ok(());
    }
    let mut items = items(step, asked, &sources, &inline, &to).await?;
    if let Some(excluded) = excludes.as_deref() {
        items.retain(|item| match item {
            Item::Here(piece) => !piece.is_left_out(excluded),
            Item::Later(_) => true,
        });
    }
    if items.is_empty() {
        let message = format!("{} {}: there are no such files", asked.keyword, sources.join(" "));
        let line = step.statement.span.start;
        step.session.shared.warn("", message, line).await;
    }
    if items.len() > 1 && !to.ends_with('/') && !to.ends_with("/.") {
        return Err(located(
            step,
            &format!(
                "When using {} with more than one source file, the destination must be a directory and end with a /",
                asked.keyword
            ),
        )
        .into());
    }
    let excluding = excludes.clone();
    let listed: Vec<Piece> = items
        .iter()
        .filter_map(|item| match item {
            Item::Here(piece) => Some(piece.clone()),
            Item::Later(_) => None,
        })
        .collect();
    let parents = asked.parents;
    let content = step
        .session
        .shared
        .blocking(move |_| {
            let excluded = excluding.as_deref();
            let excluded =
                excluded.map(|excluded| -> &(dyn Fn(&[u8], bool) -> bool + Sync) { excluded });
            copy::content_of(&listed, excluded, parents)
        })
        .await?;
    let mut key = KeyMaker::new(asked.keyword, parent);
    key.text(&to).text(&content).list(&owner);
    key.text(&format!("{mode:?} {parents} {link}"));
    for (number, item) in (0u64..).zip(&items) {
        if let Item::Later(later) = item {
            key.number(number).text(&later.key());
            if !left_out.is_empty() {
                // Of what is not here yet, nobody has seen what is left out.
                key.list(&left_out);
            }
        }
    }
    key.text(&compression(step));
    let keys: Vec<String> = std::iter::once(key.finish()).chain(origin).collect();
    let found = if step.no_cache {
        None
    } else {
        let is_plain =
            mode.is_none() && !parents && !link && excludes.is_none() && inline.is_empty();
        let texts = match is_plain {
            true => {
                classic_text(step, stage, asked, (chown.as_deref(), &destination), &items).await?
            }
            false => Vec::new(),
        };
        vertex::cached(step, (stage, parent), &keys, &texts)?
    };
    let made = match found {
        Some(found) => found,
        None => {
            let mut pieces = Vec::with_capacity(items.len());
            for item in items {
                match item {
                    Item::Here(piece) => pieces.push(piece),
                    Item::Later(later) => pieces.extend(later.fetch(step).await?),
                }
            }
            if chown.is_some() {
                crate::cache::bring(&step.session.shared, stage.chain, step.id).await?;
            }
            let order = Order { pieces, to, chown, mode, parents, excludes, chain: stage.chain };
            make(step, parent, keys, |hand| async move {
                hand.blocking(move |hand| fill(hand, &order)).await.map_err(BuildFailure::from)
            })
            .await?
        }
    };
    let made = if link { rebase(step, stage, made).await? } else { made };
    stage.push(&made, created_by);
    Ok(())
}

/// What the history of an image of docker's classic builder says of this COPY or ADD, if one is followed that may say it.
async fn classic_text(
    step: &Step<'_>,
    stage: &Stage,
    asked: &Asked<'_>,
    (chown, destination): (Option<&str>, &str),
    items: &[Item],
) -> Result<Vec<String>, Fault> {
    let flag = chown.map(|chown| format!("--chown={chown}")).unwrap_or_default();
    let before = format!("{} {flag}", asked.keyword);
    let after = format!(" in {destination}");
    let shared = &step.session.shared;
    if !shared.imported.has_sum(stage, &before, &after) {
        return Ok(Vec::new());
    }
    let mut pieces = Vec::with_capacity(items.len());
    for item in items {
        let Item::Here(piece) = item else { return Ok(Vec::new()) };
        pieces.push(piece.clone());
    }
    let mut texts = Vec::new();
    for with_kind in [false, true] {
        let listed = pieces.clone();
        let word = shared.blocking(move |_| copy::classic_word(&listed, with_kind)).await?;
        let text = word.map(|word| format!("{before}{word}{after}"));
        texts.extend(text.filter(|text| shared.imported.has_sum(stage, text, "")));
        if !texts.is_empty() {
            break;
        }
    }
    Ok(texts)
}

/// The key by where the files of a `COPY --from` come from: that file system is known by its content, so it need not be
/// looked at. None for files that come from elsewhere.
async fn origin_key(
    step: &Step<'_>,
    asked: &Asked<'_>,
    mut key: KeyMaker,
) -> Result<Option<String>, BuildFailure> {
    let Some(from) = asked.from.filter(|_| asked.files.inline.is_empty()) else { return Ok(None) };
    let Place::Root(chain) = place_of(step, from).await? else { return Ok(None) };
    key.text(&chain.map(|chain| chain.to_string()).unwrap_or_default());
    Ok(Some(key.finish()))
}

/// A layer that was made on nothing, on top of a stage: another snapshot of the same files.
async fn rebase(
    step: &Step<'_>,
    stage: &Stage,
    made: naru_store::CachedStep,
) -> Result<naru_store::CachedStep, Fault> {
    let (Some(parent), Some(layer)) = (stage.chain, made.layer.clone()) else { return Ok(made) };
    if let Some(chain) = step.session.shared.imported.rebase(&made, parent) {
        let (chain, parent) = (Some(chain), Some(parent));
        return Ok(naru_store::CachedStep { chain, parent, layer: Some(layer), ..made });
    }
    crate::cache::bring(&step.session.shared, Some(parent), step.id).await?;
    let lease = Arc::clone(&step.session.shared.lease);
    step.session
        .shared
        .blocking(move |shared| {
            let chain = crate::layer::rebase(&shared.inner.store, &lease, &made, parent)?;
            Ok(naru_store::CachedStep {
                chain: Some(chain),
                parent: Some(parent),
                layer: Some(layer),
                ..made
            })
        })
        .await
}

fn compression(step: &Step<'_>) -> String {
    let options = &step.session.shared.options;
    format!("{:?} {:?}", options.compression, options.source_date_epoch)
}

struct Order {
    pieces: Vec<Piece>,
    to: String,
    chown: Option<String>,
    mode: Option<ModeChange>,
    parents: bool,
    excludes: Excludes,
    /// The file system that names of users are looked up in.
    chain: Option<naru_oci::ChainId>,
}

fn fill(hand: &Hand, order: &Order) -> Result<naru_store::CachedStep, Fault> {
    let store = &hand.inner.store;
    let changes = hand.begin()?;
    let owner = match &order.chown {
        Some(text) => {
            let root = vertex::view(store, order.chain)?;
            Some(users::owner(root.as_ref(), text)?)
        }
        None => None,
    };
    let lower = vertex::view(store, hand.parent)?;
    let mut target =
        Target::new(&changes.dir(), lower).during(|| "cannot prepare a layer".to_owned())?;
    let excluded = order.excludes.as_deref();
    let excluded = excluded.map(|excluded| -> &(dyn Fn(&[u8], bool) -> bool + Sync) { excluded });
    let how = Copying {
        destination: &order.to,
        owner,
        mode: order.mode.clone(),
        parents: order.parents,
        excluded,
        cancelled: hand.cancelled(),
        now: seconds(hand.about.now),
    };
    let layers = match &hand.parent {
        Some(chain) => store.snapshots.lower_dirs(chain)?,
        None => Vec::new(),
    };
    let upper = changes.dir();
    let mount = || writable(&layers, &upper);
    let time = copy::copy(&order.pieces, &mut target, &how, &mount)?;
    target.finish(time).during(|| "cannot finish a layer".to_owned())?;
    hand.commit(changes)
}

/// Layers and the directory of changes, to be written to.
fn writable(layers: &[PathBuf], upper: &std::path::Path) -> Result<std::os::fd::OwnedFd, Fault> {
    if layers.is_empty() {
        return naru_kernel::path::open_directory(upper)
            .during(|| "cannot open a layer".to_owned());
    }
    let work = upper.with_file_name("work");
    naru_kernel::overlay::writable(layers, upper, &work)
        .during(|| "cannot mount a layer to be written to".to_owned())
}

fn seconds(seconds: u64) -> FileTime {
    FileTime { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanoseconds: 0 }
}

/// A path in the image; a slash at the end stays.
fn absolute(working_dir: &str, path: &str) -> String {
    let joined = config::working_dir(if working_dir.is_empty() { "/" } else { working_dir }, path);
    let slash = path.ends_with('/') || path.ends_with("/.") || path == ".";
    if slash && joined != "/" { format!("{joined}/") } else { joined }
}

fn inline(words: &Words<'_>, files: &[InlineFile]) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let expanded = files.iter().map(|file| {
        let content = if file.expand { words.body(&file.content)? } else { file.content.clone() };
        Ok((file.name.clone(), content.into_bytes()))
    });
    expanded.collect()
}

/// Everything that is to be copied, in order.
async fn items(
    step: &Step<'_>,
    asked: &Asked<'_>,
    sources: &[String],
    inline: &[(String, Vec<u8>)],
    to: &str,
) -> Result<Vec<Item>, BuildFailure> {
    let shared = &step.session.shared;
    let view = source_view(step, asked.from).await?;
    let mut items = Vec::new();
    if asked.checksum.is_some() && sources.len() + inline.len() > 1 {
        return Err(located(step, "checksum can't be specified for multiple sources").into());
    }
    for source in sources {
        if asked.keyword == "ADD"
            && let Some(found) = remote::items(step, asked, source, to).await?
        {
            items.extend(found);
            continue;
        }
        if asked.checksum.is_some() {
            return Err(located(step, "checksum requires HTTP(S) or Git sources").into());
        }
        let Some(view) = view.clone() else {
            return Err(Fault::not_found(format!("\"/{source}\": not found")).into());
        };
        let (name, unpack) = (source.clone(), asked.unpack != Some(false));
        let how = if asked.parents { copy::Pattern::Parents } else { copy::Pattern::Plain };
        let found = shared.blocking(move |_| copy::find(&view, &name, how, unpack)).await;
        let found = found.map_err(|fault| explain(step, asked, source, fault))?;
        items.extend(found.into_iter().map(Item::Here));
    }
    for (name, content) in inline {
        let files = shared.inner.files.clone();
        let (name, content, time) = (name.clone(), content.clone(), seconds(shared.time()));
        let found = shared.blocking(move |_| {
            let context = files.one(&name, &content, 0o644, time)?;
            copy::find(&View::Context(context), &name, copy::Pattern::None, false)
        });
        items.extend(found.await?.into_iter().map(Item::Here));
    }
    Ok(items)
}

/// Where files come from: the context, a stage, an image. None: an empty file system.
async fn source_view(step: &Step<'_>, from: Option<&str>) -> Result<Option<View>, BuildFailure> {
    let session = step.session;
    let Some(from) = from else {
        return Ok(Some(View::Context(session.shared.context.clone())));
    };
    let chain = match place_of(step, from).await? {
        Place::Root(chain) => chain,
        Place::Context(context) => return Ok(Some(View::Context(context))),
    };
    crate::cache::bring(&session.shared, chain, step.id).await?;
    let view = session.shared.blocking(move |shared| vertex::view(&shared.inner.store, chain));
    Ok(view.await?.map(|root| View::Root(Arc::new(root))))
}

/// What files come from that is named with `from`.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The file system of a stage or an image; nothing when it is empty.
    Root(Option<naru_oci::ChainId>),
    /// A further context.
    Context(BuildContext),
}

/// What is named with `from`.
pub(super) async fn place_of(step: &Step<'_>, from: &str) -> Result<Place, BuildFailure> {
    let session = step.session;
    if let Some(context) = crate::named::files(&session.shared, from).await? {
        return Ok(Place::Context(context));
    }
    let graph = &session.plan.graph;
    let is_context = session.shared.options.named(from).is_some();
    match graph.source(step.stage, from) {
        Some(Origin::Stage(number)) if !is_context => {
            Ok(Place::Root(session.stage(number).await?.chain))
        }
        None if !is_context => {
            // Only triggers of base images come so far; the file itself was looked at before.
            let message = format!("stage {from:?} needs to be defined before the current stage");
            Err(located(step, &message).into())
        }
        _ => Ok(Place::Root(stage::image(session, from, &session.platform, step.id).await?.chain)),
    }
}

/// The files of a further context become the only layer of a stage.
pub(crate) async fn of_context(
    session: &Arc<Session>,
    name: &str,
    id: u32,
    stage: &mut Stage,
) -> Result<(), BuildFailure> {
    let lost = || Fault::internal("a further context cannot be copied");
    let statement = naru_dockerfile::parse_trigger("COPY . /").map_err(|_none| lost())?;
    let Instruction::Copy(copied) = &statement.what else { return Err(lost().into()) };
    let asked = Asked { from: Some(name), ..Asked::from_copy(copied) };
    let no_cache = session.shared.options.no_cache;
    let mut step = Step { session, stage: 0, id, statement: &statement, no_cache, cached: true };
    copy(&mut step, stage, &asked).await?;
    stage.cached = step.cached;
    stage.inherited = stage.config.history.len();
    Ok(())
}

/// What is not there may be there, but left out.
fn explain(step: &Step<'_>, asked: &Asked<'_>, source: &str, fault: Fault) -> Fault {
    if fault.kind() != Kind::NotFound {
        return fault.context(format!("{} {source}", asked.keyword));
    }
    let text = format!("{} failed: {}", asked.keyword, fault.message());
    if asked.from.is_some() {
        return Fault::not_found(text);
    }
    let shared = &step.session.shared;
    let fault = Fault::not_found(format!(
        "{text} (file not found in build context or excluded by .dockerignore)"
    ));
    match shared.ignored.rule(source) {
        Some(rule) => fault.with_hint(format!(
            "the rule `{rule}` of the ignore file leaves it out; add `!{}` after it",
            source.trim_start_matches('/')
        )),
        None if shared.context.tree.is_empty() => fault.with_hint(
            "a Dockerfile alone has no files: give it a directory, as in `naru build -f - DIRECTORY`, or copy from a stage or an image with `--from`",
        ),
        None => fault.with_hint("paths are looked up in the build context; check the path and where the build was started"),
    }
}

/// WORKDIR.
pub(super) async fn working_dir(
    step: &mut Step<'_>,
    stage: &mut Stage,
    asked: &str,
) -> Result<(), BuildFailure> {
    let path = config::working_dir(&stage.config.config.working_dir, asked);
    stage.config.config.working_dir.clone_from(&path);
    let created_by = format!("WORKDIR {path}");
    let shared = &step.session.shared;
    let user = stage.config.config.user.clone();
    let mut key = KeyMaker::new("WORKDIR", stage.chain);
    key.text(&path).text(&user).text(&compression(step));
    let keys = vec![key.finish()];
    let found = if step.no_cache {
        None
    } else {
        let texts = std::slice::from_ref(&created_by);
        vertex::cached(step, (stage, stage.chain), &keys, texts)?
    };
    if let Some(found) = found {
        match found.layer {
            Some(_) => stage.push(&found, created_by),
            None => config::note(&mut stage.config, created_by, None, true),
        }
        return Ok(());
    }
    crate::cache::bring(shared, stage.chain, step.id).await?;
    let (chain, place) = (stage.chain, path.clone());
    let there = shared
        .blocking(move |shared| {
            let Some(root) = vertex::view(&shared.inner.store, chain)? else {
                return Ok(place == "/");
            };
            let flags = naru_kernel::path::OFlags::PATH;
            Ok(naru_kernel::path::open_in_root(&root, &place, flags).is_ok())
        })
        .await?;
    if there {
        vertex::note_nothing(step.session, stage.chain, &keys);
        config::note(&mut stage.config, created_by, None, true);
        return Ok(());
    }
    let made = make(step, stage.chain, keys, |hand| async move {
        let made = hand.blocking(move |hand| {
            let changes = hand.begin()?;
            let lower = vertex::view(&hand.inner.store, hand.parent)?;
            let failed = || format!("cannot make the directory `{path}` of the image");
            let mut target = Target::new(&changes.dir(), lower).during(failed)?;
            let resolved = target.resolve(path.as_bytes()).during(failed)?;
            // It is made for whoever works in it.
            let owner = match user.as_str() {
                "" => (0, 0),
                user => users::owner(vertex::view(&hand.inner.store, hand.parent)?.as_ref(), user)?,
            };
            target.directory(&resolved, owner).during(failed)?;
            target.finish(seconds(hand.about.now)).during(failed)?;
            hand.commit(changes)
        });
        made.await.map_err(BuildFailure::from)
    })
    .await?;
    stage.push(&made, created_by);
    Ok(())
}
