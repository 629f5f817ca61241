use super::*;

#[test]
fn frozen_processes_stand_still() {
    for host in hosts() {
        let guarded = Guarded::new(&host, "{}");
        let running = guarded.run("while :; do echo tick; done");
        assert_eq!(running.line(), "tick");
        for _round in 0..3 {
            guarded.cgroup.freeze().unwrap();
            assert!(guarded.cgroup.is_frozen().unwrap());
            // Takes what was written before; the pipe holds 64 KiB.
            let mut file = std::fs::File::from(running.output.try_clone().unwrap());
            let mut buffer = vec![0; 1 << 17];
            while poll::readable(running.output.as_fd(), Some(Duration::from_millis(50))).unwrap() {
                assert!(std::io::Read::read(&mut file, &mut buffer).unwrap() > 0);
            }
            guarded.cgroup.thaw().unwrap();
            assert!(!guarded.cgroup.is_frozen().unwrap());
            assert!(poll::readable(running.output.as_fd(), Some(PATIENCE)).unwrap());
        }
    }
}

#[test]
fn frozen_ones_die_too() {
    for host in hosts() {
        let guarded = Guarded::new(&host, "{}");
        let mut running = guarded.run("sleep 60 & wait");
        guarded.cgroup.freeze().unwrap();
        guarded.cgroup.kill_all().unwrap();
        // On v1 a frozen process hears the signal when it thaws.
        guarded.cgroup.thaw().unwrap();
        assert_eq!(running.wait().signal(), Some(9));
        guarded.cgroup.wait_empty(Instant::now() + PATIENCE).unwrap();
        assert_eq!(guarded.cgroup.processes().unwrap(), Vec::<u32>::new());
    }
}

/// Each process makes the next one and ends: signals one by one would run behind.
const RUNNERS: &str = "run() { run & }\nrun() { ( run & ) ; }\nwhile :; do ( sleep 0 & ) ; done";

#[test]
fn processes_that_multiply_are_all_killed() {
    for host in hosts() {
        for by_freezing in [false, true] {
            let guarded = Guarded::new(&host, r#"{"pids": {"limit": 100}}"#);
            let mut running = guarded.run(RUNNERS);
            if by_freezing {
                guarded.cgroup.kill_by_freezing().unwrap();
            } else {
                guarded.cgroup.kill_all().unwrap();
            }
            assert_eq!(running.wait().signal(), Some(9));
            guarded.cgroup.remove(PATIENCE).unwrap();
            assert_eq!(left_over(&host, guarded.cgroup.path()), Vec::<PathBuf>::new());
        }
    }
}

#[test]
fn cgroups_made_inside_go_with_it() {
    for host in hosts() {
        let guarded = Guarded::new(&host, "{}");
        let top = guarded.cgroup.directory(Controller::Memory).unwrap().clone();
        let inner = top.join("inner/innermost");
        let mut running = guarded.run(&format!(
            "mkdir -p {0} && echo 0 > {0}/cgroup.procs && echo moved; sleep 60",
            inner.display()
        ));
        assert_eq!(running.line(), "moved");
        assert!(guarded.cgroup.processes().unwrap().contains(&running.pid()));
        guarded.cgroup.kill_all().unwrap();
        guarded.cgroup.remove(PATIENCE).unwrap();
        running.wait();
        assert_eq!(left_over(&host, guarded.cgroup.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn removal_waits_for_the_last_process_and_gives_up_in_time() {
    for host in hosts() {
        let guarded = Guarded::new(&host, "{}");
        let _running = guarded.run("sleep 60");
        let error = guarded.cgroup.remove(Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, CgroupError::Timeout { .. }), "{error}");
        guarded.cgroup.kill_all().unwrap();
        guarded.cgroup.remove(PATIENCE).unwrap();
        // Once more is no error: after a crash nobody knows how far the removal was.
        guarded.cgroup.remove(PATIENCE).unwrap();
        assert!(matches!(guarded.cgroup.stats(), Err(CgroupError::Gone { .. })));
    }
}

#[test]
fn a_cgroup_is_found_again_by_its_path() {
    for host in hosts() {
        let guarded = Guarded::new(&host, "{}");
        let running = guarded.run("sleep 60");
        let again = Cgroup::open(&host, guarded.cgroup.path()).unwrap();
        assert_eq!(again.membership().unified, guarded.cgroup.membership().unified);
        assert!(again.processes().unwrap().contains(&running.pid()));
        assert_eq!(again.membership_beside(running.pid()), again.membership());
        let elsewhere = "/naru-test-nowhere/x".parse().unwrap();
        assert!(matches!(Cgroup::open(&host, &elsewhere), Err(CgroupError::Gone { .. })));
    }
}

#[test]
fn what_a_crash_left_empty_is_replaced_and_what_is_in_use_is_not() {
    for host in hosts() {
        let guarded = Guarded::new(&host, r#"{"pids": {"limit": 7}}"#);
        let path = guarded.cgroup.path().clone();
        drop(Cgroup::create(&host, &path, &resources("{}")).unwrap());
        assert_eq!(guarded.cgroup.stats().unwrap().pids.unwrap().limit, None);
        let running = guarded.run("sleep 60");
        let error = Cgroup::create(&host, &path, &resources("{}")).unwrap_err();
        assert_eq!(naru_errdefs::Failure::kind(&error), naru_errdefs::Kind::Conflict, "{error}");
        assert!(guarded.cgroup.processes().unwrap().contains(&running.pid()));
    }
}

#[test]
fn a_creation_that_fails_leaves_nothing() {
    for host in hosts() {
        let path = fresh_path();
        for json in [
            r#"{"cpu": {"cpus": "4096"}}"#,
            r#"{"memory": {"limit": 16777216}, "cpu": {"quota": 1, "period": 100000}}"#,
            r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 77, "rate": 1024}]}}"#,
        ] {
            let error = Cgroup::create(&host, &path, &resources(json)).unwrap_err();
            assert_eq!(
                naru_errdefs::Failure::kind(&error),
                naru_errdefs::Kind::InvalidInput,
                "{error}: {json}"
            );
            assert_eq!(left_over(&host, &path), Vec::<PathBuf>::new());
        }
        Cgroup::remove_empty_parents(&host, &path);
        let parent: CgroupPath = path.as_str().trim_end_matches("/container").parse().unwrap();
        assert_eq!(left_over(&host, &parent), Vec::<PathBuf>::new());
    }
}

/// As init does it on hosts that can: born inside.
#[test]
fn a_process_can_be_cloned_into_the_unified_hierarchy() {
    let host = Hierarchies::probe().unwrap();
    let guarded = Guarded::new(&host, "{}");
    let unified = guarded.cgroup.membership().unified.expect("there is a unified hierarchy");
    let directory = naru_kernel::cgroup::open_directory(&unified).unwrap();
    // It stops itself at once, which needs no memory.
    let child = naru_kernel::clone::spawn(0, Some(directory.as_fd()), || {
        loop {
            std::thread::park();
        }
    })
    .unwrap();
    assert!(guarded.cgroup.processes().unwrap().contains(&child.pid));
    guarded.cgroup.kill_all().unwrap();
    assert!(poll::readable(child.pidfd.as_fd(), Some(PATIENCE)).unwrap());
    pidfd::reap(&child.pidfd).unwrap();
}
