//! Pure: what can be reached from the roots.

use crate::leases::Held;
use std::collections::BTreeSet;

/// Everything that was reached, and what of it was not yet looked into.
#[derive(Debug, Default)]
pub(super) struct Mark {
    marked: BTreeSet<Held>,
    open: Vec<Held>,
}

impl Mark {
    /// Marks these; says whether any of them is new.
    pub(super) fn add(&mut self, things: impl IntoIterator<Item = Held>) -> bool {
        let before = self.open.len();
        for thing in things {
            if self.marked.insert(thing) {
                self.open.push(thing);
            }
        }
        self.open.len() > before
    }

    /// The next thing whose references are to be added.
    pub(super) fn next(&mut self) -> Option<Held> {
        self.open.pop()
    }

    pub(super) fn is_marked(&self, thing: &Held) -> bool {
        self.marked.contains(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::Digest;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn node(number: u8) -> Held {
        Held::Blob(Digest::of(&[number]))
    }

    /// The same by brute force: a node is reachable if a walk of any length leads to it.
    fn reachable(roots: &[u8], edges: &[(u8, u8)]) -> BTreeSet<Held> {
        let mut known: BTreeSet<u8> = roots.iter().copied().collect();
        loop {
            let more: Vec<u8> = edges
                .iter()
                .filter(|(from, to)| known.contains(from) && !known.contains(to))
                .map(|(_, to)| *to)
                .collect();
            if more.is_empty() {
                return known.into_iter().map(node).collect();
            }
            known.extend(more);
        }
    }

    proptest! {
        #[test]
        fn exactly_the_reachable_is_marked(
            roots in proptest::collection::vec(0u8..20, 0..4),
            edges in proptest::collection::vec((0u8..20, 0u8..20), 0..40),
        ) {
            let mut graph: BTreeMap<Held, Vec<Held>> = BTreeMap::new();
            for (from, to) in &edges {
                graph.entry(node(*from)).or_default().push(node(*to));
            }
            let mut mark = Mark::default();
            mark.add(roots.iter().copied().map(node));
            while let Some(at) = mark.next() {
                mark.add(graph.get(&at).cloned().unwrap_or_default());
            }
            prop_assert_eq!(mark.marked, reachable(&roots, &edges));
        }
    }
}
