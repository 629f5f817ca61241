//! Acts: the calls about volumes.

use crate::body::Presence;
use crate::convert::{some, volume as convert};
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::reply::{self, Reply};
use axum::body::Body;
use futures_util::TryStreamExt;
use http::StatusCode;
use naru_api_types::volume::{VolumeCreateRequest, VolumeListResponse, VolumePruneResponse};
use naru_engine::{VolumeArchive, Volumes};
use naru_errdefs::one_line;
use std::io;
use tokio_util::io::StreamReader;

pub(crate) async fn create(volumes: &Volumes, call: Call) -> Result<Reply, Refusal> {
    let body: VolumeCreateRequest = call.json(Presence::Optional).await?;
    let view = volumes.create(convert::request(body)?).await?;
    Ok(reply::json(StatusCode::CREATED, &convert::volume(view)))
}

pub(crate) async fn list(volumes: &Volumes, call: Call) -> Result<Reply, Refusal> {
    let found = volumes.list(&convert::list(&call.query)?).await?;
    let answer = VolumeListResponse {
        volumes: found.into_iter().map(convert::volume).collect(),
        warnings: None,
    };
    Ok(reply::ok(&answer))
}

pub(crate) async fn inspect(volumes: &Volumes, name: &str) -> Result<Reply, Refusal> {
    Ok(reply::ok(&convert::volume(volumes.inspect(name).await?)))
}

pub(crate) async fn remove(volumes: &Volumes, name: &str, call: Call) -> Result<Reply, Refusal> {
    volumes.remove(name, call.query.flag("force")).await?;
    Ok(reply::no_content())
}

pub(crate) async fn prune(volumes: &Volumes, call: Call) -> Result<Reply, Refusal> {
    let pruned = volumes.prune(convert::prune(&call.query, call.version)?).await?;
    Ok(reply::ok(&VolumePruneResponse {
        volumes_deleted: some(pruned.deleted),
        space_reclaimed: pruned.space_reclaimed,
    }))
}

pub(crate) async fn backup(volumes: &Volumes, name: &str) -> Result<Reply, Refusal> {
    let archive = volumes.backup(name).await?;
    let pieces = futures_util::stream::unfold(archive, |mut archive: VolumeArchive| async move {
        let piece = archive.next().await?.map_err(|fault| {
            tracing::warn!(error = %one_line(&fault), "a backup broke off");
            io::Error::other(one_line(&fault))
        });
        Some((piece, archive))
    });
    Ok(reply::with_type(StatusCode::OK, "application/x-tar", Body::from_stream(pieces)))
}

pub(crate) async fn restore(volumes: &Volumes, name: &str, call: Call) -> Result<Reply, Refusal> {
    let force = call.query.flag("force");
    let stream = Body::new(call.into_body()).into_data_stream();
    let archive = StreamReader::new(stream.map_err(io::Error::other));
    volumes.restore(name, archive, force).await?;
    Ok(reply::no_content())
}
