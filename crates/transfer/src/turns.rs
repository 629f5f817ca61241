//! One at a time for a key: who has the turn does the work, the others wait and then look whether it is done. Acts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What whoever wants the turn locks.
pub(crate) type Turn = tokio::sync::Mutex<()>;

/// Turns by key. A key that nobody holds or waits for is forgotten.
#[derive(Debug)]
pub(crate) struct Turns<K>(Mutex<BTreeMap<K, Weak<Turn>>>);

impl<K> Default for Turns<K> {
    fn default() -> Turns<K> {
        Turns(Mutex::default())
    }
}

impl<K: Ord> Turns<K> {
    /// The turn of a key.
    pub(crate) fn of(&self, key: K) -> Arc<Turn> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(key, Arc::downgrade(&turn));
        turn
    }
}
