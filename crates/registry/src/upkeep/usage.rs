//! How much repositories hold. Acts: reads every row of every repository.

use naru_oci::Digest;
use naru_store::{MemberKind, Store, StoreError};
use serde::Serialize;
use std::collections::BTreeMap;

/// What all repositories hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// One by one, by name.
    pub repositories: Vec<RepositoryUsage>,
    /// Bytes of everything that is a member of any repository, each blob once.
    pub bytes: u64,
    /// Upload sessions that are open.
    pub uploads: Uploads,
}

/// What one repository holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RepositoryUsage {
    /// Its name.
    pub name: String,
    /// How many tags it has.
    pub tags: u64,
    /// How many manifests and indexes.
    pub manifests: u64,
    /// How many other blobs.
    pub blobs: u64,
    /// Bytes of its members.
    pub bytes: u64,
    /// Bytes of those that no other repository has.
    pub unique: u64,
}

/// Open upload sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Uploads {
    /// How many there are.
    pub count: u64,
    /// Bytes that have arrived.
    pub bytes: u64,
}

impl Usage {
    /// What the repositories of a store hold now.
    pub fn of(store: &Store) -> Result<Usage, StoreError> {
        let mut usage = Usage { uploads: Uploads::of(store)?, ..Usage::default() };
        // How large a member is, and whether it is in more than the repository where it was seen first.
        let mut known: BTreeMap<Digest, (u64, usize, bool)> = BTreeMap::new();
        for (at, name) in store.repositories.names().into_iter().enumerate() {
            let tags = u64::try_from(store.repositories.tags(&name).len()).unwrap_or(u64::MAX);
            let mut found = RepositoryUsage { name, tags, ..RepositoryUsage::default() };
            for (digest, member) in store.repositories.members(&found.name)? {
                match member.kind {
                    MemberKind::Manifest => found.manifests += 1,
                    MemberKind::Blob => found.blobs += 1,
                }
                found.bytes = found.bytes.saturating_add(member.size);
                known.entry(digest).and_modify(|(_, _, is_shared)| *is_shared = true).or_insert((
                    member.size,
                    at,
                    false,
                ));
            }
            usage.repositories.push(found);
        }
        for (size, at, is_shared) in known.into_values() {
            usage.bytes = usage.bytes.saturating_add(size);
            if !is_shared && let Some(repository) = usage.repositories.get_mut(at) {
                repository.unique = repository.unique.saturating_add(size);
            }
        }
        Ok(usage)
    }
}

impl Uploads {
    /// Those of a store.
    pub fn of(store: &Store) -> Result<Uploads, StoreError> {
        let mut uploads = Uploads::default();
        for upload in store.content.uploads()? {
            uploads.count += 1;
            uploads.bytes = uploads.bytes.saturating_add(upload.size);
        }
        Ok(uploads)
    }
}
