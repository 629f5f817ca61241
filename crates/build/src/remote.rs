//! Acts: files of the network: fetched once, and asked about from then on; contexts that lie at an address.
//!
//! What was found at an address is noted beside the contents of contexts and, like them, does not outlive the boot. A note
//! that is lost costs a transfer.

pub(crate) mod git;
mod trees;

use crate::build::Inner;
use crate::context::{BuildContext, Content};
use crate::event::{BuildEvent, BuildFailure};
use crate::options::{BuildOptions, DockerfileSource};
use crate::ports::{Fetched, FileRequest, Validators};
use bytes::Bytes;
use naru_dockerfile::CheckDirective;
use naru_errdefs::{Fault, ResultExt, one_line};
use naru_git::Address;
use naru_kernel::times::FileTime;
use naru_layer::Compression;
use naru_oci::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;
use tokio::sync::mpsc;

/// The mode that files of the network have.
pub(crate) const MODE: u32 = 0o600;
/// So many addresses are remembered.
const MOST_NOTES: usize = 10_000;
/// The longest note.
const LONGEST_NOTE: u64 = 64 << 10;
/// As many bytes show whether something is an archive.
const HEAD: usize = 512;
/// The name of a file that has none.
const UNNAMED: &str = "download";
/// The vertex that tells how the context comes; those of the file are numbered from 1.
const OWN: u32 = 0;

/// The build argument that lets a context from a repository have its `.git`.
const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

/// The build arguments for the builder itself that mean something.
pub(crate) const SETTINGS: [&str; 6] = [
    KEEP_GIT_DIR,
    CheckDirective::ARGUMENT,
    SYNTAX,
    "BUILDKIT_CACHE_MOUNT_NS",
    "BUILDKIT_INLINE_CACHE",
    "BUILDKIT_SANDBOX_HOSTNAME",
];

/// The build argument that takes the place of the directive `syntax`.
pub(crate) const SYNTAX: &str = "BUILDKIT_SYNTAX";

/// Pure: a build argument that is for the builder itself.
pub(crate) fn setting<'a>(options: &'a BuildOptions, name: &str) -> Option<&'a str> {
    options.build_args.get(name)?.as_deref().filter(|value| !value.is_empty())
}

/// Pure: what Go takes for true.
fn is_on(text: &str) -> bool {
    ["1", "t", "T", "true", "True", "TRUE"].contains(&text)
}

/// One fetch at a time for an address: whoever comes later is told that it is still the same.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    fn of(&self, address: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(address).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        turns.insert(address.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

/// What was found at an address.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    address: String,
    digest: Digest,
    size: u64,
    name: String,
    modified: Option<i64>,
    validators: Validators,
}

/// A file of the network, as a context of its own.
#[derive(Debug)]
pub(crate) struct Remote {
    /// The context, in which it is the only file.
    pub(crate) context: BuildContext,
    /// Its name there.
    pub(crate) name: String,
    /// Whether it has a name of its own.
    pub(crate) is_named: bool,
    /// The digest of its bytes.
    pub(crate) digest: Digest,
}

/// Pure: who the build is to the server of an address, as its secrets say: `HTTP_AUTH_HEADER_HOST`, `HTTP_AUTH_TOKEN_HOST`.
fn authorization(options: &BuildOptions, address: &str) -> Option<String> {
    let host = naru_git::host_of(address);
    let secret = |name: &str| options.secrets.get(&format!("{name}_{host}"))?.text();
    let header = secret("HTTP_AUTH_HEADER").map(str::to_owned);
    header.or_else(|| secret("HTTP_AUTH_TOKEN").map(|token| format!("Bearer {token}")))
}

/// The file at an address.
pub(crate) async fn file(
    inner: &Arc<Inner>,
    address: &str,
    options: &BuildOptions,
) -> Result<Remote, Fault> {
    let turn = inner.fetching.of(address);
    let _turn = turn.lock().await;
    // What is here now stays until the context that holds it is made.
    let hold = inner.files.hold();
    let (work, name) = (Arc::clone(inner), address.to_owned());
    let noted = blocking(move || Ok(read_note(&work, &name))).await?;
    let unknown = Validators::default();
    let staging = Staging(inner.files.staging());
    let request = FileRequest {
        address,
        authorization: authorization(options, address),
        path: staging.0.clone(),
        known: noted.as_ref().map_or(&unknown, |note| &note.validators),
    };
    let fetched = inner.sources.file(request).await?;
    let (work, address) = (Arc::clone(inner), address.to_owned());
    blocking(move || {
        let files = &work.files;
        let _hold = hold;
        match (fetched, noted) {
            (Fetched::Unchanged, Some(note)) => {
                let (name, is_named) = own_or(&note.name);
                let time = (MODE, at(note.modified));
                let context = files.single(&name, note.digest, note.size, time);
                Ok(Remote { context, name, is_named, digest: note.digest })
            }
            (Fetched::Unchanged, None) => {
                Err(Fault::internal("a file of the network is as it never was"))
            }
            (Fetched::File { name: own, modified, validators }, _) => {
                let (name, is_named) = own_or(&own);
                let context = files.take(&name, &staging.0, MODE, at(modified))?;
                let content = context.tree.get(name.as_bytes()).map(|node| node.content.clone());
                let Some(Content::File { digest, size }) = content else {
                    return Err(Fault::internal("a file of the network is not in its context"));
                };
                write_note(&work, Note { address, digest, size, name: own, modified, validators });
                Ok(Remote { context, name, is_named, digest })
            }
        }
    })
    .await
}

/// What is written before it has a name; it goes when nothing was made of it.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        // It is gone when it was taken.
        std::fs::remove_file(&self.0).ok();
    }
}

fn own_or(name: &str) -> (String, bool) {
    if name.is_empty() { (UNNAMED.to_owned(), false) } else { (name.to_owned(), true) }
}

fn at(modified: Option<i64>) -> FileTime {
    FileTime { seconds: modified.unwrap_or(0), nanoseconds: 0 }
}

fn note_path(inner: &Inner, address: &str) -> PathBuf {
    inner.files.notes().join(Digest::of(address.as_bytes()).hex())
}

/// What is noted, if what it speaks of is here.
fn read_note(inner: &Inner, address: &str) -> Option<Note> {
    let mut text = Vec::new();
    let file = File::open(note_path(inner, address)).ok()?;
    file.take(LONGEST_NOTE).read_to_end(&mut text).ok()?;
    let note: Note = serde_json::from_slice(&text).ok()?;
    (note.address == address && inner.files.has(&note.digest, MODE)).then_some(note)
}

/// Notes what was found. Who cannot note it fetches it again.
fn write_note(inner: &Inner, note: Note) {
    if note.validators == Validators::default() {
        return;
    }
    let full = std::fs::read_dir(inner.files.notes()).map_or(0, Iterator::count) >= MOST_NOTES;
    if full {
        for entry in std::fs::read_dir(inner.files.notes()).into_iter().flatten().flatten() {
            std::fs::remove_file(entry.path()).ok();
        }
    }
    let text = serde_json::to_vec(&note).unwrap_or_default();
    let path = note_path(inner, &note.address);
    if let Err(error) = naru_kernel::fs::write_replace(&path, &text, 0o600) {
        tracing::debug!(%error, "what was fetched was not noted");
    }
}

/// The context at an address: an archive, or a Dockerfile, which becomes the only thing that there is.
pub(crate) async fn context(
    inner: &Arc<Inner>,
    address: &str,
    options: &mut BuildOptions,
    (events, cancelled): (&mpsc::Sender<BuildEvent>, &Arc<AtomicBool>),
) -> Result<BuildContext, BuildFailure> {
    let began = Instant::now();
    let name = "[internal] load remote build context".to_owned();
    let started = BuildEvent::VertexStarted {
        id: OWN,
        instruction: name.clone(),
        name,
        stage: None,
        step: None,
    };
    events.send(started).await.ok();
    let found = match Address::parse(address) {
        Some(Ok(repository)) => of_commit(inner, &repository, options, cancelled).await,
        Some(Err(error)) => Err(error.into()),
        None => archive_or_dockerfile(inner, address, options).await,
    };
    let done = BuildEvent::VertexDone {
        id: OWN,
        cached: false,
        took: began.elapsed(),
        result: None,
        error: found.as_ref().err().map(one_line),
    };
    events.send(done).await.ok();
    found.map_err(BuildFailure::from)
}

/// The files of a further context at an address: a repository, or an archive.
pub(crate) async fn files(
    inner: &Arc<Inner>,
    address: &str,
    options: &BuildOptions,
    cancelled: &Arc<AtomicBool>,
) -> Result<BuildContext, Fault> {
    match Address::parse(address) {
        Some(repository) => of_commit(inner, &repository?, options, cancelled).await,
        None => match fetched(inner, address, options).await? {
            (context, None) => Ok(context),
            (_, Some(_)) => Err(Fault::invalid(format!("`{address}` is no archive")).with_hint(
                "an address leads to a git repository, or to a tar archive, compressed or not",
            )),
        },
    }
}

async fn of_commit(
    inner: &Arc<Inner>,
    repository: &Address,
    options: &BuildOptions,
    cancelled: &Arc<AtomicBool>,
) -> Result<BuildContext, Fault> {
    let tip = git::commit(inner, options, repository).await?;
    let keeps = setting(options, KEEP_GIT_DIR).is_some_and(is_on);
    let wanted = git::Wanted { address: repository, tip: &tip, keeps };
    git::context(inner, options, &wanted, cancelled).await
}

async fn archive_or_dockerfile(
    inner: &Arc<Inner>,
    address: &str,
    options: &mut BuildOptions,
) -> Result<BuildContext, Fault> {
    let (context, text) = fetched(inner, address, options).await?;
    if let (Some(text), DockerfileSource::Path(_)) = (text, &options.dockerfile) {
        // As docker does: a name that was given for it means nothing.
        options.dockerfile =
            DockerfileSource::Text { name: "Dockerfile".to_owned(), text: Bytes::from(text) };
    }
    Ok(context)
}

/// What an archive at an address has, or the text that is there instead.
async fn fetched(
    inner: &Arc<Inner>,
    address: &str,
    options: &BuildOptions,
) -> Result<(BuildContext, Option<Vec<u8>>), Fault> {
    let remote = file(inner, address, options).await?;
    let work = Arc::clone(inner);
    let shown = address.to_owned();
    let unpacked = blocking(move || {
        let place = work.files.path(&remote.digest, MODE);
        let failed = || format!("cannot read what is at `{shown}`");
        let mut head = Vec::with_capacity(HEAD);
        let file = File::open(&place).during(failed)?;
        file.take(HEAD as u64).read_to_end(&mut head).during(failed)?;
        let is_packed = Compression::detect(&head)? != Compression::None;
        if is_packed || head.get(257..262) == Some(b"ustar") {
            let archive = File::open(&place).during(failed)?;
            return work.files.receive(archive).map(|context| (context, None));
        }
        let text = remote.context.read(&remote.name, crate::build::MAX_DOCKERFILE)?;
        let text = text.unwrap_or_default();
        if std::str::from_utf8(&text).is_err() {
            return Err(Fault::invalid(format!("`{shown}` is neither an archive nor a Dockerfile"))
                .with_hint("an address leads to a tar archive, compressed or not, or to the text of a Dockerfile"));
        }
        Ok((work.files.assemble(crate::Tree::default())?, Some(text)))
    });
    unpacked.await
}

/// Runs work that waits for the disk on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Fault::internal("a step of a build was lost").with_source(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Secret;

    #[test]
    fn the_host_of_a_secret_is_the_one_that_is_asked() {
        let secret = Secret("t".into());
        let secrets = [("HTTP_AUTH_TOKEN_good".to_owned(), secret)].into();
        let options = BuildOptions { secrets, ..BuildOptions::default() };
        for (address, want) in [
            ("https://good/f", true),
            ("https://u@good/f", true),
            ("https://good?x", true),
            ("https://evil\\@good/f", false),
            ("https://evil/@good/f", false),
            ("https://evil?@good", false),
        ] {
            assert_eq!(authorization(&options, address).is_some(), want, "{address}");
        }
    }
}
