//! Pure: a container's record to the OCI runtime spec. Docker's defaults; nothing is looked up here.

pub(crate) mod capabilities;
pub(crate) mod devices;
pub(crate) mod modes;
pub(crate) mod mounts;
pub(crate) mod resources;
pub(crate) mod security;
mod validate;

pub(crate) use validate::{log_limits, validate};

use crate::merge;
use crate::model::{ContainerConfig, HostConfig, MountPoint};
use devices::HostDevice;
use naru_errdefs::Fault;
use naru_oci::runtime::{
    Box as Area, BoxBuilder, Linux, LinuxNamespace, LinuxNamespaceType, LinuxResources, Mount,
    Process, Root, Spec, User,
};
use resources::DeviceNumbers;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// What was looked up for a spec.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The host name that the container sees.
    pub(crate) hostname: String,
    /// Variables that tell of the containers it is linked to.
    pub(crate) linked: Vec<String>,
    /// Namespaces of others that it joins.
    pub(crate) joined: Joined,
    /// Devices of the host that it gets.
    pub(crate) devices: Vec<HostDevice>,
    /// Numbers of the devices whose rates are limited.
    pub(crate) numbers: DeviceNumbers,
    /// The directory that stands behind `/dev/shm`, if it is shared with others.
    pub(crate) shared_memory: Option<PathBuf>,
    /// Files to mount: inside and outside.
    pub(crate) files: Vec<(&'static str, PathBuf)>,
    /// Whether the host has the unified cgroup tree.
    pub(crate) unified_cgroups: bool,
    /// What was made ready to be mounted, by its place inside.
    pub(crate) prepared: BTreeMap<String, Prepared>,
}

/// Where a mount that was made ready is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// Its path on the host.
    pub(crate) source: PathBuf,
    /// With the mounts below it.
    pub(crate) recursive: bool,
    /// More options.
    pub(crate) options: Vec<String>,
}

/// Namespaces of others: the files that stand for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Joined {
    /// The network.
    pub(crate) network: Option<PathBuf>,
    /// Shared memory and message queues.
    pub(crate) ipc: Option<PathBuf>,
    /// Process numbers.
    pub(crate) pid: Option<PathBuf>,
}

const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The paths that are hidden and that are read-only, as `inspect` shows them.
pub(crate) fn system_paths(host: &HostConfig) -> Result<(Vec<String>, Vec<String>), Fault> {
    let open = host.privileged || security::parse(&host.security_opt)?.system_paths_open;
    let list = |own: &Option<Vec<String>>, default: &[&str]| match own {
        Some(own) => own.clone(),
        None if open => Vec::new(),
        None => default.iter().map(|&path| path.to_owned()).collect(),
    };
    Ok((list(&host.masked_paths, &MASKED), list(&host.readonly_paths, &READ_ONLY)))
}

/// The spec of a container.
pub(crate) fn spec(
    config: &ContainerConfig,
    host: &HostConfig,
    points: &[MountPoint],
    facts: &Facts,
) -> Result<Spec, Fault> {
    let mut root = Root::default();
    root.set_path("rootfs".into()).set_readonly(Some(host.readonly_rootfs));

    let own_uts = !modes::host_or_own(&host.uts_mode, "UTS")?;
    let mut spec = Spec::default();
    spec.set_version("1.2.0".to_owned())
        .set_root(Some(root))
        .set_hostname(own_uts.then(|| facts.hostname.clone()))
        .set_domainname(Some(config.domainname.clone()).filter(|name| own_uts && !name.is_empty()))
        .set_mounts(Some(all_mounts(host, points, facts)?))
        .set_process(Some(process(config, host, facts)?))
        .set_annotations(Some(host.annotations.clone().into_iter().collect()))
        .set_linux(Some(linux(host, points, facts)?));
    Ok(spec)
}

fn process(config: &ContainerConfig, host: &HostConfig, facts: &Facts) -> Result<Process, Fault> {
    let security = security::parse(&host.security_opt)?;
    let capabilities = capabilities::resolve(&host.cap_add, &host.cap_drop, host.privileged)?;
    let mut process = Process::default();
    process
        .set_terminal(Some(config.tty))
        .set_console_size(console(config.tty.then_some(host.console_size)))
        .set_user(User::default())
        .set_args(Some(merge::command(config)))
        .set_env(Some(merge::process_environment(config, &facts.hostname, &facts.linked)))
        .set_cwd(working_dir(config))
        .set_capabilities(Some(capabilities::sets(&capabilities)))
        .set_rlimits(Some(resources::rlimits(&host.resources)?))
        .set_no_new_privileges(Some(security.no_new_privileges))
        .set_oom_score_adj(i32::try_from(host.oom_score_adj).ok().filter(|score| *score != 0));
    Ok(process)
}

/// The working directory of a container's processes.
pub(crate) fn working_dir(config: &ContainerConfig) -> PathBuf {
    if config.working_dir.is_empty() {
        "/".into()
    } else {
        mounts::clean(&config.working_dir).into()
    }
}

/// A terminal's size in the spec's words.
pub(crate) fn console(size: Option<[u32; 2]>) -> Option<Area> {
    let [rows, columns] = size.filter(|size| *size != [0, 0])?;
    BoxBuilder::default().height(rows).width(columns).build().ok()
}

fn namespace(typ: LinuxNamespaceType, path: Option<PathBuf>) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(typ).set_path(path);
    namespace
}

fn namespaces(host: &HostConfig, facts: &Facts) -> Result<Vec<LinuxNamespace>, Fault> {
    use LinuxNamespaceType as T;
    let mut list = vec![namespace(T::Mount, None)];
    match modes::network(&host.network_mode)? {
        modes::Network::Host => {}
        modes::Network::None | modes::Network::Networks(_) | modes::Network::Container(_) => {
            list.push(namespace(T::Network, facts.joined.network.clone()));
        }
    }
    for (typ, mode, joined) in [
        (T::Pid, modes::pid(&host.pid_mode)?, &facts.joined.pid),
        (T::Ipc, modes::ipc(&host.ipc_mode)?, &facts.joined.ipc),
    ] {
        match mode {
            modes::Sharing::Private | modes::Sharing::Shareable => list.push(namespace(typ, None)),
            modes::Sharing::Host => {}
            modes::Sharing::Container(_) => list.push(namespace(typ, joined.clone())),
        }
    }
    if !modes::host_or_own(&host.uts_mode, "UTS")? {
        list.push(namespace(T::Uts, None));
    }
    // As in Docker: one's own on the unified tree (unless privileged), the host's on the split one.
    let own = match host.cgroupns_mode.as_str() {
        "" => facts.unified_cgroups && !host.privileged,
        mode => !modes::host_or_own(mode, "cgroup namespace")?,
    };
    if own {
        list.push(namespace(T::Cgroup, None));
    }
    Ok(list)
}

fn linux(host: &HostConfig, points: &[MountPoint], facts: &Facts) -> Result<Linux, Fault> {
    let (masked, read_only) = system_paths(host)?;
    let mut linux = Linux::default();
    let sysctls: HashMap<String, String> = host.sysctls.clone().into_iter().collect();
    linux
        .set_namespaces(Some(namespaces(host, facts)?))
        .set_resources(Some(limits(host, facts)?))
        .set_devices(Some(devices::nodes(&facts.devices)))
        .set_sysctl(Some(sysctls))
        .set_masked_paths(Some(masked))
        .set_readonly_paths(Some(read_only))
        .set_seccomp(None)
        .set_rootfs_propagation(mounts::root_propagation(points).map(str::to_owned));
    Ok(linux)
}

/// The limits of a container.
pub(crate) fn limits(host: &HostConfig, facts: &Facts) -> Result<LinuxResources, Fault> {
    let rules =
        devices::rules(host.privileged, &facts.devices, &host.resources.device_cgroup_rules)?;
    Ok(resources::resources(&host.resources, rules, &facts.numbers))
}

fn all_mounts(
    host: &HostConfig,
    points: &[MountPoint],
    facts: &Facts,
) -> Result<Vec<Mount>, Fault> {
    let covered = |path: &str| points.iter().any(|point| point.destination == path);
    let write = if host.privileged { "rw" } else { "ro" };
    let mut list = vec![
        mounts::entry("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mounts::entry(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mounts::entry(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mounts::entry("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", write]),
        mounts::entry("/sys/fs/cgroup", "cgroup", "cgroup", &[write, "nosuid", "noexec", "nodev"]),
        mounts::entry("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    let ipc = modes::ipc(&host.ipc_mode)?;
    let shared = match (&ipc, &facts.shared_memory) {
        (modes::Sharing::Host, _) => Some(Path::new("/dev/shm")),
        (_, Some(path)) => Some(path.as_path()),
        (_, None) => None,
    };
    match shared {
        Some(path) => list.push(mounts::entry(
            "/dev/shm",
            "bind",
            &path.to_string_lossy(),
            &["rbind", "rprivate"],
        )),
        None => list.push(mounts::entry(
            "/dev/shm",
            "tmpfs",
            "shm",
            &[
                "nosuid",
                "noexec",
                "nodev",
                "mode=1777",
                &format!("size={}", if host.shm_size > 0 { host.shm_size } else { 64 << 20 }),
            ],
        )),
    }
    list.retain(|mount| mount.destination().to_str().is_none_or(|path| !covered(path)));
    for (inside, outside) in &facts.files {
        if !covered(inside) {
            let access = if host.readonly_rootfs { "ro" } else { "rw" };
            list.push(mounts::entry(
                inside,
                "bind",
                &outside.to_string_lossy(),
                &["bind", access, "rprivate"],
            ));
        }
    }
    list.extend(
        points.iter().map(|point| mounts::of_point(point, facts.prepared.get(&point.destination))),
    );
    Ok(list)
}

#[cfg(test)]
mod tests;
