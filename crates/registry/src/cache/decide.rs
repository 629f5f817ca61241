//! Pure: when a cached answer serves, when the upstream is asked, and what its answer means.
//!
//! ```text
//! digest known ─▶ serve (content never changes)        nothing known ─▶ fetch        upstream said no ─▶ say so for a moment
//! tag known: younger than the ttl ─▶ serve
//!            older ─▶ check by HEAD: same ─▶ refresh    other ─▶ fetch    gone ─▶ forget    refused ─▶ pass on
//!                                    away, limited ─▶ serve stale within its bound, else pass on
//! ```

/// The settings that decisions depend on; all in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// How long a tag is served without asking.
    pub(crate) ttl: u64,
    /// How long it is remembered that the upstream has no such thing.
    pub(crate) negative_ttl: u64,
    /// How long after the last check a tag may be served while the upstream is away; none when never.
    pub(crate) max_stale: Option<u64>,
}

/// What is known of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing.
    Nothing,
    /// The upstream said that there is no such thing.
    Missing {
        /// When.
        since: u64,
    },
    /// The content of a digest is here.
    Content,
    /// What a tag means is here.
    Tag {
        /// When the upstream last said so.
        checked: u64,
    },
}

/// What is to be done for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Serve what is here.
    Serve,
    /// Serve what is here, and say that it may be old.
    ServeStale,
    /// Ask the upstream whether the tag still means the same.
    Check,
    /// Fetch it.
    Fetch,
    /// Say that there is no such thing.
    SayMissing,
}

/// What the upstream said to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The same digest.
    Same,
    /// Another digest.
    Other,
    /// There is no such tag.
    Gone,
    /// We may not know.
    Refused,
    /// Nothing that means anything: away, stalled, limited, nonsense.
    Nothing,
}

/// What follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Note the check and serve.
    Refresh,
    /// Fetch the new digest.
    Fetch,
    /// Drop the tag and say that there is no such thing.
    Forget,
    /// Serve what is here, and say that it may be old.
    ServeStale,
    /// Pass the failure on.
    Fail,
}

/// Whether less than `ttl` seconds have passed. A moment in the future is none to trust: the clock was set back.
fn is_fresh(now: u64, since: u64, ttl: u64) -> bool {
    now.checked_sub(since).is_some_and(|age| age < ttl)
}

/// Whether what was checked then may be served without the upstream.
fn may_be_stale(now: u64, checked: u64, policy: &Policy) -> bool {
    policy.max_stale.is_some_and(|bound| now.saturating_sub(checked) <= bound)
}

/// What is to be done for a request; `is_away` says that the upstream failed a moment ago.
pub(crate) fn decide(now: u64, known: Known, is_away: bool, policy: &Policy) -> Action {
    match known {
        Known::Nothing => Action::Fetch,
        Known::Content => Action::Serve,
        Known::Missing { since } if is_fresh(now, since, policy.negative_ttl) => Action::SayMissing,
        Known::Missing { .. } => Action::Fetch,
        Known::Tag { checked } if is_fresh(now, checked, policy.ttl) => Action::Serve,
        Known::Tag { checked } if is_away && may_be_stale(now, checked, policy) => {
            Action::ServeStale
        }
        Known::Tag { .. } => Action::Check,
    }
}

/// What an upstream's answer to a check means for a tag that was last checked at `checked`.
pub(crate) fn conclude(now: u64, checked: u64, heard: Heard, policy: &Policy) -> Then {
    match heard {
        Heard::Same => Then::Refresh,
        Heard::Other => Then::Fetch,
        Heard::Gone => Then::Forget,
        // What the upstream refuses, we do not hand out in its stead.
        Heard::Refused => Then::Fail,
        Heard::Nothing if may_be_stale(now, checked, policy) => Then::ServeStale,
        Heard::Nothing => Then::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy = Policy { ttl: 60, negative_ttl: 10, max_stale: Some(1000) };

    #[test]
    fn requests_are_decided_by_age_and_by_who_is_there() {
        let tag = |checked| Known::Tag { checked };
        let missing = |since| Known::Missing { since };
        for (known, is_away, expected) in [
            (Known::Nothing, false, Action::Fetch),
            (Known::Nothing, true, Action::Fetch),
            (Known::Content, false, Action::Serve),
            (Known::Content, true, Action::Serve),
            (missing(9_995), false, Action::SayMissing),
            (missing(9_990), false, Action::Fetch),
            (tag(9_941), false, Action::Serve),
            (tag(9_941), true, Action::Serve),
            (tag(9_940), false, Action::Check),
            (tag(9_940), true, Action::ServeStale),
            (tag(9_000), true, Action::ServeStale),
            (tag(8_999), true, Action::Check),
            // The clock was set back.
            (tag(10_001), false, Action::Check),
            (missing(10_001), false, Action::Fetch),
        ] {
            assert_eq!(decide(10_000, known, is_away, &POLICY), expected, "{known:?} {is_away}");
        }
        let never = Policy { max_stale: None, ..POLICY };
        assert_eq!(decide(10_000, tag(9_000), true, &never), Action::Check);
    }

    #[test]
    fn answers_are_weighed() {
        for (heard, checked, expected) in [
            (Heard::Same, 0, Then::Refresh),
            (Heard::Other, 0, Then::Fetch),
            (Heard::Gone, 9_999, Then::Forget),
            (Heard::Refused, 9_999, Then::Fail),
            (Heard::Nothing, 9_000, Then::ServeStale),
            (Heard::Nothing, 8_999, Then::Fail),
            (Heard::Nothing, 10_001, Then::ServeStale),
        ] {
            assert_eq!(conclude(10_000, checked, heard, &POLICY), expected, "{heard:?} {checked}");
        }
        let never = Policy { max_stale: None, ..POLICY };
        assert_eq!(conclude(10_000, 9_999, Heard::Nothing, &never), Then::Fail);
    }

    proptest! {
        #[test]
        fn nothing_old_is_served_unsaid(now: u64, checked: u64, ttl: u64, stale: Option<u64>, away: bool) {
            let policy = Policy { ttl, negative_ttl: 0, max_stale: stale };
            match decide(now, Known::Tag { checked }, away, &policy) {
                Action::Serve => prop_assert!(checked <= now && now - checked < ttl),
                Action::ServeStale => prop_assert!(away && now.saturating_sub(checked) <= stale.unwrap()),
                action => prop_assert_eq!(action, Action::Check),
            }
        }
    }
}
