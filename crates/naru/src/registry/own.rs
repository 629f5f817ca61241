//! The embedded registry's word in what the daemon pushes to it and pulls from it by rows. Acts: the other side of transfer's port.

use naru_registry::access::Action;
use naru_registry::edge::Edge;
use naru_registry::upkeep::{Pulls, Quotas};
use naru_registry::{More, Quota as _};
use naru_transfer::{OwnMore, OwnRegistry};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The parts of the registry that have a word.
#[derive(Debug)]
pub(super) struct Embedded {
    pub(super) edge: Edge,
    pub(super) quotas: Option<Arc<Quotas>>,
    pub(super) pulls: Option<Arc<Pulls>>,
}

impl OwnRegistry for Embedded {
    fn allow(&self, repository: &str, more: OwnMore) -> Result<(), String> {
        let OwnMore { bytes, manifests, tags } = more;
        match &self.quotas {
            Some(quotas) => quotas.allow(repository, More { bytes, manifests, tags }),
            None => Ok(()),
        }
    }

    fn pushed(&self, repository: &str, tag: &str, is_done: bool) {
        let status = if is_done { 201 } else { 403 };
        self.edge.note(Action::Push, repository, tag, status);
    }

    fn pulled(&self, repository: &str, reference: &str) {
        self.edge.note(Action::Pull, repository, reference, 200);
        if let Some(pulls) = self.pulls.as_ref().filter(|_| !reference.contains(':')) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            pulls.note(repository, reference, now.map_or(0, |since| since.as_secs()));
        }
    }
}
