//! Pure: containers of the engine as clients see them.

use super::{mount, network, signed, some};
use naru_api_types::container as api;
use naru_api_types::{ApiVersion, Empty, Map, StrSlice};
use naru_engine as engine;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Before this version the limits of kernel memory were shown.
const NO_KERNEL_MEMORY: ApiVersion = ApiVersion::v1(42);

/// Everything about a container.
pub(crate) fn inspect(view: engine::ContainerView, version: ApiVersion) -> api::ContainerInspect {
    let kernel_memory = (version < NO_KERNEL_MEMORY).then_some(0);
    let mut lower = view.lower_dirs.iter().map(|dir| shown(dir));
    let graph = [
        ("LowerDir", lower.by_ref().collect::<Vec<_>>().join(":")),
        ("UpperDir", shown(&view.upper_dir)),
        ("WorkDir", shown(&view.work_dir)),
    ];
    let ports = network::ports(view.config.exposed_ports.iter(), &view.published);
    let running = view.state.running();
    api::ContainerInspect {
        id: view.id.clone(),
        created: view.created.to_string(),
        path: view.path,
        args: view.args,
        state: state(view.state),
        image: view.image_id.to_string(),
        resolv_conf_path: shown(&view.resolv_conf_path),
        hostname_path: shown(&view.hostname_path),
        hosts_path: shown(&view.hosts_path),
        log_path: shown(&view.log_path),
        name: format!("/{}", view.name),
        restart_count: i64::from(view.restart_count),
        driver: "overlay2".to_owned(),
        platform: view.os,
        mount_label: String::new(),
        process_label: String::new(),
        app_armor_profile: String::new(),
        exec_ids: some(view.exec_ids),
        graph_driver: api::GraphDriver {
            name: "overlay2".to_owned(),
            data: Some(graph.into_iter().map(|(role, path)| (role.to_owned(), path)).collect()),
        },
        size_rw: view.size_rw.map(signed),
        size_root_fs: view.size_root_fs.map(signed),
        mounts: view.mounts.into_iter().map(mount::point).collect(),
        network_settings: network_settings(&view.id, running, view.networks, ports),
        host_config: api::HostConfig {
            kernel_memory,
            kernel_memory_tcp: kernel_memory,
            ..host(view.host)
        },
        config: config(view.config),
    }
}

fn state(state: engine::StateView) -> api::ContainerState {
    let status = state.status;
    api::ContainerState {
        status: status.as_str().to_owned(),
        running: state.running(),
        paused: status == engine::Status::Paused,
        restarting: status == engine::Status::Restarting,
        oom_killed: state.oom_killed,
        dead: status == engine::Status::Dead,
        pid: i64::from(state.pid),
        exit_code: state.exit_code,
        error: state.error,
        started_at: engine::Timestamp::show(state.started_at),
        finished_at: engine::Timestamp::show(state.finished_at),
        health: state.health.map(|health| api::Health {
            status: health.status.as_str().to_owned(),
            failing_streak: health.failing_streak,
            log: Some(health.log.into_iter().map(health_result).collect()),
        }),
    }
}

fn health_result(result: engine::HealthResult) -> api::HealthResult {
    api::HealthResult {
        start: result.start.to_string(),
        end: result.end.to_string(),
        exit_code: result.exit_code,
        output: result.output,
    }
}

fn set(keys: BTreeSet<String>) -> Option<Map<Empty>> {
    if keys.is_empty() { None } else { Some(keys.into_iter().map(|key| (key, Empty)).collect()) }
}

fn config(config: engine::ContainerConfig) -> api::ContainerConfig {
    api::ContainerConfig {
        hostname: config.hostname,
        domainname: config.domainname,
        user: config.user,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports: set(config.exposed_ports),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: some(config.env),
        cmd: StrSlice(config.cmd),
        healthcheck: config.healthcheck.map(|check| api::Healthcheck {
            test: some(check.test),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        args_escaped: false,
        image: config.image,
        volumes: set(config.volumes),
        working_dir: config.working_dir,
        entrypoint: StrSlice(config.entrypoint),
        network_disabled: config.network_disabled,
        mac_address: config.mac_address,
        on_build: None,
        labels: Some(config.labels),
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        shell: some(config.shell),
    }
}

fn optional<T>(map: Map<T>) -> Option<Map<T>> {
    if map.is_empty() { None } else { Some(map) }
}

fn host(host: engine::HostConfig) -> api::HostConfig {
    let limits = host.resources;
    let rates = |devices: Vec<engine::ThrottleDevice>| {
        let device = |device: engine::ThrottleDevice| api::ThrottleDevice {
            path: device.path,
            rate: device.rate,
        };
        Some(devices.into_iter().map(device).collect())
    };
    let [rows, columns] = host.console_size;
    api::HostConfig {
        binds: some(host.binds),
        container_id_file: host.container_id_file,
        log_config: api::LogConfig {
            r#type: if host.log.driver.is_empty() {
                "json-file".to_owned()
            } else {
                host.log.driver
            },
            config: Some(host.log.options),
        },
        network_mode: if host.network_mode.is_empty() {
            "default".to_owned()
        } else {
            host.network_mode
        },
        port_bindings: Some(network::bindings(host.port_bindings)),
        publish_all_ports: host.publish_all_ports,
        links: some(host.links),
        restart_policy: api::RestartPolicy {
            name: host.restart.name.as_str().to_owned(),
            maximum_retry_count: i64::from(host.restart.maximum_retry_count),
        },
        auto_remove: host.auto_remove,
        console_size: [u64::from(rows), u64::from(columns)],
        annotations: optional(host.annotations),
        cap_add: some(host.cap_add),
        cap_drop: some(host.cap_drop),
        cgroupns_mode: host.cgroupns_mode,
        dns: Some(host.dns),
        dns_options: Some(host.dns_options),
        dns_search: Some(host.dns_search),
        extra_hosts: some(host.extra_hosts),
        group_add: some(host.group_add),
        ipc_mode: if host.ipc_mode.is_empty() { "private".to_owned() } else { host.ipc_mode },
        oom_score_adj: host.oom_score_adj,
        pid_mode: host.pid_mode,
        privileged: host.privileged,
        readonly_rootfs: host.readonly_rootfs,
        security_opt: some(host.security_opt),
        tmpfs: optional(host.tmpfs),
        uts_mode: host.uts_mode,
        userns_mode: host.userns_mode,
        shm_size: if host.shm_size == 0 { 64 << 20 } else { host.shm_size },
        sysctls: optional(host.sysctls),
        runtime: if host.runtime.is_empty() { "naru".to_owned() } else { host.runtime },
        cpu_shares: limits.cpu_shares,
        memory: limits.memory,
        nano_cpus: limits.nano_cpus,
        cgroup_parent: limits.cgroup_parent,
        blkio_weight: limits.blkio_weight,
        blkio_weight_device: Some(
            limits
                .blkio_weight_device
                .into_iter()
                .map(|device| api::WeightDevice { path: device.path, weight: device.weight })
                .collect(),
        ),
        blkio_device_read_bps: rates(limits.blkio_device_read_bps),
        blkio_device_write_bps: rates(limits.blkio_device_write_bps),
        blkio_device_read_iops: rates(limits.blkio_device_read_iops),
        blkio_device_write_iops: rates(limits.blkio_device_write_iops),
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpu_realtime_period: limits.cpu_realtime_period,
        cpu_realtime_runtime: limits.cpu_realtime_runtime,
        cpuset_cpus: limits.cpuset_cpus,
        cpuset_mems: limits.cpuset_mems,
        devices: Some(
            limits
                .devices
                .into_iter()
                .map(|device| api::DeviceMapping {
                    path_on_host: device.path_on_host,
                    path_in_container: device.path_in_container,
                    cgroup_permissions: device.cgroup_permissions,
                })
                .collect(),
        ),
        device_cgroup_rules: some(limits.device_cgroup_rules),
        memory_reservation: limits.memory_reservation,
        memory_swap: limits.memory_swap,
        memory_swappiness: limits.memory_swappiness,
        oom_kill_disable: limits.oom_kill_disable,
        pids_limit: limits.pids_limit,
        ulimits: Some(
            limits
                .ulimits
                .into_iter()
                .map(|limit| api::Ulimit { name: limit.name, hard: limit.hard, soft: limit.soft })
                .collect(),
        ),
        mounts: some(host.mounts.into_iter().map(mount::shown).collect()),
        volumes_from: some(host.volumes_from),
        volume_driver: host.volume_driver,
        masked_paths: host.masked_paths,
        readonly_paths: host.readonly_paths,
        init: host.init,
        ..api::HostConfig::default()
    }
}

fn network_settings(
    id: &str,
    running: bool,
    networks: BTreeMap<String, engine::EndpointView>,
    ports: Map<Option<Vec<api::PortBinding>>>,
) -> api::NetworkSettings {
    // Old clients read the place in the default network here.
    let default = networks.get("bridge").cloned().map(network::place).unwrap_or_default();
    api::NetworkSettings {
        sandbox_id: if running { id.to_owned() } else { String::new() },
        ports: if running { ports } else { Map::new() },
        endpoint_id: default.endpoint_id,
        gateway: default.gateway,
        global_ipv6_address: default.global_ipv6_address,
        global_ipv6_prefix_len: default.global_ipv6_prefix_len,
        ip_address: default.ip_address,
        ip_prefix_len: default.ip_prefix_len,
        ipv6_gateway: default.ipv6_gateway,
        mac_address: default.mac_address,
        networks: networks.into_iter().map(|(name, view)| (name, network::place(view))).collect(),
        ..api::NetworkSettings::default()
    }
}

/// One line of a list.
pub(crate) fn summary(summary: engine::ContainerSummary) -> api::ContainerSummary {
    let running = matches!(
        summary.state,
        engine::Status::Running | engine::Status::Paused | engine::Status::Restarting
    );
    let ports = if running {
        network::listed(summary.exposed_ports.iter(), &summary.published)
    } else {
        Vec::new()
    };
    api::ContainerSummary {
        id: summary.id,
        names: vec![format!("/{}", summary.name)],
        image: summary.image,
        image_id: summary.image_id.to_string(),
        command: summary.command,
        created: summary.created.seconds(),
        ports,
        size_rw: summary.size_rw.filter(|size| *size != 0).map(signed),
        size_root_fs: summary.size_root_fs.map(signed),
        labels: summary.labels,
        state: summary.state.as_str().to_owned(),
        status: summary.status,
        host_config: api::HostConfigSummary {
            network_mode: if summary.network_mode.is_empty() {
                "default".to_owned()
            } else {
                summary.network_mode.clone()
            },
            annotations: None,
        },
        network_settings: api::NetworkSettingsSummary {
            networks: summary
                .networks
                .into_iter()
                .map(|(name, view)| (name, network::place(view)))
                .collect(),
        },
        mounts: summary.mounts.into_iter().map(mount::point).collect(),
    }
}

/// What a container uses, with the look before for the difference. `None` stands for a container that does not run.
pub(crate) fn stats(
    view: (&str, &str),
    now: Option<&engine::Stats>,
    before: Option<&engine::Stats>,
) -> api::Stats {
    let (id, name) = view;
    let never = || engine::Timestamp::NEVER.to_owned();
    let mut stats = api::Stats {
        name: format!("/{name}"),
        id: id.to_owned(),
        read: now.map_or_else(never, |now| now.read.to_string()),
        preread: before.map_or_else(never, |before| before.read.to_string()),
        precpu_stats: before.map(cpu).unwrap_or_default(),
        ..api::Stats::default()
    };
    let Some(now) = now else { return stats };
    let counts = |list: &[engine::BlockCount]| {
        Some(
            list.iter()
                .map(|count| api::BlkioEntry {
                    major: count.major,
                    minor: count.minor,
                    op: count.operation.clone(),
                    value: count.value,
                })
                .collect(),
        )
    };
    stats.cpu_stats = cpu(now);
    stats.pids_stats = api::PidsStats {
        current: Some(now.pids),
        limit: Some(now.pids_limit).filter(|limit| *limit != 0),
    };
    stats.blkio_stats = api::BlkioStats {
        io_service_bytes_recursive: counts(&now.io_bytes),
        io_serviced_recursive: counts(&now.io_operations),
        io_queue_recursive: Some(Vec::new()),
        io_service_time_recursive: Some(Vec::new()),
        io_wait_time_recursive: Some(Vec::new()),
        io_merged_recursive: Some(Vec::new()),
        io_time_recursive: Some(Vec::new()),
        sectors_recursive: Some(Vec::new()),
    };
    stats.memory_stats = api::MemoryStats {
        usage: Some(now.memory_usage),
        max_usage: Some(now.memory_max_usage).filter(|most| *most != 0),
        stats: Some(now.memory_stat.clone()),
        failcnt: Some(now.memory_failures).filter(|count| *count != 0),
        limit: Some(now.memory_limit),
    };
    stats.networks = (!now.traffic.is_empty()).then(|| {
        now.traffic.iter().map(|(name, traffic)| (name.clone(), interface(traffic))).collect()
    });
    stats
}

fn interface(traffic: &engine::Traffic) -> api::NetworkStats {
    api::NetworkStats {
        rx_bytes: traffic.rx_bytes,
        rx_packets: traffic.rx_packets,
        rx_errors: traffic.rx_errors,
        rx_dropped: traffic.rx_dropped,
        tx_bytes: traffic.tx_bytes,
        tx_packets: traffic.tx_packets,
        tx_errors: traffic.tx_errors,
        tx_dropped: traffic.tx_dropped,
    }
}

fn cpu(stats: &engine::Stats) -> api::CpuStats {
    api::CpuStats {
        cpu_usage: api::CpuUsage {
            total_usage: stats.cpu_total,
            percpu_usage: some(stats.cpu_by_processor.clone()),
            usage_in_kernelmode: stats.cpu_kernel,
            usage_in_usermode: stats.cpu_user,
        },
        system_cpu_usage: Some(stats.system_cpu),
        online_cpus: Some(stats.online_cpus),
        throttling_data: api::ThrottlingData {
            periods: stats.throttling_periods,
            throttled_periods: stats.throttled_periods,
            throttled_time: stats.throttled_time,
        },
    }
}

/// State of an exec.
pub(crate) fn exec(view: engine::ExecView) -> api::ExecInspectResponse {
    let mut words = view.request.cmd.into_iter();
    api::ExecInspectResponse {
        id: view.id,
        running: view.running,
        exit_code: view.exit_code,
        process_config: api::ExecProcess {
            tty: view.request.tty,
            entrypoint: words.next().unwrap_or_default(),
            arguments: words.collect(),
            privileged: view.request.privileged,
            user: view.request.user,
        },
        open_stdin: view.request.attach_stdin,
        open_stderr: view.request.attach_stderr,
        open_stdout: view.request.attach_stdout,
        can_remove: false,
        container_id: view.container_id,
        detach_keys: String::new(),
        pid: i64::from(view.pid),
    }
}
