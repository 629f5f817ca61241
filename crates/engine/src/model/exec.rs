//! Pure: further processes in a running container.

/// What is asked of `exec create`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub cmd: Vec<String>,
    /// `NAME=value` above the container's own.
    pub env: Vec<String>,
    /// `user[:group]`; empty: the container's.
    pub user: String,
    /// Empty: the container's.
    pub working_dir: String,
    /// Whether the streams are a terminal.
    pub tty: bool,
    /// Whether standard input is open.
    pub attach_stdin: bool,
    /// Whether standard output is wanted.
    pub attach_stdout: bool,
    /// Whether standard error is wanted.
    pub attach_stderr: bool,
    /// All capabilities.
    pub privileged: bool,
    /// The terminal's first size, rows and columns.
    pub console_size: Option<[u32; 2]>,
}

/// What is asked of `exec start`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExecStart {
    /// Whether nobody attaches.
    pub detach: bool,
    /// The terminal's first size, rows and columns.
    pub console_size: Option<[u32; 2]>,
}

/// An exec as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecView {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The container's ID.
    pub container_id: String,
    /// What was asked for.
    pub request: ExecRequest,
    /// Whether it runs.
    pub running: bool,
    /// Present once it has ended.
    pub exit_code: Option<i64>,
    /// The process, 0 when there is none.
    pub pid: u32,
}
