//! Acts: what happens when processes end.

use super::{Monitor, Slot};
use crate::process::{GRACE, now};
use crate::protocol::{Answer, Exit, ExitStatus, Stream};
use naru_kernel::pidfd::{self, Ended};
use naru_kernel::process;
use std::time::Instant;

impl Monitor<'_> {
    /// Reaps every child that has ended. The status is put where a successor finds it before the kernel forgets it.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(zombie)) = process::peek_zombie() {
            let at = self.pids.get(&zombie.pid).copied();
            match at {
                Some(at) => self.child_ended(at, zombie.ended),
                // An orphan of a container, or a helper of a launch.
                None => drop(process::reap(zombie.pid)),
            }
        }
    }

    fn child_ended(&mut self, at: u32, ended: Ended) {
        // Its last words decide whether it ever ran.
        self.advance(at);
        let Some(slot) = self.slot(at) else { return };
        let pid = slot.process.pid;
        if slot.start.is_some() {
            drop(process::reap(pid));
            self.pids.remove(&pid);
            return self.start_ended(at);
        }
        self.ended(at, exit_of(ended));
        drop(process::reap(pid));
        self.pids.remove(&pid);
        self.check_exit(at);
    }

    /// The pidfd of a process that is not our child tells of its end.
    pub(super) fn stranger_ended(&mut self, at: u32) {
        let Some(slot) = self.slot(at) else { return };
        let process = &slot.process;
        if !pidfd::has_ended(&process.pidfd).unwrap_or(true) {
            return;
        }
        let exit = match pidfd::ended_elsewhere(&process.pidfd, process.pid) {
            Ok(Some(ended)) => exit_of(ended),
            Ok(None) | Err(_) => Exit { status: ExitStatus::Unknown, at: now() },
        };
        self.unwatch_stranger(at);
        self.ended(at, exit);
        self.check_exit(at);
    }

    fn unwatch_stranger(&mut self, at: u32) {
        self.with(at, |process, around| {
            // The daemon holds copies, so closing it would not end the watch.
            around.epoll.remove(&process.pidfd).ok();
        });
    }

    /// Notes an end and reads what the process has left in its streams.
    fn ended(&mut self, at: u32, exit: Exit) {
        self.with(at, |process, around| {
            if process.exit.is_none()
                && let Err(error) = process.set_exit(exit)
            {
                let key = &process.spec.key;
                around.warnings.push(format!("cannot keep the exit of `{key}`: {error}"));
            }
            process.deadline = Some(Instant::now() + GRACE);
            for stream in Stream::ALL {
                process.pump(around, at, stream);
            }
        });
    }

    /// Reports an exit once the streams are at their end.
    pub(super) fn check_exit(&mut self, at: u32) {
        let Some(slot) = self.slot(at) else { return };
        let process = &slot.process;
        if process.exit.is_some() && !process.reported && process.has_ended() {
            self.report(at);
        }
        self.check_lingering(at);
    }

    /// Descendants that hold a stream had their second.
    pub(super) fn stop_waiting(&mut self, at: u32) {
        self.with(at, |process, around| {
            for stream in Stream::ALL {
                process.pump(around, at, stream);
                process.finish_attachments(stream);
                process.feed(around, at, stream);
            }
        });
        self.report(at);
    }

    fn report(&mut self, at: u32) {
        let Some(slot) = self.slot(at) else { return };
        let process = &mut slot.process;
        process.deadline = None;
        let Some(exit) = process.exit else { return };
        if std::mem::replace(&mut process.reported, true) {
            return;
        }
        let key = process.spec.key.clone();
        if self.connection.is_some() {
            self.answer(0, Answer::Exited { key, exit });
        } else {
            self.write_exit_record(at);
        }
    }

    /// For daemons that may find us dead too.
    pub(super) fn write_exit_records(&mut self) {
        for at in 0..u32::try_from(self.slots.len()).unwrap_or(0) {
            self.write_exit_record(at);
        }
    }

    fn write_exit_record(&mut self, at: u32) {
        let Some(Slot { process, lingering: false, .. }) = self.slot(at) else { return };
        let (true, Some(exit), Some(path)) =
            (process.reported, process.exit, process.spec.exit_record.clone())
        else {
            return;
        };
        if let Err(error) = crate::exit_record::write(&path, &exit) {
            self.warnings.push(format!("cannot write `{}`: {error}", path.display()));
        }
    }

    /// Drops a forgotten process once its readers have everything.
    pub(super) fn check_lingering(&mut self, at: u32) {
        let over = |slot: &mut Slot| slot.lingering && slot.process.attachments.is_empty();
        if self.slot(at).is_some_and(over) {
            self.remove(at);
        }
    }
}

fn exit_of(ended: Ended) -> Exit {
    let status = match ended {
        Ended::Code(code) => ExitStatus::Code(code),
        Ended::Signal(signal) => ExitStatus::Signal(signal),
    };
    Exit { status, at: now() }
}
