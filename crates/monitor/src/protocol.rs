//! Pure: what the daemon and the monitor say to each other.
//!
//! One packet is one message: a JSON body, and descriptors whose meaning is listed in the body's `fds`, in their order.
//! A `Start` or `Exec` brings its plan as JSON in a memfd, because it may be larger than a packet.
//!
//! ```text
//!   daemon                                       monitor
//!     │── Hello{version} ───────────────────────────▶│
//!     │◀─ Welcome{version, pid} ─────────────────────│
//!     │── List ─────────────────────────────────────▶│
//!     │◀─ Process{…} + descriptors, one each ────────│
//!     │◀─ ListEnd ───────────────────────────────────│
//!     │── Start{…} + plan, attachments ─────────────▶│  clone, handshake
//!     │◀─ Process{…} + descriptors | Failed ─────────│  the command is being executed, or could not be
//!     │◀─ Exited{…}  (request 0) ────────────────────│  after its output was read
//!     │── Forget{…} ────────────────────────────────▶│  the exit was recorded
//! ```

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of the protocol; the monitor speaks the lower of the two and refuses nothing, a newer daemon upgrades it.
pub const VERSION: u32 = 1;

/// The longest body of a packet.
pub const MAX_BODY: usize = 64 * 1024;

/// The longest plan.
pub const MAX_PLAN: u64 = 16 * 1024 * 1024;

/// Names a process: a container's own, or a further one in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessKey {
    /// The container's ID.
    pub container: String,
    /// The exec's ID, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
}

impl ProcessKey {
    /// The container's own process.
    pub fn container(id: impl Into<String>) -> ProcessKey {
        ProcessKey { container: id.into(), exec: None }
    }

    /// A further process in a container.
    pub fn exec(container: impl Into<String>, exec: impl Into<String>) -> ProcessKey {
        ProcessKey { container: container.into(), exec: Some(exec.into()) }
    }
}

impl std::fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.container)?;
        match &self.exec {
            Some(exec) => write!(f, "/{exec}"),
            None => Ok(()),
        }
    }
}

/// Which of the two output streams. A terminal has only [`Stream::Stdout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both, in the order in which they are stored.
    pub const ALL: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

    /// The name in log records.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// Where and how output is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// The file of the newest records; older ones get `.1`, `.2`, … appended.
    pub path: PathBuf,
    /// A file is rotated before it would grow beyond this. `None`: never.
    pub max_size: Option<u64>,
    /// How many files there are at most, the newest included; at least 1. With 1, the file starts afresh when it is full.
    pub max_files: u32,
}

impl LogSpec {
    /// The default bounds: three files of 10 MiB.
    pub fn bounded(path: impl Into<PathBuf>) -> LogSpec {
        LogSpec { path: path.into(), max_size: Some(10 * 1024 * 1024), max_files: 3 }
    }
}

/// What is kept of a process for its whole life, here and at the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Its name.
    pub key: ProcessKey,
    /// Whether it has a terminal (the plan says so too; both must agree).
    pub terminal: bool,
    /// Whether it gets a standard input that the daemon can write to. Without, it reads `/dev/null`.
    pub stdin: bool,
    /// Its log; `None`: output goes to attachments only.
    pub log: Option<LogSpec>,
    /// A file that the monitor writes when the process ends while no daemon is connected, and removes on `Forget`: an
    /// [`Exit`] as JSON. For the case that both are killed before the daemon could ask.
    #[serde(default)]
    pub exit_record: Option<PathBuf>,
    /// Whether it is of use to this daemon only: the monitor kills it, with its process group, when the connection ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tied: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// It was ended by this signal.
    Signal(i32),
    /// It was reaped by a stranger on a kernel that does not keep the status.
    Unknown,
}

impl ExitStatus {
    /// The number that shells and docker show: the code, 128 and the signal, or 255 when nobody knows.
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal(signal) => 128 + signal,
            ExitStatus::Unknown => 255,
        }
    }
}

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How it ended.
    pub status: ExitStatus,
    /// When, in nanoseconds since 1970.
    pub at: i64,
}

/// What a descriptor of a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The plan as JSON, in a memfd.
    Plan,
    /// The container's process, for an exec.
    Target,
    /// The process itself.
    Pidfd,
    /// Write end of the standard input pipe.
    Stdin,
    /// Read end of the standard output pipe.
    Stdout,
    /// Read end of the standard error pipe.
    Stderr,
    /// The master of the terminal.
    Console,
    /// The pipe between terminal and spool.
    ConsolePipe,
    /// The spool of standard output or of the terminal.
    StdoutSpool,
    /// The spool of standard error.
    StderrSpool,
    /// The state by which another monitor takes over.
    State,
    /// Where an attachment wants standard output; they belong to the attachments in their order.
    AttachStdout,
    /// Where an attachment wants standard error.
    AttachStderr,
    /// The program for an upgrade.
    Program,
}

/// Where an attachment begins. Positions count the bytes of a stream since the process was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// With what comes from now on.
    Now,
    /// With this byte, or with the first one after it that is still there.
    At(u64),
}

/// One reader of a process's output besides its log. Its descriptors are the write ends of pipes or stream sockets, come
/// with the packet, and become non-blocking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachSpec {
    /// A number that the daemon chose, unique among the attachments of the process.
    pub attachment: u64,
    /// Whether it wants standard output (or the terminal), and from where on.
    pub stdout: Option<Position>,
    /// Likewise standard error.
    pub stderr: Option<Position>,
}

/// From the daemon to the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// The first word.
    Hello {
        /// The version that the daemon speaks.
        version: u32,
    },
    /// Starts a container (`Plan`), or with `spec.key.exec` a further process in one (`Plan`, `Target`).
    Start {
        /// What is to be kept of it.
        spec: ProcessSpec,
        /// Who listens from the first byte on.
        attachments: Vec<AttachSpec>,
    },
    /// Adds a reader.
    Attach {
        /// The process.
        key: ProcessKey,
        /// The reader.
        spec: AttachSpec,
    },
    /// Removes a reader; its descriptors are closed.
    Detach {
        /// The process.
        key: ProcessKey,
        /// The reader.
        attachment: u64,
    },
    /// Closes the monitor's copy of standard input; the process sees the end when the daemon has closed its own too.
    CloseStdin {
        /// The process.
        key: ProcessKey,
    },
    /// Asks for all processes with their descriptors.
    List,
    /// The daemon has recorded the exit. What attachments have not read yet is still delivered.
    Forget {
        /// The process.
        key: ProcessKey,
    },
    /// Hands over a process of a monitor that died.
    Adopt {
        /// What is kept of it.
        spec: ProcessSpec,
        /// Its number.
        pid: u32,
        /// Its readers. Positions are where the daemon has stopped reading.
        attachments: Vec<AttachSpec>,
    },
    /// Replaces the monitor's program (`Program`) in place.
    Upgrade,
    /// Ends the monitor if it has no processes.
    Shutdown,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The command is not in the container's file system.
    CommandNotFound,
    /// The command cannot be executed.
    CommandNotExecutable,
    /// The user is not known in the container.
    BadUser,
    /// The working directory cannot be entered.
    BadWorkdir,
    /// There is no such process.
    NotFound,
    /// There is such a process already.
    AlreadyExists,
    /// Not now: processes are running, or starting.
    Conflict,
    /// The request makes no sense.
    InvalidInput,
    /// Anything else.
    Other,
}

/// A process as the monitor shows it, with `fds` beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What is kept of it.
    pub spec: ProcessSpec,
    /// Its number, as the monitor sees it.
    pub pid: u32,
    /// When it was started, in nanoseconds since 1970.
    pub started_at: i64,
    /// How it ended, if it has and its output was read.
    pub exit: Option<Exit>,
    /// What could not be honoured to the letter, in words for the user.
    pub warnings: Vec<String>,
}

/// From the monitor to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To `Hello`; also sent unasked (request 0) after an upgrade.
    Welcome {
        /// The version that the monitor speaks.
        version: u32,
        /// The monitor's process number.
        pid: u32,
        /// The version of the monitor's program.
        program: String,
    },
    /// To `Start` and `Adopt`, and for each process to `List`.
    Process(Entry),
    /// All processes were listed.
    ListEnd,
    /// To `Attach`: the positions at which it begins. Together with what it has received since, the daemon knows where
    /// to go on after the monitor's death.
    Attached {
        /// Of standard output or the terminal.
        stdout: u64,
        /// Of standard error.
        stderr: u64,
    },
    /// It is done: to `Detach`, `CloseStdin`, `Forget`, `Upgrade`, `Shutdown`.
    Done,
    /// It could not be done.
    Failed {
        /// The class.
        refusal: Refusal,
        /// What was attempted and what went wrong.
        message: String,
    },
    /// A process ended and its output was read (request 0).
    Exited {
        /// The process.
        key: ProcessKey,
        /// The end.
        exit: Exit,
    },
    /// Something that the daemon should log (request 0).
    Warning {
        /// In words for the operator.
        message: String,
    },
}

/// The body of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Chosen by the daemon for a request, and repeated in its answers; 0 for what nobody asked for.
    pub request: u64,
    /// What the packet's descriptors are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fds: Vec<Role>,
    /// The message.
    pub body: T,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_trip() {
        let spec = ProcessSpec {
            key: ProcessKey::exec("c", "e"),
            terminal: false,
            stdin: true,
            log: Some(LogSpec::bounded("/x/y-json.log")),
            exit_record: None,
            tied: true,
        };
        let attach = AttachSpec {
            attachment: 1,
            stdout: Some(Position::At(5)),
            stderr: Some(Position::Now),
        };
        let envelope = Envelope {
            request: 7,
            fds: vec![Role::Plan, Role::AttachStdout],
            body: Request::Start { spec, attachments: vec![attach] },
        };
        let text = serde_json::to_string(&envelope).unwrap();
        assert_eq!(serde_json::from_str::<Envelope<Request>>(&text).unwrap(), envelope, "{text}");
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(ExitStatus::Code(3).code(), 3);
        assert_eq!(ExitStatus::Signal(9).code(), 137);
    }
}
