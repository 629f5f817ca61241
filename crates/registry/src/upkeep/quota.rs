//! How much repositories hold, and whether they may take more.
//!
//! Acts: reads the rows of one repository when it changed since they were last added up; nothing else is ever looked at. Who brings
//! something claims it first and holds the claim until it is recorded, or given up; what others have claimed counts, and so do the
//! bytes of upload sessions that nobody writes now, those of an earlier process included. So pushes side by side never come to more
//! than a quota together.

use super::rules::{QuotaRule, applies};
use crate::watch::{Claim, More, News, Quota};
use naru_oci::Digest;
use naru_store::{Content, MemberKind, Repositories, Store, StoreError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many repositories' sums are kept.
const REMEMBERED: usize = 4096;
/// How often it is added up anew because the repository changed meanwhile.
const TRIES: u32 = 16;

/// The rules, and what is known of the repositories that they are for.
#[derive(Debug)]
pub struct Quotas {
    repositories: Repositories,
    content: Content,
    rules: Vec<QuotaRule>,
    /// What a repository has in a state.
    sums: Mutex<BTreeMap<String, (u64, More)>>,
    claims: Arc<Mutex<Claims>>,
}

/// What is claimed, by repository and number.
#[derive(Debug, Default)]
struct Claims {
    next: u64,
    held: BTreeMap<(String, u64), News>,
}

/// A claim that is held.
struct Held {
    of: Arc<Mutex<Claims>>,
    key: (String, u64),
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).held.remove(&self.key);
    }
}

impl Claims {
    fn of(&self, repository: &str) -> impl Iterator<Item = (u64, &News)> {
        self.held
            .range((repository.to_owned(), 0)..)
            .take_while(move |((of, _), _)| of == repository)
            .map(|((_, number), news)| (*number, news))
    }
}

impl Quotas {
    /// Bounds the repositories of a store.
    pub fn new(store: &Store, rules: Vec<QuotaRule>) -> Quotas {
        Quotas {
            repositories: store.repositories.clone(),
            content: store.content.clone(),
            rules,
            sums: Mutex::default(),
            claims: Arc::default(),
        }
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

    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is on its way into a repository, but for one claim and its session.
    fn coming(&self, claims: &Claims, repository: &str, but: Option<u64>, news: &News) -> More {
        let mut sessions: BTreeMap<String, u64> =
            self.content.uploads_of(repository).into_iter().collect();
        if let Some(id) = &news.upload {
            sessions.remove(id);
        }
        let mut coming = More::default();
        for (_, other) in claims.of(repository).filter(|(number, _)| Some(*number) != but) {
            // A session comes to what is claimed for it, and not to that besides.
            if let Some(id) = &other.upload {
                sessions.remove(id);
            }
            let more = self.counted(repository, other);
            coming.bytes = coming.bytes.saturating_add(more.bytes);
            coming.manifests += more.manifests;
            coming.tags += more.tags;
        }
        coming.bytes = sessions.values().fold(coming.bytes, |sum, size| sum.saturating_add(*size));
        coming
    }

    /// What something adds to what a repository has: nothing once it is a member, or a tag there.
    fn counted(&self, repository: &str, news: &News) -> More {
        let is_member = |digest: &Digest| self.repositories.is_member(repository, digest);
        let is_known = news.digest.as_ref().is_some_and(is_member);
        let mut more = if is_known { More::default() } else { news.more };
        // A tag that cannot be read is there.
        let is_new = |tag: &&String| matches!(self.repositories.tag(repository, tag), Ok(None));
        let tags = news.tags.iter().filter(is_new).count();
        more.tags = more.tags.saturating_add(u64::try_from(tags).unwrap_or(u64::MAX));
        more
    }
}

impl Quota for Quotas {
    fn claim(&self, repository: &str, news: &News, held: &mut Claim) -> Result<(), String> {
        let rule = self.rules.iter().find(|rule| applies(&rule.repositories, repository));
        let Some(rule) = rule else { return Ok(()) };
        // Added up before anybody else has to wait for it.
        self.used(repository).map_err(|error| error.to_string())?;
        let mut claims = self.claims();
        let mut tries = 0;
        let (used, coming, more) = loop {
            let state = self.repositories.state(repository);
            let coming = self.coming(&claims, repository, held.number(), news);
            let more = self.counted(repository, news);
            let used = self.used(repository).map_err(|error| error.to_string())?;
            tries += 1;
            // What became a member in between would count twice.
            if self.repositories.state(repository) == state || tries == TRIES {
                break (used, coming, more);
            }
        };
        for (limit, used, coming, more, what) in [
            (rule.bytes, used.bytes, coming.bytes, more.bytes, "bytes"),
            (rule.manifests, used.manifests, coming.manifests, more.manifests, "manifests"),
            (rule.tags, used.tags, coming.tags, more.tags, "tags"),
        ] {
            // What is beyond it already (the rule is new) may stay, and what brings nothing new may come.
            if let Some(limit) = limit
                && more > 0
                && used.saturating_add(coming).saturating_add(more) > limit
            {
                let coming = match coming {
                    0 => String::new(),
                    coming => format!("{coming} are on their way in other uploads, "),
                };
                return Err(format!(
                    "the quota of `{repository}` is {limit} {what}; {used} are used, {coming}and {more} more do not fit"
                ));
            }
        }
        let number = held.number().unwrap_or_else(|| {
            claims.next += 1;
            claims.next
        });
        let key = (repository.to_owned(), number);
        claims.held.insert(key.clone(), news.clone());
        drop(claims);
        held.hold(number, || Box::new(Held { of: Arc::clone(&self.claims), key }));
        Ok(())
    }
}
