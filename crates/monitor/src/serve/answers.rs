//! Acts: shows processes to the daemon.

use super::requests::index;
use super::{LISTING_WAIT, Listing, Monitor, Slot};
use crate::process::Process;
use crate::protocol::{Answer, Entry};
use naru_runtime::StartError;
use std::time::Instant;

impl Monitor<'_> {
    /// Shows a process with its descriptors.
    pub(super) fn show(&mut self, request: u64, at: u32) {
        let index = usize::try_from(at).unwrap_or(usize::MAX);
        let Some(slot) = self.slots.get(index).and_then(Option::as_ref) else { return };
        let Some(connection) = &mut self.connection else { return };
        let fds = slot.process.descriptors();
        let answer = Answer::Process(entry(&slot.process));
        if connection.send(&self.epoll, request, answer, &fds).is_err() {
            self.hang_up();
        }
    }

    /// Shows every process that runs or has ended and was not forgotten.
    pub(super) fn show_all(&mut self, request: u64) {
        let all: Vec<u32> = self.keys.values().copied().collect();
        for at in all {
            if self.slot(at).is_some_and(|slot| slot.start.is_none()) {
                self.show(request, at);
            }
        }
        self.listing = Some(Listing { request, deadline: Instant::now() + LISTING_WAIT });
        self.finish_listing(Instant::now());
    }

    /// Ends a listing once nothing is starting that an earlier daemon asked for. One that hangs is given up: nobody waits
    /// for it any more.
    pub(super) fn finish_listing(&mut self, now: Instant) {
        let Some(listing) = &self.listing else { return };
        let (request, over) = (listing.request, now >= listing.deadline);
        let generation = self.generation;
        let stale =
            |slot: &Slot| slot.start.as_ref().is_some_and(|start| start.generation != generation);
        let stale: Vec<u32> = self
            .keys
            .values()
            .copied()
            .filter(|at| self.slots.get(index(*at)).and_then(Option::as_ref).is_some_and(stale))
            .collect();
        if stale.is_empty() {
            self.listing = None;
            return self.answer(request, Answer::ListEnd);
        }
        if over && let Some(listing) = &mut self.listing {
            listing.deadline = now + LISTING_WAIT;
            for at in stale {
                self.fail_start(at, StartError::other("it hung, and its daemon is gone"));
            }
        }
    }
}

fn entry(process: &Process) -> Entry {
    Entry {
        spec: process.spec.clone(),
        pid: process.pid,
        started_at: process.started_at,
        exit: process.exit.filter(|_| process.reported),
        warnings: process.warnings.clone(),
    }
}
