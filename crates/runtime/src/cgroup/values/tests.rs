use super::*;
use crate::cgroup::hierarchy::{Legacy, Unified};

fn legacy(controllers: &[Controller]) -> Hierarchies {
    let legacy = controllers
        .iter()
        .map(|controller| Legacy {
            mount: format!("/cg/{controller}").into(),
            controllers: vec![*controller],
        })
        .collect();
    Hierarchies { legacy, unified: None }
}

fn unified() -> Hierarchies {
    let controllers =
        Controller::ALL.into_iter().filter(|one| one.unified_name().is_some()).collect();
    Hierarchies { legacy: Vec::new(), unified: Some(Unified { mount: "/cg".into(), controllers }) }
}

fn lines(host: &Hierarchies, json: &str) -> Result<Vec<String>, CgroupError> {
    let found = values(&serde_json::from_str(json).unwrap(), host)?;
    let mut lines: Vec<String> =
        found.values.iter().map(|value| format!("{}={}", value.file, value.text)).collect();
    lines.extend(found.warnings.iter().map(|warning| format!("warning: {warning}")));
    Ok(lines)
}

/// What is written for a limit on v1 and on v2.
fn check(json: &str, v1: &[&str], v2: &[&str]) {
    assert_eq!(lines(&legacy(&Controller::ALL), json).unwrap(), v1, "v1: {json}");
    assert_eq!(lines(&unified(), json).unwrap(), v2, "v2: {json}");
}

#[test]
fn memory_limits() {
    check(
        r#"{"memory": {"limit": 1000, "swap": 3000, "reservation": 500}}"#,
        &[
            "memory.limit_in_bytes=1000",
            "memory.memsw.limit_in_bytes=3000",
            "memory.soft_limit_in_bytes=500",
        ],
        &["memory.max=1000", "memory.low=500", "memory.swap.max=2000"],
    );
    check(
        r#"{"memory": {"limit": 1000, "swap": 1000}}"#,
        &["memory.limit_in_bytes=1000", "memory.memsw.limit_in_bytes=1000"],
        &["memory.max=1000", "memory.swap.max=0"],
    );
    check(
        r#"{"memory": {"limit": 1000, "swap": -1}}"#,
        &["memory.limit_in_bytes=1000", "memory.memsw.limit_in_bytes=-1"],
        &["memory.max=1000", "memory.swap.max=max"],
    );
    check(
        r#"{"memory": {"limit": -1}}"#,
        &["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"],
        &["memory.max=max", "memory.swap.max=max"],
    );
    check(r#"{"memory": {"limit": 0, "swap": 0}}"#, &[], &[]);
    check(
        r#"{"memory": {"swappiness": 10, "disableOOMKiller": true}}"#,
        &["memory.oom_control=1", "memory.swappiness=10"],
        &[&format!("warning: {ONLY_TREE}")],
    );
    check(r#"{"memory": {"disableOOMKiller": false}}"#, &[], &[]);
    let ignored = format!("warning: {NO_KERNEL_MEMORY}");
    check(r#"{"memory": {"kernel": 1000}}"#, &[&ignored], &[&ignored]);
}

#[test]
fn processor_limits() {
    check(
        r#"{"cpu": {"shares": 1024, "quota": 20000, "period": 100000, "burst": 5}}"#,
        &[
            "cpu.shares=1024",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=20000",
            "cpu.cfs_burst_us=5",
        ],
        &["cpu.weight=100", "cpu.max=20000 100000", "cpu.max.burst=5"],
    );
    check(r#"{"cpu": {"quota": -1}}"#, &["cpu.cfs_quota_us=-1"], &["cpu.max=max"]);
    check(r#"{"cpu": {"period": 50000}}"#, &["cpu.cfs_period_us=50000"], &["cpu.max=max 50000"]);
    check(
        r#"{"cpu": {"cpus": "0-1,3", "mems": "0"}}"#,
        &["cpuset.cpus=0-1,3", "cpuset.mems=0"],
        &["cpuset.cpus=0-1,3", "cpuset.mems=0"],
    );
    check(
        r#"{"cpu": {"shares": 0, "quota": 0, "cpus": "", "idle": 1}}"#,
        &["cpu.idle=1"],
        &["cpu.idle=1"],
    );
    check(r#"{"cpu": {"realtimeRuntime": 0}}"#, &[], &[]);
}

#[test]
fn other_limits() {
    check(r#"{"pids": {"limit": 20}}"#, &["pids.max=20"], &["pids.max=20"]);
    check(r#"{"pids": {"limit": -1}}"#, &["pids.max=max"], &["pids.max=max"]);
    check(
        r#"{"blockIO": {"weight": 300, "weightDevice": [{"major": 8, "minor": 0, "weight": 20}]}}"#,
        &[
            "blkio.weight|blkio.bfq.weight=300",
            "blkio.weight_device|blkio.bfq.weight_device=8:0 20",
        ],
        &["io.bfq.weight|io.weight=default 300", "io.bfq.weight|io.weight=8:0 20"],
    );
    check(
        r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 9}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}]}}"#,
        &["blkio.throttle.read_bps_device=8:0 9", "blkio.throttle.write_iops_device=8:16 0"],
        &["io.max=8:0 rbps=9", "io.max=8:16 wiops=max"],
    );
    check(
        r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4096}]}"#,
        &["hugetlb.2MB.limit_in_bytes=4096"],
        &["hugetlb.2MB.max=4096"],
    );
    check(
        r#"{"rdma": {"mlx": {"hcaHandles": 3}}}"#,
        &["rdma.max=mlx hca_handle=3 hca_object=max"],
        &["rdma.max=mlx hca_handle=3 hca_object=max"],
    );
    let network = r#"{"network": {"classID": 5, "priorities": [{"name": "eth0", "priority": 2}]}}"#;
    assert_eq!(
        lines(&legacy(&Controller::ALL), network).unwrap(),
        ["net_cls.classid=5", "net_prio.ifpriomap=eth0 2"]
    );
    let literal = r#"{"unified": {"memory.high": "5000", "cpu.max": "1 2"}}"#;
    assert_eq!(lines(&unified(), literal).unwrap(), ["cpu.max=1 2", "memory.high=5000"]);
}

#[test]
fn a_limit_without_a_controller_is_refused_by_name() {
    for (json, controller) in [
        (r#"{"memory": {"limit": 1000}}"#, "memory"),
        (r#"{"cpu": {"shares": 3}}"#, "cpu"),
        (r#"{"cpu": {"cpus": "0"}}"#, "cpuset"),
        (r#"{"pids": {"limit": 3}}"#, "pids"),
        (r#"{"blockIO": {"weight": 30}}"#, "blkio"),
        (r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}"#, "hugetlb"),
        (r#"{"network": {"classID": 3}}"#, "net_cls"),
        (r#"{"rdma": {"x": {}}}"#, "rdma"),
        (r#"{"devices": [{"allow": false}]}"#, "devices"),
    ] {
        let error = lines(&legacy(&[]), json).unwrap_err();
        assert!(matches!(error, CgroupError::NoController { .. }), "{error}");
        assert!(error.to_string().contains(&format!("no `{controller}`")), "{error}");
        assert_eq!(naru_errdefs::Failure::kind(&error), naru_errdefs::Kind::Unsupported);
    }
    // What asks for nothing needs nothing.
    for json in [
        "{}",
        r#"{"memory": {}, "cpu": {}, "blockIO": {}}"#,
        r#"{"devices": [{"allow": true, "access": "rwm"}]}"#,
    ] {
        assert_eq!(lines(&legacy(&[]), json).unwrap(), Vec::<String>::new());
    }
}

#[test]
fn values_that_cannot_be_are_refused() {
    let all = legacy(&Controller::ALL);
    for (host, json, expected) in [
        (&all, r#"{"memory": {"swappiness": 101}}"#, "`101`"),
        (&all, r#"{"cpu": {"realtimeRuntime": 1000}}"#, "real-time"),
        (&all, r#"{"cpu": {"cpus": "0\n1"}}"#, "not a list"),
        (&all, r#"{"blockIO": {"leafWeight": 10}}"#, "leaf weight"),
        (&all, r#"{"hugepageLimits": [{"pageSize": "../x", "limit": 1}]}"#, "`../x`"),
        (&all, r#"{"hugepageLimits": [{"pageSize": "2", "limit": 1}]}"#, "page size"),
        (&all, r#"{"unified": {"memory.high": "1"}}"#, "cgroup v1"),
        (
            &all,
            r#"{"devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "x"}]}"#,
            "`x`",
        ),
        (
            &all,
            r#"{"devices": [{"allow": true, "type": "c", "major": -2, "access": "r"}]}"#,
            "`-2`",
        ),
        (&unified(), r#"{"memory": {"limit": 1000, "swap": 10}}"#, "at least the memory limit"),
        (&unified(), r#"{"memory": {"swap": 10}}"#, "at least the memory limit"),
        (&unified(), r#"{"unified": {"../x.y": "1"}}"#, "only files of controllers"),
        (&unified(), r#"{"unified": {"cgroup.procs": "1"}}"#, "only files of controllers"),
        (&unified(), r#"{"unified": {"nothing.max": "1"}}"#, "no such controller"),
        (&unified(), r#"{"unified": {"memory": "1"}}"#, "not the name"),
        (&unified(), r#"{"network": {"classID": 3}}"#, "net_cls"),
    ] {
        let error = lines(host, json).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}: {json}");
    }
}
