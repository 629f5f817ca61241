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
//! belongs to one repository: through another one it is not there.

use super::Blob;
use super::staging::Staging;
use crate::StoreError;
use crate::core::Core;
use crate::journal::Batch;
use crate::leases::LeaseId;
use crate::open::entries;
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
pub(crate) struct Sessions(Mutex<BTreeMap<PathBuf, Session>>);

#[derive(Debug)]
enum Session {
    Busy,
    Idle { digester: Box<Digester>, size: u64 },
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one writer of an upload session. Dropping it leaves the session for the next.
#[derive(Debug)]
pub struct Upload {
    core: Arc<Core>,
    staging: Staging,
    id: String,
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

/// The session's number in the name of a staging file.
fn id_of(name: &str) -> Option<&str> {
    let id = name.strip_prefix("upload-")?.get(..36)?;
    (name.ends_with(".part") && is_id(id)).then_some(id)
}

/// The file of a session.
fn find(core: &Core, repository: &str, id: &str) -> Result<(PathBuf, Algorithm), StoreError> {
    let no_upload = || StoreError::NoUpload { id: id.chars().take(64).collect() };
    if !is_id(id) {
        return Err(no_upload());
    }
    let scope = scope(repository);
    [Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .map(|algorithm| (core.layout.upload(id, &scope, algorithm), algorithm))
        .find(|(path, _)| path.is_file())
        .ok_or_else(no_upload)
}

impl Upload {
    pub(super) fn begin(
        core: &Arc<Core>,
        repository: &str,
        algorithm: Algorithm,
    ) -> Result<Upload, StoreError> {
        let id = new_id().map_err(StoreError::io("number an upload in", core.layout.root()))?;
        let path = core.layout.upload(&id, &scope(repository), algorithm);
        core.sessions.lock().insert(path.clone(), Session::Busy);
        match fs::create_new(&path, 0o600) {
            Ok(file) => Ok(Upload {
                core: Arc::clone(core),
                staging: Staging::new(file, path, Digester::new(algorithm), 0),
                id,
                done: false,
            }),
            Err(source) => {
                core.sessions.lock().remove(&path);
                Err(StoreError::io("create", &path)(source))
            }
        }
    }

    pub(super) fn open(core: &Arc<Core>, repository: &str, id: &str) -> Result<Upload, StoreError> {
        let (path, algorithm) = find(core, repository, id)?;
        let known = match core.sessions.lock().insert(path.clone(), Session::Busy) {
            Some(Session::Busy) => return Err(StoreError::UploadBusy { id: id.to_owned() }),
            Some(Session::Idle { digester, size }) => Some((*digester, size)),
            None => None,
        };
        let opened = open_at(&path, algorithm, known);
        match opened {
            Ok((file, digester, size)) => Ok(Upload {
                core: Arc::clone(core),
                staging: Staging::new(file, path, digester, size),
                id: id.to_owned(),
                done: false,
            }),
            Err(source) => {
                core.sessions.lock().remove(&path);
                if source.kind() == io::ErrorKind::NotFound {
                    return Err(StoreError::NoUpload { id: id.to_owned() });
                }
                Err(StoreError::io("open", &path)(source))
            }
        }
    }

    /// The session's number, a UUID.
    pub fn id(&self) -> &str {
        &self.id
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
        self.core.sessions.lock().remove(&self.staging.path);
        Ok(blob)
    }

    fn end(&mut self) {
        self.staging.forget();
        self.done = true;
        self.core.sessions.lock().remove(&self.staging.path);
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
        if !self.done {
            let idle = Session::Idle {
                digester: Box::new(self.staging.digester.clone()),
                size: self.staging.size,
            };
            self.core.sessions.lock().insert(self.staging.path.clone(), idle);
        }
    }
}

/// How many bytes of a session have arrived, whether somebody writes it now or not.
pub(super) fn size(core: &Core, repository: &str, id: &str) -> Result<u64, StoreError> {
    let (path, _) = find(core, repository, id)?;
    let meta = std::fs::metadata(&path).map_err(StoreError::io("read", &path))?;
    Ok(meta.len())
}

/// All sessions.
pub(super) fn list(core: &Core) -> Result<Vec<UploadInfo>, StoreError> {
    let mut list = Vec::new();
    for (name, path) in entries(&core.layout.ingests())? {
        // One that ends meanwhile is left out.
        if let (Some(id), Ok(meta)) = (id_of(&name), std::fs::metadata(&path)) {
            list.push(UploadInfo { id: id.to_owned(), size: meta.len(), idle: idle(&meta) });
        }
    }
    Ok(list)
}

/// Ends sessions that nobody writes and that got nothing for so long; says how many and how many bytes they had.
pub(super) fn sweep(core: &Core, older_than: Duration) -> Result<(u64, u64), StoreError> {
    let (mut count, mut bytes) = (0, 0);
    for (name, path) in entries(&core.layout.ingests())? {
        if id_of(&name).is_none() {
            continue;
        }
        // Nobody opens it while the lock is held.
        let mut sessions = core.sessions.lock();
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        if matches!(sessions.get(&path), Some(Session::Busy)) || idle(&meta) < older_than {
            continue;
        }
        std::fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        sessions.remove(&path);
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
        assert_eq!(id_of(&format!("upload-{id}-{scope}-sha256.part")), Some(id.as_str()));
        for bad in ["", "..", "upload", &id.to_uppercase(), &id[1..], &id.replace('-', "/")] {
            assert!(!is_id(bad), "{bad}");
        }
        assert_eq!(id_of("sha256-00.part"), None);
    }
}
