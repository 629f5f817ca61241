//! Acts: what lies in the store's directories and belongs to nothing.

use super::{Check, Damage, in_words};
use crate::StoreError;
use crate::leases::Held;
use crate::open::entries;
use crate::schema::{Key, table};
use crate::snapshots::{ActiveRow, SnapshotRow};
use naru_oci::Digest;
use std::collections::BTreeSet;
use std::path::PathBuf;

impl Check<'_> {
    pub(super) fn orphans(&mut self) -> Result<(), StoreError> {
        let layout = self.core().layout.clone();
        let mut orphans: Vec<PathBuf> = Vec::new();
        for (algorithm, directory) in entries(&layout.blobs())? {
            for (name, path) in entries(&directory)? {
                let known = format!("{algorithm}:{name}").parse::<Digest>().is_ok_and(|digest| {
                    // Held first, then the row: who ingests holds before the file is there.
                    self.is_held_by_others(Held::Blob(digest))
                        || self.core().journal.contains(&Key::blob(&digest))
                });
                // A blob that was collected meanwhile is gone from its place.
                if !known && path.exists() {
                    orphans.push(path);
                }
            }
        }
        let in_use = |number: u64| self.core().is_in_use(number);
        for (directory, is_staging) in
            [(layout.snapshots(), false), (layout.pending(), true), (layout.ingests(), true)]
        {
            for (name, path) in entries(&directory)? {
                let is_fixed = !is_staging && (name == "empty" || name == "pending");
                if is_fixed || name.ends_with(".part") {
                    continue;
                }
                let number = name.parse::<u64>().ok();
                let is_working = number.is_some_and(in_use);
                let is_known = !is_staging && number.is_some_and(|number| self.has_row(number));
                if !is_working && !is_known && path.exists() {
                    orphans.push(path);
                }
            }
        }
        for path in orphans {
            let message = format!("`{}` belongs to nothing", path.display());
            self.find(Damage::Orphan, message, |store| {
                store.core.trash.discard(&path).map_err(|error| in_words(&error))?;
                Ok("removed it".to_owned())
            });
        }
        Ok(())
    }

    fn has_row(&self, number: u64) -> bool {
        let journal = &self.core().journal;
        let committed = journal.list::<SnapshotRow>(table::SNAPSHOT).unwrap_or_default();
        let active = journal.list::<ActiveRow>(table::ACTIVE).unwrap_or_default();
        let numbers: BTreeSet<u64> = committed
            .iter()
            .map(|(_, row)| row.number)
            .chain(active.iter().map(|(_, row)| row.number))
            .collect();
        numbers.contains(&number)
    }
}
