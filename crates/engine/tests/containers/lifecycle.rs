//! States and their moves with real processes.

use crate::house::{House, drain, sh, soon, with};
use naru_engine::{
    ContainerConfig, CreateRequest, HostConfig, ListFilter, RemoveOptions, RestartName,
    RestartPolicy, Status, StopOptions, WaitCondition,
};
use naru_errdefs::Kind;
use std::time::Duration;

pub(crate) fn a_container_runs_and_leaves_its_log() {
    with(async |house: House| {
        let (code, log) = house.run("echo out; echo err >&2; exit 3", HostConfig::default()).await;
        assert_eq!(code, 3);
        assert!(log.contains("out\n") && log.contains("err\n"), "{log}");

        let rows = house
            .engine()
            .containers
            .list(&ListFilter { all: true, ..ListFilter::default() })
            .await
            .unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].state, Status::Exited);
        assert!(rows[0].status.starts_with("Exited (3) "), "{}", rows[0].status);
        let view = house.engine().containers.inspect(&rows[0].id, true).await.unwrap();
        assert_eq!(view.state.exit_code, 3);
        assert_eq!(view.path, "sh");
        assert!(view.size_root_fs.unwrap() > 100_000);

        let script = "id -u; id -G; hostname; echo $HOME $PATH; cat /proc/self/cgroup | head -1; ls /proc/self/fd; readlink /proc/1/exe";
        let mut config = sh(script);
        config.user = "bob".into();
        config.hostname = "box".into();
        let id = house.create_with(config, HostConfig::default()).await.unwrap();
        house.start(&id).await;
        assert_eq!(house.wait(&id).await.code, 0);
        let log = house.logs(&id).await;
        assert!(log.starts_with("1000\n1000 50\nbox\n/home/bob /bin\n"), "{log}");
        house
    });
}

pub(crate) fn auto_remove_leaves_nothing() {
    with(async |house: House| {
        let host = HostConfig { auto_remove: true, ..HostConfig::default() };
        let id = house.create("echo hi; exit 7", host.clone()).await;
        let mut attachment = house.attach(&id, false).await;
        let removed = house.engine().containers.wait(&id, WaitCondition::Removed).unwrap();
        house.start(&id).await;
        assert_eq!(drain(&mut attachment).await.0, "hi\n");
        assert_eq!(soon("the removal", removed).await.code, 7);
        let gone = house.engine().containers.inspect(&id, false).await.unwrap_err();
        assert_eq!(gone.kind(), Kind::NotFound);

        let failing = house
            .create_with(
                ContainerConfig { cmd: Some(vec!["nothing-there".into()]), ..sh("") },
                host,
            )
            .await
            .unwrap();
        let fault = house.engine().containers.start(&failing).await.unwrap_err();
        assert_eq!(fault.kind(), Kind::CommandNotFound);
        let gone = house.engine().containers.inspect(&failing, false).await.unwrap_err();
        assert_eq!(gone.kind(), Kind::NotFound);
        house
    });
}

pub(crate) fn stop_kill_and_exit_codes() {
    with(async |house: House| {
        let containers = &house.engine().containers;
        let polite = "trap 'exit 5' TERM; touch /ready; while :; do sleep 1; done";
        let id = house.create(polite, HostConfig::default()).await;
        house.start(&id).await;
        house.appears(&id, "ready").await;
        soon("the stop", containers.stop(&id, StopOptions::default())).await.unwrap();
        let view = containers.inspect(&id, false).await.unwrap();
        assert_eq!((view.state.status, view.state.exit_code), (Status::Exited, 5));
        let again = containers.stop(&id, StopOptions::default()).await.unwrap_err();
        assert_eq!(again.kind(), Kind::NotModified);

        let deaf = "trap '' TERM; touch /ready; while :; do sleep 1; done";
        let id = house.create(deaf, HostConfig::default()).await;
        house.start(&id).await;
        house.appears(&id, "ready").await;
        let options = StopOptions { timeout: Some(0), signal: None };
        soon("the stop", containers.stop(&id, options)).await.unwrap();
        assert_eq!(containers.inspect(&id, false).await.unwrap().state.exit_code, 137);

        let id = house.create("sleep 1000", HostConfig::default()).await;
        house.start(&id).await;
        let already = containers.start(&id).await.unwrap_err();
        assert_eq!(already.kind(), Kind::NotModified);
        containers.kill(&id, Some("KILL")).await.unwrap();
        assert_eq!(house.wait(&id).await.code, 137);
        soon("the restart", containers.restart(&id, StopOptions::default())).await.unwrap();
        assert_eq!(containers.inspect(&id, false).await.unwrap().state.status, Status::Running);
        let options = RemoveOptions { force: true, volumes: false };
        soon("the removal", containers.remove(&id, options)).await.unwrap();
        house
    });
}

pub(crate) fn restart_policies_start_it_again() {
    with(async |house: House| {
        let containers = &house.engine().containers;
        let host = HostConfig {
            restart: RestartPolicy { name: RestartName::OnFailure, maximum_retry_count: 2 },
            ..HostConfig::default()
        };
        let id = house.create("echo run; exit 1", host).await;
        house.start(&id).await;
        let finished = async {
            loop {
                let view = containers.inspect(&id, false).await.unwrap();
                if view.state.status == Status::Exited && view.restart_count == 2 {
                    return view;
                }
                let wait = containers.wait(&id, WaitCondition::NotRunning).unwrap();
                drop(tokio::time::timeout(Duration::from_millis(20), wait).await);
            }
        };
        assert_eq!(soon("the last run", finished).await.state.exit_code, 1);
        assert_eq!(house.logs(&id).await, "run\nrun\nrun\n");

        let host = HostConfig {
            restart: RestartPolicy { name: RestartName::Always, maximum_retry_count: 0 },
            ..HostConfig::default()
        };
        let id = house.create("exit 0", host).await;
        house.start(&id).await;
        soon("the exit", containers.wait(&id, WaitCondition::NextExit).unwrap()).await;
        soon("the stop", containers.stop(&id, StopOptions::default())).await.ok();
        let view = containers.inspect(&id, false).await.unwrap();
        assert_eq!(view.state.status, Status::Exited);
        house
    });
}

pub(crate) fn pause_and_unpause() {
    with(async |house: House| {
        let containers = &house.engine().containers;
        let id = house.create("while :; do echo x; sleep 0.01; done", HostConfig::default()).await;
        house.start(&id).await;
        containers.pause(&id).await.unwrap();
        let view = containers.inspect(&id, false).await.unwrap();
        assert_eq!(view.state.status, Status::Paused);
        assert_eq!(containers.pause(&id).await.unwrap_err().kind(), Kind::Conflict);
        assert_eq!(containers.start(&id).await.unwrap_err().kind(), Kind::Conflict);
        containers.unpause(&id).await.unwrap();
        assert_eq!(containers.unpause(&id).await.unwrap_err().kind(), Kind::Conflict);
        containers.pause(&id).await.unwrap();
        let options = StopOptions { timeout: Some(0), signal: None };
        soon("the stop", containers.stop(&id, options)).await.unwrap();
        let stats = containers.stats(&id).await.unwrap();
        assert_eq!(stats, None);
        house
    });
}

pub(crate) fn names_are_taken_and_given_back() {
    with(async |house: House| {
        let containers = &house.engine().containers;
        let named = |name: &str| CreateRequest {
            name: Some(name.to_owned()),
            config: sh("true"),
            host: HostConfig { network_mode: "none".into(), ..HostConfig::default() },
            ..CreateRequest::default()
        };
        let first = containers.create(named("web")).await.unwrap().id;
        let taken = containers.create(named("web")).await.unwrap_err();
        assert_eq!(taken.kind(), Kind::Conflict);
        assert!(taken.message().contains("\"/web\" is already in use"), "{taken:?}");
        containers.rename("web", "site").await.unwrap();
        let second = containers.create(named("web")).await.unwrap().id;
        assert_eq!(containers.rename("site", "web").await.unwrap_err().kind(), Kind::Conflict);
        assert_eq!(containers.inspect("site", false).await.unwrap().id, first);
        assert_eq!(containers.inspect(&second[..12], false).await.unwrap().name, "web");
        containers.remove("web", RemoveOptions::default()).await.unwrap();
        containers.rename(&first, "web").await.unwrap();
        house
    });
}

pub(crate) fn a_daemon_finds_what_runs() {
    with(async |mut house: House| {
        let plain = house
            .create("n=0; while :; do echo $n; n=$((n+1)); sleep 0.01; done", HostConfig::default())
            .await;
        let fleeting = house
            .create("sleep 1000", HostConfig { auto_remove: true, ..HostConfig::default() })
            .await;
        let ending = house
            .create("while [ ! -e /go ]; do sleep 0.01; done; exit 9", HostConfig::default())
            .await;
        for id in [&plain, &fleeting, &ending] {
            house.start(id).await;
        }
        let view = house.engine().containers.inspect(&ending, false).await.unwrap();
        let before = house.engine().containers.inspect(&plain, false).await.unwrap().state.pid;
        house.end_daemon().await;
        // It ends while no daemon is there.
        std::fs::create_dir_all(&view.upper_dir).unwrap();
        let path = format!("/proc/{}/root/go", view.state.pid);
        std::fs::File::create(path).unwrap();
        let gone = async {
            while std::path::Path::new(&format!("/proc/{}/root/bin", view.state.pid)).exists() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon("the end", gone).await;
        house.start_daemon().await;
        let containers = &house.engine().containers;
        let after = containers.inspect(&plain, false).await.unwrap().state;
        assert_eq!((after.status, after.pid), (Status::Running, before));
        let state = containers.inspect(&fleeting, false).await.unwrap().state;
        assert_eq!(state.status, Status::Running);
        assert_eq!(house.wait(&ending).await.code, 9);

        let options = StopOptions { timeout: Some(0), signal: None };
        containers.stop(&plain, options).await.unwrap();
        let log = house.logs(&plain).await;
        for (index, line) in log.lines().enumerate() {
            assert_eq!(line, index.to_string());
        }
        house
    });
}

pub(crate) fn a_thousand_are_created_at_once() {
    with(async |house: House| {
        let containers = house.engine().containers.clone();
        let tasks: Vec<_> = (0..1000)
            .map(|_| {
                let containers = containers.clone();
                tokio::spawn(async move {
                    let request = CreateRequest {
                        name: None,
                        config: sh("true"),
                        host: HostConfig { network_mode: "none".into(), ..HostConfig::default() },
                        ..CreateRequest::default()
                    };
                    containers.create(request).await.unwrap().id
                })
            })
            .collect();
        for task in tasks {
            soon("a create", task).await.unwrap();
        }
        let all = ListFilter { all: true, ..ListFilter::default() };
        assert_eq!(containers.list(&all).await.unwrap().len(), 1000);
        let pruned = containers.prune(&naru_engine::PruneFilter::default()).await.unwrap();
        assert_eq!(pruned.deleted.len(), 1000);
        house
    });
}

pub(crate) fn volumes_keep_and_are_filled() {
    with(async |house: House| {
        let host = || HostConfig { binds: vec!["vol:/data".into()], ..HostConfig::default() };
        let (code, log) = house.run("cat /data/seed; echo kept > /data/own", host()).await;
        assert_eq!((code, log.as_str()), (0, "from the image\n"));
        let (_, log) = house.run("cat /data/own", host()).await;
        assert_eq!(log, "kept\n");

        let mut config = sh("echo x > /data/file");
        config.volumes.insert("/data".into());
        let id = house.create_with(config, HostConfig::default()).await.unwrap();
        let view = house.engine().containers.inspect(&id, false).await.unwrap();
        let source = std::path::PathBuf::from(&view.mounts[0].source);
        assert!(source.join("seed").exists());
        house.start(&id).await;
        house.wait(&id).await;
        assert!(source.join("file").exists());
        let options = RemoveOptions { force: false, volumes: true };
        house.engine().containers.remove(&id, options).await.unwrap();
        assert!(!source.exists());

        let shared = house.dir.path().join("shared");
        let host = HostConfig {
            binds: vec![format!("{}:/mnt", shared.display())],
            ..HostConfig::default()
        };
        let (code, _) = house.run("echo y > /mnt/made", host).await;
        assert_eq!(code, 0);
        assert_eq!(std::fs::read_to_string(shared.join("made")).unwrap(), "y\n");
        house
    });
}
