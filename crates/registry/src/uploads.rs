//! Uploads: blobs that come in one piece, in several, or from another repository.
//!
//! Acts. A session is a staging file of the store that outlives connections and restarts; only one request writes it at a time.
//! Whatever breaks off leaves it as far as it came, and the client is told how far that is.

use crate::access::Action;
use crate::answer::Answer;
use crate::blobs;
use crate::body::{self, Arrival};
use crate::problem::{Code, Problem};
use crate::range::piece as piece_range;
use crate::service::{Call, LEASE, Outcome, Service, blocking};
use crate::watch::More;
use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use naru_oci::{Algorithm, Digest};
use naru_store::{Batch, Member, Store, StoreError, Upload};
use serde_json::json;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Bytes that are written at once.
const PIECE: usize = 512 << 10;
/// Fewer are written when they have waited for so long: a registry that is killed loses no more than that.
const WRITE_AFTER: Duration = Duration::from_millis(50);
/// How long a request waits for the one before it, whose connection has broken, to let go of the session.
const HANDOVER: Duration = Duration::from_secs(5);
/// How often a mount is begun anew because somebody else changed the same member; then it is an upload.
const TRIES: u32 = 20;
/// Shorter blobs that come in one piece are taken into memory and stored in one go.
const SHORT: u64 = 256 << 10;
/// The quota is asked in such steps while a body comes that did not say how long it is.
const STEP: u64 = 8 << 20;

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
            allow(service, name, Some(&digest), size)?;
            if service.is_there(name, &digest) {
                return Ok(created(name, &digest));
            }
            let (store, repository) = (service.store.clone(), name.to_owned());
            if blocking(move || join(&store, &repository, &from, &digest)).await? {
                return Ok(created(name, &digest));
            }
        }
    }
    let digest = call.query.get("digest").filter(|digest| !digest.is_empty());
    if let Some(digest) = digest.filter(|_| mount.is_none()) {
        let digest = parse_digest(digest)?;
        let length = body::length(&call.parts.headers);
        allow(service, name, Some(&digest), length.unwrap_or(0))?;
        if length.is_some_and(|length| length <= SHORT) {
            let (parts, code) = (&call.parts, Code::BlobUploadInvalid);
            let bytes = body::whole(parts, &mut call.body, SHORT, code).await?.unwrap_or_default();
            let (store, repository) = (service.store.clone(), name.to_owned());
            blocking(move || store_short(&store, &repository, &digest, &bytes)).await?;
            return Ok(created(name, &digest));
        }
        let (content, repository) = (service.content.clone(), name.to_owned());
        let mut upload =
            blocking(move || Ok(content.begin_upload(&repository, digest.algorithm())?)).await?;
        // Nobody knows this session, so what breaks off is given up.
        let bounds = Bounds { service, name, digest: Some(&digest), most: None };
        return match receive(&mut upload, &mut call, bounds).await {
            Ok(()) => close(service, name, upload, digest).await,
            Err(problem) => {
                upload.discard();
                Err(problem)
            }
        };
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

/// Whether a repository may take so many bytes; those of a blob that it has are not counted anew.
fn allow(
    service: &Service,
    name: &str,
    digest: Option<&Digest>,
    bytes: u64,
) -> Result<(), Box<Problem>> {
    let Some(quota) = &service.quota else { return Ok(()) };
    let is_new = digest.is_none_or(|digest| !service.repositories.is_member(name, digest));
    let more = More { bytes: if is_new { bytes } else { 0 }, ..More::default() };
    quota.allow(name, more).map_err(|why| Box::new(Problem::new(Code::Denied, why)))
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

/// A session that is written. However its request ends, and even when nobody waits for it any more, what has arrived is kept.
struct Arriving<'a> {
    upload: &'a mut Upload,
    /// Small pieces that are put together before they are written.
    piece: BytesMut,
    /// Since when the first of them waits.
    since: Instant,
}

impl Arriving<'_> {
    fn arrived(&self) -> u64 {
        self.upload.offset() + self.piece.len() as u64
    }

    /// Takes bytes in; large ones are written as they are.
    fn take(&mut self, bytes: &Bytes) -> io::Result<()> {
        if self.piece.is_empty() && bytes.len() >= PIECE {
            return tokio::task::block_in_place(|| self.upload.write_all(bytes));
        }
        if self.piece.is_empty() {
            self.since = Instant::now();
        }
        self.piece.extend_from_slice(bytes);
        if self.piece.len() < PIECE && self.since.elapsed() < WRITE_AFTER {
            return Ok(());
        }
        tokio::task::block_in_place(|| self.write())
    }

    fn write(&mut self) -> io::Result<()> {
        let piece = self.piece.split();
        self.upload.write_all(&piece)
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.write() {
            tracing::debug!(%error, "the last bytes of an upload that broke off are lost");
        }
    }
}

/// How much a body may bring.
#[derive(Clone, Copy)]
struct Bounds<'a> {
    service: &'a Service,
    name: &'a str,
    /// Of what the session becomes, when that is known.
    digest: Option<&'a Digest>,
    /// By its `Content-Range`.
    most: Option<u64>,
}

impl Bounds<'_> {
    fn allow(&self, size: u64) -> Result<(), Box<Problem>> {
        allow(self.service, self.name, self.digest, size)
    }

    /// How long a session may become, before the quota is asked again, that is to be so long now.
    fn further(&self, size: u64) -> Result<u64, Box<Problem>> {
        let far = size.saturating_add(STEP);
        if self.allow(far).is_ok() {
            return Ok(far);
        }
        self.allow(size).map(|()| size)
    }
}

/// Writes a body to the session. What comes beyond its bounds is refused before it is written.
async fn receive(
    upload: &mut Upload,
    call: &mut Call,
    bounds: Bounds<'_>,
) -> Result<(), Box<Problem>> {
    let failed = |error| Problem::from(naru_errdefs::Fault::io("cannot store an upload", error));
    let mut arrival = Arrival::of(&call.parts, Code::BlobUploadInvalid);
    let begin = upload.offset();
    let mut allowed = begin.saturating_add(body::length(&call.parts.headers).unwrap_or(0));
    bounds.allow(allowed)?;
    let mut arriving = Arriving { upload, piece: BytesMut::new(), since: Instant::now() };
    while let Some(bytes) = arrival.next(&mut call.body).await? {
        let size = arriving.arrived() + bytes.len() as u64;
        if bounds.most.is_some_and(|most| size - begin > most) {
            let text = "the body is longer than its Content-Range";
            return Err(Box::new(Problem::new(Code::SizeInvalid, text)));
        }
        if size > allowed {
            allowed = bounds.further(size)?;
        }
        arriving.take(&bytes).map_err(failed)?;
    }
    tokio::task::block_in_place(|| arriving.write()).map_err(failed)?;
    Ok(())
}

/// PATCH: a piece at the end of a session.
pub(crate) async fn piece(service: &Service, name: &str, id: &str, mut call: Call) -> Outcome {
    let mut upload = open(service, name, id).await?;
    let most = expected(&call, name, &upload)?;
    let before = upload.offset();
    receive(&mut upload, &mut call, Bounds { service, name, digest: None, most }).await?;
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
    let mut upload = open(service, name, id).await?;
    let most = expected(&call, name, &upload)?;
    let before = upload.offset();
    let bounds = Bounds { service, name, digest: Some(&digest), most };
    receive(&mut upload, &mut call, bounds).await?;
    if most.is_some_and(|most| upload.offset() - before < most) {
        return Err(Box::new(short(&upload, name)));
    }
    close(service, name, upload, digest).await
}

async fn close(service: &Service, name: &str, upload: Upload, digest: Digest) -> Outcome {
    allow(service, name, Some(&digest), upload.offset())?;
    let (store, repository) = (service.store.clone(), name.to_owned());
    blocking(move || {
        let lease = store.leases.create(LEASE);
        upload.commit_with(lease.id(), digest, |blob, batch| {
            member_unless(&store, &repository, blob.digest, blob.size, batch);
        })?;
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
