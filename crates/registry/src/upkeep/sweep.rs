//! Which members of a repository go. Pure.

use naru_oci::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// A member as the sweep sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFacts {
    /// Seconds since 1970.
    pub added: u64,
    /// What a manifest is about.
    pub subject: Option<Digest>,
    /// What a manifest refers to, its subject included; none for a blob.
    pub targets: Option<BTreeSet<Digest>>,
}

/// How members go. Times are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// Blobs that no manifest names stay so long after they were added.
    pub blobs_after: u64,
    /// Manifests that nothing leads to stay so long after they were added; without it, for ever.
    pub untagged_after: Option<u64>,
}

/// The members that go. A manifest stays while it is tagged, young, named by an index that stays, or about one that stays;
/// what it names stays with it.
pub fn plan(
    how: Sweep,
    members: &BTreeMap<Digest, MemberFacts>,
    tagged: &BTreeSet<Digest>,
    now: u64,
) -> BTreeSet<Digest> {
    let is_young = |facts: &MemberFacts, after: u64| now.saturating_sub(facts.added) < after;
    let mut about: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    for (digest, facts) in members {
        if let Some(subject) = facts.subject {
            about.entry(subject).or_default().push(*digest);
        }
    }
    let stays = |digest: &Digest, facts: &MemberFacts| match &facts.targets {
        None => is_young(facts, how.blobs_after),
        Some(_) => {
            tagged.contains(digest) || how.untagged_after.is_none_or(|after| is_young(facts, after))
        }
    };
    let roots = members.iter().filter(|(digest, facts)| stays(digest, facts));
    let mut open: Vec<Digest> = roots.map(|(digest, _)| *digest).collect();
    let mut kept = BTreeSet::new();
    while let Some(digest) = open.pop() {
        let Some(facts) = members.get(&digest) else { continue };
        if kept.insert(digest) {
            open.extend(facts.targets.iter().flatten());
            open.extend(about.get(&digest).into_iter().flatten());
        }
    }
    members.keys().filter(|digest| !kept.contains(digest)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 10_000;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// `name`, age, and for manifests what they name and what they are about.
    type Line<'a> = (&'a str, u64, Option<(&'a [&'a str], Option<&'a str>)>);

    fn check(lines: &[Line<'_>], tagged: &[&str], untagged_after: Option<u64>, gone: &[&str]) {
        let members = lines
            .iter()
            .map(|(name, age, manifest)| {
                let subject = manifest.and_then(|(_, subject)| subject).map(digest);
                let targets = manifest.map(|(targets, _)| {
                    targets.iter().map(|name| digest(name)).chain(subject).collect()
                });
                (digest(name), MemberFacts { added: NOW - age, subject, targets })
            })
            .collect();
        let how = Sweep { blobs_after: 100, untagged_after };
        let found = plan(how, &members, &tagged.iter().map(|name| digest(name)).collect(), NOW);
        assert_eq!(found, gone.iter().map(|name| digest(name)).collect());
    }

    #[test]
    fn blobs_that_no_manifest_names_go_after_their_time() {
        check(&[("a", 99, None), ("b", 100, None)], &[], None, &["b"]);
        check(&[("a", 500, None), ("m", 500, Some((&["a"], None)))], &[], None, &[]);
    }

    #[test]
    fn untagged_manifests_go_only_when_told_and_with_what_only_they_name() {
        let lines: &[Line<'_>] = &[
            ("a", 500, None),
            ("b", 500, None),
            ("m", 500, Some((&["a", "b"], None))),
            ("n", 500, Some((&["b"], None))),
            ("young", 5, Some((&[], None))),
        ];
        check(lines, &["n"], None, &[]);
        check(lines, &["n"], Some(60), &["a", "m"]);
    }

    #[test]
    fn children_of_an_index_and_referrers_of_a_subject_stay_with_it_and_go_with_it() {
        let lines: &[Line<'_>] = &[
            ("child", 500, Some((&[], None))),
            ("index", 500, Some((&["child"], None))),
            ("signature", 500, Some((&["blob"], Some("child")))),
            ("blob", 500, None),
            ("orphan", 500, Some((&[], Some("nowhere")))),
        ];
        check(lines, &["index"], Some(60), &["orphan"]);
        check(lines, &[], Some(60), &["child", "index", "signature", "blob", "orphan"]);
        check(lines, &[], None, &[]);
    }

    proptest! {
        #[test]
        fn nothing_that_a_kept_manifest_names_goes(
            edges in proptest::collection::vec((0u8..12, 0u8..12), 0..30),
            tagged in proptest::collection::btree_set(0u8..12, 0..4),
            untagged_after in proptest::option::of(0u64..1000),
            ages in proptest::collection::vec(0u64..1000, 12),
        ) {
            let id = |number: u8| Digest::of(&[number]);
            let mut members = BTreeMap::new();
            for (number, age) in (0u8..12).zip(ages) {
                let named = edges.iter().filter(|(from, to)| *from == number && to > from);
                let targets = (number < 8).then(|| named.map(|(_, to)| id(*to)).collect());
                members.insert(id(number), MemberFacts { added: NOW - age, subject: None, targets });
            }
            let tagged = tagged.into_iter().map(id).collect();
            let gone = plan(Sweep { blobs_after: 100, untagged_after }, &members, &tagged, NOW);
            for (digest, facts) in &members {
                if !gone.contains(digest) {
                    for target in facts.targets.iter().flatten() {
                        prop_assert!(!gone.contains(target));
                    }
                }
                prop_assert!(!(gone.contains(digest) && tagged.contains(digest) && facts.targets.is_some()));
            }
        }
    }
}
