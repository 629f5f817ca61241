//! Acts: the book of volumes: which there are, who has a hand on them, and their directories.
//!
//! A directory is made durable before the record, and a record is removed before the directory. A mark beside the data
//! (`unfinished`) says that there is no record, or that it is about to go; a marked directory without a record that no
//! container has is swept at start. A directory without a record and without the mark is somebody's data that an older
//! version made: it is taken in.

use crate::model::{ANONYMOUS_LABEL, Timestamp, VolumeRecord};
use crate::places::{self, Places};
use naru_errdefs::{Fault, ResultExt, one_line};
use naru_store::Table;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which volumes there are.
#[derive(Debug)]
pub(crate) struct Book {
    table: Table<VolumeRecord>,
    places: Places,
    entries: Mutex<BTreeMap<String, Entry>>,
}

/// A volume in memory.
#[derive(Debug)]
struct Entry {
    record: VolumeRecord,
    /// Whether it is in the store.
    stored: bool,
    /// How many containers are being made with it, or other work is on.
    held: usize,
    /// It is on its way out.
    going: bool,
    /// Its content is being replaced.
    replaced: bool,
    /// Whoever makes or fills its directory has it.
    filling: Arc<Mutex<()>>,
    /// Whoever mounts what stands behind it has it, until the container that it is for runs.
    mounting: Arc<tokio::sync::Mutex<()>>,
}

impl Entry {
    fn new(record: VolumeRecord, stored: bool) -> Entry {
        Entry {
            record,
            stored,
            held: 0,
            going: false,
            replaced: false,
            filling: Arc::default(),
            mounting: Arc::default(),
        }
    }
}

/// A hand on a volume: it cannot be removed meanwhile.
#[derive(Debug)]
pub(crate) struct Hold {
    book: Arc<Book>,
    /// The volume.
    pub(crate) name: String,
    /// Whether it was not there before.
    pub(crate) new: bool,
    /// Whether nobody else may lay a hand on it meanwhile.
    only: bool,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(entry) = self.book.entries().get_mut(&self.name) {
            entry.held = entry.held.saturating_sub(1);
            entry.replaced &= !self.only;
        }
    }
}

impl Book {
    /// What is stored.
    pub(crate) fn open(table: Table<VolumeRecord>, places: Places) -> Result<Book, Fault> {
        let entries = table
            .list()?
            .into_iter()
            .map(|(name, record)| (name, Entry::new(record, true)))
            .collect();
        Ok(Book { table, places, entries: Mutex::new(entries) })
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes book and directories agree after a start. `used` are the volumes that containers have.
    pub(crate) fn settle(&self, used: &BTreeSet<String>) -> Result<(), Fault> {
        let dir = self.places.volumes();
        let mut found = BTreeSet::new();
        let entries = fs::read_dir(&dir).during(|| format!("cannot read `{}`", dir.display()))?;
        for entry in entries {
            let entry = entry.during(|| format!("cannot read `{}`", dir.display()))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with(GONE) {
                places::remove_tree(&entry.path())?;
                continue;
            }
            if !entry.path().is_dir() || name.starts_with('.') {
                continue;
            }
            // One that cannot be settled must not keep the others, and the daemon, from going on.
            if let Err(fault) = self.settle_one(&name, used.contains(&name)) {
                tracing::error!(volume = name, "cannot settle it: {}", one_line(&fault));
            }
            found.insert(name);
        }
        // Somebody took the directory of a volume away; the volume is there, and empty.
        let lost: Vec<String> =
            self.entries().keys().filter(|name| !found.contains(*name)).cloned().collect();
        for name in lost {
            tracing::warn!(volume = name, "its directory is gone; it is made anew, empty");
            self.make_directory(&name, |_data| Ok(()))?;
            self.unmark(&name)?;
        }
        Ok(())
    }

    fn settle_one(&self, name: &str, used: bool) -> Result<(), Fault> {
        let marked = self.places.volume_mark(name).exists();
        places::remove_tree(&self.places.volume_place(name).join("part"))?;
        if self.entries().contains_key(name) {
            return if marked { self.unmark(name) } else { Ok(()) };
        }
        if marked && !used {
            return places::remove_tree(&self.places.volume_place(name));
        }
        let data = self.places.volume(name);
        if !data.is_dir() && !used {
            // Made when the daemon was killed, before there was a mark; what is not empty is no volume.
            return match fs::remove_dir(self.places.volume_place(name)) {
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let anonymous = is_random(name);
        let created = fs::metadata(self.places.volume(name))
            .and_then(|found| found.modified())
            .map_or_else(|_unknown| Timestamp::now(), Timestamp::from_system);
        let record = VolumeRecord {
            name: name.to_owned(),
            created,
            options: None,
            labels: anonymous.then(|| [(ANONYMOUS_LABEL.to_owned(), String::new())].into()),
            anonymous,
        };
        // What is marked and used belongs to a container that goes when it ends, or to one that was recorded last.
        self.entries().insert(name.to_owned(), Entry::new(record, false));
        if !data.is_dir() {
            self.make_directory(name, |_empty| Ok(()))?;
        }
        if marked && anonymous { Ok(()) } else { self.keep(name) }
    }

    /// The record of a volume.
    pub(crate) fn get(&self, name: &str) -> Option<VolumeRecord> {
        self.entries().get(name).filter(|entry| !entry.going).map(|entry| entry.record.clone())
    }

    /// All records, by name.
    pub(crate) fn list(&self) -> Vec<VolumeRecord> {
        let entries = self.entries();
        entries.values().filter(|entry| !entry.going).map(|entry| entry.record.clone()).collect()
    }

    /// Lays a hand on a volume, which is put into the book when it is not there. Nothing is written yet.
    pub(crate) fn hold(
        self: &Arc<Book>,
        wanted: VolumeRecord,
    ) -> Result<(Hold, VolumeRecord), Fault> {
        let mut entries = self.entries();
        let name = wanted.name.clone();
        let new = !entries.contains_key(&name);
        let entry =
            entries.entry(name.clone()).or_insert_with(|| Entry::new(wanted.clone(), false));
        if entry.going {
            return Err(Fault::conflict(format!("volume {name} is being removed"))
                .with_hint("try again in a moment"));
        }
        if entry.replaced {
            return Err(Fault::conflict(format!("volume {name} is being restored"))
                .with_hint("try again when that is done"));
        }
        let (asked, have) = (wanted.options.unwrap_or_default(), &entry.record.options);
        if !asked.is_empty() && have.as_ref() != Some(&asked) {
            return Err(Fault::conflict(format!(
                "create {name}: a volume of that name exists with other options: conflict: volume name must be unique"
            ))
            .with_hint("remove it first, or choose another name"));
        }
        entry.held += 1;
        let record = entry.record.clone();
        drop(entries);
        Ok((Hold { book: Arc::clone(self), name, new, only: false }, record))
    }

    /// Lays a hand on a volume that must be there.
    pub(crate) fn hold_known(self: &Arc<Book>, name: &str) -> Result<Hold, Fault> {
        match self.entries().get_mut(name).filter(|entry| !entry.going) {
            Some(entry) => entry.held += 1,
            None => return Err(super::missing(name)),
        }
        Ok(Hold { book: Arc::clone(self), name: name.to_owned(), new: false, only: false })
    }

    /// Lays a hand on a volume that nobody else has, to replace its content; no container is made with it meanwhile.
    /// `users` says which containers have it.
    pub(crate) fn hold_alone(
        self: &Arc<Book>,
        name: &str,
        users: impl FnOnce() -> Vec<String>,
    ) -> Result<Hold, Fault> {
        let mut entries = self.entries();
        let entry = entries.get_mut(name).filter(|entry| !entry.going);
        let entry = entry.ok_or_else(|| super::missing(name))?;
        let users = users();
        if entry.held > 0 || !users.is_empty() {
            return Err(Fault::conflict(format!(
                "restore {name}: volume is in use - [{}]",
                users.join(", ")
            ))
            .with_hint("remove the containers that have it, or use `--force`"));
        }
        entry.held += 1;
        entry.replaced = true;
        Ok(Hold { book: Arc::clone(self), name: name.to_owned(), new: false, only: true })
    }

    /// Does something to the directory that nobody else does meanwhile.
    pub(crate) fn alone<T>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let filling = self.entries().get(name).map(|entry| Arc::clone(&entry.filling));
        let filling = filling.unwrap_or_default();
        let _turn = filling.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// Whose turn it is to mount what stands behind it.
    pub(crate) fn mounting(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.entries().get(name).map(|entry| Arc::clone(&entry.mounting)).unwrap_or_default()
    }

    /// Makes the directory of a volume, marked as unfinished, with what `fill` puts into it: whole or not at all. An empty
    /// one is replaced.
    pub(crate) fn make_directory(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let place = self.places.volume_place(name);
        let failed = |what: &Path| {
            let what = what.display().to_string();
            move || format!("error while creating volume path '{what}'")
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o701).create(&place).during(failed(&place))?;
        let mark = self.places.volume_mark(name);
        if !self.is_stored(name) {
            fs::File::create(&mark).during(failed(&mark))?;
        }
        let part = place.join("part");
        places::remove_tree(&part)?;
        fs::DirBuilder::new().mode(0o755).create(&part).during(failed(&part))?;
        fill(&part)?;
        // Half a volume would be taken for a filled one. An empty directory is replaced by this, a full one is not.
        let data = self.places.volume(name);
        fs::rename(&part, &data).during(failed(&data))
    }

    /// Puts new content in the place of a volume's directory, in one step once it is whole.
    pub(crate) fn replace(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let part = self.places.volume_place(name).join("part");
        let failed = || format!("cannot make `{}`", part.display());
        places::remove_tree(&part)?;
        fs::DirBuilder::new().mode(0o755).create(&part).during(failed)?;
        let filled = fill(&part).and_then(|()| {
            let data = self.places.volume(name);
            naru_kernel::fs::exchange(&part, &data)
                .and_then(|()| naru_kernel::fs::sync_dir(&self.places.volume_place(name)))
                .during(|| format!("cannot replace `{}`", data.display()))
        });
        places::remove_tree(&part)?;
        filled
    }

    fn is_stored(&self, name: &str) -> bool {
        self.entries().get(name).is_some_and(|entry| entry.stored)
    }

    /// Records a volume for good, if it is not recorded yet.
    pub(crate) fn keep(&self, name: &str) -> Result<(), Fault> {
        let record = match self.entries().get(name) {
            Some(entry) if !entry.stored => entry.record.clone(),
            Some(_) | None => return Ok(()),
        };
        let place = self.places.volume_place(name);
        for directory in [&self.places.volume(name), &place, &self.places.volumes()] {
            naru_kernel::fs::sync_dir(directory)
                .during(|| format!("cannot sync `{}`", directory.display()))?;
        }
        naru_kernel::failpoint::hit("volume.before-record");
        self.table.put(name, &record)?;
        naru_kernel::failpoint::hit("volume.after-record");
        if let Some(entry) = self.entries().get_mut(name) {
            entry.stored = true;
        }
        self.unmark(name)
    }

    fn unmark(&self, name: &str) -> Result<(), Fault> {
        let mark = self.places.volume_mark(name);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Fault::io(format!("cannot remove `{}`", mark.display()), error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Takes back what a failed creation has put into the book, unless somebody else has a hand on it.
    pub(crate) fn undo(&self, hold: &Hold) -> Result<(), Fault> {
        {
            let mut entries = self.entries();
            let Some(entry) = entries.get_mut(&hold.name) else { return Ok(()) };
            if !hold.new || entry.stored || entry.held > 1 {
                return Ok(());
            }
            entry.going = true;
        }
        let removed = self.remove_directory(&hold.name);
        self.entries().remove(&hold.name);
        removed
    }

    /// Removes a volume that nobody has. `users` says which containers have it.
    pub(crate) fn remove(
        &self,
        name: &str,
        users: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Fault> {
        let stored = {
            let mut entries = self.entries();
            let Some(entry) = entries.get_mut(name).filter(|entry| !entry.going) else {
                return Err(super::missing(name));
            };
            let users = users();
            if entry.held > 0 || !users.is_empty() {
                return Err(Fault::conflict(format!(
                    "remove {name}: volume is in use - [{}]",
                    users.join(", ")
                ))
                .with_hint("remove the containers that have it first"));
            }
            entry.going = true;
            entry.stored
        };
        let removed = self.remove_recorded(name, stored);
        let mut entries = self.entries();
        match &removed {
            Err(_) if self.table.get(name).is_ok_and(|there| there.is_some()) => {
                if let Some(entry) = entries.get_mut(name) {
                    entry.going = false;
                }
            }
            Ok(()) | Err(_) => drop(entries.remove(name)),
        }
        removed
    }

    fn remove_recorded(&self, name: &str, stored: bool) -> Result<(), Fault> {
        if stored {
            // From here on it is nobody's data: without its record it is swept.
            let mark = self.places.volume_mark(name);
            let place = self.places.volume_place(name);
            fs::File::create(&mark)
                .and_then(|_made| naru_kernel::fs::sync_dir(&place))
                .during(|| format!("cannot write `{}`", mark.display()))?;
            naru_kernel::failpoint::hit("volume.before-forget");
            self.table.remove(name)?;
            naru_kernel::failpoint::hit("volume.after-forget");
        }
        self.remove_directory(name)
    }

    /// The directory leaves its place at once, however long its removal takes.
    fn remove_directory(&self, name: &str) -> Result<(), Fault> {
        let place = self.places.volume_place(name);
        let random = crate::containers::new_id()?;
        let aside = self.places.volumes().join(format!("{GONE}{random}"));
        match fs::rename(&place, &aside) {
            Ok(()) => places::remove_tree(&aside),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Fault::io(format!("cannot move `{}` away", place.display()), error)),
        }
    }

    /// A volume's directory.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.places.volume(name)
    }
}

/// What the names of directories begin with that are being removed. No volume's name begins with a dot.
const GONE: &str = ".gone-";

/// Whether a name is one that was made up for a volume without one.
fn is_random(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
