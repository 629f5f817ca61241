//! Upload sessions: blobs that arrive in pieces, from clients that come and go.
//!
//! Acts. A session is a staging file that outlives connections and restarts:
//!
//! ```text
//! begin ─▶ idle ◀─ piece arrived, connection gone ─┐
//!           │                                       │
//!           └── open ─▶ busy (one writer) ──────────┤
//!                                                   └─ commit ─▶ blob        discard, sweep ─▶ gone
//! ```
//!
//! While the process lives, an idle session keeps its hash; after a restart the bytes are hashed once more. A session
//! belongs to one repository: through another one it is not there. How many bytes the sessions of a repository have is known without
//! looking at their files, from the store's opening on.

use super::Blob;
use super::staging::Staging;
use crate::StoreError;
use crate::core::Core;
use crate::journal::Batch;
use crate::leases::LeaseId;
use crate::open::entries;
use crate::schema::Layout;
use naru_kernel::{fs, random};
use naru_oci::{Algorithm, Digest, Digester};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// What is known of sessions without looking at their files.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<Key, Session>>);

/// A session's repository, as its mark, and its number: sessions of one repository are side by side.
type Key = (String, String);

#[derive(Debug)]
struct Session {
    /// How many bytes it had when somebody took it up, or let go of it.
    size: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Somebody writes it.
    Busy,
    /// Nobody does.
    Idle(Box<Digester>),
    /// It was there when the store was opened; nobody has hashed it yet.
    Found,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that an earlier process left.
    pub(crate) fn found(layout: &Layout) -> Result<Sessions, StoreError> {
        let mut found = BTreeMap::new();
        for (name, path) in entries(&layout.ingests())? {
            if let Some(key) = key_of(&name) {
                let meta = std::fs::metadata(&path).map_err(StoreError::io("read", &path))?;
                found.insert(key, Session { size: meta.len(), state: State::Found });
            }
        }
        Ok(Sessions(Mutex::new(found)))
    }
}

/// The one writer of an upload session. Dropping it leaves the session for the next, unless nobody can be that.
#[derive(Debug)]
pub struct Upload {
    core: Arc<Core>,
    staging: Staging,
    key: Key,
    /// Nobody was told its number.
    nameless: bool,
    done: bool,
}

/// An upload session as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadInfo {
    /// Its number, a UUID.
    pub id: String,
    /// How many bytes have arrived.
    pub size: u64,
    /// How long ago the last of them did.
    pub idle: Duration,
}

/// A session's mark of its repository: other repositories do not see it.
fn scope(repository: &str) -> String {
    let mut hex = Digest::of(repository.as_bytes()).hex();
    hex.truncate(16);
    hex
}

/// Whether a text has the form of a session's number, so that it is safe as a part of a file's name.
fn is_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// A random UUID (RFC 9562, version 4).
fn new_id() -> io::Result<String> {
    let mut bytes: [u8; 16] = random::bytes()?;
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let number = u128::from_be_bytes(bytes);
    Ok(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        number >> 96,
        (number >> 80) & 0xffff,
        (number >> 64) & 0xffff,
        (number >> 48) & 0xffff,
        number & 0xffff_ffff_ffff
    ))
}

/// The session of a staging file, by its name.
fn key_of(name: &str) -> Option<Key> {
    let (id, rest) = name.strip_prefix("upload-")?.split_at_checked(36)?;
    let (scope, _algorithm) = rest.strip_prefix('-')?.strip_suffix(".part")?.split_once('-')?;
    is_id(id).then(|| (scope.to_owned(), id.to_owned()))
}

/// A session and its file.
fn find(core: &Core, repository: &str, id: &str) -> Result<(Key, PathBuf, Algorithm), StoreError> {
    let no_upload = || StoreError::NoUpload { id: id.chars().take(64).collect() };
    if !is_id(id) {
        return Err(no_upload());
    }
    let scope = scope(repository);
    [Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .map(|algorithm| (core.layout.upload(id, &scope, algorithm), algorithm))
        .find(|(path, _)| path.is_file())
        .map(|(path, algorithm)| ((scope.clone(), id.to_owned()), path, algorithm))
        .ok_or_else(no_upload)
}

impl Upload {
    pub(super) fn begin(
        core: &Arc<Core>,
        repository: &str,
        algorithm: Algorithm,
    ) -> Result<Upload, StoreError> {
        let id = new_id().map_err(StoreError::io("number an upload in", core.layout.root()))?;
        let key = (scope(repository), id);
        let path = core.layout.upload(&key.1, &key.0, algorithm);
        core.sessions.lock().insert(key.clone(), Session { size: 0, state: State::Busy });
        match fs::create_new(&path, 0o600) {
            Ok(file) => Ok(Upload {
                core: Arc::clone(core),
                staging: Staging::new(file, path, Digester::new(algorithm), 0),
                key,
                nameless: false,
                done: false,
            }),
            Err(source) => {
                core.sessions.lock().remove(&key);
                Err(StoreError::io("create", &path)(source))
            }
        }
    }

    pub(super) fn open(core: &Arc<Core>, repository: &str, id: &str) -> Result<Upload, StoreError> {
        let (key, path, algorithm) = find(core, repository, id)?;
        let known = {
            let mut sessions = core.sessions.lock();
            // One that ended just now comes to nothing below: its file is gone.
            let session =
                sessions.entry(key.clone()).or_insert(Session { size: 0, state: State::Found });
            match std::mem::replace(&mut session.state, State::Busy) {
                State::Busy => return Err(StoreError::UploadBusy { id: id.to_owned() }),
                State::Idle(digester) => Some((*digester, session.size)),
                State::Found => None,
            }
        };
        let opened = open_at(&path, algorithm, known);
        match opened {
            Ok((file, digester, size)) => Ok(Upload {
                core: Arc::clone(core),
                staging: Staging::new(file, path, digester, size),
                key,
                nameless: false,
                done: false,
            }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                core.sessions.lock().remove(&key);
                Err(StoreError::NoUpload { id: id.to_owned() })
            }
            Err(source) => {
                if let Some(session) = core.sessions.lock().get_mut(&key) {
                    session.state = State::Found;
                }
                Err(StoreError::io("open", &path)(source))
            }
        }
    }

    /// The session's number, a UUID.
    pub fn id(&self) -> &str {
        &self.key.1
    }

    /// The same session, which ends when this is dropped: nobody is told its number, so nobody goes on with it.
    #[must_use]
    pub fn nameless(mut self) -> Upload {
        self.nameless = true;
        self
    }

    /// How many bytes are there.
    pub fn offset(&self) -> u64 {
        self.staging.size
    }

    /// Ends the session and gives up its bytes.
    pub fn discard(mut self) {
        self.end();
    }

    /// Ends the session: its bytes become a blob, together with further changes that rely on it. Bytes with another digest
    /// are given up. Any other failure leaves the session as it was.
    pub fn commit_with(
        mut self,
        lease: &LeaseId,
        expected: Digest,
        more: impl FnOnce(&Blob, &mut Batch),
    ) -> Result<Blob, StoreError> {
        let digest = self.staging.digest_as(Some(expected))?;
        if digest != expected {
            self.end();
            return Err(StoreError::Mismatch { expected, found: digest });
        }
        let blob = self.staging.publish(&self.core, *lease, digest, more)?;
        self.done = true;
        self.core.sessions.lock().remove(&self.key);
        Ok(blob)
    }

    fn end(&mut self) {
        self.staging.forget();
        self.done = true;
        self.core.sessions.lock().remove(&self.key);
    }
}

/// Opens the file of a session at its end, and hashes what is there unless that is known.
fn open_at(
    path: &PathBuf,
    algorithm: Algorithm,
    known: Option<(Digester, u64)>,
) -> io::Result<(File, Digester, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).open(path)?;
    if let Some((digester, size)) = known
        && digester.algorithm() == algorithm
        && file.metadata()?.len() == size
    {
        return Ok((file, digester, size));
    }
    let mut digester = Digester::new(algorithm);
    let size = digester.read(&mut file)?;
    Ok((file, digester, size))
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.staging.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.done && self.nameless {
            self.end();
        } else if !self.done {
            let state = State::Idle(Box::new(self.staging.digester.clone()));
            let idle = Session { size: self.staging.size, state };
            self.core.sessions.lock().insert(self.key.clone(), idle);
        }
    }
}

/// How many bytes of a session have arrived, whether somebody writes it now or not.
pub(super) fn size(core: &Core, repository: &str, id: &str) -> Result<u64, StoreError> {
    let (_, path, _) = find(core, repository, id)?;
    let meta = std::fs::metadata(&path).map_err(StoreError::io("read", &path))?;
    Ok(meta.len())
}

/// The sessions of a repository, with their bytes: of one that somebody writes now, those that it had when it was taken up.
pub(super) fn sizes(core: &Core, repository: &str) -> Vec<(String, u64)> {
    let scope = scope(repository);
    let sessions = core.sessions.lock();
    sessions
        .range((scope.clone(), String::new())..)
        .take_while(|((of, _), _)| *of == scope)
        .map(|((_, id), session)| (id.clone(), session.size))
        .collect()
}

/// All sessions.
pub(super) fn list(core: &Core) -> Result<Vec<UploadInfo>, StoreError> {
    let mut list = Vec::new();
    for (name, path) in entries(&core.layout.ingests())? {
        // One that ends meanwhile is left out.
        if let (Some((_, id)), Ok(meta)) = (key_of(&name), std::fs::metadata(&path)) {
            list.push(UploadInfo { id, size: meta.len(), idle: idle(&meta) });
        }
    }
    Ok(list)
}

/// Ends sessions that nobody writes and that got nothing for so long; says how many and how many bytes they had.
pub(super) fn sweep(core: &Core, older_than: Duration) -> Result<(u64, u64), StoreError> {
    let (mut count, mut bytes) = (0, 0);
    for (name, path) in entries(&core.layout.ingests())? {
        let Some(key) = key_of(&name) else { continue };
        // Nobody opens it while the lock is held.
        let mut sessions = core.sessions.lock();
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        let is_busy =
            sessions.get(&key).is_some_and(|session| matches!(session.state, State::Busy));
        if is_busy || idle(&meta) < older_than {
            continue;
        }
        std::fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        sessions.remove(&key);
        count += 1;
        bytes += meta.len();
    }
    Ok((count, bytes))
}

fn idle(meta: &std::fs::Metadata) -> Duration {
    let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    SystemTime::now().duration_since(changed).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_uuids_and_nothing_else_is_one() {
        let id = new_id().unwrap();
        assert!(is_id(&id) && id.as_bytes()[14] == b'4', "{id}");
        let scope = scope("a/b");
        let name = format!("upload-{id}-{scope}-sha256.part");
        assert_eq!(key_of(&name), Some((scope, id.clone())));
        for bad in ["", "..", "upload", &id.to_uppercase(), &id[1..], &id.replace('-', "/")] {
            assert!(!is_id(bad), "{bad}");
        }
        assert_eq!(key_of("sha256-00.part"), None);
    }
}
