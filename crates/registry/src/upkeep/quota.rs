//! How much repositories hold, and whether they may take more.
//!
//! Acts: reads the rows of one repository when it changed since they were last added up; nothing else is ever looked at. Pushes that
//! are under way side by side do not know of each other, so together they may pass the limit by what they bring.

use super::rules::{QuotaRule, applies};
use crate::{More, Quota};
use naru_store::{MemberKind, Repositories, StoreError};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many repositories' sums are kept.
const REMEMBERED: usize = 4096;

/// The rules, and what is known of the repositories that they are for.
#[derive(Debug)]
pub struct Quotas {
    repositories: Repositories,
    rules: Vec<QuotaRule>,
    /// What a repository has in a state.
    sums: Mutex<BTreeMap<String, (u64, More)>>,
}

impl Quotas {
    /// Bounds the repositories of a store.
    pub fn new(repositories: Repositories, rules: Vec<QuotaRule>) -> Quotas {
        Quotas { repositories, rules, sums: Mutex::default() }
    }

    /// Bytes of the distinct blobs and manifests of a repository, its manifests, its tags.
    pub fn used(&self, repository: &str) -> Result<More, StoreError> {
        let state = self.repositories.state(repository);
        let known =
            self.sums.lock().unwrap_or_else(PoisonError::into_inner).get(repository).copied();
        if let Some((of, used)) = known
            && of == state
        {
            return Ok(used);
        }
        let tags = self.repositories.tags(repository).len();
        let mut used = More { tags: u64::try_from(tags).unwrap_or(u64::MAX), ..More::default() };
        for (_, member) in self.repositories.members(repository)? {
            used.bytes = used.bytes.saturating_add(member.size);
            used.manifests += u64::from(member.kind == MemberKind::Manifest);
        }
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.len() >= REMEMBERED {
            sums.clear();
        }
        sums.insert(repository.to_owned(), (state, used));
        Ok(used)
    }
}

impl Quota for Quotas {
    fn allow(&self, repository: &str, more: More) -> Result<(), String> {
        let rule = self.rules.iter().find(|rule| applies(&rule.repositories, repository));
        let Some(rule) = rule else { return Ok(()) };
        let used = self.used(repository).map_err(|error| error.to_string())?;
        for (limit, used, more, what) in [
            (rule.bytes, used.bytes, more.bytes, "bytes"),
            (rule.manifests, used.manifests, more.manifests, "manifests"),
            (rule.tags, used.tags, more.tags, "tags"),
        ] {
            // What is beyond it already (the rule is new) may stay, and what brings nothing new may come.
            if let Some(limit) = limit
                && more > 0
                && used.saturating_add(more) > limit
            {
                return Err(format!(
                    "the quota of `{repository}` is {limit} {what}; {used} are used, and {more} more do not fit"
                ));
            }
        }
        Ok(())
    }
}
