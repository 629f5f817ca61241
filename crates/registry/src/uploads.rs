//! Uploads: blobs that come in one piece, in several, or from another repository.
//!
//! Acts. A session is a staging file of the store that outlives connections and restarts; only one request writes it at a time.
//! Whatever breaks off leaves it as far as it came, and the client is told how far that is.

mod receive;

use crate::access::Action;
use crate::answer::Answer;
use crate::blobs;
use crate::body;
use crate::problem::{Code, Problem};
use crate::range::piece as piece_range;
use crate::service::{Call, LEASE, Outcome, Service, blocking};
use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use naru_oci::{Algorithm, Digest};
use naru_store::{Batch, Member, Store, StoreError, Upload};
use receive::{Bounds, receive};
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};

/// How long a request waits for the one before it, whose connection has broken, to let go of the session.
const HANDOVER: Duration = Duration::from_secs(5);
/// How often a mount is begun anew because somebody else changed the same member; then it is an upload.
const TRIES: u32 = 20;
/// Shorter blobs that come in one piece are taken into memory and stored in one go.
const SHORT: u64 = 256 << 10;
fn bad_digest(text: &str) -> Problem {
    Problem::new(Code::DigestInvalid, "invalid digest, or of an unknown algorithm")
        .with_detail(json!({ "digest": text.chars().take(160).collect::<String>() }))
}

fn parse_digest(text: &str) -> Result<Digest, Problem> {
    text.parse().map_err(|_bad| bad_digest(text))
}

/// The answer to a blob that is there now.
fn created(name: &str, digest: &Digest) -> Response<Body> {
    Answer::empty(StatusCode::CREATED)
        .with(LOCATION, &format!("/v2/{name}/blobs/{digest}"))
        .with("docker-content-digest", &digest.to_string())
        .done()
}

/// How far a session has come. One without bytes has no range; `0-0` is what everybody says then.
fn standing(status: StatusCode, name: &str, id: &str, size: u64) -> Answer {
    Answer::empty(status)
        .with(LOCATION, &format!("/v2/{name}/blobs/uploads/{id}"))
        .with(RANGE, &format!("0-{}", size.saturating_sub(1)))
        .with("docker-upload-uuid", id)
}

/// POST: a session, a mount, or a whole blob.
pub(crate) async fn begin(service: &Service, name: &str, mut call: Call) -> Outcome {
    let mount = call.query.get("mount").filter(|mount| !mount.is_empty());
    if let Some(mount) = mount {
        let digest = parse_digest(mount)?;
        if let Some(from) = source(service, name, &digest, &call)
            // One that is taken away just now is sent, as if it had never been there.
            && let Ok(size) = service.content.size(&digest)
        {
            let mut bounds = Bounds::of(service, name, Some(digest));
            bounds.claim(size)?;
            if service.is_there(name, &digest) {
                return Ok(created(name, &digest));
            }
            let (store, repository) = (service.store.clone(), name.to_owned());
            let claim = bounds.claim;
            let joined = blocking(move || {
                let joined = join(&store, &repository, &from, &digest);
                drop(claim);
                joined
            });
            if joined.await? {
                return Ok(created(name, &digest));
            }
        }
    }
    let digest = call.query.get("digest").filter(|digest| !digest.is_empty());
    if let Some(digest) = digest.filter(|_| mount.is_none()) {
        let digest = parse_digest(digest)?;
        let length = body::length(&call.parts.headers);
        let mut bounds = Bounds::of(service, name, Some(digest));
        bounds.claim(length.unwrap_or(0))?;
        if length.is_some_and(|length| length <= SHORT) {
            let (parts, code) = (&call.parts, Code::BlobUploadInvalid);
            let bytes = body::whole(parts, &mut call.body, SHORT, code).await?.unwrap_or_default();
            let (store, repository) = (service.store.clone(), name.to_owned());
            let claim = bounds.claim;
            blocking(move || {
                store_short(&store, &repository, &digest, &bytes)?;
                drop(claim);
                Ok(())
            })
            .await?;
            return Ok(created(name, &digest));
        }
        let (content, repository) = (service.content.clone(), name.to_owned());
        // Nobody knows this session, so what breaks off is given up.
        let begun =
            blocking(move || Ok(content.begin_upload(&repository, digest.algorithm())?.nameless()));
        let mut upload = begun.await?;
        bounds.news.upload = Some(upload.id().to_owned());
        receive(&mut upload, &mut call, &mut bounds).await?;
        return close(bounds, upload, digest).await;
    }
    let algorithm = match call.query.get("digest-algorithm") {
        None | Some("" | "sha256") => Algorithm::Sha256,
        Some("sha512") => Algorithm::Sha512,
        Some(other) => return Err(Box::new(bad_digest(other))),
    };
    let (content, repository) = (service.content.clone(), name.to_owned());
    let id = blocking(move || {
        let upload = content.begin_upload(&repository, algorithm)?;
        Ok(upload.id().to_owned())
    })
    .await?;
    Ok(standing(StatusCode::ACCEPTED, name, &id, 0).done())
}

/// A repository that has the blob and that whoever asks may read: the one that is named, or any.
fn source(service: &Service, name: &str, digest: &Digest, call: &Call) -> Option<String> {
    let serves = |from: &str| {
        call.identity.may(from, Action::Pull) && service.repositories.is_member(from, digest)
    };
    if let Some(from) = call.query.get("from").filter(|from| !from.is_empty()) {
        return serves(from).then(|| from.to_owned());
    }
    if serves(name) {
        return Some(name.to_owned());
    }
    if !service.content.has(digest) {
        return None;
    }
    service.repositories.names().into_iter().find(|from| serves(from))
}

/// Makes a blob of another repository a member of this one. No when it was taken away just now.
fn join(store: &Store, repository: &str, from: &str, digest: &Digest) -> Result<bool, Problem> {
    let lease = store.leases.create(LEASE);
    lease.hold_blob(digest)?;
    let Ok(size) = store.content.size(digest) else { return Ok(false) };
    for _ in 0..TRIES {
        let known = store.repositories.member(repository, digest)?;
        if known.as_ref().is_some_and(|known| known.kind == naru_store::MemberKind::Manifest) {
            return Ok(true);
        }
        let mut batch = Batch::new();
        batch.require_member(from, digest);
        // It may become a manifest here meanwhile, which it must stay. One that is a member already begins its grace anew.
        batch.require_member_as(repository, digest, known.as_ref());
        batch.put_member(repository, digest, &Member::blob(size));
        match store.commit(batch) {
            Ok(()) => return Ok(true),
            Err(StoreError::Taken { .. } | StoreError::Stale) => {}
            Err(StoreError::Absent { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

fn store_short(
    store: &Store,
    repository: &str,
    digest: &Digest,
    bytes: &[u8],
) -> Result<(), Problem> {
    let lease = store.leases.create(LEASE);
    let mut ingest = store.content.ingest_as(lease.id(), digest.algorithm())?;
    ingest
        .write_all(bytes)
        .map_err(|error| Problem::from(naru_errdefs::Fault::io("cannot store a blob", error)))?;
    ingest.commit_with(Some(*digest), |blob, batch| {
        member_unless(store, repository, blob.digest, blob.size, batch);
    })?;
    Ok(())
}

/// A blob becomes a member; what is a member already (a manifest, say) stays what it is.
fn member_unless(store: &Store, repository: &str, digest: Digest, size: u64, batch: &mut Batch) {
    match store.repositories.member(repository, &digest) {
        Ok(Some(known)) if known.kind == naru_store::MemberKind::Manifest => {}
        _ => batch.put_member(repository, &digest, &Member::blob(size)),
    }
}

/// Takes the session of a number up, as its only writer.
async fn open(service: &Service, name: &str, id: &str) -> Result<Upload, Box<Problem>> {
    let since = Instant::now();
    loop {
        let (content, repository, number) =
            (service.content.clone(), name.to_owned(), id.to_owned());
        let opened = blocking(move || match content.open_upload(&repository, &number) {
            Ok(upload) => Ok(Some(upload)),
            Err(StoreError::UploadBusy { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        })
        .await?;
        match opened {
            Some(upload) => return Ok(upload),
            None if since.elapsed() < HANDOVER => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            None => {
                let error = StoreError::UploadBusy { id: id.to_owned() };
                return Err(Box::new(error.into()));
            }
        }
    }
}

/// Where a piece must begin and how long it is, by its `Content-Range`; a refusal says where the session stands.
fn expected(call: &Call, name: &str, upload: &Upload) -> Result<Option<u64>, Box<Problem>> {
    let Some(text) = call.header(CONTENT_RANGE) else { return Ok(None) };
    let size = upload.offset();
    let range = piece_range(text);
    let Some((first, last)) = range.filter(|(first, _)| *first == size) else {
        let status = if range.is_some() {
            StatusCode::RANGE_NOT_SATISFIABLE
        } else {
            StatusCode::BAD_REQUEST
        };
        return Err(Box::new(
            Problem::new(Code::BlobUploadInvalid, format!("the upload stands at {size} bytes"))
                .with_status(status)
                .with_header("location", format!("/v2/{name}/blobs/uploads/{}", upload.id()))
                .with_header("range", format!("0-{}", size.saturating_sub(1)))
                .with_header("docker-upload-uuid", upload.id()),
        ));
    };
    let Some(length) = (last - first).checked_add(1) else {
        let text = "Content-Range is longer than anything can be";
        return Err(Box::new(Problem::new(Code::SizeInvalid, text)));
    };
    match body::length(&call.parts.headers) {
        Some(said) if said != length => Err(Box::new(Problem::new(
            Code::SizeInvalid,
            format!("Content-Range has {length} bytes, Content-Length {said}"),
        ))),
        _ => Ok(Some(length)),
    }
}

/// PATCH: a piece at the end of a session.
pub(crate) async fn piece(service: &Service, name: &str, id: &str, mut call: Call) -> Outcome {
    let mut bounds = Bounds::of_upload(service, name, id, None);
    let mut upload = open(service, name, id).await?;
    let most = expected(&call, name, &upload)?;
    let before = upload.offset();
    bounds.most = most;
    receive(&mut upload, &mut call, &mut bounds).await?;
    if most.is_some_and(|most| upload.offset() - before < most) {
        return Err(Box::new(short(&upload, name)));
    }
    Ok(standing(StatusCode::ACCEPTED, name, id, upload.offset()).done())
}

fn short(upload: &Upload, name: &str) -> Problem {
    Problem::new(Code::SizeInvalid, "the body is shorter than its Content-Range")
        .with_header("location", format!("/v2/{name}/blobs/uploads/{}", upload.id()))
        .with_header("range", format!("0-{}", upload.offset().saturating_sub(1)))
}

/// PUT: the last piece, if any, and the digest of the whole.
pub(crate) async fn finish(service: &Service, name: &str, id: &str, mut call: Call) -> Outcome {
    let digest = match call.query.get("digest") {
        Some(text) => parse_digest(text)?,
        None => {
            return Err(Box::new(Problem::new(Code::DigestInvalid, "the digest is missing")));
        }
    };
    let mut bounds = Bounds::of_upload(service, name, id, Some(digest));
    let mut upload = open(service, name, id).await?;
    let most = expected(&call, name, &upload)?;
    let before = upload.offset();
    bounds.most = most;
    receive(&mut upload, &mut call, &mut bounds).await?;
    if most.is_some_and(|most| upload.offset() - before < most) {
        return Err(Box::new(short(&upload, name)));
    }
    close(bounds, upload, digest).await
}

async fn close(mut bounds: Bounds<'_>, upload: Upload, digest: Digest) -> Outcome {
    bounds.claim(upload.offset())?;
    let Bounds { service, name, claim, .. } = bounds;
    let (store, repository) = (service.store.clone(), name.to_owned());
    blocking(move || {
        let lease = store.leases.create(LEASE);
        upload.commit_with(lease.id(), digest, |blob, batch| {
            member_unless(&store, &repository, blob.digest, blob.size, batch);
        })?;
        // Held until it counts as a member, whoever still waits for that.
        drop(claim);
        Ok(())
    })
    .await?;
    if !service.repositories.is_member(name, &digest) {
        return Err(Box::new(blobs::unknown(name, &digest)));
    }
    Ok(created(name, &digest))
}

/// GET: how far a session has come.
pub(crate) fn status(service: &Service, name: &str, id: &str) -> Outcome {
    let size =
        service.content.upload_size(name, id).map_err(|error| Box::new(Problem::from(error)))?;
    Ok(standing(StatusCode::NO_CONTENT, name, id, size).done())
}

/// DELETE: gives a session up.
pub(crate) async fn cancel(service: &Service, name: &str, id: &str) -> Outcome {
    let upload = open(service, name, id).await?;
    blocking(move || {
        upload.discard();
        Ok(())
    })
    .await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).done())
}
