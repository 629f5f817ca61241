//! Pure: further processes in a container.

use crate::StrSlice;
use crate::wire::wire;

wire! {
    /// A further process.
    pub struct ExecCreateRequest {
        /// User, `user[:group]`.
        pub user: String,
        /// Whether it may do anything.
        pub privileged: bool,
        /// Whether it has a terminal.
        pub tty: bool,
        /// Size of the terminal at start: height, width.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub console_size: Option<[u64; 2]>,
        /// Whether the client wants standard input.
        pub attach_stdin: bool,
        /// Whether the client wants standard error.
        pub attach_stderr: bool,
        /// Whether the client wants standard output.
        pub attach_stdout: bool,
        /// Whether nobody will attach.
        pub detach: bool,
        /// Keys that end an attachment. Docker's own libraries write it in two ways, and its daemon reads both.
        #[serde(alias = "detachKeys")]
        pub detach_keys: String,
        /// Environment on top of the container's.
        pub env: Option<Vec<String>>,
        /// Working directory.
        pub working_dir: String,
        /// The command.
        pub cmd: StrSlice,
    }

    /// How an exec is started.
    pub struct ExecStartRequest {
        /// Whether nobody attaches.
        pub detach: bool,
        /// Whether it has a terminal.
        pub tty: bool,
        /// Size of the terminal: height, width.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub console_size: Option<[u64; 2]>,
    }

    /// State of an exec.
    pub struct ExecInspectResponse {
        /// Its ID.
        #[serde(rename = "ID")]
        pub id: String,
        /// Whether it runs.
        pub running: bool,
        /// Its exit code, once it ended.
        pub exit_code: Option<i64>,
        /// The process.
        pub process_config: ExecProcess,
        /// Whether it has standard input.
        pub open_stdin: bool,
        /// Whether standard error is connected.
        pub open_stderr: bool,
        /// Whether standard output is connected.
        pub open_stdout: bool,
        /// Whether it can be removed.
        pub can_remove: bool,
        /// The container.
        #[serde(rename = "ContainerID")]
        pub container_id: String,
        /// Keys that end an attachment, as bytes.
        pub detach_keys: String,
        /// PID on the host; 0 before the start.
        pub pid: i64,
    }

    /// The process of an exec.
    pub struct ExecProcess {
        /// Whether it has a terminal.
        #[serde(rename = "tty")]
        pub tty: bool,
        /// The program.
        #[serde(rename = "entrypoint")]
        pub entrypoint: String,
        /// Its arguments.
        #[serde(rename = "arguments")]
        pub arguments: Vec<String>,
        /// Whether it may do anything.
        #[serde(rename = "privileged")]
        pub privileged: bool,
        /// User, unless it is the container's.
        #[serde(skip_serializing_if = "String::is_empty")]
        #[serde(rename = "user")]
        pub user: String,
    }
}
