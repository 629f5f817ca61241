//! What is held or named while a collection is under way: the write barrier of the collector.
//!
//! Acts: one small lock, the innermost of the store. Nothing is read from the disk under it, and nobody waits under it.
//!
//! ```text
//! off ─begin─▶ marking: what is held or named is noted ─judge─▶ taking: it is rescued ─end─▶ off
//! ```

use super::condemned::Condemned;
use crate::leases::Held;
use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Off,
    Marking {
        noted: BTreeSet<Held>,
    },
    Taking {
        condemned: Condemned,
        /// Their rows are being removed, or their files are.
        going: BTreeSet<Held>,
    },
}

/// The state of the collection, as those see it who hold things and make rows.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    phase: Mutex<Phase>,
    gone: Condvar,
}

impl Watch {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody has to tell what is held or named. Who makes rows visible asks under the lock of the rows.
    pub(crate) fn is_on(&self) -> bool {
        !matches!(*self.phase(), Phase::Off)
    }

    /// Notes that these are held, or named by a row that is or will be visible: they and what they refer to stay.
    pub(crate) fn note(&self, things: impl IntoIterator<Item = Held>) {
        match &mut *self.phase() {
            Phase::Off => {}
            Phase::Marking { noted } => noted.extend(things),
            Phase::Taking { condemned, .. } => {
                for thing in things {
                    condemned.rescue(thing);
                }
            }
        }
    }

    /// Waits until a thing is no longer on its way out; then it is there to stay, or it is not there.
    pub(crate) fn wait_for(&self, thing: &Held) {
        let mut phase = self.phase();
        while matches!(&*phase, Phase::Taking { going, .. } if going.contains(thing)) {
            phase = self.gone.wait(phase).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// From here on everything is noted. One collection at a time.
    pub(super) fn begin(&self) {
        *self.phase() = Phase::Marking { noted: BTreeSet::new() };
    }

    /// What was noted since the last time.
    pub(super) fn noted(&self) -> BTreeSet<Held> {
        match &mut *self.phase() {
            Phase::Marking { noted } => std::mem::take(noted),
            Phase::Off | Phase::Taking { .. } => BTreeSet::new(),
        }
    }

    /// Ends the marking: what was noted meanwhile is rescued, the rest may be taken.
    pub(super) fn judge(&self, mut condemned: Condemned) {
        let mut phase = self.phase();
        if let Phase::Marking { noted } = &*phase {
            for thing in noted {
                condemned.rescue(*thing);
            }
            *phase = Phase::Taking { condemned, going: BTreeSet::new() };
        }
    }

    /// Whether a thing is condemned still; then it is on its way out, and whoever wants it waits.
    pub(crate) fn take(&self, thing: &Held) -> bool {
        match &mut *self.phase() {
            Phase::Taking { condemned, going } => {
                condemned.remove(thing) && {
                    going.insert(*thing);
                    true
                }
            }
            Phase::Off | Phase::Marking { .. } => false,
        }
    }

    /// What is on its way out.
    pub(super) fn going(&self) -> BTreeSet<Held> {
        match &*self.phase() {
            Phase::Taking { going, .. } => going.clone(),
            Phase::Off | Phase::Marking { .. } => BTreeSet::new(),
        }
    }

    /// Nothing is on its way out any more: it is gone, or its removal failed.
    pub(super) fn let_go(&self) {
        if let Phase::Taking { going, .. } = &mut *self.phase() {
            going.clear();
        }
        self.gone.notify_all();
    }

    /// The collection is over.
    pub(super) fn end(&self) {
        *self.phase() = Phase::Off;
        self.gone.notify_all();
    }
}
