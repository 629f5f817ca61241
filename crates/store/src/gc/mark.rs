//! Pure: what can be reached from the roots.

use crate::leases::Held;
use std::collections::BTreeSet;

/// Everything that the roots refer to, directly or not, the roots included.
pub(super) fn mark(roots: Vec<Held>, references: impl Fn(&Held) -> Vec<Held>) -> BTreeSet<Held> {
    let mut marked = BTreeSet::new();
    let mut open = roots;
    while let Some(node) = open.pop() {
        if marked.insert(node) {
            open.extend(references(&node));
        }
    }
    marked
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
            let marked = mark(roots.iter().copied().map(node).collect(), |at| {
                graph.get(at).cloned().unwrap_or_default()
            });
            prop_assert_eq!(marked, reachable(&roots, &edges));
        }
    }
}
