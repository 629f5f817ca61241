//! Containers in cgroups of their own, on whichever hierarchies the host has.

use crate::fixture::Fixture;
use naru_runtime::cgroup::{Cgroup, CgroupPath, Created, Hierarchies};
use std::time::Duration;

/// Gone at the end, also when the test fails.
struct Guard(Hierarchies, Cgroup);

impl Drop for Guard {
    fn drop(&mut self) {
        self.1.kill_all().unwrap();
        self.1.remove(Duration::from_secs(60)).unwrap();
        Cgroup::remove_empty_parents(&self.0, self.1.path());
    }
}

#[test]
fn a_container_is_in_its_cgroup_from_the_start_and_sees_it_as_the_top() {
    let host = Hierarchies::probe().unwrap();
    let path = CgroupPath::new(&format!("/naru-launch-{}", std::process::id()), "one").unwrap();
    let limits = serde_json::from_str(r#"{"pids": {"limit": 77}, "memory": {"limit": 67108864}}"#);
    let Created { cgroup, warnings } = Cgroup::create(&host, &path, &limits.unwrap()).unwrap();
    let guard = Guard(host, cgroup);
    assert!(warnings.iter().all(|warning| warning.contains("swap")), "{warnings:?}");
    let fixture = Fixture::new(
        "cat /proc/self/cgroup; find /sys/fs/cgroup -name pids.max -maxdepth 2 -exec cat {} ';'",
    )
    .with(|options| options.cgroup_join = guard.1.membership().files());
    let out = fixture.stdout();
    assert!(out.contains("77\n"), "{out}");
    // The host's path is not to be seen; `/` is.
    assert!(!out.contains("naru-launch"), "{out}");
    assert!(out.contains(":/\n"), "{out}");
    assert!(guard.1.stats().unwrap().cpu.unwrap().total > 0);
}
