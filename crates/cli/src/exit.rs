//! Pure: how a command ends, as an exit status.
//!
//! ```text
//!   0        done
//!   1        refused or failed
//!   125      `run`, `create`, `exec`: Naru failed before the container's command could; wrong flags
//!   126      the container's command cannot be executed
//!   127      the container's command was not found
//!   128 + n  the container's command was ended by signal n
//!   n        the container's command ended with n
//! ```

use naru_errdefs::{Fault, Kind};

/// What the process tells whoever started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus(pub u8);

impl ExitStatus {
    /// Everything went well.
    pub const SUCCESS: ExitStatus = ExitStatus(0);
    /// Something was refused or failed.
    pub const FAILURE: ExitStatus = ExitStatus(1);
    /// The container's command was never reached.
    pub const NOT_RUN: ExitStatus = ExitStatus(125);
    /// The container's command cannot be executed.
    pub const NOT_EXECUTABLE: ExitStatus = ExitStatus(126);
    /// The container's command was not found.
    pub const NOT_FOUND: ExitStatus = ExitStatus(127);

    /// The status with which a container's command ended, passed through.
    pub fn of_container(code: i64) -> ExitStatus {
        // What does not fit is cut as the kernel cuts it.
        let low = code.rem_euclid(256);
        ExitStatus(u8::try_from(low).unwrap_or(u8::MAX))
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        std::process::ExitCode::from(status.0)
    }
}

/// The status of a container that could not be started: 127 and 126 when its command is to blame, else 125.
///
/// The kind decides where the daemon sends one; otherwise (another daemon behind the socket) the words do, as in docker.
pub fn of_start_failure(kind: Kind, message: &str) -> ExitStatus {
    match kind {
        Kind::CommandNotFound => return ExitStatus::NOT_FOUND,
        Kind::CommandNotExecutable => return ExitStatus::NOT_EXECUTABLE,
        _ => {}
    }
    let names_a_command = message.contains("exec:") || message.contains("exec \"");
    let says = |words: &[&str]| names_a_command && words.iter().any(|word| message.contains(word));
    if says(&[
        "executable file not found",
        "no such file or directory",
        "system cannot find the file",
    ]) {
        ExitStatus::NOT_FOUND
    } else if says(&["permission denied", "is a directory"]) {
        ExitStatus::NOT_EXECUTABLE
    } else {
        ExitStatus::NOT_RUN
    }
}

/// A command that failed: what to say, and how to end.
#[derive(Debug)]
pub struct Failed {
    /// The exit status.
    pub status: ExitStatus,
    /// What to say; nothing when everything was said already.
    pub fault: Option<Fault>,
    /// Text to follow the report: usage, or where to find help.
    pub note: Option<String>,
}

impl Failed {
    /// Ends with a status and says nothing more.
    pub fn silent(status: ExitStatus) -> Failed {
        Failed { status, fault: None, note: None }
    }

    /// Ends with another status than 1.
    pub fn with_status(fault: impl Into<Fault>, status: ExitStatus) -> Failed {
        Failed { status, fault: Some(fault.into()), note: None }
    }

    /// The same failure, ending with 125 unless it has a status of its own.
    #[must_use]
    pub fn before_run(mut self) -> Failed {
        if self.status == ExitStatus::FAILURE {
            self.status = ExitStatus::NOT_RUN;
        }
        self
    }
}

impl<F: Into<Fault>> From<F> for Failed {
    fn from(fault: F) -> Failed {
        Failed { status: ExitStatus::FAILURE, fault: Some(fault.into()), note: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_containers_pass_through() {
        for (code, status) in
            [(0, 0), (1, 1), (42, 42), (137, 137), (255, 255), (256, 0), (-1, 255)]
        {
            assert_eq!(ExitStatus::of_container(code), ExitStatus(status), "{code}");
        }
    }

    #[test]
    fn a_failed_start_is_125_126_or_127() {
        for (kind, message, status) in [
            (Kind::CommandNotFound, "", 127),
            (Kind::CommandNotExecutable, "", 126),
            (Kind::Internal, "exec: \"foo\": executable file not found in $PATH", 127),
            (Kind::Internal, "exec: \"/x\": stat /x: no such file or directory", 127),
            (Kind::Internal, "exec: \"/x\": permission denied", 126),
            (Kind::Internal, "exec: \"/\": is a directory", 126),
            (Kind::Internal, "out of memory", 125),
            (Kind::NotFound, "cannot mount `/a`: no such file or directory", 125),
            (Kind::Conflict, "name in use", 125),
        ] {
            assert_eq!(of_start_failure(kind, message), ExitStatus(status), "{message}");
        }
    }
}
