//! Acts: what is remembered of pushes and pulls: where blobs can be mounted from, and which uploads can go on.
//!
//! Both are hints: a wrong one costs a request. They are written without waiting for the disk, and bounded.

use naru_errdefs::one_line;
use naru_oci::Digest;
use naru_store::{Store, StoreError, Table};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Repositories that are remembered for one blob.
const MOST_PLACES: usize = 8;
/// Blobs whose places are remembered.
const MOST_BLOBS: usize = 8192;
/// Uploads that are remembered.
const MOST_UPLOADS: usize = 256;
/// Registries forget uploads, by default after a week.
const OLDEST_UPLOAD: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where a blob was pulled from or pushed to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Places {
    /// Registry and repository, the newest first.
    places: Vec<(String, String)>,
    /// When the newest came, in seconds since 1970.
    at: u64,
}

impl Places {
    /// Pure: the same with one more in front.
    fn with(mut self, registry: &str, repository: &str, now: u64) -> Places {
        self.places.retain(|(known, name)| known != registry || name != repository);
        self.places.insert(0, (registry.to_owned(), repository.to_owned()));
        self.places.truncate(MOST_PLACES);
        self.at = now;
        self
    }

    /// Pure: another repository of the same registry that has the blob.
    fn elsewhere(&self, registry: &str, repository: &str) -> Option<&str> {
        self.places
            .iter()
            .find(|(known, name)| known == registry && name != repository)
            .map(|(_, name)| name.as_str())
    }
}

/// An upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    at: String,
    /// When, in seconds since 1970.
    since: u64,
}

fn places(store: &Store) -> Table<Places> {
    store.records.table("blob-sources")
}

fn uploads(store: &Store) -> Table<Open> {
    store.records.table("open-uploads")
}

/// Remembers that blobs are in a repository of a registry.
pub(crate) fn remember_blobs(store: &Store, registry: &str, repository: &str, blobs: &[Digest]) {
    let table = places(store);
    let now = now();
    for blob in blobs {
        let key = blob.to_string();
        let known = table.get(&key).ok().flatten().unwrap_or_default();
        if known.places.first().is_some_and(|(a, b)| a == registry && b == repository) {
            continue;
        }
        tolerate(table.put_volatile(&key, &known.with(registry, repository, now)));
    }
    forget(&table, MOST_BLOBS, |places| places.at);
}

/// Another repository of the registry that is said to have a blob.
pub(crate) fn elsewhere(
    store: &Store,
    registry: &str,
    repository: &str,
    blob: &Digest,
) -> Option<String> {
    let known = places(store).get(&blob.to_string()).ok().flatten()?;
    known.elsewhere(registry, repository).map(str::to_owned)
}

fn upload_key(registry: &str, repository: &str, blob: &Digest) -> String {
    format!("{registry}/{repository}@{blob}")
}

/// Remembers where an upload goes on; with `None`, that it does not.
pub(crate) fn remember_upload(
    store: &Store,
    (registry, repository): (&str, &str),
    blob: &Digest,
    at: Option<&Url>,
) {
    let table = uploads(store);
    let key = upload_key(registry, repository, blob);
    let Some(at) = at else {
        if table.get(&key).ok().flatten().is_some() {
            tolerate(table.remove_volatile(&key));
        }
        return;
    };
    let open = Open { at: at.to_string(), since: now() };
    if table.get(&key).ok().flatten().is_some_and(|known| known.at == open.at) {
        return;
    }
    tolerate(table.put_volatile(&key, &open));
    forget(&table, MOST_UPLOADS, |open| open.since);
}

/// Where an earlier upload of the blob goes on, if the registry still knows it.
pub(crate) fn open_upload(
    store: &Store,
    registry: &str,
    repository: &str,
    blob: &Digest,
) -> Option<Url> {
    let open = uploads(store).get(&upload_key(registry, repository, blob)).ok().flatten()?;
    if now().saturating_sub(open.since) > OLDEST_UPLOAD.as_secs() {
        return None;
    }
    open.at.parse().ok()
}

/// Keeps a table within its bound: the oldest half goes.
fn forget<T: Serialize + serde::de::DeserializeOwned>(
    table: &Table<T>,
    most: usize,
    age: impl Fn(&T) -> u64,
) {
    let Ok(mut rows) = table.list() else { return };
    if rows.len() <= most {
        return;
    }
    rows.sort_by_key(|(_, row)| age(row));
    for (key, _) in rows.iter().take(rows.len() - most / 2) {
        tolerate(table.remove_volatile(key));
    }
}

fn tolerate(done: Result<(), StoreError>) {
    if let Err(error) = done {
        tracing::debug!(error = %one_line(&error.into()), "cannot remember where blobs are");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_place_of_the_same_registry_is_mounted_from() {
        let mut places = Places::default();
        for at in 0..10_u64 {
            places = places.with("r", &format!("a{at}"), at);
        }
        assert_eq!(places.places.len(), MOST_PLACES);
        assert_eq!(places.elsewhere("r", "a9"), Some("a8"));
        assert_eq!(places.elsewhere("r", "x"), Some("a9"));
        assert_eq!(places.elsewhere("other", "x"), None);
        let places = places.with("r", "a8", 10);
        assert_eq!((places.places.len(), places.elsewhere("r", "x")), (MOST_PLACES, Some("a8")));
    }

    #[test]
    fn memory_is_bounded_and_survives() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let blob = Digest::of(b"x");
        let at: Url = "http://r/v2/a/blobs/uploads/1?s=1".parse().unwrap();
        remember_upload(&store, ("r", "a"), &blob, Some(&at));
        assert_eq!(open_upload(&store, "r", "a", &blob), Some(at));
        assert_eq!(open_upload(&store, "r", "b", &blob), None);
        remember_upload(&store, ("r", "a"), &blob, None);
        assert_eq!(open_upload(&store, "r", "a", &blob), None);
        for number in 0..=MOST_UPLOADS {
            let blob = Digest::of(number.to_string().as_bytes());
            let at = "http://r/u".parse().unwrap();
            remember_upload(&store, ("r", "a"), &blob, Some(&at));
        }
        assert!(uploads(&store).list().unwrap().len() <= MOST_UPLOADS);
        remember_blobs(&store, "r", "a", &[blob]);
        assert_eq!(elsewhere(&store, "r", "b", &blob).as_deref(), Some("a"));
    }
}
