//! Slows down whoever guesses passwords. Pure: the time is an argument; [`Throttle`] only adds the lock.
//!
//! Failed logins are counted per peer address (an IPv6 peer has a /64) and per user name, whether there is such a user or not. A few
//! are free; then each one doubles the time in which no further attempt is looked at. What was counted is forgotten after a quiet
//! while. Who is known already (right password, same address, a moment ago) is let in all the same, so that a stranger who guesses at
//! a name, or one wrong script behind a shared address, does not lock others out; but not while somebody guesses there many
//! different passwords, or that would be the way around the throttle.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Failures that cost nothing.
const FREE: u32 = 5;
/// Failures are forgotten after so long without one.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Longest wait of a peer; of a user name it is shorter, because anybody can cause it.
const LONGEST_FOR_PEER: Duration = Duration::from_secs(5 * 60);
const LONGEST_FOR_USER: Duration = Duration::from_secs(60);
/// Different attempts that are looked at at once.
const MOST_AT_ONCE_OF_PEER: u32 = 64;
const MOST_AT_ONCE_FOR_USER: u32 = 8;
/// Different wrong passwords during waits, after which those who are known wait too.
const MOST_GUESSES: u32 = 32;
/// Most peers and most names that are remembered.
const MOST_ENTRIES: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct Entry {
    failures: u32,
    under_way: u32,
    until: Instant,
    last: Instant,
    guesses: u32,
    last_guess: u64,
}

#[derive(Debug)]
struct Table<K> {
    entries: BTreeMap<K, Entry>,
    longest: Duration,
    most_at_once: u32,
}

impl<K: Ord + Clone> Table<K> {
    /// How long nobody is looked at; none when somebody is.
    fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let entry = self.entries.get(key)?;
        let left = entry.until.saturating_duration_since(now);
        if !left.is_zero() {
            return Some(left);
        }
        (entry.under_way >= self.most_at_once).then_some(Duration::from_secs(1))
    }

    fn guessed_at(&self, key: &K) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.guesses >= MOST_GUESSES)
    }

    fn note_guess(&mut self, key: &K, guess: u64) {
        if let Some(entry) = self.entries.get_mut(key)
            && entry.last_guess != guess
        {
            entry.guesses = entry.guesses.saturating_add(1);
            entry.last_guess = guess;
        }
    }

    fn begin(&mut self, key: K, now: Instant) {
        self.make_room(&key, now);
        let entry = self.entries.entry(key).or_insert(Entry {
            failures: 0,
            under_way: 0,
            until: now,
            last: now,
            guesses: 0,
            last_guess: 0,
        });
        if now.saturating_duration_since(entry.last) >= FORGET {
            (entry.failures, entry.guesses) = (0, 0);
        }
        entry.under_way += 1;
    }

    fn end(&mut self, key: &K, failed: bool, now: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.under_way = entry.under_way.saturating_sub(1);
        if failed {
            entry.failures = entry.failures.saturating_add(1);
            entry.last = now;
            if entry.failures >= FREE {
                let doubled = 1u64 << (entry.failures - FREE).min(20);
                entry.until = now + Duration::from_secs(doubled).min(self.longest);
            }
        }
        if entry.failures == 0 && entry.under_way == 0 {
            self.entries.remove(key);
        }
    }

    /// Keeps the table small: first what is forgotten goes, then what matters least.
    fn make_room(&mut self, key: &K, now: Instant) {
        if self.entries.len() < MOST_ENTRIES || self.entries.contains_key(key) {
            return;
        }
        self.entries.retain(|_key, entry| {
            entry.under_way > 0 || now.saturating_duration_since(entry.last) < FORGET
        });
        if self.entries.len() >= MOST_ENTRIES {
            let least = self
                .entries
                .iter()
                .min_by_key(|(_key, entry)| (entry.under_way, entry.failures, entry.last))
                .map(|(key, _entry)| key.clone());
            if let Some(least) = least {
                self.entries.remove(&least);
            }
        }
    }
}

/// Counts failed logins.
#[derive(Debug)]
pub(crate) struct Throttle(Mutex<Tables>);

#[derive(Debug)]
struct Tables {
    peers: Table<IpAddr>,
    users: Table<String>,
}

/// Somebody who wants to log in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) peer: IpAddr,
    pub(crate) user: &'a str,
    /// Differs for different passwords.
    pub(crate) guess: u64,
}

impl Throttle {
    pub(crate) fn new() -> Throttle {
        let peers = Table {
            entries: BTreeMap::new(),
            longest: LONGEST_FOR_PEER,
            most_at_once: MOST_AT_ONCE_OF_PEER,
        };
        let users = Table {
            entries: BTreeMap::new(),
            longest: LONGEST_FOR_USER,
            most_at_once: MOST_AT_ONCE_FOR_USER,
        };
        Throttle(Mutex::new(Tables { peers, users }))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Tables) -> T) -> T {
        // A panic under this lock leaves counters only.
        act(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Whether somebody who is known already is let in at once.
    pub(crate) fn lets_known(&self, attempt: Attempt<'_>, now: Instant) -> Result<(), Duration> {
        self.with(|tables| {
            let (peer, user) = (network_of(attempt.peer), attempt.user.to_owned());
            if tables.peers.guessed_at(&peer) || tables.users.guessed_at(&user) {
                return tables.longest_wait(&peer, &user, now).map_or(Ok(()), Err);
            }
            Ok(())
        })
    }

    /// An attempt begins, if it may; [`Throttle::end`] must follow.
    pub(crate) fn begin(&self, attempt: Attempt<'_>, now: Instant) -> Result<(), Duration> {
        self.with(|tables| {
            let (peer, user) = (network_of(attempt.peer), attempt.user.to_owned());
            if let Some(wait) = tables.longest_wait(&peer, &user, now) {
                tables.peers.note_guess(&peer, attempt.guess);
                tables.users.note_guess(&user, attempt.guess);
                return Err(wait);
            }
            tables.peers.begin(peer, now);
            tables.users.begin(user, now);
            Ok(())
        })
    }

    /// An attempt has ended. Success does not forgive the peer's failures: who has one account could guess at others'.
    pub(crate) fn end(&self, attempt: Attempt<'_>, failed: bool, now: Instant) {
        self.with(|tables| {
            tables.peers.end(&network_of(attempt.peer), failed, now);
            tables.users.end(&attempt.user.to_owned(), failed, now);
        });
    }
}

impl Tables {
    fn longest_wait(&self, peer: &IpAddr, user: &String, now: Instant) -> Option<Duration> {
        self.peers.wait(peer, now).max(self.users.wait(user, now))
    }
}

/// Seconds for `Retry-After`: whole ones, at least one.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The address that counts: a host has a whole /64 of IPv6 addresses, and one of IPv4 may come in the clothes of IPv6.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(at: u32) -> IpAddr {
        IpAddr::from(at.to_be_bytes())
    }

    fn attempt(at: u32, user: &str, guess: u64) -> Attempt<'_> {
        Attempt { peer: peer(at), user, guess }
    }

    /// One failed login; the seconds to wait when it was not looked at.
    fn fail(throttle: &Throttle, who: Attempt<'_>, now: Instant) -> Option<u64> {
        match throttle.begin(who, now) {
            Ok(()) => {
                throttle.end(who, true, now);
                None
            }
            Err(wait) => Some(whole_seconds(wait)),
        }
    }

    #[test]
    fn waits_double_up_to_a_bound_and_are_forgotten() {
        let (throttle, start) = (Throttle::new(), Instant::now());
        let mut now = start;
        for _ in 0..FREE {
            assert_eq!(fail(&throttle, attempt(1, "ann", 1), now), None);
        }
        let mut waits = Vec::new();
        for _ in 0..11 {
            let wait = fail(&throttle, attempt(1, &format!("u{now:?}"), 1), now).unwrap();
            waits.push(wait);
            now += Duration::from_secs(wait);
            assert_eq!(fail(&throttle, attempt(1, &format!("v{now:?}"), 1), now), None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        now += FORGET;
        for _ in 0..FREE {
            assert_eq!(fail(&throttle, attempt(1, "eve", 1), now), None);
        }
        assert_eq!(fail(&throttle, attempt(1, "eve", 1), now), Some(1));
    }

    #[test]
    fn a_name_is_guarded_against_many_peers() {
        let (throttle, mut now) = (Throttle::new(), Instant::now());
        let mut longest = 0;
        for at in 0..40 {
            if let Some(wait) = fail(&throttle, attempt(at, "ann", 1), now) {
                longest = longest.max(wait);
                now += Duration::from_secs(wait);
            }
        }
        assert_eq!(longest, LONGEST_FOR_USER.as_secs());
        assert_eq!(fail(&throttle, attempt(1000, "bob", 1), now), None);
    }

    #[test]
    fn who_is_known_is_let_in_unless_somebody_guesses_wildly() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for _ in 0..50 {
            fail(&throttle, attempt(1, "ann", 7), now);
        }
        let wait = throttle.begin(attempt(2, "ann", 1), now);
        assert!(wait.is_err(), "a stranger waits");
        throttle.lets_known(attempt(2, "ann", 1), now).unwrap();
        for guess in 0..u64::from(MOST_GUESSES) {
            fail(&throttle, attempt(1, "ann", 100 + guess), now);
        }
        assert!(throttle.lets_known(attempt(2, "ann", 1), now).is_err());
        throttle.lets_known(attempt(2, "bob", 1), now).unwrap();
        throttle.lets_known(attempt(2, "ann", 1), now + Duration::from_secs(2)).unwrap();
    }

    #[test]
    fn success_forgives_nothing_of_the_peer() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for at in 0..FREE {
            let own = attempt(1, "eve", 1);
            throttle.begin(own, now).unwrap();
            throttle.end(own, false, now);
            assert_eq!(fail(&throttle, attempt(1, &format!("u{at}"), 1), now), None);
        }
        assert_eq!(fail(&throttle, attempt(1, "u", 1), now), Some(1));
    }

    #[test]
    fn attempts_at_once_are_bounded() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for at in 0..MOST_AT_ONCE_FOR_USER {
            throttle.begin(attempt(at, "ann", 1), now).unwrap();
        }
        assert_eq!(throttle.begin(attempt(99, "ann", 1), now), Err(Duration::from_secs(1)));
        throttle.end(attempt(0, "ann", 1), false, now);
        throttle.begin(attempt(99, "ann", 1), now).unwrap();
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for _ in 0..20 {
            fail(&throttle, attempt(1, "ann", 1), now);
        }
        for at in 2..20_000 {
            fail(&throttle, attempt(at, &format!("u{at}"), 1), now);
        }
        throttle.with(|tables| {
            assert_eq!(tables.peers.entries.len(), MOST_ENTRIES);
            assert_eq!(tables.users.entries.len(), MOST_ENTRIES);
        });
        assert!(fail(&throttle, attempt(1, "x", 1), now).is_some());
        assert!(fail(&throttle, attempt(30_000, "ann", 1), now).is_some());
    }

    #[test]
    fn successes_leave_nothing_behind() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        throttle.begin(attempt(1, "ann", 1), now).unwrap();
        throttle.end(attempt(1, "ann", 1), false, now);
        throttle.with(|tables| {
            assert!(tables.peers.entries.is_empty() && tables.users.entries.is_empty());
        });
    }

    #[test]
    fn networks_count_not_addresses() {
        let same =
            |a: &str, b: &str| network_of(a.parse().unwrap()) == network_of(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert!(same("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!same("10.0.0.1", "10.0.0.2"));
    }
}
