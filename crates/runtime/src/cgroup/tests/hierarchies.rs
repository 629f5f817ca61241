use super::*;
use naru_kernel::mountinfo;

/// Reads a mount table; the unified hierarchy offers `controllers`.
fn host(table: &str, controllers: &str) -> Hierarchies {
    let mut host = Hierarchies::from_mounts(&mountinfo::parse(table));
    if let Some(unified) = &mut host.unified {
        unified.controllers = hierarchy::parse_controllers(controllers);
    }
    host
}

const UNIFIED: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
const HYBRID: &str = "30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
35 30 0:28 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct";

#[test]
fn the_unified_hierarchy_alone() {
    let host = host(UNIFIED, "cpuset cpu io memory hugetlb pids rdma misc");
    assert!(host.is_unified());
    for controller in
        [Controller::Memory, Controller::Blkio, Controller::Devices, Controller::Cpuacct]
    {
        assert_eq!(host.home(controller), Some(Home::Unified));
    }
    assert_eq!(host.home(Controller::NetCls), None);
}

#[test]
fn controllers_together_and_a_hierarchy_mounted_twice() {
    let host = host(HYBRID, "");
    assert!(!host.is_unified());
    assert_eq!(host.legacy.len(), 2);
    assert_eq!(host.home(Controller::Cpu), Some(Home::Legacy(0)));
    assert_eq!(host.home(Controller::Cpuacct), Some(Home::Legacy(0)));
    assert_eq!(host.home(Controller::Memory), Some(Home::Legacy(1)));
    assert_eq!(host.home(Controller::Pids), None);
}

#[test]
fn some_controllers_here_and_some_there() {
    let host = host(HYBRID, "pids io");
    assert_eq!(host.home(Controller::Pids), Some(Home::Unified));
    assert_eq!(host.home(Controller::Memory), Some(Home::Legacy(1)));
    assert!(host.is_unified());
}

#[test]
fn this_host_has_what_the_tests_need() {
    let support = Hierarchies::probe().unwrap().support();
    assert!(
        support.memory && support.pids && support.cpu_quota && support.devices && support.freezer,
        "{support:?}"
    );
}
