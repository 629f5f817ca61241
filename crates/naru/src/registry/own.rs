//! The embedded registry's word in what the daemon pushes to it and pulls from it by rows. Acts: the other side of transfer's port.

use naru_errdefs::{Fault, Kind};
use naru_registry::access::Action;
use naru_registry::cache::Cache;
use naru_registry::edge::Edge;
use naru_registry::upkeep::{Pulls, Quotas};
use naru_registry::{Claim, More, News, Quota as _};
use naru_transfer::{OwnClaim, OwnMore, OwnRegistry};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The parts of the registry that have a word.
#[derive(Debug)]
pub(super) struct Embedded {
    pub(super) edge: Edge,
    pub(super) cache: Option<Cache>,
    pub(super) quotas: Option<Arc<Quotas>>,
    pub(super) pulls: Option<Arc<Pulls>>,
}

impl OwnRegistry for Embedded {
    fn is_cached(&self, repository: &str) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.has(repository))
    }

    fn allow(&self, repository: &str, more: OwnMore) -> Result<OwnClaim, Fault> {
        if let Some(cache) = &self.cache
            && let Some(place) = cache.place(None, repository)
        {
            return Err(cache.refuse_push(&place).into());
        }
        let OwnMore { bytes, manifests, tags } = more;
        let Some(quotas) = &self.quotas else { return Ok(OwnClaim::default()) };
        let news = News { more: More { bytes, manifests, tags }, ..News::default() };
        let mut claim = Claim::default();
        match quotas.claim(repository, &news, &mut claim) {
            Ok(()) => Ok(OwnClaim::holding(claim)),
            Err(why) => Err(Fault::new(Kind::Forbidden, why).with_hint(
                "remove what is not needed with `naru registry rm`, or raise the registry's `quotas`",
            )),
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
