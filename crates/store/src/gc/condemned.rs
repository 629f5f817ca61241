//! Pure: what nobody holds, and in which order it goes.

use crate::leases::Held;
use std::collections::BTreeMap;

/// Things that nobody holds, each with those of them that it refers to.
#[derive(Debug, Default)]
pub(super) struct Condemned(BTreeMap<Held, Vec<Held>>);

impl Condemned {
    /// References that lead to things outside are left out.
    pub(super) fn new(mut references: BTreeMap<Held, Vec<Held>>) -> Condemned {
        let all: std::collections::BTreeSet<Held> = references.keys().copied().collect();
        for (thing, targets) in &mut references {
            targets.retain(|target| target != thing && all.contains(target));
            targets.sort_unstable();
            targets.dedup();
        }
        Condemned(references)
    }

    /// A thing is wanted after all, and with it everything that it refers to, directly or not.
    pub(super) fn rescue(&mut self, thing: Held) {
        let mut open = vec![thing];
        while let Some(thing) = open.pop() {
            open.extend(self.0.remove(&thing).unwrap_or_default());
        }
    }

    /// Takes a thing out, without what it refers to; says whether it was condemned.
    pub(super) fn remove(&mut self, thing: &Held) -> bool {
        self.0.remove(thing).is_some()
    }

    /// All of them, each before what it refers to. Whoever takes them in this order can rescue a thing that is not yet taken
    /// with everything that it refers to.
    pub(super) fn order(&self) -> Vec<Held> {
        let mut referrers: BTreeMap<Held, usize> = self.0.keys().map(|key| (*key, 0)).collect();
        for target in self.0.values().flatten() {
            *referrers.entry(*target).or_default() += 1;
        }
        let mut free: Vec<Held> =
            referrers.iter().filter(|(_, count)| **count == 0).map(|(thing, _)| *thing).collect();
        let mut order = Vec::with_capacity(self.0.len());
        while let Some(thing) = free.pop() {
            order.push(thing);
            for target in self.0.get(&thing).into_iter().flatten() {
                if let Some(count) = referrers.get_mut(target) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(*target);
                    }
                }
            }
        }
        // Digests of what refers to itself cannot be made, and what is in a circle would stay for ever, which is harmless.
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::Digest;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn node(number: u8) -> Held {
        Held::Blob(Digest::of(&[number]))
    }

    /// Things refer to those of higher numbers only, as digests make them.
    fn graph(edges: &[(u8, u8)]) -> BTreeMap<Held, Vec<Held>> {
        let mut graph: BTreeMap<Held, Vec<Held>> =
            (0..16).map(|number| (node(number), Vec::new())).collect();
        for (from, to) in edges {
            let (low, high) = (from.min(to), from.max(to));
            if low != high {
                graph.entry(node(*low)).or_default().push(node(*high));
            }
        }
        graph
    }

    proptest! {
        #[test]
        fn who_is_not_taken_yet_has_everything_it_refers_to(
            edges in proptest::collection::vec((0u8..16, 0u8..16), 0..40),
            taken in 0usize..17,
            rescued in 0u8..16,
        ) {
            let graph = graph(&edges);
            let mut condemned = Condemned::new(graph.clone());
            let order = condemned.order();
            prop_assert_eq!(order.len(), 16);
            let gone: BTreeSet<Held> = order.iter().take(taken).copied().collect();
            for thing in &gone {
                prop_assert!(condemned.remove(thing));
            }
            let rescued = node(rescued);
            prop_assume!(!gone.contains(&rescued));
            condemned.rescue(rescued);
            let mut open = vec![rescued];
            while let Some(thing) = open.pop() {
                prop_assert!(!gone.contains(&thing), "it was taken before what refers to it");
                prop_assert!(!condemned.remove(&thing), "it was not rescued");
                open.extend(graph.get(&thing).cloned().unwrap_or_default());
            }
        }
    }
}
