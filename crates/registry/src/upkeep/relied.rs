//! What clients were told is there, and may rely on until their manifest comes: it is as young as that. Acts: one small lock, nothing
//! on disk.
//!
//! ```text
//! HEAD, mount ─tell─▶ there: noted (the sweep's grace begins anew)     │   sweep: seen ─▶ plan ◆ ─▶ condemn ─▶ rows go ─▶ let go
//!                └──▶ "not there", also when it is on its way out      │                      └─ told meanwhile: planned again
//! ```

use naru_oci::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Members that are remembered at most; beyond that, those that were told of first are forgotten.
const MOST: usize = 64 << 10;

/// What was told of members, and what is on its way out.
#[derive(Debug, Default)]
pub struct Relied(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    /// The number of the last note.
    number: u64,
    told: BTreeMap<String, BTreeMap<Digest, Told>>,
    count: usize,
    going: BTreeMap<String, BTreeSet<Digest>>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    /// Seconds since 1970.
    at: u64,
    number: u64,
}

/// What was told of the members of one repository up to some moment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    number: u64,
    times: BTreeMap<Digest, u64>,
}

impl Seen {
    /// When somebody was last told that a member is there.
    pub(super) fn time(&self, digest: &Digest) -> u64 {
        self.times.get(digest).copied().unwrap_or(0)
    }
}

/// Members on their way out, until this is dropped.
#[derive(Debug)]
pub(super) struct Going<'a> {
    relied: &'a Relied,
    repository: &'a str,
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.relied.notes().going.remove(self.repository);
    }
}

impl Relied {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is about to be told, `now`, whether a member is there, as `look` says; only what is there is noted, so that nobody
    /// drives the notes out by asking for what is not. No: it is not there, or on its way out, and must not be called there.
    ///
    /// One step, as seen by the sweep: whoever condemns it has done so before (and it is on its way out, or gone), or finds the note.
    pub(crate) fn tell(
        &self,
        repository: &str,
        digest: &Digest,
        now: u64,
        look: impl FnOnce() -> bool,
    ) -> bool {
        let mut notes = self.notes();
        if notes.going.get(repository).is_some_and(|going| going.contains(digest)) || !look() {
            return false;
        }
        notes.number += 1;
        let told = Told { at: now, number: notes.number };
        let known = match notes.told.get_mut(repository) {
            Some(all) => all.insert(*digest, told),
            None => notes.told.entry(repository.to_owned()).or_default().insert(*digest, told),
        };
        if known.is_none() {
            notes.count += 1;
            if notes.count > MOST {
                notes.forget();
            }
        }
        true
    }

    /// What was told of a repository's members so far. To be asked before they are read.
    pub(super) fn seen(&self, repository: &str) -> Seen {
        let notes = self.notes();
        let told = notes.told.get(repository);
        let times = told.into_iter().flatten().map(|(digest, told)| (*digest, told.at)).collect();
        Seen { number: notes.number, times }
    }

    /// From now on these are not there for anybody who asks. None when somebody was told of one of them since `seen`.
    pub(super) fn condemn<'a>(
        &'a self,
        repository: &'a str,
        seen: &Seen,
        going: &[Digest],
    ) -> Option<Going<'a>> {
        let mut notes = self.notes();
        let told = notes.told.get(repository);
        let is_news = |digest: &Digest| {
            told.and_then(|told| told.get(digest)).is_some_and(|told| told.number > seen.number)
        };
        if going.iter().any(is_news) {
            return None;
        }
        notes.going.insert(repository.to_owned(), going.iter().copied().collect());
        Some(Going { relied: self, repository })
    }

    /// Forgets what was told so long ago that it is too old to count.
    pub(super) fn forget_before(&self, then: u64) {
        let mut notes = self.notes();
        notes.retain(|told| told.at >= then);
    }
}

impl Notes {
    /// Forgets the older half.
    fn forget(&mut self) {
        let mut numbers: Vec<u64> =
            self.told.values().flat_map(|all| all.values().map(|told| told.number)).collect();
        let middle = numbers.len() / 2;
        let (_, middle, _) = numbers.select_nth_unstable(middle);
        let middle = *middle;
        self.retain(|told| told.number >= middle);
    }

    fn retain(&mut self, keep: impl Fn(&Told) -> bool) {
        self.told.retain(|_, all| {
            all.retain(|_, told| keep(told));
            !all.is_empty()
        });
        self.count = self.told.values().map(BTreeMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u32) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    #[test]
    fn what_was_told_meanwhile_is_not_condemned_and_what_is_condemned_is_not_told() {
        let relied = Relied::default();
        let tell = |repository, digest: &Digest, now| relied.tell(repository, digest, now, || true);
        assert!(tell("a", &digest(1), 10));
        let seen = relied.seen("a");
        assert_eq!((seen.time(&digest(1)), seen.time(&digest(2))), (10, 0));
        assert!(tell("a", &digest(2), 11) && tell("b", &digest(1), 11));
        assert!(relied.condemn("a", &seen, &[digest(1), digest(2)]).is_none());
        let going = relied.condemn("a", &seen, &[digest(1)]).unwrap();
        assert!(!tell("a", &digest(1), 12) && tell("b", &digest(1), 12));
        assert!(tell("a", &digest(3), 12));
        drop(going);
        assert!(tell("a", &digest(1), 13));
        relied.forget_before(13);
        assert_eq!(relied.seen("a").times.len(), 1);
        assert_eq!(relied.notes().count, 1);
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_are_too_many() {
        let relied = Relied::default();
        for number in 0..u32::try_from(MOST).unwrap() + 1 {
            relied.tell("a", &digest(number), u64::from(number), || true);
        }
        let seen = relied.seen("a");
        assert!(seen.times.len() <= MOST / 2 + 1, "{}", seen.times.len());
        assert_eq!((seen.time(&digest(0)), seen.time(&digest(65_536))), (0, 65_536));
    }

    #[test]
    fn what_is_not_there_drives_nothing_out() {
        let relied = Relied::default();
        assert!(relied.tell("a", &digest(0), 7, || true));
        for number in 1..u32::try_from(2 * MOST).unwrap() {
            assert!(!relied.tell("a", &digest(number), 8, || false));
        }
        assert_eq!((relied.seen("a").time(&digest(0)), relied.notes().count), (7, 1));
    }
}
