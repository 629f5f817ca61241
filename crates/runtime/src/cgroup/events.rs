//! Acts: news that the kernel ran out of memory for a cgroup.

use super::{Cgroup, CgroupError, Controller};
use naru_kernel::cgroup::Notification;
use std::os::fd::{AsFd, BorrowedFd};

/// Becomes readable when the memory limit of a cgroup could not be kept.
#[derive(Debug)]
pub struct OomEvents {
    notification: Notification,
    cgroup: Cgroup,
}

impl OomEvents {
    /// Takes the news and says how many processes were killed for lack of memory so far.
    pub fn take(&self) -> Result<u64, CgroupError> {
        self.notification.clear().map_err(|source| CgroupError::Io {
            attempt: "read the memory events of",
            path: self.cgroup.path.as_str().into(),
            source,
        })?;
        self.cgroup.oom_kills()
    }
}

impl AsFd for OomEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notification.as_fd()
    }
}

impl Cgroup {
    /// Listens for the memory limit from now on.
    pub fn oom_events(&self) -> Result<OomEvents, CgroupError> {
        let none = CgroupError::NoController {
            setting: "memory (events)",
            controller: Controller::Memory,
        };
        let directory = self.directory(Controller::Memory).ok_or(none)?;
        let notification = if self.legacy_directory(Controller::Memory).is_some() {
            Notification::register(
                &directory.join("cgroup.event_control"),
                &directory.join("memory.oom_control"),
            )
        } else {
            Notification::watch(&directory.join("memory.events"))
        };
        let notification = notification.map_err(|source| CgroupError::Io {
            attempt: "listen to the memory events of",
            path: directory.clone(),
            source,
        })?;
        Ok(OomEvents { notification, cgroup: self.clone() })
    }
}
