//! Pure: a set of numbers kept as ranges, so that what lies together costs one entry and a gap is found without a walk.

use std::collections::BTreeMap;

/// A set of numbers. Neighbours are joined, so between two ranges there is always a gap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// First number of a range, and its last.
    ranges: BTreeMap<u128, u128>,
}

impl Ranges {
    pub(super) fn contains(&self, number: u128) -> bool {
        self.around(number).is_some()
    }

    /// The range that holds the number.
    fn around(&self, number: u128) -> Option<(u128, u128)> {
        let (first, last) = self.ranges.range(..=number).next_back()?;
        (*last >= number).then_some((*first, *last))
    }

    /// Adds a number; whether it was not there.
    pub(super) fn insert(&mut self, number: u128) -> bool {
        if self.contains(number) {
            return false;
        }
        let before = number.checked_sub(1).and_then(|before| self.around(before));
        let after = number.checked_add(1).and_then(|after| self.around(after));
        let first = before.map_or(number, |(first, _)| first);
        let last = after.map_or(number, |(_, last)| last);
        if let Some((first, _)) = after {
            self.ranges.remove(&first);
        }
        self.ranges.insert(first, last);
        true
    }

    /// Takes a number away; whether it was there.
    pub(super) fn remove(&mut self, number: u128) -> bool {
        let Some((first, last)) = self.around(number) else {
            return false;
        };
        self.ranges.remove(&first);
        if first < number {
            self.ranges.insert(first, number - 1);
        }
        if number < last {
            self.ranges.insert(number + 1, last);
        }
        true
    }

    /// The first number from `from` to `to` that is not in the set.
    pub(super) fn gap(&self, from: u128, to: u128) -> Option<u128> {
        let free = match self.around(from) {
            Some((_, last)) => last.checked_add(1)?,
            None => from,
        };
        (free <= to).then_some(free)
    }

    /// How many numbers are in the set.
    pub(super) fn count(&self) -> u128 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u128> {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(steps in prop::collection::vec((any::<bool>(), 0..40_u128), 0..200), from in 0..40_u128, to in 0..40_u128) {
            let mut ranges = Ranges::default();
            let mut model = BTreeSet::new();
            for (insert, number) in steps {
                if insert {
                    prop_assert_eq!(ranges.insert(number), model.insert(number));
                } else {
                    prop_assert_eq!(ranges.remove(number), model.remove(&number));
                }
            }
            prop_assert_eq!(ranges.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(ranges.count(), model.len() as u128);
            prop_assert_eq!(ranges.gap(from, to), (from..=to).find(|number| !model.contains(number)));
            for (first, last) in &ranges.ranges {
                prop_assert!(first <= last && !ranges.contains(last + 1));
            }
        }
    }

    #[test]
    fn the_ends_of_the_number_space_do_no_harm() {
        let mut ranges = Ranges::default();
        assert!(ranges.insert(u128::MAX) && ranges.insert(0) && ranges.insert(u128::MAX - 1));
        assert_eq!(ranges.gap(u128::MAX - 1, u128::MAX), None);
        assert!(ranges.remove(u128::MAX) && ranges.remove(0));
        assert_eq!(ranges.gap(u128::MAX - 1, u128::MAX), Some(u128::MAX));
    }
}
