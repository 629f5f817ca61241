//! Pure: the daemon and its host as clients see them.

use super::{signed, some};
use naru_api_types::registry::IndexInfo;
use naru_api_types::system as api;
use naru_api_types::{ApiVersion, Map};
use naru_engine::images::RegistriesConfig;
use naru_engine::{SystemView, VersionView};

/// Versions of the daemon.
pub(crate) fn version(view: VersionView) -> api::VersionResponse {
    let details = [
        ("ApiVersion", ApiVersion::MAX.to_string()),
        ("Arch", view.arch.clone()),
        ("BuildTime", view.build_time.clone()),
        ("Experimental", "false".to_owned()),
        ("GitCommit", view.commit.clone()),
        ("KernelVersion", view.kernel_version.clone()),
        ("MinAPIVersion", ApiVersion::MIN.to_string()),
        ("Os", view.os.clone()),
    ];
    api::VersionResponse {
        platform: api::Platform { name: "Naru".to_owned() },
        components: vec![api::Component {
            name: "Engine".to_owned(),
            version: view.version.clone(),
            details: Some(
                details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ),
        }],
        version: view.version,
        api_version: ApiVersion::MAX.to_string(),
        min_api_version: ApiVersion::MIN.to_string(),
        git_commit: view.commit,
        go_version: String::new(),
        os: view.os,
        arch: view.arch,
        kernel_version: view.kernel_version,
        experimental: false,
        build_time: view.build_time,
    }
}

/// Facts about the daemon and its host.
pub(crate) fn info(view: SystemView, now: String, version: ApiVersion) -> api::InfoResponse {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let commit = || api::Commit {
        id: String::new(),
        expected: (version < ApiVersion::v1(48)).then(String::new),
    };
    let [http_proxy, https_proxy, no_proxy] = view.proxies;
    let runtime = api::Runtime { path: String::new() };
    api::InfoResponse {
        id: view.id,
        containers: count(view.containers),
        containers_running: count(view.running),
        containers_paused: count(view.paused),
        containers_stopped: count(view.stopped),
        images: count(view.images),
        driver: "overlay2".to_owned(),
        driver_status: Some(vec![["Backing Store".to_owned(), "naru".to_owned()]]),
        plugins: api::Plugins {
            volume: words(&["local"]),
            network: words(&["host", "null"]),
            authorization: None,
            log: words(&["json-file", "none"]),
        },
        memory_limit: view.limits.memory,
        swap_limit: view.limits.swap,
        cpu_cfs_period: view.limits.cpu_quota,
        cpu_cfs_quota: view.limits.cpu_quota,
        cpu_shares: view.limits.cpu_shares,
        cpu_set: view.limits.cpuset,
        pids_limit: view.limits.pids,
        ipv4_forwarding: true,
        debug: view.debug,
        nfd: count(view.open_files),
        oom_kill_disable: view.limits.oom_kill_disable,
        n_goroutines: 0,
        system_time: now,
        logging_driver: "json-file".to_owned(),
        cgroup_driver: view.cgroup_driver,
        cgroup_version: view.cgroup_version,
        n_events_listener: count(view.event_listeners),
        kernel_version: view.kernel_version,
        operating_system: view.operating_system,
        os_version: view.os_version,
        os_type: "linux".to_owned(),
        architecture: view.architecture,
        index_server_address: "https://index.docker.io/v1/".to_owned(),
        registry_config: Some(registries(view.registries)),
        ncpu: count(view.cpus),
        mem_total: signed(view.memory_total),
        generic_resources: None,
        docker_root_dir: view.data_root.to_string_lossy().into_owned(),
        http_proxy,
        https_proxy,
        no_proxy,
        name: view.name,
        labels: Vec::new(),
        experimental_build: false,
        server_version: view.server_version,
        runtimes: Map::from([("naru".to_owned(), runtime)]),
        default_runtime: "naru".to_owned(),
        swarm: api::Swarm { local_node_state: "inactive".to_owned(), ..api::Swarm::default() },
        live_restore_enabled: true,
        isolation: String::new(),
        init_binary: "naru".to_owned(),
        containerd_commit: commit(),
        runc_commit: commit(),
        init_commit: commit(),
        security_options: view.security_options,
        warnings: some(view.warnings),
        cdi_spec_dirs: None,
    }
}

/// How registries are reached. Loopback needs no TLS, whatever is configured.
fn registries(config: RegistriesConfig) -> api::RegistryConfig {
    let mut networks = vec!["::1/128".to_owned(), "127.0.0.0/8".to_owned()];
    let mut indexes = Map::new();
    let mut index = |name: &str, mirrors: Vec<String>, secure: bool| {
        let official = name == "docker.io";
        let info = IndexInfo { name: name.to_owned(), mirrors, secure, official };
        if let Ok(info) = serde_json::to_value(info) {
            indexes.insert(name.to_owned(), info);
        }
    };
    index("docker.io", config.mirrors.clone(), true);
    for entry in config.insecure {
        if entry.contains('/') {
            if !networks.contains(&entry) {
                networks.push(entry);
            }
        } else {
            index(&entry, Vec::new(), false);
        }
    }
    for (name, registry) in config.registries {
        index(&name, registry.mirrors, !registry.insecure);
    }
    api::RegistryConfig {
        insecure_registry_cidrs: networks,
        index_configs: indexes,
        mirrors: config.mirrors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_engine::images::RegistryConfig;
    use serde_json::json;

    #[test]
    fn registries_are_shown_as_docker_shows_them() {
        let own = RegistryConfig { mirrors: vec!["https://n/".to_owned()], insecure: false };
        let shown = registries(RegistriesConfig {
            mirrors: vec!["https://m/".to_owned()],
            insecure: vec!["10.0.0.0/8".to_owned(), "r:5000".to_owned(), "127.0.0.0/8".to_owned()],
            registries: [("quay.io".to_owned(), own)].into(),
            ..RegistriesConfig::default()
        });
        let shown = serde_json::to_value(shown).unwrap();
        let index = |name: &str, mirrors: &[&str], secure: bool, official: bool| json!({"Name": name, "Mirrors": mirrors, "Secure": secure, "Official": official});
        assert_eq!(
            shown,
            json!({
                "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8", "10.0.0.0/8"],
                "IndexConfigs": {
                    "docker.io": index("docker.io", &["https://m/"], true, true),
                    "quay.io": index("quay.io", &["https://n/"], true, false),
                    "r:5000": index("r:5000", &[], false, false),
                },
                "Mirrors": ["https://m/"],
            })
        );
    }
}
