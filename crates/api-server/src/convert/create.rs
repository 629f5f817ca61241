//! Pure: requests of clients in the engine's words. What would be lost is refused.

use super::mount::mount;
use naru_api_types::container as api;
use naru_api_types::{Empty, Map};
use naru_engine as engine;
use naru_errdefs::Fault;
use naru_oci::Healthcheck;
use std::collections::{BTreeMap, BTreeSet};

/// A whole create request.
pub(crate) fn request(
    name: Option<&str>,
    body: api::ContainerCreateRequest,
) -> Result<engine::CreateRequest, Fault> {
    let host = host(body.host_config)?;
    let mut networks = BTreeMap::new();
    for (name, settings) in body.networking_config.endpoints_config.unwrap_or_default() {
        networks.insert(name, super::network::endpoint(settings.unwrap_or_default())?);
    }
    Ok(engine::CreateRequest {
        name: name.map(str::to_owned),
        config: config(body.config),
        host,
        networks,
    })
}

fn keys(map: Option<Map<Empty>>) -> BTreeSet<String> {
    map.unwrap_or_default().into_keys().collect()
}

fn config(config: api::ContainerConfig) -> engine::ContainerConfig {
    engine::ContainerConfig {
        hostname: config.hostname,
        domainname: config.domainname,
        user: config.user,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports: keys(config.exposed_ports),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: config.env.unwrap_or_default(),
        cmd: config.cmd.0,
        entrypoint: config.entrypoint.0,
        healthcheck: config.healthcheck.map(|check| Healthcheck {
            test: check.test.unwrap_or_default(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        image: config.image,
        volumes: keys(config.volumes),
        working_dir: config.working_dir,
        network_disabled: config.network_disabled,
        mac_address: config.mac_address,
        labels: config.labels.unwrap_or_default(),
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        shell: config.shell.unwrap_or_default(),
    }
}

fn host(host: api::HostConfig) -> Result<engine::HostConfig, Fault> {
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(Fault::invalid(format!(
            "invalid isolation (\"{}\") in HostConfig: only \"default\" is supported",
            host.isolation
        )));
    }
    let [rows, columns] = host.console_size;
    let console_size = [side(rows)?, side(columns)?];
    let restart = restart(&host.restart_policy)?;
    let mounts =
        host.mounts.clone().unwrap_or_default().into_iter().map(mount).collect::<Result<_, _>>()?;
    let resources = resources(&host);
    Ok(engine::HostConfig {
        binds: host.binds.unwrap_or_default(),
        container_id_file: host.container_id_file,
        log: engine::LogConfig {
            driver: host.log_config.r#type,
            options: host.log_config.config.unwrap_or_default(),
        },
        network_mode: host.network_mode,
        port_bindings: host
            .port_bindings
            .unwrap_or_default()
            .into_iter()
            .map(|(port, list)| {
                let binding = |binding: api::PortBinding| engine::PortBinding {
                    host_ip: binding.host_ip,
                    host_port: binding.host_port,
                };
                (port, list.unwrap_or_default().into_iter().map(binding).collect())
            })
            .collect(),
        publish_all_ports: host.publish_all_ports,
        links: host.links.unwrap_or_default(),
        restart,
        auto_remove: host.auto_remove,
        console_size,
        annotations: host.annotations.unwrap_or_default(),
        mounts,
        volumes_from: host.volumes_from.unwrap_or_default(),
        volume_driver: host.volume_driver,
        cap_add: host.cap_add.unwrap_or_default(),
        cap_drop: host.cap_drop.unwrap_or_default(),
        cgroupns_mode: host.cgroupns_mode,
        dns: host.dns.unwrap_or_default(),
        dns_options: host.dns_options.unwrap_or_default(),
        dns_search: host.dns_search.unwrap_or_default(),
        extra_hosts: host.extra_hosts.unwrap_or_default(),
        group_add: host.group_add.unwrap_or_default(),
        ipc_mode: host.ipc_mode,
        oom_score_adj: host.oom_score_adj,
        pid_mode: host.pid_mode,
        privileged: host.privileged,
        readonly_rootfs: host.readonly_rootfs,
        security_opt: host.security_opt.unwrap_or_default(),
        tmpfs: host.tmpfs.unwrap_or_default(),
        uts_mode: host.uts_mode,
        userns_mode: host.userns_mode,
        shm_size: host.shm_size,
        sysctls: host.sysctls.unwrap_or_default(),
        runtime: host.runtime,
        init: host.init,
        masked_paths: host.masked_paths,
        readonly_paths: host.readonly_paths,
        resources,
    })
}

/// One side of a terminal.
pub(crate) fn side(cells: u64) -> Result<u32, Fault> {
    u32::try_from(cells)
        .ok()
        .filter(|cells| *cells <= u32::from(u16::MAX))
        .ok_or_else(|| Fault::invalid(format!("terminal size {cells} is out of range")))
}

fn resources(host: &api::HostConfig) -> engine::Resources {
    let rates = |devices: &Option<Vec<api::ThrottleDevice>>| {
        let device = |device: &api::ThrottleDevice| engine::ThrottleDevice {
            path: device.path.clone(),
            rate: device.rate,
        };
        devices.iter().flatten().map(device).collect::<Vec<_>>()
    };
    engine::Resources {
        cpu_shares: host.cpu_shares,
        memory: host.memory,
        nano_cpus: host.nano_cpus,
        cgroup_parent: host.cgroup_parent.clone(),
        blkio_weight: host.blkio_weight,
        blkio_weight_device: host
            .blkio_weight_device
            .iter()
            .flatten()
            .map(|device| engine::WeightDevice { path: device.path.clone(), weight: device.weight })
            .collect(),
        blkio_device_read_bps: rates(&host.blkio_device_read_bps),
        blkio_device_write_bps: rates(&host.blkio_device_write_bps),
        blkio_device_read_iops: rates(&host.blkio_device_read_iops),
        blkio_device_write_iops: rates(&host.blkio_device_write_iops),
        cpu_period: host.cpu_period,
        cpu_quota: host.cpu_quota,
        cpu_realtime_period: host.cpu_realtime_period,
        cpu_realtime_runtime: host.cpu_realtime_runtime,
        cpuset_cpus: host.cpuset_cpus.clone(),
        cpuset_mems: host.cpuset_mems.clone(),
        devices: host
            .devices
            .iter()
            .flatten()
            .map(|device| engine::DeviceMapping {
                path_on_host: device.path_on_host.clone(),
                path_in_container: device.path_in_container.clone(),
                cgroup_permissions: device.cgroup_permissions.clone(),
            })
            .collect(),
        device_cgroup_rules: host.device_cgroup_rules.clone().unwrap_or_default(),
        memory_reservation: host.memory_reservation,
        memory_swap: host.memory_swap,
        // Clients write -1 for "not set".
        memory_swappiness: host.memory_swappiness.filter(|value| *value != -1),
        oom_kill_disable: host.oom_kill_disable,
        pids_limit: host.pids_limit,
        ulimits: host
            .ulimits
            .iter()
            .flatten()
            .map(|limit| engine::Ulimit {
                name: limit.name.clone(),
                soft: limit.soft,
                hard: limit.hard,
            })
            .collect(),
    }
}

/// A restart policy.
pub(crate) fn restart(policy: &api::RestartPolicy) -> Result<engine::RestartPolicy, Fault> {
    let Some(name) = engine::RestartName::parse(&policy.name) else {
        return Err(Fault::invalid(format!(
            "invalid restart policy: unknown policy '{}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
            policy.name
        )));
    };
    let count = u32::try_from(policy.maximum_retry_count).map_err(|_negative| {
        Fault::invalid("invalid restart policy: maximum retry count cannot be negative")
    })?;
    if count > 0 && name != engine::RestartName::OnFailure {
        return Err(Fault::invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ));
    }
    Ok(engine::RestartPolicy { name, maximum_retry_count: count })
}

/// The limits of an update, and the restart policy if it names one.
pub(crate) fn update(
    body: api::UpdateRequest,
) -> Result<(engine::Resources, Option<engine::RestartPolicy>), Fault> {
    let policy = match body.restart_policy.name.as_str() {
        "" => None,
        _ => Some(restart(&body.restart_policy)?),
    };
    let limits = engine::Resources {
        cpu_shares: body.cpu_shares,
        memory: body.memory,
        nano_cpus: body.nano_cpus,
        blkio_weight: body.blkio_weight,
        cpu_period: body.cpu_period,
        cpu_quota: body.cpu_quota,
        cpu_realtime_period: body.cpu_realtime_period,
        cpu_realtime_runtime: body.cpu_realtime_runtime,
        cpuset_cpus: body.cpuset_cpus,
        cpuset_mems: body.cpuset_mems,
        memory_reservation: body.memory_reservation,
        memory_swap: body.memory_swap,
        pids_limit: body.pids_limit,
        ..engine::Resources::default()
    };
    Ok((limits, policy))
}

/// A further process.
pub(crate) fn exec(body: api::ExecCreateRequest) -> Result<engine::ExecRequest, Fault> {
    let cmd = body.cmd.0.unwrap_or_default();
    if cmd.is_empty() {
        return Err(Fault::invalid("No exec command specified"));
    }
    Ok(engine::ExecRequest {
        cmd,
        env: body.env.unwrap_or_default(),
        user: body.user,
        working_dir: body.working_dir,
        tty: body.tty,
        attach_stdin: body.attach_stdin,
        attach_stdout: body.attach_stdout,
        attach_stderr: body.attach_stderr,
        privileged: body.privileged,
        console_size: console(body.console_size)?,
    })
}

/// A terminal's size.
pub(crate) fn console(size: Option<[u64; 2]>) -> Result<Option<[u32; 2]>, Fault> {
    match size {
        None | Some([0, _] | [_, 0]) => Ok(None),
        Some([rows, columns]) => Ok(Some([side(rows)?, side(columns)?])),
    }
}
