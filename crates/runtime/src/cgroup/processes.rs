//! Acts: what is done to all the processes of a cgroup: listing, freezing, killing, waiting until they are gone.

use super::directory::{self, read, tree};
use super::{Cgroup, CgroupError, Controller, libc_errno};
use naru_kernel::{cgroup, pidfd, poll};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FREEZE_PATIENCE: Duration = Duration::from_secs(10);
const KILL_ROUNDS: u32 = 50;
const SIGKILL: i32 = 9;

impl Cgroup {
    /// Whether freezing is done on the unified hierarchy (Linux 5.2), whatever the controllers are on.
    pub(crate) fn freezes_unified(&self) -> bool {
        self.unified.as_ref().is_some_and(|directory| directory.join("cgroup.freeze").exists())
    }

    /// The directory whose lists of processes are complete.
    fn census(&self) -> Option<&PathBuf> {
        self.unified
            .as_ref()
            .or_else(|| self.legacy_directory(Controller::Freezer))
            .or_else(|| self.legacy.first().map(|(_, directory)| directory))
    }

    /// The numbers of all processes inside, those in cgroups further down included.
    pub fn processes(&self) -> Result<Vec<u32>, CgroupError> {
        let Some(top) = self.census() else { return Ok(Vec::new()) };
        let mut pids = listed(top, true)?;
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Moves everything into another directory; processes that are born meanwhile are found in a further round.
    pub(crate) fn move_all(&self, directory: &Path) -> Result<(), CgroupError> {
        let Some(top) = self.census() else { return Ok(()) };
        let target = directory.join("cgroup.procs");
        let mut moved = Vec::new();
        loop {
            let mut news = listed(top, true)?;
            news.retain(|pid| !moved.contains(pid));
            if news.is_empty() {
                return Ok(());
            }
            for pid in news {
                match cgroup::write(&target, &pid.to_string()) {
                    Ok(()) => {}
                    Err(error) if error.raw_os_error() == Some(libc_errno::NO_PROCESS) => {}
                    Err(source) => {
                        return Err(CgroupError::Io {
                            attempt: "move a process into",
                            path: directory.to_owned(),
                            source,
                        });
                    }
                }
                moved.push(pid);
            }
        }
    }

    /// Freezes everything inside and returns once it stands still.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + FREEZE_PATIENCE;
        let result = match (&self.unified, self.legacy_directory(Controller::Freezer)) {
            (Some(directory), _) if self.freezes_unified() => {
                directory::write(&directory.join("cgroup.freeze"), "1")?;
                self.wait_event(directory, ("frozen", "1"), deadline)
            }
            (_, Some(directory)) => self.freeze_legacy(directory, deadline),
            _ => Err(CgroupError::NoController {
                setting: "execution (pause)",
                controller: Controller::Freezer,
            }),
        };
        if result.is_err() {
            // Half frozen is the worst of both; the first error is the one that counts.
            drop(self.thaw());
        }
        result
    }

    fn freeze_legacy(&self, directory: &Path, deadline: Instant) -> Result<(), CgroupError> {
        let state = directory.join("freezer.state");
        loop {
            // Each write looks again for processes that were born or moved in meanwhile.
            directory::write(&state, "FROZEN")?;
            if read(&state)?.trim() == "FROZEN" {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.timeout("frozen", FREEZE_PATIENCE));
            }
            // v1 has no event for this; it takes as long as the slowest process needs to reach the kernel.
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Lets everything inside go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        match (&self.unified, self.legacy_directory(Controller::Freezer)) {
            (Some(directory), _) if self.freezes_unified() => {
                directory::write(&directory.join("cgroup.freeze"), "0")?;
                self.wait_event(directory, ("frozen", "0"), Instant::now() + FREEZE_PATIENCE)
            }
            (_, Some(directory)) if directory.is_dir() => {
                directory::write(&directory.join("freezer.state"), "THAWED")
            }
            _ => Ok(()),
        }
    }

    /// Whether it is frozen (or about to be).
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        match (&self.unified, self.legacy_directory(Controller::Freezer)) {
            (Some(directory), _) if self.freezes_unified() => {
                Ok(read(&directory.join("cgroup.freeze"))?.trim() == "1")
            }
            (_, Some(directory)) => Ok(read(&directory.join("freezer.state"))?.trim() != "THAWED"),
            _ => Ok(false),
        }
    }

    /// Sends `signal` to every process that is inside now.
    pub fn signal_all(&self, signal: i32) -> Result<(), CgroupError> {
        for pid in self.processes()? {
            // A process that is gone needs no signal.
            if let Ok(process) = pidfd::open(pid) {
                drop(pidfd::send_signal(&process, signal));
            }
        }
        Ok(())
    }

    /// Kills everything inside; nothing that forks meanwhile escapes. Frozen ones are killed too.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        if let Some(directory) = &self.unified {
            match cgroup::write(&directory.join("cgroup.kill"), "1") {
                Ok(()) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc_errno::NO_ENTRY) => {
                    if !directory.is_dir() {
                        return Ok(());
                    }
                    // Before Linux 5.14.
                }
                Err(source) => {
                    return Err(CgroupError::Io {
                        attempt: "kill the processes of",
                        path: directory.clone(),
                        source,
                    });
                }
            }
        }
        self.kill_by_freezing()
    }

    /// Stops the world, signals everybody, and lets it go on into death. Unlike after [`Cgroup::kill_all`], the cgroup can
    /// be used again: Linux (seen with 6.18) kills at birth whoever is cloned straight into a cgroup whose `cgroup.kill`
    /// was ever written, because it compares with the count of kills of the parent's cgroup.
    pub fn kill_by_freezing(&self) -> Result<(), CgroupError> {
        for _round in 0..KILL_ROUNDS {
            if self.processes()?.is_empty() {
                return Ok(());
            }
            // Where freezing does not work, rounds of signals win against all but the fastest forks.
            let frozen = self.freeze().is_ok();
            self.signal_all(SIGKILL)?;
            if frozen {
                self.thaw()?;
            }
            if frozen {
                return Ok(());
            }
        }
        Err(self.timeout("empty", Duration::ZERO))
    }

    /// Waits until no process is inside.
    pub fn wait_empty(&self, deadline: Instant) -> Result<(), CgroupError> {
        if let Some(directory) = self.unified.as_ref().filter(|directory| directory.is_dir()) {
            self.wait_event(directory, ("populated", "0"), deadline)?;
        }
        // The v1 hierarchies have no such event; the ends of the processes stand in for it.
        for (_, directory) in &self.legacy {
            self.wait_ends(directory, deadline)?;
        }
        Ok(())
    }

    fn wait_ends(&self, directory: &Path, deadline: Instant) -> Result<(), CgroupError> {
        let started = Instant::now();
        loop {
            let pids = listed(directory, true)?;
            if pids.is_empty() {
                return Ok(());
            }
            let processes: Vec<OwnedFd> =
                pids.iter().filter_map(|pid| pidfd::open(*pid).ok()).collect();
            for process in &processes {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(self.timeout("empty", deadline.saturating_duration_since(started)));
                }
                drop(poll::readable(process.as_fd(), Some(left)));
            }
            if Instant::now() > deadline {
                return Err(self.timeout("empty", deadline.saturating_duration_since(started)));
            }
            // A process that has ended leaves its cgroups a moment before or after that can be seen.
            std::thread::yield_now();
        }
    }

    /// Waits until a line of `cgroup.events` has the given value.
    fn wait_event(
        &self,
        directory: &Path,
        (key, value): (&'static str, &str),
        deadline: Instant,
    ) -> Result<(), CgroupError> {
        let started = Instant::now();
        let path = directory.join("cgroup.events");
        let failed = |source| CgroupError::Io { attempt: "read", path: path.clone(), source };
        let mut events = File::open(&path).map_err(failed)?;
        loop {
            let text = match cgroup::read_again(&mut events) {
                // The cgroup was removed by somebody: it is empty, and does not move.
                Err(error) if error.raw_os_error() == Some(libc_errno::NO_DEVICE) => return Ok(()),
                result => result.map_err(failed)?,
            };
            let now = text
                .lines()
                .filter_map(|line| line.split_once(' '))
                .find(|(name, _)| *name == key)
                .map(|(_, now)| now);
            if now == Some(value) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let state = if key == "populated" { "empty" } else { key };
                return Err(self.timeout(state, deadline.saturating_duration_since(started)));
            }
            cgroup::changed(&events, left).map_err(failed)?;
        }
    }

    fn timeout(&self, state: &'static str, patience: Duration) -> CgroupError {
        CgroupError::Timeout {
            path: self.path.as_str().to_owned(),
            state,
            seconds: patience.as_secs(),
        }
    }
}

/// The processes of a directory, with those further down when `deep`.
fn listed(directory: &Path, deep: bool) -> Result<Vec<u32>, CgroupError> {
    let mut pids = Vec::new();
    let directories = if deep { tree(directory) } else { vec![directory.to_owned()] };
    for directory in directories {
        let file = directory.join("cgroup.procs");
        match std::fs::read_to_string(&file) {
            Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc_errno::NO_ENTRY | libc_errno::NO_DEVICE)
                ) => {}
            Err(source) => return Err(CgroupError::Io { attempt: "read", path: file, source }),
        }
    }
    pids.retain(|pid| *pid != 0);
    Ok(pids)
}
