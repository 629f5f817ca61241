use super::*;

/// Memory alone, without help of swap.
const SIXTEEN_MEGABYTES: &str = r#"{"memory": {"limit": 16777216, "swap": 16777216}}"#;

#[test]
fn more_memory_than_the_limit_is_death() {
    for host in hosts() {
        let guarded = Guarded::new(&host, SIXTEEN_MEGABYTES);
        let events = guarded.cgroup.oom_events().unwrap();
        assert_eq!(events.take().unwrap(), 0);
        let mut running = guarded.run("exec tail /dev/zero");
        assert_eq!(running.wait().signal(), Some(9));
        assert!(poll::readable(events.as_fd(), Some(PATIENCE)).unwrap(), "no news");
        assert_eq!(events.take().unwrap(), 1);
        let memory = guarded.cgroup.stats().unwrap().memory.unwrap();
        assert_eq!(memory.limit, Some(16 << 20));
        assert_eq!(memory.oom_kills, 1);
        assert!(
            memory.max_usage.is_none_or(|most| most > 8 << 20 && most <= 16 << 20),
            "{memory:?}"
        );
        assert!(!memory.stat.is_empty());
    }
}

#[test]
fn no_more_processes_than_the_limit() {
    for host in hosts() {
        let guarded = Guarded::new(&host, r#"{"pids": {"limit": 3}}"#);
        let mut running = guarded
            .run("sleep 60 >&2 & sleep 60 >&2 &\necho two\nsleep 60 >&2 &\necho never\nwait");
        assert_eq!(running.line(), "two");
        // The shell itself is the first one, so the third sleep cannot be made.
        assert_ne!(running.line(), "never");
        running.wait();
        let pids = guarded.cgroup.stats().unwrap().pids.unwrap();
        assert_eq!(pids.limit, Some(3));
        eventually("the children remain", || {
            guarded.cgroup.stats().unwrap().pids.unwrap().current == 2
        });
        assert_eq!(guarded.cgroup.processes().unwrap().len(), 2);
    }
}

#[test]
fn processor_time_is_counted_and_held_back() {
    for host in hosts() {
        let guarded =
            Guarded::new(&host, r#"{"cpu": {"quota": 5000, "period": 50000, "shares": 512}}"#);
        let _running = guarded.run("while :; do :; done");
        eventually("it is held back", || {
            let cpu = guarded.cgroup.stats().unwrap().cpu.unwrap();
            cpu.throttled_periods > 2 && cpu.throttled > 0 && cpu.total > 0
        });
        let cpu = guarded.cgroup.stats().unwrap().cpu.unwrap();
        assert!(cpu.periods >= cpu.throttled_periods, "{cpu:?}");
        assert!(cpu.user > 0, "{cpu:?}");
        if !host.is_unified() {
            assert!(cpu.per_cpu.iter().sum::<u64>() > 0);
        }
    }
}

#[test]
fn processors_and_memory_nodes_can_be_chosen() {
    for host in hosts() {
        let guarded = Guarded::new(&host, r#"{"cpu": {"cpus": "0", "mems": "0"}}"#);
        let running = guarded.run("grep Cpus_allowed_list /proc/self/status");
        assert_eq!(running.line(), "Cpus_allowed_list:\t0");
    }
}

/// A disk whose speed can be limited: of a machine, not of memory or of a file.
fn disk() -> Option<(String, String)> {
    std::fs::read_dir("/sys/block").unwrap().flatten().find_map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        let size: u64 =
            std::fs::read_to_string(entry.path().join("size")).ok()?.trim().parse().ok()?;
        let numbers = std::fs::read_to_string(entry.path().join("dev")).ok()?.trim().to_owned();
        let real = name.starts_with("vd") || name.starts_with("sd") || name.starts_with("nvme");
        (real && size > 16384).then_some((format!("/dev/{name}"), numbers))
    })
}

#[test]
fn the_speed_of_a_disk_is_limited_and_its_use_counted() {
    let (disk, numbers) = disk().expect("a machine has a disk");
    let (major, minor) = numbers.split_once(':').unwrap();
    // Where nobody may open the disk itself, a file that lies on it does: the program of this test.
    let source = match std::fs::File::open(&disk) {
        Ok(_) => PathBuf::from(disk),
        Err(_) => std::env::current_exe().unwrap(),
    };
    let source = source.display();
    for host in hosts() {
        let guarded = Guarded::new(
            &host,
            &format!(
                r#"{{"blockIO": {{"throttleReadBpsDevice": [{{"major": {major}, "minor": {minor}, "rate": 2097152}}]}}}}"#
            ),
        );
        let started = Instant::now();
        let mut running = guarded.run(&format!(
            "dd if={source} of=/dev/null bs=262144 count=12 iflag=direct 2>/dev/null"
        ));
        assert!(running.wait().success());
        let took = started.elapsed();
        assert!(took > Duration::from_millis(900), "3 MiB at 2 MiB/s took {took:?}");
        let blkio = guarded.cgroup.stats().unwrap().blkio.unwrap();
        let read: u64 = blkio
            .bytes
            .iter()
            .filter(|entry| {
                entry.op.eq_ignore_ascii_case("read")
                    && format!("{}:{}", entry.major, entry.minor) == numbers
            })
            .map(|entry| entry.value)
            .sum();
        assert!(read >= 3 << 20, "{blkio:?}");
        assert!(!blkio.operations.is_empty());
    }
}

#[test]
fn limits_of_a_live_container_are_changed() {
    for host in hosts() {
        let mut guarded = Guarded::new(&host, SIXTEEN_MEGABYTES);
        let running = guarded.run("sleep 60 & echo forked; wait");
        assert_eq!(running.line(), "forked");
        let limit = |guarded: &Guarded| guarded.cgroup.stats().unwrap().memory.unwrap().limit;
        // Up, where swap must go first, and down, where memory must.
        for bytes in [64_u64 << 20, 24 << 20] {
            let json = format!(r#"{{"memory": {{"limit": {bytes}, "swap": {}}}}}"#, bytes * 2);
            let warnings = guarded.cgroup.update(&resources(&json)).unwrap();
            assert!(warnings.len() <= 1, "{warnings:?}");
            assert_eq!(limit(&guarded), Some(bytes));
        }
        guarded.cgroup.update(&resources(r#"{"memory": {"limit": -1}}"#)).unwrap();
        assert_eq!(limit(&guarded), None);
        // What nothing needed before: both processes must be in it now.
        guarded
            .cgroup
            .update(&resources(
                r#"{"cpu": {"quota": 20000, "cpus": "0", "mems": "0"}, "pids": {"limit": 50}}"#,
            ))
            .unwrap();
        assert_eq!(guarded.cgroup.stats().unwrap().pids.unwrap().limit, Some(50));
        for pid in guarded.cgroup.processes().unwrap() {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
        }
        // Period and quota depend on each other in turn.
        for json in [
            r#"{"cpu": {"quota": 400000, "period": 200000}}"#,
            r#"{"cpu": {"quota": 2000, "period": 10000}}"#,
            r#"{"cpu": {"quota": -1}}"#,
        ] {
            guarded.cgroup.update(&resources(json)).unwrap();
        }
    }
}

#[test]
fn memory_in_use_cannot_be_taken_away() {
    for host in hosts() {
        let mut guarded =
            Guarded::new(&host, r#"{"memory": {"limit": 134217728, "swap": 134217728}}"#);
        // A buffer of 32 MiB, full and waiting to be written: nothing that the kernel could take back.
        let _running = guarded.run("dd if=/dev/zero bs=33554432 count=1 2>/dev/null | sleep 600");
        eventually("the buffer is full", || {
            guarded.cgroup.stats().unwrap().memory.unwrap().usage > 24 << 20
        });
        let json = r#"{"memory": {"limit": 8388608, "swap": 8388608, "checkBeforeUpdate": true}}"#;
        let error = guarded.cgroup.update(&resources(json)).unwrap_err();
        assert!(error.to_string().contains("in use already"), "{error}");
        assert_eq!(naru_errdefs::Failure::kind(&error), naru_errdefs::Kind::Conflict);
        assert!(naru_errdefs::Failure::hint(&error).is_some());
    }
}
