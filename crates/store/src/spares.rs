//! Empty directories for the next containers, made before they are asked for: in a file system that is busy, making one
//! takes a hundred times longer than finding one.
//!
//! Acts: makes directories on the thread of the trash. Their numbers are in use, so nobody sweeps them; what a crash leaves
//! has no row and is swept at the next open.

use crate::core::{Number, Numbers};
use crate::schema::Layout;
use crate::snapshots;
use crate::trash::Trash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many wait, once one was asked for.
const WAITING: usize = 2;

/// Snapshots whose directories wait for a container.
#[derive(Debug)]
pub(crate) struct Spares {
    stock: Arc<Stock>,
}

#[derive(Debug)]
struct Stock {
    layout: Layout,
    numbers: Arc<Numbers>,
    ready: Mutex<Vec<Number>>,
}

impl Spares {
    pub(crate) fn new(layout: &Layout, numbers: &Arc<Numbers>) -> Spares {
        let stock =
            Stock { layout: layout.clone(), numbers: Arc::clone(numbers), ready: Mutex::default() };
        Spares { stock: Arc::new(stock) }
    }

    /// One that waits, if any does. Others are made when none is left: whoever took this one is about to start a container,
    /// and is not to be disturbed for less.
    pub(crate) fn take(&self, trash: &Trash) -> Option<Number> {
        let (taken, left) = {
            let mut ready = self.stock.ready();
            (ready.pop(), ready.len())
        };
        if left == 0 {
            self.refill(trash);
        }
        taken
    }

    /// Makes those that are missing, after what was discarded before.
    pub(crate) fn refill(&self, trash: &Trash) {
        let stock = Arc::clone(&self.stock);
        trash.later(Box::new(move || stock.fill()));
    }
}

impl Stock {
    fn ready(&self) -> MutexGuard<'_, Vec<Number>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self) {
        while self.ready().len() < WAITING {
            let number = Number::next(&self.numbers);
            if let Err(error) = snapshots::make_active(&self.layout, number.get(), None) {
                // Whoever needs one makes it, and is told.
                tracing::debug!(%error, "cannot make a directory ready for the next container");
                self.remove(&number);
                return;
            }
            self.ready().push(number);
        }
    }

    fn remove(&self, number: &Number) {
        let place = self.layout.snapshot(number.get());
        for directory in [place.join("fs"), place.join("work"), place] {
            // What stays is swept at the next open.
            drop(std::fs::remove_dir(directory));
        }
    }
}

/// The store closes: its last user, the thread of the trash, is gone.
impl Drop for Spares {
    fn drop(&mut self) {
        for number in std::mem::take(&mut *self.stock.ready()) {
            self.stock.remove(&number);
        }
    }
}
