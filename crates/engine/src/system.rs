//! Acts: what the daemon and the host are.

use crate::images::{ImageFilter, RegistriesConfig};
use crate::{Containers, Images};
use naru_errdefs::Fault;
use naru_oci::Platform;
use naru_runtime::cgroup::Support;
use std::fs;
use std::path::PathBuf;

/// The service of the system.
#[derive(Debug, Clone)]
pub struct System {
    containers: Containers,
    images: Images,
    debug: bool,
}

/// What `info` shows.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemView {
    /// The identity of this data root.
    pub id: String,
    /// Containers in all.
    pub containers: usize,
    /// Those that run.
    pub running: usize,
    /// Those that are paused.
    pub paused: usize,
    /// The others.
    pub stopped: usize,
    /// Images.
    pub images: usize,
    /// Where data is.
    pub data_root: PathBuf,
    /// The host's name.
    pub name: String,
    /// The kernel's release.
    pub kernel_version: String,
    /// The operating system's pretty name.
    pub operating_system: String,
    /// Its version.
    pub os_version: String,
    /// Docker's word for the machine (`x86_64`).
    pub architecture: String,
    /// Processors.
    pub cpus: usize,
    /// Bytes of memory.
    pub memory_total: u64,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// The cgroup driver.
    pub cgroup_driver: String,
    /// Security features (`name=seccomp,profile=builtin`).
    pub security_options: Vec<String>,
    /// What this host's kernel cannot do.
    pub warnings: Vec<String>,
    /// Limits that this kernel knows.
    pub limits: Limits,
    /// The server's version.
    pub server_version: String,
    /// Event listeners.
    pub event_listeners: usize,
    /// Open files of the daemon.
    pub open_files: usize,
    /// Whether debugging is on.
    pub debug: bool,
    /// How registries are reached.
    pub registries: RegistriesConfig,
    /// Proxies for HTTP, for HTTPS, and what needs none; without passwords.
    pub proxies: [String; 3],
}

/// Limits that this kernel knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory.
    pub memory: bool,
    /// Swap.
    pub swap: bool,
    /// CPU quota.
    pub cpu_quota: bool,
    /// CPU shares.
    pub cpu_shares: bool,
    /// Processor sets.
    pub cpuset: bool,
    /// Processes.
    pub pids: bool,
    /// The OOM killer can be kept away.
    pub oom_kill_disable: bool,
}

/// What `version` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionView {
    /// The server's version.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// The kernel's release.
    pub kernel_version: String,
    /// Go's word for the system.
    pub os: String,
    /// Go's word for the machine.
    pub arch: String,
    /// When it was built.
    pub build_time: String,
}

impl System {
    /// Gives back what is not needed while nothing happens. May block for a moment.
    pub fn rest(&self) {
        self.images.rest();
        naru_kernel::memory::trim();
        if let Err(error) = naru_kernel::memory::let_go_of_code() {
            tracing::debug!("cannot let go of the program's code: {error}");
        }
    }

    pub(crate) fn new(containers: Containers, images: Images, debug: bool) -> System {
        System { containers, images, debug }
    }

    /// What this server is.
    pub fn version(&self) -> VersionView {
        let platform = Platform::host();
        VersionView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("NARU_COMMIT").unwrap_or_default().to_owned(),
            kernel_version: kernel_release(),
            os: platform.os,
            arch: platform.architecture,
            build_time: option_env!("NARU_BUILD_TIME").unwrap_or_default().to_owned(),
        }
    }

    /// What the daemon and its host are.
    pub async fn info(&self) -> Result<SystemView, Fault> {
        let inner = &self.containers.inner;
        let (containers, running, paused) = self.containers.counts();
        let images = self.images.list(ImageFilter::default()).await?.len();
        let support = inner.launcher.support();
        let (operating_system, os_version) = operating_system();
        Ok(SystemView {
            id: self.id()?,
            containers,
            running,
            paused,
            stopped: containers.saturating_sub(running).saturating_sub(paused),
            images,
            data_root: inner.places.data_root().to_owned(),
            name: crate::launch::host_name(),
            kernel_version: kernel_release(),
            operating_system,
            os_version,
            architecture: std::env::consts::ARCH.to_owned(),
            cpus: inner.processors,
            memory_total: memory_total(),
            cgroup_version: support.version.to_string(),
            cgroup_driver: "cgroupfs".to_owned(),
            security_options: security_options(support.version),
            warnings: warnings(&support),
            limits: Limits {
                memory: support.memory,
                swap: support.swap,
                cpu_quota: support.cpu_quota,
                cpu_shares: support.cpu_shares,
                cpuset: support.cpuset,
                pids: support.pids,
                oom_kill_disable: support.oom_kill_disable,
            },
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            event_listeners: inner.events.listeners(),
            open_files: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            debug: self.debug,
            registries: self.images.registries().clone(),
            proxies: [
                without_password(&variable("HTTP_PROXY")),
                without_password(&variable("HTTPS_PROXY")),
                variable("NO_PROXY"),
            ],
        })
    }

    /// The identity of the data root; made when it is first asked for.
    fn id(&self) -> Result<String, Fault> {
        let path = self.containers.inner.places.data_root().join("engine-id");
        if let Ok(id) = fs::read_to_string(&path)
            && !id.trim().is_empty()
        {
            return Ok(id.trim().to_owned());
        }
        let random = naru_kernel::random::bytes::<16>()
            .map_err(|error| Fault::io("cannot get random bytes", error))?;
        let mut id = String::new();
        for (index, byte) in random.into_iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                id.push('-');
            }
            for nibble in [byte >> 4, byte & 15] {
                id.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        // On a read-only or full disk the identity lasts as long as the daemon asks for it.
        if let Err(error) = naru_kernel::fs::write_replace(&path, id.as_bytes(), 0o600) {
            tracing::debug!("cannot keep the identity: {error}");
        }
        Ok(id)
    }
}

/// A variable in capitals or, as many write them, in small letters.
fn variable(name: &str) -> String {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.or_else(|| std::env::var(name.to_ascii_lowercase()).ok()).unwrap_or_default()
}

/// A URL as it may be shown, in Docker's way.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((_, host)) if scheme.is_empty() => format!("xxxxx:xxxxx@{host}{path}"),
        Some((_, host)) => format!("{scheme}://xxxxx:xxxxx@{host}{path}"),
        None => url.to_owned(),
    }
}

fn security_options(cgroups: u8) -> Vec<String> {
    let mut list = vec!["name=seccomp,profile=builtin".to_owned()];
    if cgroups == 2 {
        list.push("name=cgroupns".to_owned());
    }
    list
}

fn warnings(support: &Support) -> Vec<String> {
    [
        (support.memory, "No memory limit support"),
        (support.swap, "No swap limit support"),
        (support.cpu_quota, "No cpu cfs quota support"),
        (support.cpu_shares, "No cpu shares support"),
        (support.cpuset, "No cpuset support"),
        (support.pids, "No pids limit support"),
        (support.blkio_weight, "No blkio weight support"),
        (support.blkio_throttle, "No blkio throttle support"),
    ]
    .into_iter()
    .filter(|(there, _)| !there)
    .map(|(_, warning)| format!("WARNING: {warning}"))
    .collect()
}

fn kernel_release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// The pretty name and the version that `os-release` gives.
fn operating_system() -> (String, String) {
    let text = fs::read_to_string("/etc/os-release")
        .or_else(|_missing| fs::read_to_string("/usr/lib/os-release"))
        .unwrap_or_default();
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    (
        value("PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()),
        value("VERSION_ID").unwrap_or_default(),
    )
}

/// Bytes of memory of the host.
pub(crate) fn memory_total() -> u64 {
    fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        })
        .map_or(0, |kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn proxies_are_shown_without_passwords() {
        for (url, shown) in [
            ("", ""),
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://a:b@proxy:3128/x", "http://xxxxx:xxxxx@proxy:3128/x"),
            ("a:b@proxy", "xxxxx:xxxxx@proxy"),
            ("http://proxy/@x", "http://proxy/@x"),
        ] {
            assert_eq!(without_password(url), shown, "{url}");
        }
    }
}
