//! The copy of what repositories hold: a file of changes, from which members, tags and referrers come back when the database is lost.
//!
//! Acts. One line a change, a JSON array of the row's key and its bytes, `null` for a removal; the last line of a key counts. Lines are added
//! after the answer and without waiting for the disk: they serve a rebuild, where the last change may be missing. The line `end` says that
//! the store was closed in order. A file that does not end so, or has grown to twice what it says, is written anew from the rows.

use crate::StoreError;
use crate::journal::{Batch, Journal, Rows, list_bytes};
use crate::schema::{Key, Layout, table};
use naru_kernel::fs;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

type Overlay = BTreeMap<Key, Option<crate::journal::Bytes>>;

/// The tables of repositories, each before those that rely on it.
const TABLES: [&str; 3] = [table::MEMBER, table::TAG, table::REFERRER];
/// The last line of a file that says everything.
const END: &str = "end\n";
/// A file that is shorter is not worth writing anew.
const SMALL: u64 = 1 << 20;

/// The file, for adding to it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    file: Option<File>,
    length: u64,
    /// The length when it was last written anew.
    base: u64,
    /// It lacks something that could not be written.
    broken: bool,
}

impl Changes {
    /// Adds what a group changed. What cannot be written is mended at the next open.
    pub(crate) fn add(&mut self, layout: &Layout, overlay: &Overlay, rows: &Rows) {
        let mut lines = String::new();
        for (key, value) in overlay {
            if TABLES.contains(&key.parts().0) {
                lines.push_str(&line(key, value.as_deref()));
            }
        }
        if lines.is_empty() || self.broken {
            return;
        }
        let added = self.open(layout).and_then(|()| self.append(&lines)).and_then(|()| {
            if self.length > SMALL && self.length / 2 > self.base {
                // Not `end`: this store is open.
                let text = text(rows);
                fs::write_atomic(&layout.repositories(), text.as_bytes(), 0o600)?;
                *self = Changes { base: text.len() as u64, ..Changes::default() };
            }
            Ok(())
        });
        if let Err(error) = added {
            tracing::warn!(%error, "the copy of what repositories hold is no longer kept; it is written anew at the next start");
            self.broken = true;
            // It may still end as if it said everything.
            drop(std::fs::remove_file(layout.repositories()));
        }
    }

    /// The store is being closed: everything is said.
    pub(crate) fn end(&mut self) {
        if self.file.is_some() && !self.broken {
            drop(self.append(END));
        }
    }

    fn open(&mut self, layout: &Layout) -> io::Result<()> {
        if self.file.is_none() {
            let path = layout.repositories();
            let file =
                File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
            self.length = file.metadata()?.len();
            // What follows is not waited for. After a power cut the file may be as it was, so its end must be gone by then.
            if ends(&file)? {
                self.length -= END.len() as u64;
                file.set_len(self.length)?;
                file.sync_all()?;
            }
            if self.base == 0 {
                self.base = self.length;
            }
            self.file = Some(file);
        }
        Ok(())
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.write_all(text.as_bytes())?;
        self.length += text.len() as u64;
        Ok(())
    }
}

/// One change. Rows are a version byte and JSON, which is text.
fn line(key: &Key, value: Option<&[u8]>) -> String {
    let value = value.map(String::from_utf8_lossy);
    // A pair of texts has no way to fail.
    let mut line = serde_json::to_string(&(key.as_str(), value)).unwrap_or_default();
    line.push('\n');
    line
}

/// Everything that the rows say.
fn text(rows: &Rows) -> String {
    let mut text = String::new();
    for table in TABLES {
        for (key, bytes) in list_bytes(rows, table) {
            text.push_str(&line(&Key::new(table, &key), Some(&bytes)));
        }
    }
    text
}

/// Brings the file and the rows together when a store is opened. `damaged`: the database lost something, and the file is right where they
/// differ. Says how many rows came back.
pub(crate) fn settle(
    layout: &Layout,
    journal: &Journal,
    damaged: bool,
) -> Result<usize, StoreError> {
    let path = layout.repositories();
    let restored = if damaged { restore(layout, journal)? } else { 0 };
    if damaged || !is_whole(layout, journal).map_err(StoreError::io("read", &path))? {
        let mut text = text(&journal.all());
        text.push_str(END);
        fs::write_atomic(&path, text.as_bytes(), 0o600).map_err(StoreError::io("write", &path))?;
    }
    Ok(restored)
}

/// Whether the file says what the rows say, as far as its end tells.
fn is_whole(layout: &Layout, journal: &Journal) -> io::Result<bool> {
    match File::open(layout.repositories()) {
        Ok(file) => ends(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(TABLES.iter().all(|table| journal.list_bytes(table).is_empty()))
        }
        Err(error) => Err(error),
    }
}

/// Whether the last line of a file is `end`.
fn ends(mut file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END.len() as u64 + 1)))?;
    let mut last = Vec::new();
    file.read_to_end(&mut last)?;
    Ok(last == END.as_bytes() || last.ends_with(b"\nend\n"))
}

/// Makes the rows as the file says.
fn restore(layout: &Layout, journal: &Journal) -> Result<usize, StoreError> {
    let path = layout.repositories();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(StoreError::io("read", &path)(source)),
    };
    let mut wanted: Overlay = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        // What is torn or damaged says nothing.
        let Ok((key, value)) = serde_json::from_slice::<(String, Option<String>)>(line) else {
            continue;
        };
        let Some(key) = Key::from_bytes(key.as_bytes()) else { continue };
        if TABLES.contains(&key.parts().0) {
            wanted.insert(key, value.map(|value| value.into_bytes().into()));
        }
    }
    let mut batch = Batch::new();
    let mut restored = 0;
    for (key, value) in &wanted {
        let there = journal.get_bytes(key);
        match value {
            Some(value) if there.as_ref() != Some(value) && relies(key, &wanted, journal) => {
                batch.put_bytes(key.clone(), value.to_vec());
                restored += 1;
            }
            None if there.is_some() => batch.remove(key.clone()),
            Some(_) | None => {}
        }
    }
    if !batch.is_empty() {
        journal.commit(batch)?;
    }
    Ok(restored)
}

/// Whether what a row relies on is there: the blob of a member, the member of a tag and of a referrer.
fn relies(key: &Key, wanted: &Overlay, journal: &Journal) -> bool {
    let member = |repository: &str, digest: &str| {
        let key = Key::new(table::MEMBER, &format!("{repository}@{digest}"));
        wanted.get(&key).map_or_else(|| journal.contains(&key), Option::is_some)
            && journal.contains(&Key::new(table::BLOB, digest))
    };
    match key.parts() {
        (table::MEMBER, name) => name
            .split_once('@')
            .is_some_and(|(_, digest)| journal.contains(&Key::new(table::BLOB, digest))),
        (table::REFERRER, name) => {
            let mut parts = name.split('@');
            let (repository, _, digest) = (parts.next(), parts.next(), parts.next());
            repository.zip(digest).is_some_and(|(repository, digest)| member(repository, digest))
        }
        (table::TAG, name) => {
            let target = wanted.get(key).and_then(Option::as_ref).and_then(|bytes| {
                let tagged = crate::repositories::Tagged::read(bytes)?;
                Some(tagged.target.digest.to_string())
            });
            name.split_once(':')
                .zip(target)
                .is_some_and(|((repository, _), digest)| member(repository, &digest))
        }
        _ => false,
    }
}
