//! Acts: git repositories for builds: opens lines to their servers.

mod http;
mod stream;

use http::HttpLine;
use naru_build::ports::GitRequest;
use naru_errdefs::{Fault, Kind};
use naru_git::{Line, Oid, PackWriter, Session, Tip, Transport};
use naru_transfer::Registries;
use stream::StreamLine;

/// The commit that the reference of a repository means.
pub(super) async fn commit(registries: &Registries, request: GitRequest<'_>) -> Result<Tip, Fault> {
    let reference = request.address.reference.as_deref();
    match &request.address.transport {
        Transport::Http(url) => {
            tip(HttpLine::open(registries, url, request.auth).await?, reference).await
        }
        _ => tip(StreamLine::open(&request).await?, reference).await,
    }
}

async fn tip<L: Line>(line: L, reference: Option<&str>) -> Result<Tip, Fault> {
    Session::open(line).await?.resolve(reference).await
}

/// Writes a pack in which a commit is with all its files.
pub(super) async fn pack(
    registries: &Registries,
    request: GitRequest<'_>,
    commit: Oid,
    mut pack: PackWriter,
) -> Result<PackWriter, Fault> {
    match &request.address.transport {
        Transport::Http(url) => {
            let open = || HttpLine::open(registries, url, request.auth);
            fetch(open, &request, commit, &mut pack).await?;
        }
        _ => fetch(|| StreamLine::open(&request), &request, commit, &mut pack).await?,
    }
    Ok(pack)
}

async fn fetch<L: Line, F: Future<Output = Result<L, Fault>>>(
    open: impl Fn() -> F,
    request: &GitRequest<'_>,
    commit: Oid,
    pack: &mut PackWriter,
) -> Result<(), Fault> {
    let mut session = Session::open(open().await?).await?;
    let reference = request.address.reference.as_deref();
    let is_name = reference.is_none_or(|text| Oid::parse(text).is_none());
    // What a branch begins with is given to everybody; by its hash, a commit is not by all servers.
    let tip = if is_name { session.resolve(reference).await.ok() } else { None };
    let object = tip.filter(|tip| tip.commit == commit).map_or(commit, |tip| tip.object);
    let refused = match session.fetch(object, pack).await {
        Ok(()) => return Ok(()),
        Err(fault) if fault.kind() == Kind::InvalidInput && pack.size() == 0 => fault,
        Err(fault) => return Err(fault),
    };
    drop(session);
    tracing::debug!(%refused, %commit, "a git server gives no single commit; all of its branches are fetched");
    Session::open(open().await?).await?.fetch_all(pack).await
}
