//! An upstream that does what a test says.

use crate::upstream::{Answer, RetryAfter, Upstream, UpstreamBlob, UpstreamManifest};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use naru_errdefs::{Fault, Kind};
use naru_oci::{Descriptor, Digest, Manifest, media_type};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// How all requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    Away,
    Limited(u64),
    Refusing,
    /// Never answers.
    Stuck,
}

/// How one fetch of a blob goes; as it should when none is left.
#[derive(Debug, Clone)]
pub(super) enum Script {
    /// The connection drops after so many bytes.
    Cut(usize),
    /// Ends without an error after so many bytes.
    End(usize),
    /// Other bytes, with the length of these.
    Instead(Bytes),
    /// Says another length.
    Says(u64),
    /// Says no length and gives these.
    Unsaid(Bytes),
    /// Nothing after so many bytes.
    Stall(usize),
}

#[derive(Debug)]
pub(super) struct Fake {
    pub(super) mood: Mutex<Mood>,
    pub(super) tags: Mutex<BTreeMap<String, Digest>>,
    /// Media type and bytes; a digest may be given other bytes than its own.
    pub(super) manifests: Mutex<BTreeMap<Digest, (String, Bytes)>>,
    pub(super) blobs: Mutex<BTreeMap<Digest, Bytes>>,
    pub(super) scripts: Mutex<VecDeque<Script>>,
    /// What was asked, in order: `HEAD latest`, `GET latest`, `BLOB <digest> <offset>`, `TAGS`.
    pub(super) log: Mutex<Vec<String>>,
    /// What a repository answers to whoever asks for a blob in it, for each permit.
    pub(super) refusals: Mutex<BTreeMap<String, (Kind, Arc<Semaphore>)>>,
    /// A permit for each piece of a blob, when a test wants to hold them back.
    pub(super) gate: Option<Arc<Semaphore>>,
}

const PIECE: usize = 10_000;

impl Fake {
    pub(super) fn new(gate: Option<Arc<Semaphore>>) -> Arc<Fake> {
        Arc::new(Fake {
            mood: Mutex::new(Mood::Well),
            tags: Mutex::default(),
            manifests: Mutex::default(),
            blobs: Mutex::default(),
            scripts: Mutex::default(),
            log: Mutex::default(),
            refusals: Mutex::default(),
            gate,
        })
    }

    pub(super) fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(super) fn script(&self, script: Script) {
        self.scripts.lock().unwrap().push_back(script);
    }

    /// What was asked since the last look.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// Waits until so much was asked.
    pub(super) async fn is_asked(&self, count: usize) {
        while self.log.lock().unwrap().len() < count {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    pub(super) fn put_blob(&self, seed: u8, size: usize) -> (Digest, Bytes) {
        let bytes: Bytes = (0..=250u8).cycle().take(size).map(|at| seed.wrapping_add(at)).collect();
        let digest = Digest::of(&bytes);
        self.blobs.lock().unwrap().insert(digest, bytes.clone());
        (digest, bytes)
    }

    pub(super) fn put_manifest(&self, tag: &str, kind: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.manifests.lock().unwrap().insert(digest, (kind.to_owned(), bytes));
        if !tag.is_empty() {
            self.tags.lock().unwrap().insert(tag.to_owned(), digest);
        }
        digest
    }

    /// An image of a config and one layer: the digests of manifest, config and layer.
    pub(super) fn put_image(&self, tag: &str, seed: u8) -> [Digest; 3] {
        let (config, layer) =
            (self.put_blob(seed, 100), self.put_blob(seed.wrapping_add(1), 50_000));
        let of = |kind: &str, (digest, bytes): &(Digest, Bytes)| {
            Descriptor::new(kind, *digest, bytes.len() as u64)
        };
        let manifest = Manifest::oci(
            of(media_type::OCI_CONFIG, &config),
            vec![of(media_type::OCI_LAYER, &layer)],
        );
        let bytes = serde_json::to_vec(&manifest).unwrap();
        [self.put_manifest(tag, media_type::OCI_MANIFEST, bytes), config.0, layer.0]
    }

    async fn answer(&self, what: String) -> Result<(), Fault> {
        self.log.lock().unwrap().push(what);
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well => Ok(()),
            Mood::Away => Err(Fault::new(Kind::Unavailable, "connection refused")),
            Mood::Limited(seconds) => Err(Fault::new(Kind::ResourceExhausted, "toomanyrequests")
                .with_source(RetryAfter { seconds })),
            Mood::Refusing => Err(Fault::new(Kind::Unauthorized, "unauthorized")),
            Mood::Stuck => std::future::pending().await,
        }
    }
}

fn dropped() -> Fault {
    Fault::new(Kind::Unavailable, "connection reset")
}

impl Upstream for Fake {
    fn manifest<'a>(
        &'a self,
        _: &'a str,
        reference: &'a str,
        head: bool,
    ) -> Answer<'a, UpstreamManifest> {
        Box::pin(async move {
            self.answer(format!("{} {reference}", if head { "HEAD" } else { "GET" })).await?;
            let tagged = self.tags.lock().unwrap().get(reference).copied();
            let none = || Fault::not_found("manifest unknown");
            let digest = tagged.or_else(|| reference.parse().ok()).ok_or_else(none)?;
            let found = self.manifests.lock().unwrap().get(&digest).cloned();
            let (media_type, bytes) = found.ok_or_else(none)?;
            let size = bytes.len() as u64;
            Ok(UpstreamManifest { media_type, digest, bytes: (!head).then_some(bytes), size })
        })
    }

    fn blob<'a>(
        &'a self,
        repository: &'a str,
        digest: &'a Digest,
        offset: u64,
    ) -> Answer<'a, UpstreamBlob> {
        Box::pin(async move {
            self.answer(format!("BLOB {} {offset}", digest.short())).await?;
            let refusal = self.refusals.lock().unwrap().get(repository).cloned();
            if let Some((kind, go)) = refusal {
                go.acquire().await.unwrap().forget();
                return Err(Fault::new(kind, "not in this repository"));
            }
            let whole = self.blobs.lock().unwrap().get(digest).cloned();
            let whole = whole.ok_or_else(|| Fault::not_found("blob unknown"))?;
            let script = self.scripts.lock().unwrap().pop_front();
            let mut total = Some(whole.len() as u64);
            let (bytes, last) = match script {
                None => (whole, None),
                Some(Script::Cut(at)) => (whole.slice(..at), Some(Err(dropped()))),
                Some(Script::End(at)) => (whole.slice(..at), None),
                Some(Script::Instead(bytes)) => (bytes, None),
                Some(Script::Says(length)) => {
                    total = Some(length);
                    (whole, None)
                }
                Some(Script::Unsaid(bytes)) => {
                    total = None;
                    (bytes, None)
                }
                Some(Script::Stall(at)) => (whole.slice(..at), Some(Ok(Bytes::new()))),
            };
            let offset = usize::try_from(offset).unwrap().min(bytes.len());
            let rest = bytes.slice(offset..);
            let pieces: Vec<Bytes> = (0..rest.len())
                .step_by(PIECE)
                .map(|at| rest.slice(at..(at + PIECE).min(rest.len())))
                .collect();
            let gate = self.gate.clone();
            let pieces = stream::iter(pieces).then(move |piece| {
                let gate = gate.clone();
                async move {
                    if let Some(gate) = gate {
                        gate.acquire().await.unwrap().forget();
                    }
                    Ok(piece)
                }
            });
            let stream = match last {
                None => pieces.boxed(),
                Some(Ok(_)) => pieces.chain(stream::pending()).boxed(),
                Some(Err(fault)) => pieces.chain(stream::iter([Err(fault)])).boxed(),
            };
            // As strict as streams may be: nobody asks it again after its end.
            let stream =
                stream::unfold(
                    stream,
                    |mut stream| async move { Some((stream.next().await?, stream)) },
                );
            Ok((total, stream.boxed()))
        })
    }

    fn tags<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            self.answer("TAGS".to_owned()).await?;
            Ok(self.tags.lock().unwrap().keys().cloned().collect())
        })
    }
}
