//! The thread that owns the database.
//!
//! Acts: see the order in [`super`].

use super::{Bytes, Job, Queue, Rows, Shared, States, Unwritten, check};
use crate::error::DatabaseError;
use crate::gc::{Watch, named};
use crate::leases::Held;
use crate::mirror;
use crate::schema::{Key, Layout};
use crate::{OpenError, StoreError};
use naru_kernel::{failpoint, fs};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// What sled may keep of its pages; readers are served from our own rows.
const CACHE: u64 = 2 << 20;
/// The unit in which sled writes its log.
const SEGMENT: usize = 1 << 20;
/// A value above this gets a file of its own. sled moves a page above a quarter segment into a file that it never syncs,
/// and a page has up to twenty rows (it splits above sixteen, and takes up to four more when it is merged).
const LARGEST_ROW: usize = SEGMENT / 4 / 20 - 2048;
/// The first byte of a row whose value is in a file. Versions of rows never get there.
const SPILLED: u8 = 0xff;
/// Left free so that removals, which free space, can still be written.
const RESERVE: u64 = 2 << 20;

/// The row that counts the groups. The same number is in a file beside the database, written after each group without
/// waiting for the disk: when the file knows a later group than the database, the database has lost something.
const SEQUENCE: &[u8] = b"meta/sequence";

/// Changes of one group, the last one of each key.
pub(crate) type Overlay = BTreeMap<Key, Option<Bytes>>;

pub(super) enum OpenFailure {
    Damaged(String),
    Other(OpenError),
}

/// The open database.
#[derive(Debug)]
pub(super) struct Database {
    tree: sled::Db,
    log: File,
    /// Keys whose value is in a file, and the file's number.
    spilled: BTreeMap<Key, u64>,
    next_spill: u64,
    sequence: u64,
    sequence_file: File,
}

/// A database that was opened.
pub(super) struct OpenDatabase {
    pub(super) database: Database,
    pub(super) rows: Rows,
    /// How many groups it has lost.
    pub(super) lost: u64,
}

impl Database {
    pub(super) fn open(layout: &Layout) -> Result<OpenDatabase, OpenFailure> {
        let io = |action, path: PathBuf| {
            move |source| OpenFailure::Other(OpenError::Io { action, path, source })
        };
        let directory = layout.database();
        // A crash while sled writes its snapshot leaves a half file that it would take for the newest one.
        if let Ok(entries) = std::fs::read_dir(&directory) {
            for entry in entries.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with("snap.") && name.ends_with(".generating") {
                    std::fs::remove_file(entry.path())
                        .map_err(io("remove a half snapshot at", entry.path()))?;
                }
            }
        }
        let config = sled::Config::new()
            .path(&directory)
            .cache_capacity(CACHE)
            .flush_every_ms(None)
            .segment_size(SEGMENT);
        // sled asserts on some damages instead of returning an error.
        let opened = quietly(|| {
            let tree = open_unlocked(&config)?;
            let mut rows = BTreeMap::new();
            for row in tree.iter() {
                let (key, value) = row?;
                rows.insert(key.to_vec(), value.to_vec());
            }
            Ok((tree, rows))
        });
        let (tree, raw) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(sled::Error::Io(source))) if is_outside_trouble(&source) => {
                return Err(io("open the database", directory)(source));
            }
            Ok(Err(error)) => return Err(OpenFailure::Damaged(error.to_string())),
            Err(panic) => return Err(OpenFailure::Damaged(panic)),
        };
        let log = File::open(layout.database_log())
            .map_err(io("open the database", layout.database_log()))?;
        fs::sync_dir(&directory).map_err(io("sync", directory))?;
        let mut rows = Rows::new();
        let mut spilled = BTreeMap::new();
        let mut sequence = 0;
        for (key, value) in raw {
            if key == SEQUENCE {
                sequence = number(&value).unwrap_or(0);
                continue;
            }
            let Some(key) = Key::from_bytes(&key) else {
                return Err(OpenFailure::Damaged("a row has no table".to_owned()));
            };
            let value = match value.split_first() {
                Some((&SPILLED, number)) => {
                    let Some(number) = self::number(number) else {
                        return Err(OpenFailure::Damaged(format!(
                            "the row `{}` is torn",
                            key.as_str()
                        )));
                    };
                    let path = layout.spill().join(number.to_string());
                    spilled.insert(key.clone(), number);
                    match std::fs::read(&path) {
                        Ok(value) => value,
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {
                            return Err(OpenFailure::Damaged(format!(
                                "`{}` is missing",
                                path.display()
                            )));
                        }
                        Err(error) => return Err(io("read", path)(error)),
                    }
                }
                _ => value,
            };
            rows.insert(key, value.into());
        }
        let next_spill =
            sweep_spill(&layout.spill(), &spilled).map_err(io("sweep", layout.spill()))?;
        let path = layout.sequence();
        let known = std::fs::read(&path).ok().and_then(|text| number(&text)).unwrap_or(0);
        let sequence_file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io("open", path))?;
        let lost = known.saturating_sub(sequence);
        let sequence = sequence.max(known);
        let database = Database { tree, log, spilled, next_spill, sequence, sequence_file };
        Ok(OpenDatabase { database, rows, lost })
    }

    /// Writes a group durably.
    fn write(&mut self, layout: &Layout, overlay: &Overlay) -> Result<(), StoreError> {
        if overlay.values().any(Option::is_some)
            && fs::free_bytes(layout.root()).is_ok_and(|free| free < RESERVE)
        {
            return Err(StoreError::Full { root: layout.root().to_owned() });
        }
        let mut batch = sled::Batch::default();
        let mut written = Vec::new();
        for (key, value) in overlay {
            match value {
                None => batch.remove(key.as_str().as_bytes()),
                Some(bytes) if bytes.len() <= LARGEST_ROW => {
                    batch.insert(key.as_str().as_bytes(), bytes.as_ref());
                }
                Some(bytes) => {
                    let number = self.next_spill;
                    self.next_spill += 1;
                    let path = layout.spill().join(number.to_string());
                    fs::write_atomic(&path, bytes, 0o600)
                        .map_err(StoreError::io("write the record", &path))?;
                    written.push((key.clone(), number));
                    let mut row = vec![SPILLED];
                    row.extend_from_slice(number.to_string().as_bytes());
                    batch.insert(key.as_str().as_bytes(), row);
                }
            }
        }
        self.sequence += 1;
        let sequence = format!("{:020}", self.sequence);
        batch.insert(SEQUENCE, sequence.as_bytes());
        failpoint::hit("journal.before-batch");
        self.apply(batch)?;
        // It only serves to find damage, so nothing is said when it cannot be written.
        drop(self.sequence_file.write_all_at(sequence.as_bytes(), 0));
        let mut stale = Vec::new();
        for key in overlay.keys() {
            stale.extend(self.spilled.remove(key));
        }
        self.spilled.extend(written);
        for number in stale {
            // What cannot be removed now is swept at the next open.
            drop(std::fs::remove_file(layout.spill().join(number.to_string())));
        }
        Ok(())
    }

    fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        quietly(|| {
            self.tree.apply_batch(batch)?;
            failpoint::hit("journal.before-flush");
            self.tree.flush()?;
            failpoint::hit("journal.before-sync");
            self.log.sync_data()?;
            Ok::<(), sled::Error>(())
        })
        .map_err(sled::Error::ReportableBug)
        .and_then(|result| result)
        .map_err(|error| StoreError::Database(DatabaseError(error)))
    }
}

/// A number in decimal digits.
fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// sled releases its lock from a background thread after a close, so a reopen may have to wait a moment.
fn open_unlocked(config: &sled::Config) -> sled::Result<sled::Db> {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        match config.open() {
            Err(sled::Error::Io(error))
                if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(sled::Error::Io(error))
                if error.kind() == io::ErrorKind::Other
                    && error.to_string().contains("WouldBlock")
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
}

/// Runs what may panic inside sled, and gives the panic's words.
fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        if let Some(text) = panic.downcast_ref::<&str>() {
            (*text).to_owned()
        } else if let Some(text) = panic.downcast_ref::<String>() {
            text.clone()
        } else {
            "the database gave up".to_owned()
        }
    })
}

/// Whether an error at open comes from around the database and not from its bytes.
fn is_outside_trouble(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::WouldBlock
    )
}

/// Removes the files of no row; says which number is free.
fn sweep_spill(directory: &Path, spilled: &BTreeMap<Key, u64>) -> io::Result<u64> {
    let known: Vec<u64> = spilled.values().copied().collect();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        if !number.is_some_and(|number| known.contains(&number)) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(known.iter().max().map_or(1, |highest| highest + 1))
}

/// The writer's state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    layout: Layout,
    database: Option<Database>,
    /// Keys that a failed group may have left in the database in another form than ours.
    doubtful: Vec<Key>,
    /// The copy of what repositories hold.
    changes: mirror::Changes,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, layout: Layout, database: Database) -> Writer {
        Writer {
            shared,
            layout,
            database: Some(database),
            doubtful: Vec::new(),
            changes: mirror::Changes::default(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let (group, closing) = self.next_group();
            let nothing = group.overlay.is_empty();
            if !nothing || !group.answers.is_empty() {
                self.write_group(group);
            }
            if closing && nothing {
                self.changes.end();
                return;
            }
        }
    }

    /// Waits for work and takes all of it, checked and in order.
    fn next_group(&self) -> (Group, bool) {
        let mut queue = self.shared.queue();
        loop {
            let due = queue.due.is_some_and(|due| due <= Instant::now());
            if !queue.jobs.is_empty() || due || queue.closing {
                break;
            }
            queue = match queue.due {
                None => self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    let (queue, _) = self
                        .shared
                        .wake
                        .wait_timeout(queue, left)
                        .unwrap_or_else(PoisonError::into_inner);
                    queue
                }
            };
        }
        let closing = queue.closing;
        let mut group = Group::default();
        if closing || queue.due.is_some_and(|due| due <= Instant::now()) {
            group.take_volatile(&mut queue);
        }
        for job in std::mem::take(&mut queue.jobs) {
            group.take(job, &self.shared.rows(), &self.shared.watch, &mut queue.states);
        }
        for key in group.overlay.keys() {
            // What is durable now is no longer volatile.
            queue.volatile.remove(key);
        }
        if queue.volatile.is_empty() {
            queue.due = None;
        }
        queue.in_flight = group.overlay.keys().cloned().collect();
        (group, closing)
    }

    fn write_group(&mut self, group: Group) {
        let result = self.write(&group.overlay);
        let mut queue = self.shared.queue();
        if result.is_ok() {
            let mut rows = self.shared.rows.write().unwrap_or_else(PoisonError::into_inner);
            if self.shared.watch.is_on() {
                // The collection may have begun after the group was taken, and may have read these rows already.
                self.shared.watch.note(group.named());
            }
            // Once more: who read a state since the group was taken has seen the rows of before.
            queue.states.changed(group.overlay.keys());
            for (key, value) in &group.overlay {
                match value {
                    Some(bytes) => rows.insert(key.clone(), Arc::clone(bytes)),
                    None => rows.remove(key),
                };
            }
        }
        queue.in_flight.clear();
        drop(queue);
        let result = result.and_then(|()| {
            failpoint::hit("journal.before-copies");
            mirror::after(&self.layout, &group.overlay, &self.shared.rows())
        });
        failpoint::hit("journal.before-answer");
        for answer in group.answers {
            answer.send(match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(error.again(self.layout.root())),
            });
        }
        if result.is_ok() {
            mirror::after_answer(&self.layout, &group.overlay);
            self.changes.add(&self.layout, &group.overlay, &self.shared.rows());
        }
    }

    fn write(&mut self, overlay: &Overlay) -> Result<(), StoreError> {
        if overlay.is_empty() {
            return Ok(());
        }
        self.recover()?;
        mirror::before(&self.layout, overlay, &self.shared.rows())?;
        let Some(database) = &mut self.database else { return Err(StoreError::Closed) };
        let result = database.write(&self.layout, overlay);
        if let Err(StoreError::Database(_)) = &result {
            // sled refuses everything after its first failure, until it is opened again.
            self.database = None;
            self.doubtful.extend(overlay.keys().cloned());
        }
        if result.is_err() {
            // The copies were changed for a change that did not happen. If this fails too, the next open mends it.
            drop(mirror::restore(&self.layout, overlay, &self.shared.rows()));
        }
        result
    }

    /// Opens a database that was given up, and takes back what the failed group may have left.
    fn recover(&mut self) -> Result<(), StoreError> {
        if self.database.is_some() && self.doubtful.is_empty() {
            return Ok(());
        }
        if self.database.is_none() {
            let opened = Database::open(&self.layout).map_err(|failure| match failure {
                OpenFailure::Damaged(why) => {
                    StoreError::Database(DatabaseError(sled::Error::ReportableBug(why)))
                }
                OpenFailure::Other(OpenError::Io { action, path, source }) => {
                    StoreError::Io { action, path, source }
                }
                OpenFailure::Other(_) => StoreError::Closed,
            })?;
            self.database = Some(opened.database);
        }
        let mut batch = sled::Batch::default();
        {
            let rows = self.shared.rows();
            for key in &self.doubtful {
                match rows.get(key) {
                    Some(bytes) if bytes.len() <= LARGEST_ROW => {
                        batch.insert(key.as_str().as_bytes(), bytes.as_ref());
                    }
                    // A spilled row keeps its file, and its row was not replaced in a batch that failed.
                    Some(_) => {}
                    None => batch.remove(key.as_str().as_bytes()),
                }
            }
        }
        let applied = self
            .database
            .as_ref()
            .map_or(Err(StoreError::Closed), |database| database.apply(batch));
        if let Err(error) = applied {
            self.database = None;
            return Err(error);
        }
        self.doubtful.clear();
        Ok(())
    }
}

/// Changes that go to the disk together.
#[derive(Debug, Default)]
struct Group {
    overlay: Overlay,
    /// What new blobs refer to.
    names: Vec<Held>,
    answers: Vec<crate::ticket::Answer>,
}

impl Group {
    fn take_volatile(&mut self, queue: &mut Queue) {
        for (key, Unwritten { value, only_here: _ }) in std::mem::take(&mut queue.volatile) {
            self.overlay.insert(key, value);
        }
        queue.due = None;
    }

    /// Everything that the group's rows and blobs name.
    fn named(&self) -> impl Iterator<Item = Held> {
        let rows = self.overlay.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let rows = rows.flat_map(|(key, value)| named(key, value).unwrap_or_default().things);
        rows.chain(self.names.iter().copied())
    }

    fn take(&mut self, job: Job, rows: &Rows, watch: &Watch, states: &mut States) {
        let found = |key: &Key| match self.overlay.get(key) {
            Some(value) => value.as_ref(),
            None => rows.get(key),
        };
        if let Err(error) = check(&job.batch.checks, found) {
            job.answer.send(Err(error));
            return;
        }
        if job.batch.states.iter().any(|(repository, state)| states.get(repository) != *state) {
            job.answer.send(Err(StoreError::Stale));
            return;
        }
        states.changed(job.batch.changes.iter().map(|(key, _)| key));
        if watch.is_on() {
            // Before it is visible: what is taken after this change, in the same flush, must leave what it names.
            watch.note(job.batch.named());
        }
        for thing in job.batch.takes {
            if watch.take(&thing) {
                self.overlay.insert(thing.key(), None);
            }
        }
        self.names.extend(job.batch.names);
        self.overlay.extend(job.batch.changes);
        self.answers.push(job.answer);
    }
}
