//! Acts: the calls about images.

use crate::convert::image::{self as convert, Counts};
use crate::convert::some;
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::reply::{self, Reply};
use crate::{refuse, registry};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http::StatusCode;
use http_body_util::BodyExt;
use naru_api_types::Query;
use naru_api_types::image::{ImageDeleteItem, ImageHistoryItem, ImagePruneResponse, ImageSummary};
use naru_api_types::progress::{ProgressDetail, ProgressLine};
use naru_api_types::registry::PushResult;
use naru_engine::images::{
    ImportRequest, ProgressStream, RemoveImageOptions, SaveFormat, SaveStream,
};
use naru_engine::{Images, Timestamp};
use naru_errdefs::{Fault, one_line};
use naru_oci::Reference;
use std::convert::Infallible;
use std::io;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

pub(crate) async fn list(images: &Images, call: Call) -> Result<Reply, Refusal> {
    let found = images.list(convert::filter(&call.query, Timestamp::now())?).await?;
    let counts = Counts { shared: call.query.flag("shared-size"), containers: false };
    let found: Vec<ImageSummary> =
        found.into_iter().map(|one| convert::summary(one, counts, call.version)).collect();
    Ok(reply::ok(&found))
}

pub(crate) async fn inspect(images: &Images, name: &str, call: Call) -> Result<Reply, Refusal> {
    no_platform(&call.query)?;
    Ok(reply::ok(&convert::inspect(images.inspect(name).await?, call.version)))
}

pub(crate) async fn history(images: &Images, name: &str, call: Call) -> Result<Reply, Refusal> {
    no_platform(&call.query)?;
    let steps = images.history(name).await?;
    let steps: Vec<ImageHistoryItem> = steps.into_iter().map(convert::history).collect();
    Ok(reply::ok(&steps))
}

pub(crate) async fn tag(images: &Images, name: &str, call: Call) -> Result<Reply, Refusal> {
    let repository = call.query.get("repo").unwrap_or_default();
    let target = match call.query.text("tag") {
        Some(tag) => format!("{repository}:{tag}"),
        None => repository.to_owned(),
    };
    images.tag(name, &target).await?;
    Ok(reply::empty(StatusCode::CREATED))
}

pub(crate) async fn remove(images: &Images, name: &str, call: Call) -> Result<Reply, Refusal> {
    if call.query.text("platforms").is_some() {
        return Err(Fault::unsupported("`platforms` is not supported")
            .with_hint("remove the whole image")
            .into());
    }
    // `noprune` would keep untagged parents; images have none here.
    let options = RemoveImageOptions { force: call.query.flag("force") };
    let gone = images.remove(name, options).await?;
    let gone: Vec<ImageDeleteItem> = gone.into_iter().map(convert::deleted).collect();
    Ok(reply::ok(&gone))
}

pub(crate) async fn prune(images: &Images, call: Call) -> Result<Reply, Refusal> {
    let pruned = images.prune(convert::prune(&call.query, Timestamp::now())?).await?;
    Ok(reply::ok(&ImagePruneResponse {
        images_deleted: some(pruned.deleted.into_iter().map(convert::deleted).collect()),
        space_reclaimed: pruned.space_reclaimed,
    }))
}

pub(crate) async fn save(
    images: &Images,
    names: Vec<String>,
    call: Call,
) -> Result<Reply, Refusal> {
    no_platform(&call.query)?;
    if names.is_empty() {
        return Err(Fault::invalid("no image to save").with_hint("name at least one").into());
    }
    // Which form is an extension of ours; other clients do not send it.
    let format = match call.query.text("format") {
        None | Some("docker") => SaveFormat::Docker,
        Some("oci") => SaveFormat::Oci,
        Some(other) => {
            return Err(Fault::invalid(format!("unknown archive format `{other}`"))
                .with_hint("the formats are `docker` and `oci`")
                .into());
        }
    };
    // So are other names for the image than its own.
    let called = call.query.all("as").map(|name| Ok(name.parse::<Reference>()?.or_latest()));
    let called: Vec<Reference> = called.collect::<Result<_, Fault>>()?;
    let archive = images.save_as(&names, &called, format).await?;
    let pieces = futures_util::stream::unfold(archive, |mut archive: SaveStream| async move {
        let piece = archive.next().await?.map_err(|fault| {
            tracing::warn!(error = %one_line(&fault), "saving broke off");
            io::Error::other(one_line(&fault))
        });
        Some((piece, archive))
    });
    Ok(reply::with_type(StatusCode::OK, "application/x-tar", Body::from_stream(pieces)))
}

/// The body as a reader, which ends with an error when the client goes away.
pub(crate) fn reader(call: Call) -> impl AsyncRead + Send + Unpin + 'static {
    StreamReader::new(call.into_body().into_data_stream().map_err(io::Error::other))
}

pub(crate) async fn load(images: &Images, call: Call) -> Result<Reply, Refusal> {
    no_platform(&call.query)?;
    let quiet = call.query.flag("quiet");
    // In docker a load always begins: what is wrong with an archive is the stream's last line, and clients look for it there.
    Ok(told(None, images.load(reader(call)), quiet))
}

pub(crate) async fn create(images: &Images, call: Call) -> Result<Reply, Refusal> {
    let query = call.query.clone();
    if let Some(image) = query.text("fromImage") {
        return registry::pull(images, image, &call).await;
    }
    match query.get("fromSrc") {
        Some("-") => {}
        Some(source) => {
            return Err(refuse::call(
                &format!("fetching `{source}`"),
                "fetch it yourself and send it with `import -`",
            )
            .into());
        }
        None => {
            return Err(Fault::invalid("neither fromImage nor fromSrc is given").into());
        }
    }
    let request = ImportRequest {
        reference: import_reference(&query)?,
        changes: query.all("changes").map(str::to_owned).collect(),
        message: query.get("message").unwrap_or_default().to_owned(),
        platform: query.text("platform").map(str::to_owned),
    };
    progress(images.import(reader(call), request), false).await
}

fn import_reference(query: &Query) -> Result<Option<Reference>, Fault> {
    let Some(repository) = query.text("repo") else { return Ok(None) };
    let name = match query.text("tag") {
        Some(tag) => format!("{repository}:{tag}"),
        None => repository.to_owned(),
    };
    let reference: Reference = name.parse()?;
    if reference.digest().is_some() {
        return Err(Fault::invalid("cannot import digest reference"));
    }
    Ok(Some(reference.or_latest()))
}

/// Streams progress. A failure before the first line is an ordinary refusal; a later one is a line of its own, since
/// the status is sent by then.
pub(crate) async fn progress(mut stream: ProgressStream, quiet: bool) -> Result<Reply, Refusal> {
    let first = match next_line(&mut stream, quiet).await {
        Some(Err(fault)) => return Err(fault.into()),
        Some(Ok(bytes)) => Some(bytes),
        None => None,
    };
    Ok(told(first, stream, quiet))
}

/// The lines of a stream of progress, with what was read of it.
fn told(first: Option<Bytes>, stream: ProgressStream, quiet: bool) -> Reply {
    let rest = futures_util::stream::unfold(stream, move |mut stream| async move {
        let bytes = match next_line(&mut stream, quiet).await? {
            Ok(bytes) => bytes,
            Err(fault) => line(&ProgressLine::error(&fault)),
        };
        Some((bytes, stream))
    });
    let lines = futures_util::stream::iter(first).chain(rest).map(Ok::<Bytes, Infallible>);
    reply::with_type(StatusCode::OK, "application/json", Body::from_stream(lines))
}

/// The next line that is shown; a quiet client is shown texts only.
async fn next_line(stream: &mut ProgressStream, quiet: bool) -> Option<Result<Bytes, Fault>> {
    loop {
        match stream.next().await? {
            Ok(progress) if quiet && progress.stream.is_none() => {}
            Ok(progress) => {
                // Zeros are left out; what is left says that the line is one of those that replace each other.
                let some = |count: u64| Some(count).filter(|count| *count > 0);
                let mut detail = progress.detail.map(|(done, total)| ProgressDetail {
                    current: some(done),
                    total: some(total),
                });
                let aux = progress.pushed.and_then(|pushed| {
                    detail.get_or_insert_default();
                    serde_json::to_value(PushResult {
                        tag: pushed.tag,
                        digest: pushed.digest.to_string(),
                        size: pushed.size,
                    })
                    .ok()
                });
                return Some(Ok(line(&ProgressLine {
                    aux,
                    stream: progress.stream,
                    status: progress.status,
                    progress_detail: detail,
                    id: progress.id,
                    ..ProgressLine::default()
                })));
            }
            Err(fault) => return Some(Err(fault)),
        }
    }
}

fn line(line: &ProgressLine) -> Bytes {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.extend_from_slice(b"\r\n");
    bytes.into()
}

/// An image has one platform here: the one it was loaded with.
fn no_platform(query: &Query) -> Result<(), Fault> {
    match query.text("platform") {
        None => Ok(()),
        Some(_) => Err(Fault::unsupported("`platform` is not supported")
            .with_hint("leave it out: an image has the one platform it was loaded with")),
    }
}
