//! Acts: blobs and manifests into one repository of a registry.

use super::exchange::{
    Ask, Exchange, Part, Payload, Refusal, Target, Watch, ask, chance, read_refusal,
};
use super::location;
use super::plan::Document;
use super::upload::{Budget, Heard, Nonsense, Step, next};
use crate::remote::{asked_pause, is_passing};
use naru_errdefs::{Fault, Kind};
use naru_oci::{Descriptor, Digest};
use reqwest::{Method, Response, Url};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Blobs up to this size go in the request that ends the upload: one request less, and nothing worth resuming.
pub(crate) const SMALL: u64 = 1 << 20;

/// A repository of a registry, to be written.
pub(crate) struct Destination<'a> {
    /// The way there.
    pub(crate) wire: &'a dyn Exchange,
    /// Attempts in a row that may fail.
    pub(crate) attempts: u32,
}

/// A blob to be uploaded.
pub(crate) struct Upload<'a> {
    /// What it is.
    pub(crate) blob: &'a Descriptor,
    /// Its bytes.
    pub(crate) file: Arc<File>,
    /// Told how far it got.
    pub(crate) watch: Watch,
    /// Told where the upload can go on after a restart; `None` once there is nothing to go on with.
    pub(crate) note: &'a (dyn Fn(Option<&Url>) + Sync),
}

/// What the registry said to the first question.
pub(crate) enum Begun {
    /// It has the blob now.
    Mounted,
    /// It waits for the bytes there.
    Open(Step),
}

impl Destination<'_> {
    /// Whether a blob is there.
    pub(crate) async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Fault> {
        let target = Target::Path(format!("blobs/{}", blob.digest));
        let answer = self.patiently(&Ask::new(Method::HEAD, target)).await?;
        let status = answer.status().as_u16();
        match status {
            200 => {
                check_digest(&answer, blob.digest, || self.name())?;
                Ok(true)
            }
            // Some answer a HEAD with a redirection to where the bytes lie.
            300..=399 => Ok(true),
            404 => Ok(false),
            _ => {
                Err(self
                    .refused(&read_refusal(answer).await, &format!("look for `{}`", blob.digest)))
            }
        }
    }

    /// What a tag or digest means there.
    pub(crate) async fn manifest(&self, reference: &str) -> Result<Option<Digest>, Fault> {
        let target = Target::Path(format!("manifests/{reference}"));
        let accept = crate::push::MANIFEST_TYPES.join(", ");
        let answer =
            self.patiently(&Ask::new(Method::HEAD, target).header("accept", accept)).await?;
        match answer.status().as_u16() {
            200 => Ok(said_digest(&answer)),
            404 => Ok(None),
            // Whoever may write may be kept from reading; then it is written.
            401 | 403 => Ok(None),
            _ => Err(self.refused(&read_refusal(answer).await, &format!("look for `{reference}`"))),
        }
    }

    /// Puts a manifest under a tag or its digest, and compares what the registry says of it.
    pub(crate) async fn put_manifest(
        &self,
        reference: &str,
        document: &Document,
    ) -> Result<(), Fault> {
        let target = Target::Path(format!("manifests/{reference}"));
        let digest = document.descriptor.digest;
        let put = Ask::new(Method::PUT, target)
            .header("content-type", document.descriptor.media_type.clone())
            .payload(Payload::Bytes(document.bytes.clone().into()));
        let answer = self.patiently(&put).await?;
        if !answer.status().is_success() {
            let refusal = read_refusal(answer).await;
            return Err(self.refused(&refusal, &format!("push the manifest `{digest}`")));
        }
        if said_digest(&answer).is_some() {
            return check_digest(&answer, digest, || self.name());
        }
        // A registry that does not say it is asked.
        match self.manifest(reference).await? {
            Some(found) if found != digest => Err(self.lied(digest, found)),
            _ => Ok(()),
        }
    }

    /// Asks for an upload, with a mount from `from` when that repository has the blob.
    pub(crate) async fn begin(
        &self,
        blob: &Descriptor,
        from: Option<&str>,
        budget: &mut Budget,
    ) -> Result<Begun, Fault> {
        let mut from = from;
        loop {
            let path = match from {
                Some(from) => format!("blobs/uploads/?mount={}&from={from}", blob.digest),
                None => "blobs/uploads/".to_owned(),
            };
            let mut question =
                Ask::new(Method::POST, Target::Path(path)).header("content-length", "0");
            question.also = from.map(str::to_owned);
            let heard = match ask(self.wire, question).await {
                Ok(answer) => self.heard(answer, blob).await?,
                Err(fault) => Told::Dropped(fault, None),
            };
            match heard {
                Told::Heard(Heard::Created) if from.is_some() => return Ok(Begun::Mounted),
                Told::Heard(heard) => {
                    let step = next(&Step::Begin, heard, blob.size)
                        .map_err(|nonsense| self.nonsense(nonsense, blob))?;
                    return Ok(Begun::Open(step));
                }
                // Not allowed to read there, or not known at all: then without.
                Told::Refused(_) if from.is_some() => from = None,
                Told::Refused(refusal) => {
                    return Err(self.refused(&refusal, &format!("push `{}`", blob.digest)));
                }
                Told::Dropped(fault, after) => self.wait(budget, fault, after).await?,
            }
        }
    }

    /// Sends a blob from `step` on until it is there.
    pub(crate) async fn upload(
        &self,
        upload: &Upload<'_>,
        step: Step,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        let blob = upload.blob;
        let mut step = step;
        let mut wrong_bytes = false;
        loop {
            match &step {
                Step::Done { .. } => {
                    (upload.note)(None);
                    return Ok(());
                }
                Step::Begin => {
                    (upload.note)(None);
                    step = match self.begin(blob, None, budget).await? {
                        Begun::Mounted => Step::Done { mounted: true },
                        Begun::Open(step) => step,
                    };
                    continue;
                }
                Step::Send { at, .. } if blob.size > SMALL => (upload.note)(Some(at)),
                Step::Send { .. } | Step::Status { .. } | Step::Finish { .. } => {}
            }
            let told = match ask(self.wire, question(&step, upload)).await {
                Ok(answer) => self.heard(answer, blob).await?,
                Err(fault) => Told::Dropped(fault, None),
            };
            let heard = match told {
                Told::Heard(heard) => heard,
                Told::Dropped(fault, after) => {
                    self.wait(budget, fault, after).await?;
                    Heard::Dropped
                }
                Told::Refused(refusal) => {
                    if !matches!(refusal.status, 400 | 404 | 409 | 410 | 416)
                        || refusal.code == "DIGEST_INVALID" && wrong_bytes
                    {
                        (upload.note)(None);
                        return Err(self.refused(&refusal, &format!("push `{}`", blob.digest)));
                    }
                    wrong_bytes |= refusal.code == "DIGEST_INVALID";
                    let fault = self.refused(&refusal, &format!("push `{}`", blob.digest));
                    // An upload of an earlier process may well be gone; that is no failure.
                    if !matches!(step, Step::Status { .. }) {
                        self.wait(budget, fault, None).await?;
                    }
                    if refusal.status == 416 { Heard::Elsewhere } else { Heard::Lost }
                }
            };
            if let Heard::Open { offset: Some(offset), .. } = &heard {
                budget.reached(*offset);
            }
            step =
                next(&step, heard, blob.size).map_err(|nonsense| self.nonsense(nonsense, blob))?;
        }
    }

    /// What an answer to a question about an upload means.
    async fn heard(&self, answer: Response, blob: &Descriptor) -> Result<Told, Fault> {
        let status = answer.status().as_u16();
        match status {
            201 => {
                check_digest(&answer, blob.digest, || self.name())?;
                Ok(Told::Heard(Heard::Created))
            }
            200 | 202 | 204 => {
                let text = |name: http::HeaderName| {
                    answer.headers().get(name).and_then(|value| value.to_str().ok())
                };
                let at = match text(http::header::LOCATION) {
                    Some(text) => Some(location::resolve(answer.url(), text)?),
                    None => None,
                };
                let offset = location::offset(text(http::header::RANGE));
                Ok(Told::Heard(Heard::Open { at, offset }))
            }
            status if is_passing(status) => {
                let after = asked_pause(answer.headers());
                let refusal = read_refusal(answer).await;
                let fault = self.refused(&refusal, &format!("push `{}`", blob.digest));
                Ok(Told::Dropped(fault, after))
            }
            _ => Ok(Told::Refused(read_refusal(answer).await)),
        }
    }

    /// Asks until there is an answer that is not "later".
    async fn patiently(&self, question: &Ask) -> Result<Response, Fault> {
        let mut budget = Budget::new(self.attempts);
        loop {
            match ask(self.wire, question.clone()).await {
                Ok(answer) if is_passing(answer.status().as_u16()) => {
                    let after = asked_pause(answer.headers());
                    let refusal = read_refusal(answer).await;
                    let fault = self.refused(&refusal, "push");
                    self.wait(&mut budget, fault, after).await?;
                }
                Ok(answer) => return Ok(answer),
                Err(fault) => self.wait(&mut budget, fault, None).await?,
            }
        }
    }

    /// Waits before the next attempt; fails when there is none.
    async fn wait(
        &self,
        budget: &mut Budget,
        fault: Fault,
        after: Option<Duration>,
    ) -> Result<(), Fault> {
        if !matches!(fault.kind(), Kind::Unavailable | Kind::NotFound | Kind::InvalidInput)
            && fault.kind() != Kind::ResourceExhausted
        {
            return Err(fault);
        }
        let Some(delay) = budget.failed(after, chance()) else { return Err(fault) };
        tracing::debug!(error = %fault, ?delay, registry = self.wire.registry(), "trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    fn name(&self) -> String {
        format!("{}/{}", self.wire.registry(), self.wire.repository())
    }

    fn lied(&self, sent: Digest, found: Digest) -> Fault {
        lied(&self.name(), sent, found)
    }

    fn nonsense(&self, nonsense: Nonsense, blob: &Descriptor) -> Fault {
        let why = match nonsense {
            Nonsense::NoLocation => "it gives the upload no address",
            Nonsense::TooFar => "it says to have more bytes than there are",
            Nonsense::NeverOpen => "it begins no upload",
        };
        Fault::new(
            Kind::Unavailable,
            format!("cannot push `{}` to `{}`: {why}", blob.digest, self.name()),
        )
        .with_hint("what answers there does not follow the distribution specification")
    }

    /// What a refusal is to the one who pushes.
    fn refused(&self, refusal: &Refusal, what: &str) -> Fault {
        if matches!(refusal.status, 401 | 403) {
            let kind = if refusal.status == 401 { Kind::Unauthorized } else { Kind::Forbidden };
            let registry = self.wire.registry();
            return Fault::new(
                kind,
                format!(
                    "push access denied for {}, repository does not exist or may require 'docker login': {}",
                    crate::remote::familiar(registry, self.wire.repository()),
                    refusal.text
                ),
            )
            .with_hint(format!(
                "log in with `naru login{}`, as a user who may push there",
                crate::remote::refusal::login_words(registry)
            ));
        }
        let (kind, hint) = match refusal.status {
            404 => (Kind::NotFound, "see whether the repository exists and you may push to it"),
            405 | 501 => (Kind::Unsupported, "the registry takes no pushes; name another one"),
            413 => {
                (Kind::ResourceExhausted, "the registry, or a proxy before it, has a limit of size")
            }
            429 => {
                (Kind::ResourceExhausted, "the registry limits how much is asked of it; try later")
            }
            507 => (Kind::ResourceExhausted, "the registry has no room left"),
            500..=599 => (Kind::Unavailable, "the registry fails; see its log, or try later"),
            _ => (Kind::InvalidInput, "what the registry says above is its reason"),
        };
        let message = format!("cannot {what} at `{}`: {}", self.name(), refusal.text);
        Fault::new(kind, message).with_hint(hint)
    }
}

enum Told {
    Heard(Heard),
    Dropped(Fault, Option<Duration>),
    Refused(Refusal),
}

/// Pure: the question of a step.
fn question(step: &Step, upload: &Upload<'_>) -> Ask {
    let size = upload.blob.size;
    let part = |from: u64| {
        Payload::Part(Part {
            file: Arc::clone(&upload.file),
            from,
            size,
            sent: Arc::new(AtomicU64::new(from)),
            watch: Arc::clone(&upload.watch),
        })
    };
    let bytes = "application/octet-stream";
    match step {
        Step::Send { at, from: 0 } if size <= SMALL => {
            let target = Target::At(location::finish(at, upload.blob.digest));
            Ask::new(Method::PUT, target)
                .header("content-type", bytes)
                .header("content-length", size.to_string())
                .payload(part(0))
        }
        Step::Send { at, from } => Ask::new(Method::PATCH, Target::At(at.clone()))
            .header("content-type", bytes)
            .header("content-range", format!("{from}-{}", size.saturating_sub(1)))
            .header("content-length", size.saturating_sub(*from).to_string())
            .payload(part(*from)),
        Step::Status { at } => Ask::new(Method::GET, Target::At(at.clone())),
        Step::Finish { at } => {
            let target = Target::At(location::finish(at, upload.blob.digest));
            Ask::new(Method::PUT, target).header("content-length", "0")
        }
        // These are never asked here; a question of the kind that changes nothing.
        Step::Done { .. } | Step::Begin => {
            Ask::new(Method::HEAD, Target::Path(format!("blobs/{}", upload.blob.digest)))
        }
    }
}

fn said_digest(answer: &Response) -> Option<Digest> {
    answer.headers().get("docker-content-digest")?.to_str().ok()?.trim().parse().ok()
}

/// A registry that says another digest than the one that was sent has something else.
fn check_digest(
    answer: &Response,
    expected: Digest,
    name: impl FnOnce() -> String,
) -> Result<(), Fault> {
    match said_digest(answer) {
        // Another algorithm says nothing of this digest.
        Some(found) if found != expected && found.algorithm() == expected.algorithm() => {
            Err(lied(&name(), expected, found))
        }
        _ => Ok(()),
    }
}

fn lied(name: &str, sent: Digest, found: Digest) -> Fault {
    Fault::new(
        Kind::DataLoss,
        format!("`{name}` says that it holds `{found}` where `{sent}` was sent"),
    )
    .with_hint("the registry, or a proxy before it, changes what is pushed; do not rely on it")
}
