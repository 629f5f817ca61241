//! Takes the body of an upload in, within its bounds. Acts.

use crate::body::{self, Arrival};
use crate::problem::{Code, Problem};
use crate::service::{Call, Service};
use crate::watch::{Claim, News};
use bytes::{Bytes, BytesMut};
use naru_oci::Digest;
use naru_store::Upload;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Bytes that are written at once.
const PIECE: usize = 512 << 10;
/// Fewer are written when they have waited for so long: a registry that is killed loses no more than that.
const WRITE_AFTER: Duration = Duration::from_millis(50);
/// The quota is asked in such steps while a body comes that did not say how long it is. What is claimed beyond what has come is kept
/// from others, so it is little.
const STEP: u64 = 512 << 10;

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

/// How much may be brought, and what is held of the quota for it. It outlives the [`Upload`] that it is for: a session that nobody
/// writes counts by itself.
pub(super) struct Bounds<'a> {
    pub(super) service: &'a Service,
    pub(super) name: &'a str,
    pub(super) news: News,
    pub(super) claim: Claim,
    /// By its `Content-Range`.
    pub(super) most: Option<u64>,
}

impl<'a> Bounds<'a> {
    pub(super) fn of(service: &'a Service, name: &'a str, digest: Option<Digest>) -> Bounds<'a> {
        let news = News { digest, ..News::default() };
        Bounds { service, name, news, claim: Claim::default(), most: None }
    }

    /// Those of a session.
    pub(super) fn of_upload(
        service: &'a Service,
        name: &'a str,
        id: &str,
        digest: Option<Digest>,
    ) -> Bounds<'a> {
        let mut bounds = Bounds::of(service, name, digest);
        bounds.news.upload = Some(id.to_owned());
        bounds
    }

    /// Claims so many bytes altogether, unless it is a blob that the repository has.
    pub(super) fn claim(&mut self, size: u64) -> Result<(), Box<Problem>> {
        self.news.more.bytes = size;
        Ok(self.service.claim(self.name, &self.news, &mut self.claim)?)
    }

    /// How long a session may become, before the quota is asked again, that is to be so long now.
    fn further(&mut self, size: u64) -> Result<u64, Box<Problem>> {
        let far = size.saturating_add(STEP);
        if self.claim(far).is_ok() {
            return Ok(far);
        }
        self.claim(size).map(|()| size)
    }
}

/// Writes a body to the session. What comes beyond its bounds is refused before it is written.
pub(super) async fn receive(
    upload: &mut Upload,
    call: &mut Call,
    bounds: &mut Bounds<'_>,
) -> Result<(), Box<Problem>> {
    let failed = |error| Problem::from(naru_errdefs::Fault::io("cannot store an upload", error));
    let mut arrival = Arrival::of(&call.parts, Code::BlobUploadInvalid);
    let begin = upload.offset();
    let mut allowed = begin.saturating_add(body::length(&call.parts.headers).unwrap_or(0));
    bounds.claim(allowed)?;
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
