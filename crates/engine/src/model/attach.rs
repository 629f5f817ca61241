//! Pure: what is asked of `attach`.

/// A standard output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// Standard output; a terminal's output counts as this.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What is asked of `attach`.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttachOptions {
    /// Whether the client's input reaches the container.
    pub stdin: bool,
    /// Whether standard output is wanted.
    pub stdout: bool,
    /// Whether standard error is wanted.
    pub stderr: bool,
    /// Whether what was logged so far comes first.
    pub logs: bool,
    /// Whether to stay for what comes (else only the logs).
    pub stream: bool,
}
