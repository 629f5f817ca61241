//! Typed tables for the records of other crates: containers, networks, volumes.
//!
//! Acts.

use crate::core::Core;
use crate::journal::Batch;
use crate::row::{self, Upgrade};
use crate::schema::{Key, table};
use crate::{StoreError, Ticket};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Tables of records by name.
#[derive(Debug, Clone)]
pub struct Records {
    core: Arc<Core>,
}

impl Records {
    pub(crate) fn new(core: Arc<Core>) -> Records {
        Records { core }
    }

    /// The table of this name, its rows of version 1.
    pub fn table<T: Serialize + DeserializeOwned>(&self, name: &'static str) -> Table<T> {
        self.versioned(name, 1, |_, value| value)
    }

    /// The table of this name whose rows have this version now; `upgrade` turns the JSON of older rows into it.
    pub fn versioned<T: Serialize + DeserializeOwned>(
        &self,
        name: &'static str,
        version: u8,
        upgrade: Upgrade,
    ) -> Table<T> {
        Table { core: Arc::clone(&self.core), name, version, upgrade, rows: PhantomData }
    }
}

/// One table of records.
pub struct Table<T> {
    core: Arc<Core>,
    name: &'static str,
    version: u8,
    upgrade: Upgrade,
    rows: PhantomData<fn() -> T>,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Table<T> {
        Table { core: Arc::clone(&self.core), rows: PhantomData, ..*self }
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("name", &self.name).field("version", &self.version).finish()
    }
}

impl Batch {
    /// Writes a record.
    pub fn put_record<T: Serialize + DeserializeOwned>(
        &mut self,
        table: &Table<T>,
        key: &str,
        record: &T,
    ) {
        let name = Key::record(table.name, key);
        match row::encode(table.version, record) {
            Ok(bytes) => self.put_bytes(name, bytes),
            Err(source) => self.fail(&name, source),
        }
    }

    /// Removes a record; fine when it is not there.
    pub fn remove_record<T>(&mut self, table: &Table<T>, key: &str) {
        self.remove(Key::record(table.name, key));
    }
}

impl<T: Serialize + DeserializeOwned> Table<T> {
    /// Writes a record durably.
    pub fn put(&self, key: &str, record: &T) -> Result<(), StoreError> {
        self.submit(key, record).wait()
    }

    /// Writes a record; the ticket says when it is durable.
    pub fn submit(&self, key: &str, record: &T) -> Ticket {
        let mut batch = Batch::new();
        batch.put_record(self, key, record);
        self.core.journal.submit(batch)
    }

    /// Writes a record that is visible at once and on disk a moment later, if it is still there then.
    pub fn put_volatile(&self, key: &str, record: &T) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put_record(self, key, record);
        self.core.journal.commit_volatile(batch)
    }

    /// The record, if it is there.
    pub fn get(&self, key: &str) -> Result<Option<T>, StoreError> {
        match self.core.journal.get_bytes(&Key::record(self.name, key)) {
            Some(bytes) => self.decode(key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// All records, by key.
    pub fn list(&self) -> Result<Vec<(String, T)>, StoreError> {
        self.core
            .journal
            .list_bytes(&format!("{}{}", table::RECORD_PREFIX, self.name))
            .into_iter()
            .map(|(key, bytes)| self.decode(&key, &bytes).map(|record| (key, record)))
            .collect()
    }

    /// Removes a record durably; says whether it was there.
    pub fn remove(&self, key: &str) -> Result<bool, StoreError> {
        let there = self.core.journal.contains(&Key::record(self.name, key));
        if there {
            let mut batch = Batch::new();
            batch.remove_record(self, key);
            self.core.journal.commit(batch)?;
        }
        Ok(there)
    }

    /// Removes a record at once, and on disk a moment later.
    pub fn remove_volatile(&self, key: &str) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.remove_record(self, key);
        self.core.journal.commit_volatile(batch)
    }

    fn decode(&self, key: &str, bytes: &[u8]) -> Result<T, StoreError> {
        row::decode(bytes, self.version, self.upgrade).map_err(|source| StoreError::Row {
            table: self.name.to_owned(),
            key: key.to_owned(),
            source,
        })
    }
}
