//! Acts: compiled system call filters, each made once.

use crate::record::Record;
use crate::spec::capabilities;
use crate::spec::security::{self, Seccomp};
use naru_errdefs::Fault;
use naru_runtime::Filter;
use naru_runtime::seccomp::{Circumstances, compile, default_profile, parse_docker};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many compiled filters are kept.
const KEPT: usize = 64;

/// Compiled system call filters.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    compiled: Mutex<HashMap<Key, Filter>>,
}

/// What a filter depends on: the profile and the capabilities.
type Key = (Seccomp, Vec<String>);

impl Filters {
    /// The filter of a container; `None` when it has none.
    pub(crate) fn of(&self, record: &Record) -> Result<Option<Filter>, Fault> {
        let host = &record.host;
        let seccomp = security::parse(&host.security_opt)?.seccomp;
        if host.privileged || seccomp == Seccomp::Unconfined {
            return Ok(None);
        }
        let set = capabilities::resolve(&host.cap_add, &host.cap_drop, host.privileged)?;
        let mut names: Vec<String> = set.iter().map(|one| format!("CAP_{one}")).collect();
        names.sort_unstable();
        let key = (seccomp, names);
        if let Some(filter) = self.compiled().get(&key) {
            return Ok(Some(filter.clone()));
        }
        let (seccomp, names) = &key;
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let circumstances = Circumstances::native(names.iter().map(String::as_str), release.trim());
        let profile = match seccomp {
            Seccomp::Profile(json) => parse_docker(json, &circumstances)?,
            Seccomp::Default | Seccomp::Unconfined => default_profile(&circumstances),
        };
        let filter = Filter(compile(&profile)?);
        let mut compiled = self.compiled();
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.insert(key, filter.clone());
        Ok(Some(filter))
    }

    fn compiled(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Filter>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
