//! Acts: shows processes to the daemon.

use super::Monitor;
use crate::process::Process;
use crate::protocol::{Answer, Entry};

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
        self.answer(request, Answer::ListEnd);
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
