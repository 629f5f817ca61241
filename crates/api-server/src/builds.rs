//! Acts: the calls about builds and the build cache.

mod agents;
mod desk;
mod telling;

pub(crate) use desk::Desk;

use crate::body::Unread;
use crate::convert::build as convert;
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::reply::{self, Reply};
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::BodyExt;
use naru_api_types::build::{
    BUILD_BODY, BUILD_STREAM, BuildExtras, BuildPruneResponse, ContextFiles, ContextMissing,
    MOST_EXTRAS, MOST_FILES,
};
use naru_engine::builds::{BuildContext, Content, ContextUpload, LentAgents, NamedContext, Tree};
use naru_engine::{Builds, Timestamp};
use naru_errdefs::{Fault, Kind};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use telling::{Teller, Telling};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio_util::io::StreamReader;

/// How long each further piece of a context may take: whoever makes it may think for long, but not for ever.
const STALL: Duration = Duration::from_secs(600);

pub(crate) async fn build(builds: &Builds, desk: &Desk, call: Call) -> Result<Reply, Refusal> {
    let query = call.query.clone();
    let tells_steps = has_type(call.header(ACCEPT.as_str()), BUILD_STREAM);
    let has_extras = has_type(call.header(CONTENT_TYPE.as_str()), BUILD_BODY);
    let builds = builds.clone();
    let headers = call.headers().clone();
    let mut body = BufReader::new(patient(call.into_body()));
    let mut extras = if has_extras { extras(&mut body).await? } else { BuildExtras::default() };
    let announced = extras.context.take();
    let has_text = extras.dockerfile.is_some();
    let lent = extras.agents.take();
    let directories = std::mem::take(&mut extras.named_directories);
    let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let mut options = convert::options(&query, header, extras)?;
    if let Some(lent) = lent {
        let agents = desk.take_agents(&lent.stream).ok_or_else(|| {
            Fault::not_found(format!("no stream `{}` leads to agents of ssh", lent.stream))
                .with_hint("open it again; it is there as long as its connection")
        })?;
        options.ssh = Some(LentAgents { ids: lent.ids.into_iter().collect(), agents });
    }
    for (name, sent) in directories {
        let upload = announced_as(desk, &sent.id)?;
        let context = builds.finish(upload, tokio::io::empty()).await?;
        let context = NamedContext::Files(context);
        convert::name_context(&mut options.named_contexts, &name, context)?;
    }
    let context: Option<BuildContext> = match (announced, query.text("remote")) {
        (Some(announced), None) => {
            let upload = announced_as(desk, &announced.id)?;
            Some(builds.finish(upload, body).await?)
        }
        (Some(_), Some(_)) => {
            return Err(Fault::invalid("a build has one context: either `remote` or files").into());
        }
        // The build fetches it, and tells how far it is. What else comes along is nothing.
        (None, Some(_)) => None,
        (None, None) if has_text && body.fill_buf().await.map_err(cut_off)?.is_empty() => None,
        (None, None) => Some(builds.receive(body).await?),
    };
    let teller = match tells_steps {
        true => Teller::steps(),
        false => {
            Teller::classic(query.flag("q"), query.flag_or("rm", true) || query.flag("forcerm"))
        }
    };
    let running = async move |events| builds.build(context, options, events).await;
    let mut telling = Telling::start(running, teller);
    let held = query.text("buildid").map(|id| desk.hold(id, telling.abort()));
    let first = telling.first().await.map_err(|fault| Refusal::from(fault).of_registry())?;
    let rest = futures_util::stream::unfold((telling, held), |(mut telling, held)| async move {
        let bytes = telling.next().await?;
        Some((bytes, (telling, held)))
    });
    let lines = futures_util::stream::iter(first).chain(rest).map(Ok::<Bytes, Infallible>);
    let media_type = if tells_steps { BUILD_STREAM } else { "application/json" };
    Ok(reply::with_type(StatusCode::OK, media_type, Body::from_stream(lines)))
}

/// Whether a media type is among those of a header.
fn has_type(header: Option<&str>, wanted: &str) -> bool {
    let plain = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    header.is_some_and(|header| header.split(',').any(|text| plain(text) == wanted))
}

/// The body as it comes. A sender that falls silent for long is given up.
fn patient(body: Unread) -> impl AsyncRead + Send + Unpin + 'static {
    let pieces = futures_util::stream::unfold(body.into_data_stream(), |mut body| async move {
        let piece = match tokio::time::timeout(STALL, body.next()).await {
            Ok(piece) => piece?.map_err(io::Error::other),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the rest of the build context did not arrive in time",
            )),
        };
        Some((piece, body))
    });
    StreamReader::new(Box::pin(pieces))
}

fn cut_off(error: io::Error) -> Fault {
    Fault::new(Kind::Cancelled, "cannot read the request body").with_source(error)
}

/// The first line of the body.
async fn extras(body: &mut (impl AsyncBufReadExt + Unpin)) -> Result<BuildExtras, Refusal> {
    let mut line = Vec::new();
    let most = u64::try_from(MOST_EXTRAS).unwrap_or(u64::MAX);
    body.take(most).read_until(b'\n', &mut line).await.map_err(cut_off)?;
    if line.last() != Some(&b'\n') {
        if line.len() >= MOST_EXTRAS {
            return Err(Refusal::TooLarge { limit: MOST_EXTRAS });
        }
        return Err(Fault::invalid("the request ends before its first line does").into());
    }
    // What is wrong with it is told without its text: it holds secrets.
    serde_json::from_slice(&line).map_err(|error| {
        let place = format!("column {}", error.column());
        Fault::invalid(format!("the first line of the request is not understood at {place}")).into()
    })
}

fn announced_as(desk: &Desk, id: &str) -> Result<ContextUpload, Fault> {
    desk.take(id).ok_or_else(|| {
        Fault::not_found(format!("no build context `{id}` was announced"))
            .with_hint("announce it again; one waits an hour for its build")
    })
}

/// Announces the files of a context, or brings what was missing of one.
pub(crate) async fn announce(builds: &Builds, desk: &Desk, call: Call) -> Result<Reply, Refusal> {
    if let Some(id) = call.query.text("contents").map(str::to_owned) {
        let upload = announced_as(desk, &id)?;
        let upload = builds.fill(upload, patient(call.into_body())).await?;
        return Ok(reply::ok(&ContextMissing { id: desk.keep(upload), missing: Vec::new() }));
    }
    let mut body = patient(call.into_body());
    let mut text = Vec::new();
    let most = u64::try_from(MOST_FILES).unwrap_or(u64::MAX);
    (&mut body).take(most.saturating_add(1)).read_to_end(&mut text).await.map_err(cut_off)?;
    if text.len() > MOST_FILES {
        return Err(Refusal::TooLarge { limit: MOST_FILES });
    }
    let reading = tokio::task::spawn_blocking(move || -> Result<_, Fault> {
        let files: ContextFiles = serde_json::from_slice(&text)
            .map_err(|error| Fault::invalid(format!("invalid JSON: {error}")))?;
        let mut tree = Tree::default();
        let mut contents = Vec::with_capacity(files.files.len());
        for file in files.files {
            let (path, node) = convert::node(file)?;
            contents.push(match &node.content {
                Content::File { digest, .. } => Some((*digest, node.mode)),
                Content::Directory | Content::Link(_) => None,
            });
            tree.insert(path, node);
        }
        Ok((tree, contents))
    });
    let (tree, contents) = reading
        .await
        .map_err(|error| Fault::internal("cannot read the request").with_source(error))??;
    let upload = builds.begin(tree).await?;
    let mut told = BTreeSet::new();
    let mut is_new = |content: &(_, _)| upload.missing.contains(content) && told.insert(*content);
    let missing = contents
        .iter()
        .zip(0u32..)
        .filter(|(content, _)| content.as_ref().is_some_and(&mut is_new))
        .map(|(_, index)| index)
        .collect();
    Ok(reply::ok(&ContextMissing { id: desk.keep(upload), missing }))
}

/// Takes a connection that leads to agents of ssh, for the build that will name it.
pub(crate) fn lend(desk: &Desk, call: &Call) -> Result<Reply, Refusal> {
    let Some(id) = call.query.text("id") else {
        return Err(Fault::invalid("the stream has no name")
            .with_hint("give it one with `id`, and name it in the build")
            .into());
    };
    let (agents, hijack) = agents::open();
    desk.keep_agents(id, agents);
    Ok(Reply::Hijack(hijack))
}

/// Ends a build that was started with a `buildid`. One that is over has nothing to end, as in docker.
pub(crate) fn cancel(desk: &Desk, call: &Call) -> Result<Reply, Refusal> {
    let Some(id) = call.query.text("id") else {
        return Err(Fault::invalid("build ID not provided")
            .with_hint("give the `buildid` that the build was started with as `id`")
            .into());
    };
    desk.cancel(id);
    Ok(reply::empty(StatusCode::OK))
}

pub(crate) async fn prune(builds: &Builds, call: Call) -> Result<Reply, Refusal> {
    let pruned = builds.prune(convert::prune(&call.query, Timestamp::now())?).await?;
    Ok(reply::ok(&BuildPruneResponse {
        caches_deleted: crate::convert::some(pruned.deleted),
        space_reclaimed: pruned.reclaimed,
    }))
}
