//! Checks names and passwords against the file of users. Acts: reads the file again when it changes, and lets bcrypt work aside.
//!
//! A bcrypt check costs a twentieth of a second and more, by design. So one that succeeded is remembered for a while, under a keyed
//! hash of everything it depends on (address, name, password, and the hash in the file, so that a changed password is forgotten by
//! itself); the same credentials arriving many times at once are checked once; and a name that nobody has costs the same time.

use super::credentials::Secret;
use super::htpasswd::{self, Users};
use super::throttle::{Attempt, Throttle, whole_seconds};
use naru_errdefs::{Fault, ResultExt, one_line};
use ring::hmac;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// How long a check that succeeded counts.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// Most checks that are remembered.
const MOST_REMEMBERED: usize = 1024;
/// How often the file is looked at, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

type KeyedHash = [u8; 32];

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginError {
    /// No such user, or another password.
    Wrong,
    /// Not looked at; seconds until the next attempt is.
    Throttled(u64),
}

/// The users of a file.
#[derive(Debug)]
pub(crate) struct UserFile {
    path: PathBuf,
    loaded: Mutex<Loaded>,
    key: hmac::Key,
    remembered: Mutex<BTreeMap<KeyedHash, Instant>>,
    under_way: Mutex<BTreeMap<KeyedHash, watch::Receiver<Option<bool>>>>,
    throttle: Throttle,
    /// bcrypt takes a processor for itself; some are left for everybody else.
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Loaded {
    users: Arc<Users>,
    stamp: Option<Stamp>,
    looked: Instant,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

fn read(path: &Path) -> Result<Users, Fault> {
    let during = || format!("cannot read the file of users `{}`", path.display());
    if std::fs::metadata(path).during(during)?.len() > htpasswd::LARGEST {
        return Err(Fault::invalid(format!(
            "the file of users `{}` is larger than {} MiB",
            path.display(),
            htpasswd::LARGEST >> 20
        )));
    }
    let text = std::fs::read_to_string(path).during(during)?;
    Users::parse(&text)
        .map_err(|fault| fault.context(format!("invalid file of users `{}`", path.display())))
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can be left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UserFile {
    /// Reads the file; it must be right at the start.
    pub(crate) fn open(path: &Path) -> Result<UserFile, Fault> {
        let stamp = Stamp::of(path);
        let users = Arc::new(read(path)?);
        if users.len() == 0 {
            tracing::warn!(file = %path.display(), "the file of users has none: nobody can log in");
        }
        let random = ring::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random)
            .map_err(|_unspecified| Fault::internal("cannot make a random key"))?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(UserFile {
            path: path.to_owned(),
            loaded: Mutex::new(Loaded { users, stamp, looked: Instant::now() }),
            key,
            remembered: Mutex::default(),
            under_way: Mutex::default(),
            throttle: Throttle::new(),
            places: Arc::new(Semaphore::new(cores.div_ceil(2))),
        })
    }

    /// The users as the file has them now. A file that has become wrong, or is gone, changes nothing, and the log says so.
    async fn current(self: &Arc<UserFile>) -> Arc<Users> {
        {
            let mut loaded = held(&self.loaded);
            if loaded.looked.elapsed() < LOOK_AGAIN {
                return Arc::clone(&loaded.users);
            }
            loaded.looked = Instant::now();
        }
        let this = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || this.look());
        match looked.await {
            Ok(users) => users,
            Err(_lost) => Arc::clone(&held(&self.loaded).users),
        }
    }

    fn look(&self) -> Arc<Users> {
        let stamp = Stamp::of(&self.path);
        if held(&self.loaded).stamp != stamp {
            let read = read(&self.path);
            let mut loaded = held(&self.loaded);
            loaded.stamp = stamp;
            match read {
                Ok(users) => {
                    tracing::info!(file = %self.path.display(), users = users.len(), "users read again");
                    loaded.users = Arc::new(users);
                }
                Err(fault) => {
                    tracing::error!(error = one_line(&fault), "the users stay as they were");
                }
            }
        }
        Arc::clone(&held(&self.loaded).users)
    }

    /// What refresh tokens are bound to: changes with the user's password. None: no such user.
    pub(crate) async fn bound(self: &Arc<UserFile>, user: &str, secret: &[u8]) -> Option<String> {
        let users = self.current().await;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, users.hash(user)?.as_bytes());
        Some(hex::encode(tag.as_ref().get(..16)?))
    }

    /// Whether these are a user's name and password.
    pub(crate) async fn login(
        self: &Arc<UserFile>,
        peer: IpAddr,
        user: &str,
        password: &Secret,
    ) -> Result<(), LoginError> {
        let users = self.current().await;
        let hash = users.hash(user).cloned();
        let key = self.keyed(&peer, &[user, hash.as_deref().unwrap_or(""), &password.0]);
        let guess = guess_of(&key);
        let attempt = Attempt { peer, user, guess };
        if self.remembers(&key) {
            return self
                .throttle
                .lets_known(attempt, Instant::now().into_std())
                .map_err(|wait| LoginError::Throttled(whole_seconds(wait)));
        }
        let mut answer =
            self.check_once(key, attempt, hash.ok_or_else(|| users.hash_of_nobody()), password)?;
        // The check goes on when whoever asked goes away, so that going away early saves nobody from being counted.
        match answer.wait_for(Option::is_some).await {
            Ok(right) if *right == Some(true) => Ok(()),
            _ => Err(LoginError::Wrong),
        }
    }

    fn keyed(&self, peer: &IpAddr, parts: &[&str]) -> KeyedHash {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(peer.to_string().as_bytes());
        for part in parts {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut key = KeyedHash::default();
        key.copy_from_slice(context.sign().as_ref());
        key
    }

    fn remembers(&self, key: &KeyedHash) -> bool {
        held(&self.remembered).get(key).is_some_and(|until| *until > Instant::now())
    }

    fn remember(&self, key: KeyedHash) {
        let now = Instant::now();
        let mut remembered = held(&self.remembered);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.retain(|_key, until| *until > now);
            if remembered.len() >= MOST_REMEMBERED
                && let Some(oldest) = remembered.iter().min_by_key(|it| *it.1).map(|it| *it.0)
            {
                remembered.remove(&oldest);
            }
        }
        remembered.insert(key, now + REMEMBERED);
    }

    /// The check of these credentials that is under way, or a new one. A hash that is `Err` is nobody's.
    fn check_once(
        self: &Arc<UserFile>,
        key: KeyedHash,
        attempt: Attempt<'_>,
        hash: Result<Arc<str>, Arc<str>>,
        password: &Secret,
    ) -> Result<watch::Receiver<Option<bool>>, LoginError> {
        let mut under_way = held(&self.under_way);
        if let Some(same) = under_way.get(&key) {
            return Ok(same.clone());
        }
        self.throttle
            .begin(attempt, Instant::now().into_std())
            .map_err(|wait| LoginError::Throttled(whole_seconds(wait)))?;
        let (tell, answer) = watch::channel(None);
        under_way.insert(key, answer.clone());
        drop(under_way);
        let (this, user, password) = (Arc::clone(self), attempt.user.to_owned(), password.clone());
        let (peer, guess) = (attempt.peer, attempt.guess);
        tokio::spawn(async move {
            let right = this.bcrypt(hash, password).await;
            let attempt = Attempt { peer, user: &user, guess };
            this.throttle.end(attempt, !right, Instant::now().into_std());
            if right {
                this.remember(key);
            }
            held(&this.under_way).remove(&key);
            tell.send_replace(Some(right));
        });
        Ok(answer)
    }

    async fn bcrypt(&self, hash: Result<Arc<str>, Arc<str>>, password: Secret) -> bool {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return false };
        let checked = tokio::task::spawn_blocking(move || {
            let _place = place;
            let (hash, exists) = match hash {
                Ok(hash) => (hash, true),
                Err(nobodys) => (nobodys, false),
            };
            // bcrypt repeats the password with a NUL behind it, so one inside would make different passwords the same.
            let right = bcrypt::verify(&password.0, &hash).unwrap_or(false);
            right && exists && !password.0.contains('\0')
        });
        checked.await.unwrap_or(false)
    }
}

fn guess_of(key: &KeyedHash) -> u64 {
    key.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests;
