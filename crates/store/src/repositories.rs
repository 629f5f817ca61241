//! What repositories hold: members (a blob or manifest is readable through a repository only if it belongs to it) and
//! tags.
//!
//! Acts. Every member is held from the collector.

use crate::StoreError;
use crate::core::Core;
use crate::journal::{Batch, Check};
use crate::row::Row;
use crate::schema::{Key, table};
use naru_oci::{Descriptor, Digest};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

impl Row for Descriptor {
    const VERSION: u8 = 1;
}

/// A member of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Member {
    /// A layer, a config, or anything else.
    Blob,
    /// A manifest or an index.
    Manifest,
}

impl Row for Member {
    const VERSION: u8 = 1;
}

/// Repositories, their members and tags.
#[derive(Debug, Clone)]
pub struct Repositories {
    core: Arc<Core>,
}

impl Batch {
    /// Makes a blob that is there a member of a repository.
    pub fn put_member(&mut self, repository: &str, digest: &Digest, member: Member) {
        let blob = Key::blob(digest);
        if !self.changes.iter().any(|(key, value)| *key == blob && value.is_some()) {
            self.check(blob, Check::Present);
        }
        self.put(Key::member(repository, digest), &member);
    }

    /// Takes a member away.
    pub fn remove_member(&mut self, repository: &str, digest: &Digest) {
        self.remove(Key::member(repository, digest));
    }

    /// Points a tag to a manifest that is a member.
    pub fn put_tag(&mut self, repository: &str, tag: &str, target: &Descriptor) {
        let member = Key::member(repository, &target.digest);
        if !self.changes.iter().any(|(key, value)| *key == member && value.is_some()) {
            self.check(member, Check::Present);
        }
        self.put(Key::tag(repository, tag), target);
    }

    /// Takes a tag away.
    pub fn remove_tag(&mut self, repository: &str, tag: &str) {
        self.remove(Key::tag(repository, tag));
    }
}

impl Repositories {
    pub(crate) fn new(core: Arc<Core>) -> Repositories {
        Repositories { core }
    }

    /// What a digest is in a repository; none when it is no member.
    pub fn member(&self, repository: &str, digest: &Digest) -> Result<Option<Member>, StoreError> {
        self.core.journal.get(&Key::member(repository, digest))
    }

    /// What a tag points to.
    pub fn tag(&self, repository: &str, tag: &str) -> Result<Option<Descriptor>, StoreError> {
        self.core.journal.get(&Key::tag(repository, tag))
    }

    /// The tags of a repository, sorted.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let prefix = format!("{repository}:");
        let keys = self.core.journal.list_bytes(table::TAG);
        // A repository may have a port in its first part; a tag has no slash.
        let tag = |key: String| {
            Some(key.strip_prefix(&prefix)?.to_owned()).filter(|tag| !tag.contains('/'))
        };
        keys.into_iter().filter_map(|(key, _)| tag(key)).collect()
    }

    /// The members of a repository, by digest.
    pub fn members(&self, repository: &str) -> Result<Vec<(Digest, Member)>, StoreError> {
        let prefix = format!("{repository}@");
        let rows = self.core.journal.list::<Member>(table::MEMBER)?;
        let members = rows
            .into_iter()
            .filter_map(|(key, member)| Some((key.strip_prefix(&prefix)?.parse().ok()?, member)));
        Ok(members.collect())
    }
}
