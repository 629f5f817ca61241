//! Pure: what an image and a container have in common: the process and its surroundings.

use crate::wire::wire;
use crate::{Empty, Map, StrSlice};

wire! {
    /// The process of a container and its surroundings, independent of the host.
    pub struct ContainerConfig {
        /// Name of the host inside.
        pub hostname: String,
        /// Domain of the host inside.
        pub domainname: String,
        /// User, `user[:group]` by name or number.
        pub user: String,
        /// Whether the creating client wants standard input.
        pub attach_stdin: bool,
        /// Whether the creating client wants standard output.
        pub attach_stdout: bool,
        /// Whether the creating client wants standard error.
        pub attach_stderr: bool,
        /// Ports the container listens on, `80/tcp`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub exposed_ports: Option<Map<Empty>>,
        /// Whether the process has a terminal.
        pub tty: bool,
        /// Whether standard input stays open.
        pub open_stdin: bool,
        /// Whether standard input closes with the first client.
        pub stdin_once: bool,
        /// Environment, `NAME=value`.
        pub env: Option<Vec<String>>,
        /// Command, or arguments of the entrypoint.
        pub cmd: StrSlice,
        /// How to test whether the container is healthy.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub healthcheck: Option<Healthcheck>,
        /// Whether the command is escaped for another operating system.
        #[serde(skip_serializing_if = "is_false")]
        pub args_escaped: bool,
        /// Image, as it was asked for.
        pub image: String,
        /// Paths with a volume each.
        pub volumes: Option<Map<Empty>>,
        /// Working directory.
        pub working_dir: String,
        /// Entrypoint.
        pub entrypoint: StrSlice,
        /// Whether there is no network.
        #[serde(skip_serializing_if = "is_false")]
        pub network_disabled: bool,
        /// Hardware address of the first interface (old clients).
        #[serde(skip_serializing_if = "String::is_empty")]
        pub mac_address: String,
        /// Instructions for builds on top of the image.
        pub on_build: Option<Vec<String>>,
        /// Labels.
        pub labels: Option<Map<String>>,
        /// Signal that asks the process to end.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub stop_signal: String,
        /// Seconds between that signal and the last one.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub stop_timeout: Option<i64>,
        /// Shell of the build's shell form.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub shell: Option<Vec<String>>,
    }

    /// How to test whether a container is healthy. Times are in nanoseconds.
    pub struct Healthcheck {
        /// The test, `["CMD", …]`, `["CMD-SHELL", …]`, `["NONE"]` or nothing to inherit.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub test: Option<Vec<String>>,
        /// Between tests.
        #[serde(skip_serializing_if = "is_zero")]
        pub interval: i64,
        /// Until a test counts as failed.
        #[serde(skip_serializing_if = "is_zero")]
        pub timeout: i64,
        /// During which failures do not count.
        #[serde(skip_serializing_if = "is_zero")]
        pub start_period: i64,
        /// Between tests during the start period.
        #[serde(skip_serializing_if = "is_zero")]
        pub start_interval: i64,
        /// Failures in a row that make it unhealthy.
        #[serde(skip_serializing_if = "is_zero")]
        pub retries: i64,
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}
