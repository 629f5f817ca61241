//! Pure (but for the reader of files it is given): the flags of `run` and `create` as the request that the API takes.

use super::networking::{self, Networks};
use crate::exit::Failed;
use crate::flags::{Flags, go_int};
use crate::opts::{self, OptError};
use naru_api_types::container::{
    BindOptions, ContainerConfig, ContainerCreateRequest, DeviceMapping, Healthcheck, HostConfig,
    ImageOptions, LogConfig, Mount, RestartPolicy, ThrottleDevice, TmpfsOptions, Ulimit,
    VolumeDriver, VolumeOptions, WeightDevice,
};
use naru_api_types::{Empty, Map, StrSlice};
use naru_errdefs::Fault;

/// What the request depends on beside the flags.
pub(crate) struct Surroundings<'a> {
    /// Our working directory, found only when a flag needs it.
    pub cwd: &'a dyn Fn() -> Result<String, Fault>,
    /// Our environment.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Content of a file that a flag names.
    pub read: &'a dyn Fn(&str) -> std::io::Result<Vec<u8>>,
}

/// A bad value that no single flag is to blame for.
pub(super) fn refuse(message: impl Into<String>) -> Failed {
    Fault::invalid(message).into()
}

pub(super) fn opt(error: OptError) -> Failed {
    let fault = Fault::invalid(error.message);
    match error.hint {
        Some(hint) => fault.with_hint(hint).into(),
        None => fault.into(),
    }
}

fn some_list<'a>(items: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
    let items: Vec<String> = items.map(str::to_owned).collect();
    (!items.is_empty()).then_some(items)
}

pub(super) fn some_vec<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

pub(super) fn some_map<T>(items: Map<T>) -> Option<Map<T>> {
    (!items.is_empty()).then_some(items)
}

fn text(flags: &Flags, long: &str) -> String {
    flags.text(long).unwrap_or_default().to_owned()
}

/// The request.
pub(crate) fn build(
    flags: &Flags,
    around: &Surroundings<'_>,
    detach: bool,
) -> Result<ContainerCreateRequest, Failed> {
    let mut volumes = Volumes::default();
    volumes.read(flags, around)?;
    let Networks { mode, config: networking_config, links } = networking::networks(flags)?;
    let ports = networking::ports(flags)?;
    let config = ContainerConfig {
        exposed_ports: some_map(ports.exposed),
        ..config(flags, around, detach, std::mem::take(&mut volumes.anonymous))?
    };
    let host_config = HostConfig {
        network_mode: mode,
        links,
        port_bindings: some_map(ports.bindings),
        publish_all_ports: flags.switch("publish-all"),
        ..host_config(flags, around, volumes)?
    };
    Ok(ContainerCreateRequest { config, host_config, networking_config })
}

/// Which of our streams go to the container: stdin, stdout, stderr.
pub(crate) fn attachments(flags: &Flags, detach: bool) -> Result<[bool; 3], Failed> {
    let mut chosen = [false; 3];
    let mut any = false;
    for stream in flags.list("attach") {
        any = true;
        match stream.to_ascii_lowercase().as_str() {
            "stdin" => chosen = [true, chosen[1], chosen[2]],
            "stdout" => chosen = [chosen[0], true, chosen[2]],
            "stderr" => chosen = [chosen[0], chosen[1], true],
            _ => {
                return Err(Failed::from(crate::flags::FlagError::Invalid {
                    flag: "-a, --attach".to_owned(),
                    value: stream.to_owned(),
                    reason: "valid streams are STDIN, STDOUT and STDERR".to_owned(),
                    hint: None,
                }));
            }
        }
    }
    if detach {
        return if any {
            Err(refuse("conflicting options: cannot specify both --attach and --detach"))
        } else {
            Ok([false; 3])
        };
    }
    if any { Ok(chosen) } else { Ok([flags.switch("interactive"), true, true]) }
}

fn config(
    flags: &Flags,
    around: &Surroundings<'_>,
    detach: bool,
    volumes: Map<Empty>,
) -> Result<ContainerConfig, Failed> {
    let [attach_stdin, attach_stdout, attach_stderr] = attachments(flags, detach)?;
    let interactive = flags.switch("interactive");
    let mut env = Vec::new();
    for file in flags.list("env-file") {
        let bytes = (around.read)(file)
            .map_err(|error| Fault::io(format!("open {file}: cannot read the env file"), error))?;
        env.extend(opts::env::parse_file(file, &bytes, around.lookup).map_err(opt)?);
    }
    env.extend(flags.parsed_list("env", |text| opts::env::parse(text, around.lookup))?);
    let entrypoint = match flags.text("entrypoint") {
        None => StrSlice(None),
        // An empty one removes the image's.
        Some(word) => StrSlice(Some(vec![word.to_owned()])),
    };
    let command = flags.args().get(1..).unwrap_or_default().to_vec();
    Ok(ContainerConfig {
        hostname: text(flags, "hostname"),
        domainname: text(flags, "domainname"),
        user: text(flags, "user"),
        attach_stdin,
        attach_stdout,
        attach_stderr,
        tty: flags.switch("tty"),
        open_stdin: interactive,
        stdin_once: interactive && attach_stdin,
        env: some_vec(env),
        cmd: StrSlice(some_vec(command)),
        healthcheck: healthcheck(flags)?,
        image: flags.arg(0).to_owned(),
        volumes: some_map(volumes),
        working_dir: text(flags, "workdir"),
        entrypoint,
        labels: some_map(labels(flags, around)?),
        stop_signal: text(flags, "stop-signal"),
        stop_timeout: flags.number("stop-timeout")?,
        ..ContainerConfig::default()
    })
}

fn healthcheck(flags: &Flags) -> Result<Option<Healthcheck>, Failed> {
    let time = |long: &str| -> Result<i64, Failed> {
        let parse = |text: &str| opts::duration::parse(text.strip_prefix('-').unwrap_or(text));
        let time = flags.parsed(long, parse)?.unwrap_or_default();
        if !time.is_zero() && flags.text(long).is_some_and(|text| text.starts_with('-')) {
            return Err(refuse(format!("--{long} cannot be negative")));
        }
        Ok(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
    };
    let line = text(flags, "health-cmd");
    let check = Healthcheck {
        test: (!line.is_empty()).then(|| vec!["CMD-SHELL".to_owned(), line]),
        interval: time("health-interval")?,
        timeout: time("health-timeout")?,
        start_period: time("health-start-period")?,
        start_interval: time("health-start-interval")?,
        retries: flags.number("health-retries")?.unwrap_or(0),
    };
    if check.retries < 0 {
        return Err(refuse("--health-retries cannot be negative"));
    }
    let given = check != Healthcheck::default();
    if !flags.switch("no-healthcheck") {
        return Ok(given.then_some(check));
    }
    if given {
        return Err(refuse("--no-healthcheck conflicts with --health-* options"));
    }
    Ok(Some(Healthcheck { test: Some(vec!["NONE".to_owned()]), ..check }))
}

fn labels(flags: &Flags, around: &Surroundings<'_>) -> Result<Map<String>, Failed> {
    let mut labels = Map::new();
    for file in flags.list("label-file") {
        let bytes = (around.read)(file)
            .map_err(|error| Fault::io(format!("open {file}: cannot read the labels"), error))?;
        for line in opts::env::parse_file(file, &bytes, &|_| Some(String::new())).map_err(opt)? {
            labels.extend([opts::env::label(&line).map_err(opt)?]);
        }
    }
    labels.extend(flags.parsed_list("label", opts::env::label)?);
    Ok(labels)
}

/// Everything that is mounted.
#[derive(Default)]
struct Volumes {
    binds: Vec<String>,
    anonymous: Map<Empty>,
    mounts: Vec<Mount>,
    tmpfs: Map<String>,
}

impl Volumes {
    fn read(&mut self, flags: &Flags, around: &Surroundings<'_>) -> Result<(), Failed> {
        if flags.given("volume") || flags.given("mount") {
            let cwd = (around.cwd)()?;
            for volume in flags.parsed_list("volume", |text| opts::volume::parse(text, &cwd))? {
                match volume {
                    opts::volume::Volume::Bind(bind) => self.binds.push(bind),
                    opts::volume::Volume::Anonymous(path) => {
                        self.anonymous.insert(path, Empty);
                    }
                }
            }
            let mounts = flags.parsed_list("mount", |text| opts::mount::parse(text, &cwd))?;
            self.mounts.extend(mounts.into_iter().map(mount));
        }
        self.tmpfs.extend(flags.parsed_list("tmpfs", opts::mount::tmpfs)?);
        Ok(())
    }
}

fn mount(mount: opts::mount::Mount) -> Mount {
    use opts::mount::Kind;
    let bind = BindOptions {
        propagation: mount.propagation.unwrap_or_default(),
        non_recursive: mount.non_recursive,
        create_mountpoint: mount.create_mountpoint,
        read_only_non_recursive: mount.writable_below,
        read_only_force_recursive: mount.read_only_below,
    };
    let driver = !mount.volume_driver.is_empty() || !mount.volume_options.is_empty();
    let volume = VolumeOptions {
        no_copy: mount.no_copy,
        labels: some_map(mount.volume_labels),
        subpath: mount.volume_subpath,
        driver_config: driver.then(|| VolumeDriver {
            name: mount.volume_driver,
            options: some_map(mount.volume_options),
        }),
    };
    let tmpfs = TmpfsOptions {
        size_bytes: mount.tmpfs_size,
        mode: mount.tmpfs_mode,
        ..TmpfsOptions::default()
    };
    let image = ImageOptions { subpath: mount.image_subpath };
    Mount {
        r#type: mount.kind.as_str().to_owned(),
        source: mount.source,
        target: mount.target,
        read_only: mount.read_only,
        bind_options: given(mount.kind == Kind::Bind, bind),
        volume_options: given(mount.kind == Kind::Volume, volume),
        tmpfs_options: given(mount.kind == Kind::Tmpfs, tmpfs),
        image_options: given(mount.kind == Kind::Image, image),
        ..Mount::default()
    }
}

/// Options of the kind that is mounted, if any was given.
fn given<T: Default + PartialEq>(own: bool, options: T) -> Option<T> {
    Some(options).filter(|options| own && *options != T::default())
}

fn rates(
    flags: &Flags,
    long: &str,
    parser: impl Fn(&str) -> Result<(String, u64), OptError>,
) -> Result<Option<Vec<ThrottleDevice>>, Failed> {
    let rates = flags.parsed_list(long, parser)?;
    Ok(some_vec(rates.into_iter().map(|(path, rate)| ThrottleDevice { path, rate }).collect()))
}

fn swappiness(text: &str) -> Result<i64, OptError> {
    let value = go_int(text)?;
    if (-1..=100).contains(&value) {
        return Ok(value);
    }
    Err(OptError::new(format!("invalid value: {value}. Valid memory swappiness range is 0-100")))
}

fn host_config(
    flags: &Flags,
    around: &Surroundings<'_>,
    volumes: Volumes,
) -> Result<HostConfig, Failed> {
    let restart = flags.parsed("restart", opts::restart::parse)?;
    let auto_remove = flags.switch("rm");
    if auto_remove && restart.as_ref().is_some_and(|(name, _)| name != "no") {
        return Err(refuse("conflicting options: cannot specify both --restart and --rm"));
    }
    let (name, maximum_retry_count) = restart.unwrap_or_else(|| ("no".to_owned(), 0));
    let options: Vec<&str> = flags.list("security-opt").collect();
    let security = opts::security::parse(&options, around.read).map_err(opt)?;
    let no_paths = security.system_paths_unconfined.then(Vec::new);
    let devices = flags.parsed_list("device", opts::device::parse)?;
    let weights = flags.parsed_list("blkio-weight-device", opts::device::weight)?;
    let ulimits = flags.parsed_list("ulimit", opts::ulimit::parse)?;
    let pairs = |long: &str| -> Result<Option<Map<String>>, Failed> {
        Ok(some_map(flags.parsed_list(long, opts::env::pair)?.into_iter().collect()))
    };
    let number = |long: &str| -> Result<i64, Failed> { Ok(flags.number(long)?.unwrap_or(0)) };
    let size = |long: &str| -> Result<i64, Failed> {
        Ok(flags.parsed(long, opts::memory::parse)?.unwrap_or(0))
    };
    Ok(HostConfig {
        binds: some_vec(volumes.binds),
        container_id_file: text(flags, "cidfile"),
        log_config: LogConfig { r#type: text(flags, "log-driver"), config: pairs("log-opt")? },
        restart_policy: RestartPolicy { name, maximum_retry_count },
        auto_remove,
        volume_driver: text(flags, "volume-driver"),
        volumes_from: some_list(flags.list("volumes-from")),
        annotations: pairs("annotation")?,
        cap_add: some_list(flags.list("cap-add")),
        cap_drop: some_list(flags.list("cap-drop")),
        cgroupns_mode: text(flags, "cgroupns"),
        dns: some_vec(flags.parsed_list("dns", opts::names::server)?),
        dns_options: some_vec(
            flags.parsed_among(&["dns-option", "dns-opt"], |option| Ok(option.to_owned()))?,
        ),
        dns_search: some_vec(flags.parsed_list("dns-search", opts::names::search)?),
        extra_hosts: some_vec(flags.parsed_list("add-host", opts::names::extra_host)?),
        group_add: some_list(flags.list("group-add")),
        ipc_mode: text(flags, "ipc"),
        oom_score_adj: number("oom-score-adj")?,
        pid_mode: text(flags, "pid"),
        privileged: flags.switch("privileged"),
        readonly_rootfs: flags.switch("read-only"),
        security_opt: some_vec(security.options),
        storage_opt: pairs("storage-opt")?,
        tmpfs: some_map(volumes.tmpfs),
        uts_mode: text(flags, "uts"),
        userns_mode: text(flags, "userns"),
        shm_size: size("shm-size")?,
        sysctls: pairs("sysctl")?,
        runtime: text(flags, "runtime"),
        cpu_shares: number("cpu-shares")?,
        memory: size("memory")?,
        nano_cpus: flags.parsed("cpus", opts::memory::parse_cpus)?.unwrap_or(0),
        cgroup_parent: text(flags, "cgroup-parent"),
        blkio_weight: flags.parsed("blkio-weight", opts::device::blkio_weight)?.unwrap_or(0),
        blkio_weight_device: some_vec(
            weights
                .into_iter()
                .map(|(path, weight)| WeightDevice {
                    path,
                    weight: u16::try_from(weight).unwrap_or(u16::MAX),
                })
                .collect(),
        ),
        blkio_device_read_bps: rates(flags, "device-read-bps", opts::device::bytes_rate)?,
        blkio_device_write_bps: rates(flags, "device-write-bps", opts::device::bytes_rate)?,
        blkio_device_read_iops: rates(flags, "device-read-iops", opts::device::count_rate)?,
        blkio_device_write_iops: rates(flags, "device-write-iops", opts::device::count_rate)?,
        cpu_period: number("cpu-period")?,
        cpu_quota: number("cpu-quota")?,
        cpu_realtime_period: number("cpu-rt-period")?,
        cpu_realtime_runtime: number("cpu-rt-runtime")?,
        cpuset_cpus: text(flags, "cpuset-cpus"),
        cpuset_mems: text(flags, "cpuset-mems"),
        devices: some_vec(
            devices
                .into_iter()
                .map(|device| DeviceMapping {
                    path_on_host: device.host,
                    path_in_container: device.container,
                    cgroup_permissions: device.permissions,
                })
                .collect(),
        ),
        device_cgroup_rules: some_vec(flags.parsed_list("device-cgroup-rule", opts::device::rule)?),
        memory_reservation: size("memory-reservation")?,
        memory_swap: flags.parsed("memory-swap", opts::memory::parse_swap)?.unwrap_or(0),
        memory_swappiness: flags
            .parsed("memory-swappiness", swappiness)?
            .filter(|swappiness| *swappiness != -1),
        oom_kill_disable: flags.given("oom-kill-disable").then(|| flags.switch("oom-kill-disable")),
        pids_limit: flags.number("pids-limit")?,
        ulimits: some_vec(
            ulimits
                .into_iter()
                .map(|limit| Ulimit { name: limit.name, hard: limit.hard, soft: limit.soft })
                .collect(),
        ),
        mounts: some_vec(volumes.mounts),
        masked_paths: no_paths.clone(),
        readonly_paths: no_paths,
        init: flags.given("init").then(|| flags.switch("init")),
        ..HostConfig::default()
    })
}

#[cfg(test)]
mod tests;
