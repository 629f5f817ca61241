//! Pure: what a container runs, in Docker's words (`Config`).

use naru_oci::Healthcheck;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is asked of `create`.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The name, without a slash; generated when absent.
    pub name: Option<String>,
    /// What to run.
    pub config: ContainerConfig,
    /// How to run it on this host.
    pub host: super::HostConfig,
    /// What it asks of networks, by name or ID.
    pub networks: BTreeMap<String, super::EndpointRequest>,
}

/// What `create` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// 64 hexadecimal digits.
    pub id: String,
    /// What was taken but is served differently from what one may expect.
    pub warnings: Vec<String>,
}

/// What a container runs. After `create` it is merged with the image's config, as Docker shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    /// The host name inside; empty: the short ID.
    pub hostname: String,
    /// The domain name inside.
    pub domainname: String,
    /// `user[:group]`, by name or number.
    pub user: String,
    /// Whether the creating client means to attach to standard input.
    pub attach_stdin: bool,
    /// Whether the creating client means to attach to standard output.
    pub attach_stdout: bool,
    /// Whether the creating client means to attach to standard error.
    pub attach_stderr: bool,
    /// Ports the program means to be reached at (`80/tcp`).
    pub exposed_ports: BTreeSet<String>,
    /// Whether the standard streams are a terminal.
    pub tty: bool,
    /// Whether standard input is open (else `/dev/null`).
    pub open_stdin: bool,
    /// Whether standard input closes when the first attached client leaves.
    pub stdin_once: bool,
    /// `NAME=value`, or `NAME` to remove what the image sets.
    pub env: Vec<String>,
    /// Arguments, or the program when there is no entrypoint.
    pub cmd: Option<Vec<String>>,
    /// The program and its first arguments. `Some([])` or `Some([""])` clears the image's.
    pub entrypoint: Option<Vec<String>>,
    /// How to see whether the container is well.
    pub healthcheck: Option<Healthcheck>,
    /// The image as it was asked for.
    pub image: String,
    /// Paths that want an anonymous volume.
    pub volumes: BTreeSet<String>,
    /// The working directory; made when missing.
    pub working_dir: String,
    /// Whether the container has no network at all, whatever the network mode says.
    pub network_disabled: bool,
    /// The hardware address in the network of the network mode; empty: made.
    pub mac_address: String,
    /// Free key/value pairs.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to stop; empty: `SIGTERM`.
    pub stop_signal: String,
    /// Seconds that `stop` waits before it kills; absent: 10; negative: for ever.
    pub stop_timeout: Option<i64>,
    /// The shell of shell-form commands.
    pub shell: Vec<String>,
}
