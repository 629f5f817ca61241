//! Upkeep of repositories: tags that no rule keeps, members that nothing names, upload sessions that were given up; then the
//! collector takes what nobody holds.
//!
//! Acts; what goes is decided by [`retention::plan`] and [`sweep::plan`]. A repository is read and changed in one step as seen by
//! others: when anything of it changed since it was read, nothing is done and it is read again, and one that is too busy waits for
//! the next time. So a push is never robbed of a blob between its answer to a HEAD and its manifest by anything but time: blobs
//! stay for the grace period after they were added, or after somebody was told that they are there.

mod keeper;
mod pulls;
mod quota;
mod relied;
mod removal;
pub mod retention;
pub mod rules;
pub mod sweep;
mod usage;

pub use keeper::{GRACE, How, Keeper, Kept};
pub use pulls::Pulls;
pub use quota::Quotas;
pub use relied::Relied;
pub use removal::{remove_reference, remove_repository};
pub use usage::{RepositoryUsage, Uploads, Usage};

use naru_errdefs::{Failure, Kind};
use naru_oci::Digest;
use naru_store::{Batch, Collected, Member, MemberKind, Store, StoreError, Tagged};
use retention::{TagFacts, Verdict};
use rules::RetentionRule;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use sweep::{MemberFacts, Sweep};

/// How often a repository is read again because it changed meanwhile.
const PATIENCE: u32 = 8;

/// How upkeep is done.
#[derive(Debug, Clone)]
pub struct Upkeep {
    /// Which tags are kept.
    pub retention: Vec<RetentionRule>,
    /// Which members go.
    pub sweep: Sweep,
    /// Upload sessions that got nothing for so long are given up.
    pub uploads_after: Duration,
    /// What clients were told is there.
    pub relied: Arc<Relied>,
}

/// When a tag of a repository was last pulled, as far as somebody knows.
type Pulled<'a> = &'a dyn Fn(&str, &str) -> Option<u64>;

/// Seconds since 1970.
pub(crate) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What goes, or would go, from one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryReport {
    /// Its name.
    pub repository: String,
    /// Its tags that go, with the rule.
    pub tags: Vec<Verdict>,
    /// Its members that go.
    pub members: Vec<Digest>,
    /// It changed all the time, so it was left for the next upkeep.
    pub busy: bool,
    /// Manifests that cannot be read. While there are any, no member goes: they could name it.
    pub unreadable: Vec<Digest>,
}

/// What upkeep did, or would do.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Repositories that lose something, were busy, or cannot be read.
    pub repositories: Vec<RepositoryReport>,
    /// Upload sessions that were given up, and their bytes; a dry run does not look.
    pub uploads: (u64, u64),
    /// What the collector took. A dry run tells only what it would take without the rest of the upkeep.
    pub collected: Collected,
}

impl Upkeep {
    /// Does everything once. `now` is in seconds since 1970; `pulled` says when a tag of a repository was last pulled.
    pub fn run(&self, store: &Store, now: u64, pulled: Pulled<'_>) -> Result<Report, StoreError> {
        let mut report = Report::default();
        for repository in store.repositories.names() {
            report.add(self.tidy(store, &repository, now, pulled)?);
        }
        report.uploads = store.content.sweep_uploads(self.uploads_after)?;
        report.collected = store.collect()?;
        Ok(report)
    }

    /// Says what [`Upkeep::run`] would do.
    pub fn dry_run(
        &self,
        store: &Store,
        now: u64,
        pulled: Pulled<'_>,
    ) -> Result<Report, StoreError> {
        let mut report = Report::default();
        for repository in store.repositories.names() {
            let seen = self.relied.seen(&repository);
            report.add(self.look(store, &repository, now, (pulled, &seen))?.0);
        }
        report.collected = store.collectable()?;
        Ok(report)
    }

    fn tidy(
        &self,
        store: &Store,
        repository: &str,
        now: u64,
        pulled: Pulled<'_>,
    ) -> Result<RepositoryReport, StoreError> {
        for _ in 0..PATIENCE {
            let seen = self.relied.seen(repository);
            let state = store.repositories.state(repository);
            let (report, members) = self.look(store, repository, now, (pulled, &seen))?;
            let mut batch = Batch::new();
            for verdict in &report.tags {
                batch.remove_tag(repository, &verdict.tag);
            }
            for digest in &report.members {
                if let Some(member) = members.get(digest) {
                    batch.remove_member(repository, digest, member);
                }
            }
            if batch.is_empty() {
                return Ok(report);
            }
            batch.only_in_state(repository, state);
            let Some(_going) = self.relied.condemn(repository, &seen, &report.members) else {
                continue;
            };
            match store.commit(batch) {
                Ok(()) => return Ok(report),
                Err(error) if error.kind() == Kind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Ok(RepositoryReport {
            repository: repository.to_owned(),
            tags: Vec::new(),
            members: Vec::new(),
            busy: true,
            unreadable: Vec::new(),
        })
    }

    fn look(
        &self,
        store: &Store,
        repository: &str,
        now: u64,
        (pulled, seen): (Pulled<'_>, &relied::Seen),
    ) -> Result<(RepositoryReport, BTreeMap<Digest, Member>), StoreError> {
        let tags = store.repositories.tags_with_targets(repository)?;
        let facts = |(tag, tagged): &(String, Tagged)| TagFacts {
            tag: tag.clone(),
            tagged: tagged.tagged,
            pulled: pulled(repository, tag),
        };
        let facts: Vec<TagFacts> = tags.iter().map(facts).collect();
        let mut gone = retention::plan(&self.retention, repository, &facts, now);
        gone.retain(|verdict| !verdict.keep);
        let kept = tags.iter().filter(|(tag, _)| !gone.iter().any(|verdict| verdict.tag == *tag));
        let tagged: BTreeSet<Digest> = kept.map(|(_, tagged)| tagged.target.digest).collect();
        let members: BTreeMap<Digest, Member> =
            store.repositories.members(repository)?.into_iter().collect();
        let (mut facts, mut unreadable) = (BTreeMap::new(), Vec::new());
        for (digest, member) in &members {
            let targets = match member.kind {
                MemberKind::Blob => None,
                MemberKind::Manifest => {
                    let targets = store.content.references(digest)?;
                    if targets.is_none() {
                        unreadable.push(*digest);
                    }
                    Some(targets.iter().flat_map(|targets| targets.iter().copied()).collect())
                }
            };
            let (added, subject) = (member.added.max(seen.time(digest)), member.subject);
            facts.insert(*digest, MemberFacts { added, subject, targets });
        }
        let mut going = Vec::new();
        if unreadable.is_empty() {
            going.extend(sweep::plan(self.sweep, &facts, &tagged, now));
        }
        let repository = repository.to_owned();
        let report =
            RepositoryReport { repository, tags: gone, members: going, busy: false, unreadable };
        Ok((report, members))
    }
}

impl Report {
    fn add(&mut self, report: RepositoryReport) {
        let is_quiet = report.tags.is_empty() && report.members.is_empty();
        if !is_quiet || report.busy || !report.unreadable.is_empty() {
            self.repositories.push(report);
        }
    }
}

#[cfg(test)]
mod tests;
