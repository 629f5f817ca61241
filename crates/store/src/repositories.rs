//! What repositories hold: members (a blob or manifest is readable through a repository only if it belongs to it), tags, and
//! which manifests are about which.
//!
//! Acts. Every member is held from the collector. A repository is there while it has a member; its name has none of
//! `@` and `:`. Listings look at the rows that they list and at no others.

mod row;

pub use row::{Member, MemberKind, Tagged};

use crate::StoreError;
use crate::core::Core;
use crate::journal::{Batch, Check, decode};
use crate::schema::{Key, table};
use naru_oci::{Descriptor, Digest};
use row::ReferrerRow;
use std::sync::Arc;

/// Repositories, their members and tags.
#[derive(Debug, Clone)]
pub struct Repositories {
    core: Arc<Core>,
}

impl Batch {
    /// Makes a blob that is there a member of a repository, added now. A manifest with a subject is found by it from then
    /// on, whether the subject is there or not.
    pub fn put_member(&mut self, repository: &str, digest: &Digest, member: &Member) {
        let blob = Key::blob(digest);
        if !self.changes.iter().any(|(key, value)| *key == blob && value.is_some()) {
            self.check(blob, Check::Present);
        }
        if let Some(subject) = &member.subject {
            self.put(Key::referrer(repository, subject, digest), &ReferrerRow {});
        }
        let member = Member { added: crate::core::now(), ..member.clone() };
        self.put(Key::member(repository, digest), &member);
    }

    /// The batch counts only if this is a member of the repository when it is made.
    pub fn require_member(&mut self, repository: &str, digest: &Digest) {
        self.check(Key::member(repository, digest), Check::Present);
    }

    /// The batch counts only if a member is as it was read: not there, or exactly this.
    pub fn require_member_as(&mut self, repository: &str, digest: &Digest, was: Option<&Member>) {
        self.check_as(Key::member(repository, digest), was);
    }

    /// Takes a member away, as it was read. Tags that point to it are the caller's: see [`Repositories::tags_to`].
    pub fn remove_member(&mut self, repository: &str, digest: &Digest, member: &Member) {
        if let Some(subject) = &member.subject {
            self.remove(Key::referrer(repository, subject, digest));
        }
        self.remove(Key::member(repository, digest));
    }

    /// Points a tag to a manifest that is a member.
    pub fn put_tag(&mut self, repository: &str, tag: &str, target: &Descriptor) {
        let member = Key::member(repository, &target.digest);
        if !self.changes.iter().any(|(key, value)| *key == member && value.is_some()) {
            self.check(member, Check::Present);
        }
        let tagged = Tagged { target: target.clone(), tagged: crate::core::now() };
        self.put(Key::tag(repository, tag), &tagged);
    }

    /// The batch counts only if the tag is as it was read: not there, or exactly this.
    pub fn require_tag(&mut self, repository: &str, tag: &str, was: Option<&Tagged>) {
        self.check_as(Key::tag(repository, tag), was);
    }

    /// The batch counts only if no member and no tag of the repository was changed since [`Repositories::state`] said this.
    pub fn only_in_state(&mut self, repository: &str, state: u64) {
        Batch::only_in(self, repository, state);
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

    /// A number that changes whenever members or tags of the repository do. Ask before reading them.
    pub fn state(&self, repository: &str) -> u64 {
        self.core.journal.state(repository)
    }

    /// What a digest is in a repository; none when it is no member.
    pub fn member(&self, repository: &str, digest: &Digest) -> Result<Option<Member>, StoreError> {
        self.core.journal.get(&Key::member(repository, digest))
    }

    /// Whether a digest is a member of a repository.
    pub fn is_member(&self, repository: &str, digest: &Digest) -> bool {
        self.core.journal.contains(&Key::member(repository, digest))
    }

    /// Whether there is such a repository.
    pub fn exists(&self, repository: &str) -> bool {
        let mut found = false;
        self.core.journal.scan(table::MEMBER, &format!("{repository}@"), None, |_, _| {
            found = true;
            false
        });
        found
    }

    /// What a tag points to.
    pub fn tag(&self, repository: &str, tag: &str) -> Result<Option<Descriptor>, StoreError> {
        Ok(self.tagged(repository, tag)?.map(|tagged| tagged.target))
    }

    /// What a tag points to, and since when.
    pub fn tagged(&self, repository: &str, tag: &str) -> Result<Option<Tagged>, StoreError> {
        self.core.journal.get(&Key::tag(repository, tag))
    }

    /// The tags of a repository, sorted by their bytes.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.tags_after(repository, None, usize::MAX)
    }

    /// At most so many tags of a repository, sorted by their bytes, from the one after `last` on.
    pub fn tags_after(&self, repository: &str, last: Option<&str>, limit: usize) -> Vec<String> {
        let mut tags = Vec::new();
        if limit > 0 {
            self.core.journal.scan(table::TAG, &format!("{repository}:"), last, |tag, _| {
                tags.push(tag.to_owned());
                tags.len() < limit
            });
        }
        tags
    }

    /// Whether a repository has such a tag.
    pub fn any_tag(&self, repository: &str, is: impl Fn(&str) -> bool) -> bool {
        let mut found = false;
        self.core.journal.scan(table::TAG, &format!("{repository}:"), None, |tag, _| {
            found = is(tag);
            !found
        });
        found
    }

    /// The tags of a repository with what they point to.
    pub fn tags_with_targets(&self, repository: &str) -> Result<Vec<(String, Tagged)>, StoreError> {
        let mut rows = Vec::new();
        self.core.journal.scan(table::TAG, &format!("{repository}:"), None, |tag, bytes| {
            rows.push((tag.to_owned(), Arc::clone(bytes)));
            true
        });
        let read = |(tag, bytes): (String, crate::journal::Bytes)| {
            Ok((tag.clone(), decode(&Key::tag(repository, &tag), &bytes)?))
        };
        rows.into_iter().map(read).collect()
    }

    /// The tags of a repository that point to a digest.
    pub fn tags_to(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Vec<(String, Tagged)>, StoreError> {
        let mut tags = self.tags_with_targets(repository)?;
        tags.retain(|(_, tagged)| tagged.target.digest == *digest);
        Ok(tags)
    }

    /// The members of a repository, by digest.
    pub fn members(&self, repository: &str) -> Result<Vec<(Digest, Member)>, StoreError> {
        let mut rows = Vec::new();
        self.core.journal.scan(table::MEMBER, &format!("{repository}@"), None, |digest, bytes| {
            rows.extend(digest.parse::<Digest>().ok().map(|digest| (digest, Arc::clone(bytes))));
            true
        });
        let read = |(digest, bytes): (Digest, crate::journal::Bytes)| {
            Ok((digest, decode(&Key::member(repository, &digest), &bytes)?))
        };
        rows.into_iter().map(read).collect()
    }

    /// At most so many members of a repository that are manifests about another one, by digest, from the one after `last` on.
    pub fn referrers_after(
        &self,
        repository: &str,
        subject: &Digest,
        last: Option<&Digest>,
        limit: usize,
    ) -> Vec<Digest> {
        let mut referrers = Vec::new();
        let last = last.map(ToString::to_string);
        let prefix = format!("{repository}@{subject}@");
        if limit > 0 {
            self.core.journal.scan(table::REFERRER, &prefix, last.as_deref(), |digest, _| {
                referrers.extend(digest.parse::<Digest>().ok());
                referrers.len() < limit
            });
        }
        referrers
    }

    /// The members of a repository that are manifests about another one, by digest.
    pub fn referrers(&self, repository: &str, subject: &Digest) -> Vec<Digest> {
        self.referrers_after(repository, subject, None, usize::MAX)
    }

    /// The names of all repositories, sorted by their bytes.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let mut next = None;
            // From one repository's members right to the next one's: `A` follows `@`.
            let after = names.last().map(|name| format!("{name}A"));
            self.core.journal.scan(table::MEMBER, "", after.as_deref(), |key, _| {
                next = key.split_once('@').map(|(name, _)| name.to_owned());
                false
            });
            match next {
                Some(name) => names.push(name),
                None => break,
            }
        }
        names.sort();
        names
    }

    /// At most so many names of repositories, sorted by their bytes, from the one after `last` on.
    pub fn names_after(&self, last: Option<&str>, limit: usize) -> Vec<String> {
        let mut names = self.names();
        names.retain(|name| last.is_none_or(|last| name.as_str() > last));
        names.truncate(limit);
        names
    }
}
