//! All changes of rows: one writer thread, group commit, and the rows in memory for every reader.
//!
//! Acts. The order for every group of changes:
//!
//! ```text
//! callers ─▶ queue ─▶ checks against the rows ─▶ copies that must go first are changed
//!         ─▶ one database batch ─▶ flush + fdatasync ─▶ rows in memory ─▶ copies are written ─▶ answers
//! ```
//!
//! Readers see only what is durable. The exception is asked for by name: *volatile* rows are visible at once and
//! written a moment later if they are still there, so that what lives for milliseconds costs no flush.
//!
//! sled's `flush` waits for `sync_file_range`, which on Linux neither writes the file's metadata nor empties the
//! disk's cache, so the log is synced once more by us. Values that sled would move into files of its own (which it
//! never syncs) are kept below that size by spilling them to files that we sync.

mod writer;

use crate::gc::{Watch, named};
use crate::leases::Held;
use crate::schema::{Key, Layout};
use crate::ticket::{Answer, Ticket, ticket};
use crate::{OpenError, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a volatile row may stay unwritten.
pub(crate) const VOLATILE_FOR: Duration = Duration::from_millis(250);

/// The bytes of a row, shared with readers.
pub(crate) type Bytes = Arc<[u8]>;

/// How often members and tags of repositories changed. Repositories share numbers, so that there is no more of them than there
/// are places; whoever shares one with a busy repository sees changes that are none.
#[derive(Debug, Default)]
struct States(BTreeMap<u64, u64>);

impl States {
    const PLACES: u64 = 1024;

    fn place(repository: &str) -> u64 {
        // FNV-1a: spreads names well enough, and nobody gains by making two meet.
        let hash = repository.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash % States::PLACES
    }

    fn get(&self, repository: &str) -> u64 {
        self.0.get(&States::place(repository)).copied().unwrap_or(0)
    }

    /// Rows of these keys are about to change, or have just done so.
    fn changed<'a>(&mut self, keys: impl Iterator<Item = &'a Key>) {
        use crate::schema::table::{MEMBER, TAG};
        for key in keys {
            if let (MEMBER | TAG, name) = key.parts()
                && let Some((repository, _)) = name.split_once(['@', ':'])
            {
                *self.0.entry(States::place(repository)).or_default() += 1;
            }
        }
    }
}

/// All rows.
pub(crate) type Rows = BTreeMap<Key, Bytes>;

/// What a change relies on.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    Present,
    Absent,
    /// Present, and it says this.
    Same {
        /// In today's bytes.
        wanted: Bytes,
        /// Today's bytes of what a row says: one that an older program has written says the same in other bytes.
        today: fn(&[u8]) -> Option<Vec<u8>>,
    },
}

/// Changes that belong together: all of them happen, or none.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) checks: Vec<(Key, Check)>,
    pub(crate) changes: Vec<(Key, Option<Bytes>)>,
    pub(crate) failed: Option<StoreError>,
    /// Only if these repositories are in these states.
    states: Vec<(String, u64)>,
    /// What new blobs refer to.
    names: Vec<Held>,
    /// What the collector takes, as far as nobody holds it by then.
    takes: Vec<Held>,
}

impl Batch {
    /// A batch that changes nothing yet.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Whether it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.takes.is_empty() && self.failed.is_none()
    }

    pub(crate) fn check(&mut self, key: Key, check: Check) {
        self.checks.push((key, check));
    }

    /// The batch counts only if a row is as it was read: not there, or saying exactly this.
    pub(crate) fn check_as<T: crate::row::Row>(&mut self, key: Key, was: Option<&T>) {
        let today = |bytes: &[u8]| T::from_bytes(bytes).ok()?.to_bytes().ok();
        match was.map(T::to_bytes) {
            None => self.check(key, Check::Absent),
            Some(Ok(wanted)) => self.check(key, Check::Same { wanted: wanted.into(), today }),
            Some(Err(source)) => self.fail(&key, source),
        }
    }

    /// The batch is refused as stale when a member or tag of the repository was changed since [`Journal::state`] said this.
    pub(crate) fn only_in(&mut self, repository: &str, state: u64) {
        self.states.push((repository.to_owned(), state));
    }

    /// What the blobs of the batch refer to is wanted from now on.
    pub(crate) fn names(&mut self, things: impl IntoIterator<Item = Held>) {
        self.names.extend(things);
    }

    /// The rows of these go, as far as they are still condemned when the batch gets its place.
    pub(crate) fn take(&mut self, things: impl IntoIterator<Item = Held>) {
        self.takes.extend(things);
    }

    /// Everything that rows and blobs of the batch name.
    fn named(&self) -> impl Iterator<Item = Held> {
        let rows = self.changes.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        // A row of ours that cannot be read stops the next collection, at its scan.
        let rows = rows.flat_map(|(key, value)| named(key, value).unwrap_or_default().things);
        rows.chain(self.names.iter().copied())
    }

    pub(crate) fn put<T: crate::row::Row>(&mut self, key: Key, value: &T) {
        match value.to_bytes() {
            Ok(bytes) => self.changes.push((key, Some(bytes.into()))),
            Err(source) => self.fail(&key, source),
        }
    }

    pub(crate) fn put_bytes(&mut self, key: Key, bytes: Vec<u8>) {
        self.changes.push((key, Some(bytes.into())));
    }

    pub(crate) fn remove(&mut self, key: Key) {
        self.changes.push((key, None));
    }

    pub(crate) fn fail(&mut self, key: &Key, source: crate::row::RowError) {
        let (table, key) = key.parts();
        self.failed =
            Some(StoreError::Row { table: table.to_owned(), key: key.to_owned(), source });
    }
}

/// A change on its way.
#[derive(Debug)]
struct Job {
    batch: Batch,
    answer: Answer,
}

/// A volatile row that the database does not have in this form.
#[derive(Debug)]
struct Unwritten {
    value: Option<Bytes>,
    /// The database has never heard of the key.
    only_here: bool,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: Vec<Job>,
    volatile: BTreeMap<Key, Unwritten>,
    /// When the oldest volatile row must be written.
    due: Option<Instant>,
    /// How often members and tags of repositories changed.
    states: States,
    /// Keys of the group that is being written.
    in_flight: BTreeSet<Key>,
    closing: bool,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    rows: RwLock<Rows>,
    /// What the collector has to know of changes.
    watch: Watch,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows and the thread that writes them.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What opening the database found.
pub(crate) enum Opened {
    /// All rows it has, and how many groups of changes it has lost.
    Readable(Journal, u64),
    /// It is there and cannot be read.
    Damaged(DamagedDatabase),
}

/// Why a database is damaged, in words.
#[derive(Debug)]
pub(crate) struct DamagedDatabase(pub(crate) String);

impl Journal {
    /// Opens the database and starts the writer.
    pub(crate) fn open(layout: &Layout) -> Result<Opened, OpenError> {
        let writer::OpenDatabase { database, rows, lost } = match writer::Database::open(layout) {
            Ok(opened) => opened,
            Err(writer::OpenFailure::Damaged(why)) => {
                return Ok(Opened::Damaged(DamagedDatabase(why)));
            }
            Err(writer::OpenFailure::Other(error)) => return Err(error),
        };
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            rows: RwLock::new(rows),
            watch: Watch::default(),
        });
        let writer = writer::Writer::new(Arc::clone(&shared), layout.clone(), database);
        let thread = std::thread::Builder::new()
            .name("naru-store".to_owned())
            .stack_size(512 << 10)
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Io {
                action: "start the writer of",
                path: layout.root().to_owned(),
                source,
            })?;
        Ok(Opened::Readable(Journal { shared, writer: Some(thread) }, lost))
    }

    /// Sends changes on their way; the ticket says when they are durable.
    pub(crate) fn submit(&self, mut batch: Batch) -> Ticket {
        let (ticket, answer) = ticket();
        if let Some(error) = batch.failed.take() {
            answer.send(Err(error));
            return ticket;
        }
        let mut queue = self.shared.queue();
        if queue.closing {
            drop(queue);
            answer.send(Err(StoreError::Closed));
            return ticket;
        }
        queue.jobs.push(Job { batch, answer });
        drop(queue);
        self.shared.wake.notify_one();
        ticket
    }

    /// Makes changes and waits until they are durable.
    pub(crate) fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.submit(batch).wait()
    }

    /// Makes changes that are visible at once and written a moment later.
    pub(crate) fn commit_volatile(&self, mut batch: Batch) -> Result<(), StoreError> {
        if let Some(error) = batch.failed.take() {
            return Err(error);
        }
        let mut guard = self.shared.queue();
        let queue = &mut *guard;
        if queue.closing {
            return Err(StoreError::Closed);
        }
        let keys = batch.checks.iter().map(|(key, _)| key);
        if keys.chain(batch.changes.iter().map(|(key, _)| key)).any(|key| {
            queue.in_flight.contains(key)
                || queue
                    .jobs
                    .iter()
                    .any(|job| job.batch.changes.iter().any(|(other, _)| other == key))
        }) {
            // Durable changes of the same rows are on their way, and the order must hold.
            drop(guard);
            return self.commit(batch);
        }
        let mut rows = self.shared.rows.write().unwrap_or_else(PoisonError::into_inner);
        check(&batch.checks, |key| rows.get(key))?;
        queue.states.changed(batch.changes.iter().map(|(key, _)| key));
        if self.shared.watch.is_on() {
            self.shared.watch.note(batch.named());
        }
        for (key, value) in batch.changes {
            let only_here = match queue.volatile.get(&key) {
                Some(unwritten) => unwritten.only_here,
                None => !rows.contains_key(&key),
            };
            match &value {
                Some(bytes) => {
                    rows.insert(key.clone(), Arc::clone(bytes));
                }
                None => {
                    rows.remove(&key);
                }
            }
            if only_here && value.is_none() {
                queue.volatile.remove(&key);
            } else {
                queue.volatile.insert(key, Unwritten { value, only_here });
            }
        }
        drop(rows);
        let wake = !queue.volatile.is_empty() && queue.due.is_none();
        if wake {
            queue.due = Some(Instant::now() + VOLATILE_FOR);
        }
        drop(guard);
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.shared.rows().contains_key(key)
    }

    pub(crate) fn get_bytes(&self, key: &Key) -> Option<Bytes> {
        self.shared.rows().get(key).map(Arc::clone)
    }

    pub(crate) fn get<T: crate::row::Row>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        match self.get_bytes(key) {
            Some(bytes) => decode(key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Keys (without the table) and bytes of a table, in the order of the keys.
    pub(crate) fn list_bytes(&self, table: &str) -> Vec<(String, Bytes)> {
        list_bytes(&self.shared.rows(), table)
    }

    pub(crate) fn list<T: crate::row::Row>(
        &self,
        table: &str,
    ) -> Result<Vec<(String, T)>, StoreError> {
        self.list_bytes(table)
            .into_iter()
            .map(|(key, bytes)| decode(&Key::new(table, &key), &bytes).map(|value| (key, value)))
            .collect()
    }

    /// Visits the rows of a table whose keys start with `prefix`, in the order of the keys, from the one after
    /// `prefix + after` on, until the visitor says `false`. It is given what follows the prefix. Other rows cost nothing.
    pub(crate) fn scan(
        &self,
        table: &str,
        prefix: &str,
        after: Option<&str>,
        mut visit: impl FnMut(&str, &Bytes) -> bool,
    ) {
        let start = Key::new(table, &format!("{prefix}{}", after.unwrap_or_default()));
        let from = match after {
            Some(_) => Bound::Excluded(start),
            None => Bound::Included(start),
        };
        let prefix = format!("{}{prefix}", Key::prefix(table));
        for (key, bytes) in self.shared.rows().range((from, Bound::Unbounded)) {
            match key.as_str().strip_prefix(&prefix) {
                Some(rest) if visit(rest, bytes) => {}
                _ => return,
            }
        }
    }

    /// All rows as they are now.
    pub(crate) fn all(&self) -> Rows {
        self.shared.rows().clone()
    }

    /// At most so many rows of a table, keys without the table, in the order of the keys, from the one after `after` on.
    pub(crate) fn page(
        &self,
        table: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(String, Bytes)> {
        let prefix = Key::prefix(table);
        let from = Key::new(table, after.unwrap_or_default());
        let from = if after.is_some() { Bound::Excluded(from) } else { Bound::Included(from) };
        self.shared
            .rows()
            .range((from, Bound::Unbounded))
            .map_while(|(key, bytes)| {
                let rest = key.as_str().strip_prefix(&prefix)?;
                Some((rest.to_owned(), Arc::clone(bytes)))
            })
            .take(limit)
            .collect()
    }

    /// Whether a group of changes is on its way to the disk.
    #[cfg(test)]
    pub(crate) fn is_writing(&self) -> bool {
        !self.shared.queue().in_flight.is_empty()
    }

    /// A number that changes whenever members or tags of a repository do. Read before the rows, it tells later whether they are
    /// still what they were.
    pub(crate) fn state(&self, repository: &str) -> u64 {
        self.shared.queue().states.get(repository)
    }

    /// What the collector has to know of changes.
    pub(crate) fn watch(&self) -> &Watch {
        &self.shared.watch
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.queue().closing = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.writer.take() {
            // A writer that panicked has answered everybody already.
            drop(thread.join());
        }
    }
}

pub(crate) fn decode<T: crate::row::Row>(key: &Key, bytes: &[u8]) -> Result<T, StoreError> {
    T::from_bytes(bytes).map_err(|source| {
        let (table, key) = key.parts();
        StoreError::Row { table: table.to_owned(), key: key.to_owned(), source }
    })
}

pub(crate) fn list_bytes(rows: &Rows, table: &str) -> Vec<(String, Bytes)> {
    let prefix = Key::prefix(table);
    let Some(from) = Key::from_bytes(prefix.as_bytes()) else { return Vec::new() };
    rows.range(from..)
        .map_while(|(key, bytes)| {
            let rest = key.as_str().strip_prefix(&prefix)?;
            Some((rest.to_owned(), Arc::clone(bytes)))
        })
        .collect()
}

/// Whether everything that a change relies on holds.
fn check<'a>(
    checks: &[(Key, Check)],
    found: impl Fn(&Key) -> Option<&'a Bytes>,
) -> Result<(), StoreError> {
    for (key, check) in checks {
        let (table, name) = key.parts();
        let table = table.strip_prefix(crate::schema::table::RECORD_PREFIX).unwrap_or(table);
        match (check, found(key)) {
            (Check::Present, Some(_)) | (Check::Absent, None) => {}
            (Check::Same { wanted, today }, Some(bytes))
                if wanted == bytes || today(bytes).is_some_and(|bytes| *bytes == **wanted) => {}
            (Check::Same { .. }, Some(_)) => return Err(StoreError::Stale),
            (Check::Present | Check::Same { .. }, None) => {
                return Err(StoreError::Absent { table: table.to_owned(), key: name.to_owned() });
            }
            (Check::Absent, Some(_)) => {
                return Err(StoreError::Taken { table: table.to_owned(), key: name.to_owned() });
            }
        }
    }
    Ok(())
}
