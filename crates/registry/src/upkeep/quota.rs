//! How much repositories hold, and whether they may take more.
//!
//! Acts: reads the rows of one repository when it changed since they were last added up; nothing else is ever looked at. Pushes that
//! are under way side by side do not know of each other, so together they may pass the limit by what they bring.

use super::rules::{QuotaRule, applies};
use crate::Quota;
use naru_store::{Repositories, StoreError};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many repositories' sums are kept.
const REMEMBERED: usize = 4096;

/// The rules, and what is known of the repositories that they are for.
#[derive(Debug)]
pub struct Quotas {
    repositories: Repositories,
    rules: Vec<QuotaRule>,
    /// The bytes of a repository in a state.
    sums: Mutex<BTreeMap<String, (u64, u64)>>,
}

impl Quotas {
    /// Bounds the repositories of a store.
    pub fn new(repositories: Repositories, rules: Vec<QuotaRule>) -> Quotas {
        Quotas { repositories, rules, sums: Mutex::default() }
    }

    /// Bytes of the distinct blobs and manifests of a repository.
    pub fn used(&self, repository: &str) -> Result<u64, StoreError> {
        let state = self.repositories.state(repository);
        let known =
            self.sums.lock().unwrap_or_else(PoisonError::into_inner).get(repository).copied();
        if let Some((of, bytes)) = known
            && of == state
        {
            return Ok(bytes);
        }
        let members = self.repositories.members(repository)?;
        let bytes = members.iter().fold(0u64, |sum, (_, member)| sum.saturating_add(member.size));
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.len() >= REMEMBERED {
            sums.clear();
        }
        sums.insert(repository.to_owned(), (state, bytes));
        Ok(bytes)
    }
}

impl Quota for Quotas {
    fn allow(&self, repository: &str, bytes: u64) -> Result<(), String> {
        let rule = self.rules.iter().find(|rule| applies(&rule.repositories, repository));
        let Some(limit) = rule.and_then(|rule| rule.bytes) else { return Ok(()) };
        let used = self.used(repository).map_err(|error| error.to_string())?;
        if used.saturating_add(bytes) <= limit {
            return Ok(());
        }
        Err(format!(
            "the quota of `{repository}` is {limit} bytes; {used} are used, and {bytes} more do not fit"
        ))
    }
}
