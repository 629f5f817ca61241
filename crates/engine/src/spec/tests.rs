//! Golden tables of the merge: what of a request reaches which place of the runtime spec.

use super::*;
use crate::model::{DeviceMapping, MountKind, Propagation, Resources, Ulimit};
use serde_json::{Value, json};

fn made(config: ContainerConfig, mut host: HostConfig, facts: Facts) -> Value {
    resources::normalise(&mut host);
    let points = mounts::points(&config, &host, Vec::new()).unwrap();
    serde_json::to_value(spec(&config, &host, &points, &facts).unwrap()).unwrap()
}

fn default_config() -> ContainerConfig {
    ContainerConfig { cmd: Some(vec!["sh".into()]), ..ContainerConfig::default() }
}

fn default_facts() -> Facts {
    Facts { hostname: "box".into(), ..Facts::default() }
}

fn mount_of(spec: &Value, path: &str) -> Value {
    spec["mounts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|mount| mount["destination"] == path)
        .cloned()
        .unwrap_or(Value::Null)
}

fn namespaces_of(spec: &Value) -> Vec<String> {
    let mut list: Vec<String> = spec["linux"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let kind = one["type"].as_str().unwrap();
            match one["path"].as_str() {
                Some(path) => format!("{kind}={path}"),
                None => kind.to_owned(),
            }
        })
        .collect();
    list.sort();
    list
}

#[test]
fn a_plain_container_gets_dockers_defaults() {
    let spec = made(default_config(), HostConfig::default(), default_facts());
    assert_eq!(spec["hostname"], "box");
    assert_eq!(spec["process"]["args"], json!(["sh"]));
    assert_eq!(spec["process"]["cwd"], "/");
    assert_eq!(spec["process"]["noNewPrivileges"], false);
    assert_eq!(spec["process"]["capabilities"]["bounding"].as_array().unwrap().len(), 14);
    assert!(spec["process"]["capabilities"].get("ambient").is_none_or(Value::is_null));
    assert_eq!(namespaces_of(&spec), ["ipc", "mount", "network", "pid", "uts"]);
    let destinations: Vec<&str> = spec["mounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount["destination"].as_str().unwrap())
        .collect();
    assert_eq!(
        destinations,
        ["/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"]
    );
    assert_eq!(
        mount_of(&spec, "/dev/shm")["options"],
        json!(["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"])
    );
    assert_eq!(mount_of(&spec, "/sys")["options"], json!(["nosuid", "noexec", "nodev", "ro"]));
    assert_eq!(spec["linux"]["maskedPaths"].as_array().unwrap().len(), 11);
    assert_eq!(spec["linux"]["readonlyPaths"].as_array().unwrap().len(), 5);
    assert_eq!(spec["linux"]["resources"]["devices"][0]["allow"], false);
    assert!(spec["linux"]["resources"].get("memory").is_none());
}

#[test]
fn a_privileged_container_is_open() {
    let host = HostConfig { privileged: true, ..HostConfig::default() };
    let facts = Facts { unified_cgroups: true, ..default_facts() };
    let spec = made(default_config(), host, facts);
    assert_eq!(spec["process"]["capabilities"]["bounding"].as_array().unwrap().len(), 41);
    assert_eq!(spec["linux"]["maskedPaths"], json!([]));
    assert_eq!(spec["linux"]["readonlyPaths"], json!([]));
    assert_eq!(mount_of(&spec, "/sys")["options"], json!(["nosuid", "noexec", "nodev", "rw"]));
    assert_eq!(spec["linux"]["resources"]["devices"][0]["allow"], true);
    assert!(!namespaces_of(&spec).contains(&"cgroup".to_owned()));
}

#[test]
fn modes_decide_over_namespaces() {
    let joined = Joined {
        network: Some("/proc/1/ns/net".into()),
        ipc: Some("/proc/2/ns/ipc".into()),
        pid: Some("/proc/3/ns/pid".into()),
    };
    for (host, want) in [
        (
            HostConfig {
                network_mode: "host".into(),
                pid_mode: "host".into(),
                ipc_mode: "host".into(),
                uts_mode: "host".into(),
                ..HostConfig::default()
            },
            vec!["cgroup", "mount"],
        ),
        (
            HostConfig {
                network_mode: "container:a".into(),
                pid_mode: "container:a".into(),
                ipc_mode: "container:a".into(),
                cgroupns_mode: "host".into(),
                ..HostConfig::default()
            },
            vec![
                "ipc=/proc/2/ns/ipc",
                "mount",
                "network=/proc/1/ns/net",
                "pid=/proc/3/ns/pid",
                "uts",
            ],
        ),
    ] {
        let facts = Facts { unified_cgroups: true, joined: joined.clone(), ..default_facts() };
        assert_eq!(namespaces_of(&made(default_config(), host, facts)), want);
    }
}

#[test]
fn limits_reach_the_resources() {
    let host = HostConfig {
        resources: Resources {
            memory: 64 << 20,
            memory_reservation: 32 << 20,
            nano_cpus: 1_500_000_000,
            cpu_shares: 512,
            cpuset_cpus: "0-1".into(),
            pids_limit: Some(100),
            blkio_weight: 300,
            ulimits: vec![Ulimit { name: "nofile".into(), soft: 100, hard: -1 }],
            device_cgroup_rules: vec!["c 42:* rw".into()],
            ..Resources::default()
        },
        oom_score_adj: 500,
        shm_size: 1 << 20,
        ..HostConfig::default()
    };
    let spec = made(default_config(), host, default_facts());
    let resources = &spec["linux"]["resources"];
    assert_eq!(
        resources["memory"],
        json!({"limit": 64 << 20, "reservation": 32 << 20, "swap": 128 << 20})
    );
    assert_eq!(
        resources["cpu"],
        json!({"shares": 512, "period": 100_000, "quota": 150_000, "cpus": "0-1"})
    );
    assert_eq!(resources["pids"]["limit"], 100);
    assert_eq!(resources["blockIO"]["weight"], 300);
    assert_eq!(
        resources["devices"].as_array().unwrap().last().unwrap(),
        &json!({"allow": true, "type": "c", "major": 42, "access": "rw"})
    );
    assert_eq!(
        spec["process"]["rlimits"],
        json!([{"type": "RLIMIT_NOFILE", "hard": u64::MAX, "soft": 100}])
    );
    assert_eq!(spec["process"]["oomScoreAdj"], 500);
    assert_eq!(mount_of(&spec, "/dev/shm")["options"][4], "size=1048576");
}

#[test]
fn own_mounts_replace_default_ones_and_set_the_roots_propagation() {
    let host = HostConfig {
        binds: vec!["/srv:/dev/shm:rslave".into(), "/etc/x:/etc/hosts".into()],
        tmpfs: [("/run".to_owned(), String::new())].into(),
        readonly_rootfs: true,
        ..HostConfig::default()
    };
    let facts = Facts {
        files: vec![("/etc/hosts", "/d/hosts".into()), ("/etc/hostname", "/d/hostname".into())],
        ..default_facts()
    };
    let spec = made(default_config(), host, facts);
    assert_eq!(mount_of(&spec, "/dev/shm")["source"], "/srv");
    assert_eq!(mount_of(&spec, "/etc/hosts")["source"], "/etc/x");
    assert_eq!(mount_of(&spec, "/etc/hostname")["options"], json!(["bind", "ro", "rprivate"]));
    assert_eq!(mount_of(&spec, "/run")["options"], json!(["noexec", "nosuid", "nodev"]));
    assert_eq!(spec["linux"]["rootfsPropagation"], "rslave");
    assert_eq!(spec["root"]["readonly"], true);
}

#[test]
fn devices_are_nodes_and_rules() {
    let facts = Facts {
        devices: vec![HostDevice {
            path: "/dev/x".into(),
            block: false,
            major: 10,
            minor: 200,
            mode: 0o660,
            uid: 0,
            gid: 5,
            permissions: "rw".into(),
        }],
        ..default_facts()
    };
    let spec = made(default_config(), HostConfig::default(), facts);
    assert_eq!(
        spec["linux"]["devices"],
        json!([{"path": "/dev/x", "type": "c", "major": 10, "minor": 200, "fileMode": 0o660, "uid": 0, "gid": 5}])
    );
    assert_eq!(
        spec["linux"]["resources"]["devices"].as_array().unwrap().last().unwrap(),
        &json!({"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rw"})
    );
    let relative = DeviceMapping {
        path_on_host: "dev".into(),
        path_in_container: String::new(),
        cgroup_permissions: String::new(),
    };
    assert!(devices::validate(&relative).is_err());
}

#[test]
fn kinds_and_propagations_keep_their_names() {
    for kind in [MountKind::Bind, MountKind::Volume, MountKind::Tmpfs] {
        assert!(!kind.as_str().is_empty());
    }
    for name in ["private", "rprivate", "shared", "rshared", "slave", "rslave"] {
        assert_eq!(Propagation::parse(name).unwrap().as_str(), name);
    }
    assert_eq!(Propagation::parse("x"), None);
}
