//! Acts: files in and out of a container, and what it changed.

use crate::dispatch::Call;
use crate::error::Refusal;
use crate::images::reader;
use crate::reply::{self, Reply};
use axum::body::Body;
use http::{HeaderName, HeaderValue, StatusCode};
use naru_api_types::container::copy::PATH_STAT_HEADER;
use naru_api_types::container::{FilesystemChange, PathStat};
use naru_engine::{ChangeKind, Containers, CopyIn};
use naru_errdefs::{Fault, one_line};
use std::io;

pub(crate) async fn stat(
    containers: &Containers,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let stat = containers.stat_path(name, path_of(&call)?).await?;
    with_stat(&stat, reply::empty(StatusCode::OK))
}

pub(crate) async fn get(containers: &Containers, name: &str, call: Call) -> Result<Reply, Refusal> {
    let (stat, archive) = containers.copy_out(name, path_of(&call)?).await?;
    let pieces = futures_util::stream::unfold(archive, |mut archive| async move {
        let piece = archive.next().await?.map_err(|fault| {
            tracing::warn!(error = %one_line(&fault), "a copy out of a container broke off");
            io::Error::other(one_line(&fault))
        });
        Some((piece, archive))
    });
    let body = Body::from_stream(pieces);
    with_stat(&stat, reply::with_type(StatusCode::OK, "application/x-tar", body))
}

pub(crate) async fn put(containers: &Containers, name: &str, call: Call) -> Result<Reply, Refusal> {
    let path = path_of(&call)?.to_owned();
    let options = CopyIn {
        keep_kinds: call.query.flag("noOverwriteDirNonDir"),
        to_user: call.query.flag("copyUIDGID"),
    };
    containers.copy_in(name, &path, options, reader(call)).await?;
    Ok(reply::empty(StatusCode::OK))
}

pub(crate) async fn changes(containers: &Containers, name: &str) -> Result<Reply, Refusal> {
    let changes = containers.changes(name).await?;
    let rows: Vec<FilesystemChange> = changes
        .into_iter()
        .map(|change| FilesystemChange {
            path: change.path,
            kind: match change.kind {
                ChangeKind::Modified => 0,
                ChangeKind::Added => 1,
                ChangeKind::Deleted => 2,
            },
        })
        .collect();
    // No change at all is `null`, as a nil slice of Go's is.
    Ok(reply::ok(&Some(rows).filter(|rows| !rows.is_empty())))
}

fn path_of(call: &Call) -> Result<&str, Fault> {
    // Docker's words, with docker's missing space.
    call.query.text("path").ok_or_else(|| Fault::invalid("bad parameter: pathcannot be empty"))
}

fn with_stat(stat: &naru_engine::PathStat, mut reply: Reply) -> Result<Reply, Refusal> {
    let stat = PathStat {
        name: stat.name.clone(),
        size: i64::try_from(stat.size).unwrap_or(i64::MAX),
        mode: stat.mode,
        mtime: stat.modified.to_string(),
        link_target: stat.link_target.clone(),
    };
    if let Reply::Response(response) = &mut reply {
        let value = HeaderValue::from_str(&stat.encode())
            .map_err(|error| Fault::internal("cannot write a header").with_source(error))?;
        let name = HeaderName::from_bytes(PATH_STAT_HEADER.as_bytes())
            .map_err(|error| Fault::internal("cannot write a header").with_source(error))?;
        response.headers_mut().insert(name, value);
    }
    Ok(reply)
}
