//! Pure: what `create` refuses before anything is made; small checks, one after the other.

use super::{capabilities, devices, modes, mounts, resources, security};
use crate::model::{ContainerConfig, HostConfig, MountKind, RestartName};
use naru_errdefs::Fault;

/// Refuses requests that cannot be served. `processors` is how many the host has.
pub(crate) fn validate(
    config: &ContainerConfig,
    host: &HostConfig,
    processors: usize,
) -> Result<(), Fault> {
    names(config, host)?;
    restart(host)?;
    log(host)?;
    resources::validate(&host.resources, processors)?;
    capabilities::resolve(&host.cap_add, &host.cap_drop, host.privileged)?;
    security::parse(&host.security_opt)?;
    modes::pid(&host.pid_mode)?;
    modes::ipc(&host.ipc_mode)?;
    modes::host_or_own(&host.uts_mode, "UTS")?;
    modes::host_or_own(&host.cgroupns_mode, "cgroup namespace")?;
    if !matches!(host.userns_mode.as_str(), "" | "host") {
        return Err(Fault::invalid("invalid userns mode: ".to_owned() + &host.userns_mode)
            .with_hint("user namespaces are not remapped: use `host` or leave it out"));
    }
    let points = mounts::points(config, host, Vec::new())?;
    if !matches!(host.volume_driver.as_str(), "" | "local")
        && let Some(point) = points.iter().find(|point| point.kind == MountKind::Volume)
    {
        // Without a volume nobody asks the driver for anything, and Docker does not either.
        let name = point.name.as_deref().unwrap_or_default();
        return Err(crate::volumes::no_driver(name, &host.volume_driver));
    }
    for device in &host.resources.devices {
        devices::validate(device)?;
    }
    numbers(host)?;
    sysctls(host)?;
    hosts(host)?;
    if !matches!(host.runtime.as_str(), "" | "naru" | "runc" | "io.containerd.runc.v2") {
        return Err(Fault::invalid(format!("unknown or invalid runtime name: {}", host.runtime))
            .with_hint("leave out the runtime; there is one, built in"));
    }
    Ok(())
}

fn names(config: &ContainerConfig, host: &HostConfig) -> Result<(), Fault> {
    let hostname = &config.hostname;
    let good = hostname.len() <= 64
        && hostname.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        && !hostname.starts_with(['-', '.'])
        && !hostname.ends_with('-');
    if !good {
        return Err(Fault::invalid(format!("invalid hostname format: {hostname}")));
    }
    if !hostname.is_empty() && host.uts_mode == "host" {
        return Err(Fault::invalid("conflicting options: hostname and the UTS mode"));
    }
    let network = modes::network(&host.network_mode)?;
    let joined = matches!(network, modes::Network::Container(_));
    for (given, what) in [
        (!hostname.is_empty(), "hostname"),
        (!host.dns.is_empty(), "dns"),
        (!host.extra_hosts.is_empty(), "custom host-to-IP mapping"),
    ] {
        if joined && given {
            return Err(Fault::invalid(format!(
                "conflicting options: {what} and the network mode"
            )));
        }
    }
    Ok(())
}

fn restart(host: &HostConfig) -> Result<(), Fault> {
    let policy = &host.restart;
    if host.auto_remove && policy.name != RestartName::No {
        return Err(Fault::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    if policy.maximum_retry_count > 0 && policy.name != RestartName::OnFailure {
        return Err(Fault::invalid(format!(
            "invalid restart policy: maximum retry count can only be used with 'on-failure', not '{}'",
            policy.name.as_str()
        )));
    }
    Ok(())
}

fn log(host: &HostConfig) -> Result<(), Fault> {
    match host.log.driver.as_str() {
        "" | "json-file" => {}
        "none" => return Ok(()),
        driver => {
            return Err(Fault::invalid(format!(
                "logger: no log driver named '{driver}' is registered"
            ))
            .with_hint("use `json-file` or `none`"));
        }
    }
    log_limits(host).map(drop)
}

/// The size at which the log is rotated, and how many files are kept.
pub(crate) fn log_limits(host: &HostConfig) -> Result<(u64, u32), Fault> {
    let (mut size, mut files) = (10 << 20, 3);
    for (key, value) in &host.log.options {
        match key.as_str() {
            "max-size" => {
                size = parse_size(value).filter(|size| *size >= 4096).ok_or_else(|| {
                    Fault::invalid(format!("invalid value for max-size: {value}"))
                        .with_hint("use a size such as `10m`, at least `4k`")
                })?;
            }
            "max-file" => {
                files = value.parse().ok().filter(|files| (1..=1000).contains(files)).ok_or_else(
                    || {
                        Fault::invalid(format!("invalid value for max-file: {value}"))
                            .with_hint("use a number from 1 to 1000")
                    },
                )?;
            }
            key => {
                return Err(Fault::invalid(format!(
                    "unknown log opt '{key}' for json-file log driver"
                ))
                .with_hint("`max-size` and `max-file` are served"));
            }
        }
    }
    Ok((size, files))
}

fn parse_size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match lower.chars().last()? {
        'k' => (lower.get(..lower.len() - 1)?, 10),
        'm' => (lower.get(..lower.len() - 1)?, 20),
        'g' => (lower.get(..lower.len() - 1)?, 30),
        _ => (lower, 0),
    };
    digits.parse::<u64>().ok()?.checked_shl(shift).filter(|size| *size > 0)
}

fn numbers(host: &HostConfig) -> Result<(), Fault> {
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Fault::invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    if host.shm_size < 0 {
        return Err(Fault::invalid("SHM size can not be less than 0"));
    }
    if host.resources.cgroup_parent.contains("..") {
        return Err(Fault::invalid(format!(
            "invalid cgroup parent: {}",
            host.resources.cgroup_parent
        )));
    }
    Ok(())
}

fn sysctls(host: &HostConfig) -> Result<(), Fault> {
    for name in host.sysctls.keys() {
        if name.starts_with("net.") && host.network_mode == "host" {
            return Err(Fault::invalid(format!(
                "sysctl '{name}' not allowed in host network namespace"
            )));
        }
    }
    Ok(())
}

fn hosts(host: &HostConfig) -> Result<(), Fault> {
    for entry in &host.extra_hosts {
        let good = entry.split_once([':', '=']).is_some_and(|(name, address)| {
            !name.is_empty() && (address == "host-gateway" || is_address(address))
        });
        if !good {
            return Err(Fault::invalid(format!(
                "invalid extra host: `{entry}`: give it as NAME:ADDRESS"
            )));
        }
    }
    for server in &host.dns {
        if !is_address(server) {
            return Err(Fault::invalid(format!("{server} is not an ip address")));
        }
    }
    Ok(())
}

fn is_address(text: &str) -> bool {
    text.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LogConfig, Resources, RestartPolicy, Ulimit};

    fn refused(host: HostConfig) -> String {
        match validate(&ContainerConfig::default(), &host, 2) {
            Ok(()) => "taken".to_owned(),
            Err(fault) => fault.message().to_owned(),
        }
    }

    #[test]
    fn limits_that_cannot_be_are_refused_with_dockers_words() {
        let base = Resources::default;
        let cases = [
            (base(), "taken"),
            (Resources { memory: 6 << 20, ..base() }, "taken"),
            (Resources { memory: 1 << 20, ..base() }, "Minimum memory limit allowed is 6MB"),
            (
                Resources { memory: 8 << 20, memory_swap: 7 << 20, ..base() },
                "Minimum memoryswap limit should be larger than memory limit, see usage",
            ),
            (
                Resources { memory_swap: 8 << 20, ..base() },
                "You should always set the Memory limit when using Memoryswap limit, see usage",
            ),
            (Resources { memory_swap: -1, ..base() }, "taken"),
            (
                Resources { memory_swappiness: Some(101), ..base() },
                "Invalid value: 101, valid memory swappiness range is 0-100",
            ),
            (
                Resources { memory_reservation: 1, ..base() },
                "Minimum memory reservation allowed is 6MB",
            ),
            (
                Resources { memory: 8 << 20, memory_reservation: 9 << 20, ..base() },
                "Minimum memory limit can not be less than memory reservation limit, see usage",
            ),
            (
                Resources { nano_cpus: 3_000_000_000, ..base() },
                "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
            ),
            (
                Resources { nano_cpus: 1, cpu_quota: 2000, ..base() },
                "Conflicting options: Nano CPUs and CPU Quota cannot both be set.",
            ),
            (
                Resources { cpu_period: 1, ..base() },
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
            ),
            (
                Resources { cpu_quota: 1, ..base() },
                "CPU cfs quota can not be less than 1ms (i.e. 1000)",
            ),
            (
                Resources { cpuset_cpus: "0-x".into(), ..base() },
                "Invalid value 0-x for cpuset cpus",
            ),
            (
                Resources { cpuset_cpus: "0,7".into(), ..base() },
                "Requested CPUs are not available - requested 0,7, available: 0-1",
            ),
            (Resources { blkio_weight: 5, ..base() }, "Range of blkio weight is from 10 to 1000"),
            (
                Resources {
                    ulimits: vec![Ulimit { name: "x".into(), soft: 1, hard: 1 }],
                    ..base()
                },
                "invalid ulimit type: x",
            ),
            (
                Resources {
                    ulimits: vec![Ulimit { name: "nofile".into(), soft: 2, hard: 1 }],
                    ..base()
                },
                "ulimit soft limit must be less than or equal to hard limit: 2 > 1",
            ),
        ];
        for (resources, want) in cases {
            let shown = format!("{resources:?}");
            assert_eq!(refused(HostConfig { resources, ..HostConfig::default() }), want, "{shown}");
        }
    }

    #[test]
    fn requests_that_contradict_themselves_are_refused() {
        let base = HostConfig::default;
        let always = RestartPolicy { name: RestartName::Always, maximum_retry_count: 0 };
        for (host, want) in [
            (
                HostConfig { auto_remove: true, restart: always.clone(), ..base() },
                "can't create 'AutoRemove' container with restart policy",
            ),
            (
                HostConfig {
                    restart: RestartPolicy { maximum_retry_count: 3, ..always },
                    ..base()
                },
                "invalid restart policy: maximum retry count can only be used with 'on-failure', not 'always'",
            ),
            (HostConfig { network_mode: "mynet".into(), ..base() }, "taken"),
            (HostConfig { network_mode: "bridge".into(), ..base() }, "taken"),
            (HostConfig { pid_mode: "x".into(), ..base() }, "invalid PID mode: x"),
            (
                HostConfig {
                    network_mode: "container:x".into(),
                    extra_hosts: vec!["a:1.2.3.4".into()],
                    ..base()
                },
                "conflicting options: custom host-to-IP mapping and the network mode",
            ),
            (
                HostConfig {
                    network_mode: "host".into(),
                    sysctls: [("net.ipv4.ip_forward".to_owned(), "1".to_owned())].into(),
                    ..base()
                },
                "sysctl 'net.ipv4.ip_forward' not allowed in host network namespace",
            ),
            (HostConfig { shm_size: -1, ..base() }, "SHM size can not be less than 0"),
            (
                HostConfig { oom_score_adj: 1001, ..base() },
                "Invalid value 1001, range for oom score adj is [-1000, 1000]",
            ),
            (
                HostConfig {
                    log: LogConfig { driver: "syslog".into(), ..LogConfig::default() },
                    ..base()
                },
                "logger: no log driver named 'syslog' is registered",
            ),
            (
                HostConfig {
                    log: LogConfig {
                        driver: String::new(),
                        options: [("max-size".to_owned(), "x".to_owned())].into(),
                    },
                    ..base()
                },
                "invalid value for max-size: x",
            ),
            (
                HostConfig { runtime: "kata".into(), ..base() },
                "unknown or invalid runtime name: kata",
            ),
        ] {
            assert_eq!(refused(host), want);
        }
    }

    #[test]
    fn the_log_is_bounded_by_default_and_as_asked() {
        let limits = |options: &[(&str, &str)]| {
            log_limits(&HostConfig {
                log: LogConfig {
                    driver: String::new(),
                    options: options
                        .iter()
                        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                        .collect(),
                },
                ..HostConfig::default()
            })
            .unwrap()
        };
        assert_eq!(limits(&[]), (10 << 20, 3));
        assert_eq!(limits(&[("max-size", "1g"), ("max-file", "7")]), (1 << 30, 7));
        assert_eq!(limits(&[("max-size", "64KB")]), (64 << 10, 3));
    }
}
