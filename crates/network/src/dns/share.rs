//! Who may have one more of something that is bounded.
//!
//! Pure. One may have more as long as it has less than is left over: a single flood gets half, two get a third each, and
//! whoever comes new always finds something free.

/// The bounds of one thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// How many there are over all.
    pub(super) total: usize,
    /// How many one may have at most.
    pub(super) each: usize,
}

impl Share {
    /// Whether one that has `own` of the `taken` may have another.
    pub(super) fn admits(self, taken: usize, own: usize) -> bool {
        own < self.each && own < self.total.saturating_sub(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn a_flood_leaves_room_for_others() {
        let share = Share { total: 1024, each: 1024 };
        let mut own = [0_usize; 4];
        for flooding in 0..4 {
            while share.admits(own.iter().sum(), own[flooding]) {
                own[flooding] += 1;
            }
        }
        assert_eq!(own, [512, 256, 128, 64]);
        assert!(share.admits(1023, 0));
        assert!(!share.admits(1024, 0));
        assert!(!Share { total: 10, each: 2 }.admits(2, 2));
    }
}
