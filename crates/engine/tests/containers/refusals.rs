//! Bad input: a clear word, and nothing left behind (every house is searched when it is left).

use crate::house::{House, sh, with};
use naru_engine::{
    BindOptions, ContainerConfig, CreateRequest, HostConfig, ListFilter, MountRequest,
    RemoveOptions, Resources, Status,
};
use naru_errdefs::{Kind, one_line};

pub(crate) fn commands_that_cannot_start_say_why() {
    with(async |house: House| {
        let containers = &house.engine().containers;
        for (cmd, user, kind, part, code) in [
            ("nope", "", Kind::CommandNotFound, "executable file not found in $PATH", 127),
            ("/no/such", "", Kind::CommandNotFound, "no such file or directory", 127),
            ("/bin/text", "", Kind::CommandNotExecutable, "permission denied", 126),
            ("/bin/true", "nobody-here", Kind::InvalidInput, "nobody-here", 128),
        ] {
            let config =
                ContainerConfig { cmd: Some(vec![cmd.into()]), user: user.into(), ..sh("") };
            let id = house.create_with(config, HostConfig::default()).await.unwrap();
            let fault = containers.start(&id).await.unwrap_err();
            assert_eq!(fault.kind(), kind, "{cmd}: {fault:?}");
            assert!(one_line(&fault).contains(part), "{cmd}: {fault:?}");
            let state = containers.inspect(&id, false).await.unwrap().state;
            assert_eq!((state.status, state.exit_code), (Status::Created, code), "{cmd}");
            assert!(state.error.contains(part), "{cmd}: {}", state.error);
        }
        house
    });
}

pub(crate) fn requests_that_cannot_be_leave_nothing() {
    with(async |house: House| {
        let containers = &house.engine().containers;
        let bind = |options: BindOptions| MountRequest {
            source: "/no/such/source".into(),
            target: "/mnt".into(),
            bind: Some(options),
            ..MountRequest::default()
        };
        let cases = [
            (
                sh(""),
                HostConfig {
                    resources: Resources { memory: 1 << 20, ..Resources::default() },
                    ..HostConfig::default()
                },
                Kind::InvalidInput,
                "Minimum memory limit allowed is 6MB",
            ),
            (
                sh(""),
                HostConfig { mounts: vec![bind(BindOptions::default())], ..HostConfig::default() },
                Kind::InvalidInput,
                "invalid mount config for type \"bind\": bind source path does not exist: /no/such/source",
            ),
            (
                ContainerConfig { image: "nope".into(), ..sh("") },
                HostConfig::default(),
                Kind::NotFound,
                "No such image: nope:latest",
            ),
            (
                sh(""),
                HostConfig { network_mode: "container:nope".into(), ..HostConfig::default() },
                // `NotFound` would send clients after the image.
                Kind::InvalidInput,
                "No such container: nope",
            ),
        ];
        for (config, host, kind, message) in cases {
            let fault = house.create_with(config, host).await.unwrap_err();
            assert_eq!((fault.kind(), fault.message()), (kind, message));
        }
        for name in ["", "a", "a b", "/", "-x"] {
            let request = CreateRequest {
                name: Some(name.into()),
                config: sh(""),
                host: HostConfig::default(),
                ..CreateRequest::default()
            };
            let fault = containers.create(request).await.unwrap_err();
            assert_eq!(fault.kind(), Kind::InvalidInput, "{name}");
        }
        let all = ListFilter { all: true, ..ListFilter::default() };
        assert!(containers.list(&all).await.unwrap().is_empty());

        let created = containers
            .create(CreateRequest {
                name: None,
                config: sh(""),
                host: HostConfig {
                    network_mode: "host".into(),
                    publish_all_ports: true,
                    ..HostConfig::default()
                },
                ..CreateRequest::default()
            })
            .await
            .unwrap();
        assert_eq!(
            created.warnings,
            ["Published ports are discarded when using host network mode"]
        );
        house
    });
}

pub(crate) fn states_forbid_what_they_must() {
    with(async |house: House| {
        let containers = &house.engine().containers;
        let id = house.create("sleep 1000", HostConfig::default()).await;
        for fault in [
            containers.kill(&id, None).await.unwrap_err(),
            containers.pause(&id).await.unwrap_err(),
            containers.top(&id, "").await.unwrap_err(),
        ] {
            assert_eq!(fault.kind(), Kind::Conflict, "{fault:?}");
            assert!(fault.message().contains("is not running"), "{fault:?}");
        }
        house.start(&id).await;
        let fault = containers.remove(&id, RemoveOptions::default()).await.unwrap_err();
        assert_eq!(fault.kind(), Kind::Conflict);
        assert_eq!(
            fault.message(),
            format!(
                "You cannot remove a running container {id}. Stop the container before attempting removal or force remove"
            )
        );
        let fault = containers.kill(&id, Some("NOPE")).await.unwrap_err();
        assert_eq!(fault.message(), "invalid signal: NOPE");
        let top = containers.top(&id, "").await.unwrap();
        assert_eq!(top.processes.len(), 1);
        assert!(top.processes[0].last().unwrap().contains("sleep 1000"), "{top:?}");
        let stats = containers.stats(&id).await.unwrap().unwrap();
        assert_eq!(stats.pids, 1);
        assert!(stats.memory_usage > 0);
        let limit = Resources { memory: 64 << 20, ..Resources::default() };
        containers.update(&id, limit, None).await.unwrap();
        let stats = containers.stats(&id).await.unwrap().unwrap();
        assert_eq!(stats.memory_limit, 64 << 20);
        house
    });
}
