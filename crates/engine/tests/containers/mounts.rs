//! Mounts of real containers: of volumes, of what is in them, of images and of paths of the host.

use crate::house::{House, sh, with};
use crate::volumes::{bind, host_mounts, mount, named, with_options, write};
use naru_engine::{HostConfig, MountKind, MountRequest, RemoveOptions};
use naru_errdefs::{Kind, one_line};
use std::os::unix::fs::symlink;

pub(crate) fn a_volume_may_stand_for_a_path_of_the_host() {
    with(async |house: House| {
        let outside = house.dir.path().join("outside");
        std::fs::create_dir_all(outside.join("sub")).unwrap();
        write(outside.join("sub/file"), "there\n").unwrap();
        let path = outside.to_string_lossy().into_owned();
        let volumes = &house.engine().volumes;
        let options = [("type", "none"), ("device", path.as_str()), ("o", "bind,ro")];
        volumes.create(with_options("out", &options)).await.unwrap();
        let (_, log) =
            house.run("cat /v/sub/file; echo x 2>&1 > /v/new || echo ro", bind("out:/v")).await;
        assert!(log.starts_with("there\n") && log.ends_with("ro\n"), "{log}");
        let options = [("type", "none"), ("device", "/no/such/dir"), ("o", "bind")];
        volumes.create(with_options("lost", &options)).await.unwrap();
        let fault = house.create_with(sh("true"), bind("lost:/v")).await.unwrap_err();
        assert!(
            one_line(&fault).contains("failed to mount local volume: mount /no/such/dir:"),
            "{fault:?}"
        );
        let options = [("type", "nosuchfs"), ("device", "x")];
        volumes.create(with_options("odd", &options)).await.unwrap();
        let mut request = MountRequest {
            kind: MountKind::Volume,
            source: "odd".into(),
            target: "/v".into(),
            volume_no_copy: true,
            ..MountRequest::default()
        };
        let id = house.create("true", mount(request.clone())).await;
        let fault = house.engine().containers.start(&id).await.unwrap_err();
        assert!(one_line(&fault).contains("failed to mount local volume: mount x:"), "{fault:?}");
        request.source = "out".into();
        request.subpath = "sub".into();
        assert_eq!(house.run("cat /v/file", mount(request)).await.1, "there\n");
        house
    });
}

pub(crate) fn a_subpath_never_leads_outside() {
    with(async |house: House| {
        let view = house.engine().volumes.create(named("vol")).await.unwrap();
        let data = view.mountpoint;
        let secret = house.dir.path().join("secret");
        std::fs::create_dir(&secret).unwrap();
        write(secret.join("file"), "SECRET\n").unwrap();
        std::fs::create_dir_all(data.join("in/side")).unwrap();
        write(data.join("in/side/file"), "inside\n").unwrap();
        symlink(&secret, data.join("absolute")).unwrap();
        symlink("../../../../secret", data.join("relative")).unwrap();
        symlink("/in/side", data.join("good")).unwrap();
        let host = |subpath: &str| {
            mount(MountRequest {
                kind: MountKind::Volume,
                source: "vol".into(),
                target: "/v".into(),
                subpath: subpath.into(),
                volume_no_copy: true,
                ..MountRequest::default()
            })
        };
        assert_eq!(house.run("cat /v/file", host("in/side")).await.1, "inside\n");
        assert_eq!(house.run("cat /v/file", host("good")).await.1, "inside\n");
        assert_eq!(house.run("cat /v", host("in/side/file")).await.1, "inside\n");
        for subpath in ["absolute", "relative", "missing", "in/../../../x/../missing"] {
            let made = house.create_with(sh("cat /v/file"), host(subpath)).await;
            let fault = match made {
                Err(fault) => fault,
                Ok(id) => house.engine().containers.start(&id).await.unwrap_err(),
            };
            assert_eq!(fault.kind(), Kind::InvalidInput, "{subpath}: {fault:?}");
        }
        // Swapped as fast as can be between a directory and a link: one of the two words, never the secret.
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let swapper = {
            let (stop, data, secret) = (stop.clone(), data.clone(), secret.clone());
            std::thread::spawn(move || {
                symlink(&secret, data.join("evil")).unwrap();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    naru_kernel::fs::exchange(&data.join("evil"), &data.join("in")).unwrap();
                }
            })
        };
        for _ in 0..20 {
            let id = house.create("cat /v/file", host("in/side")).await;
            if house.engine().containers.start(&id).await.is_ok() {
                house.wait(&id).await;
                assert_eq!(house.logs(&id).await, "inside\n");
            }
            let id = house.create("cat /v/file", host("in")).await;
            if house.engine().containers.start(&id).await.is_ok() {
                house.wait(&id).await;
                assert!(!house.logs(&id).await.contains("SECRET"));
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        swapper.join().unwrap();
        house
    });
}

pub(crate) fn mounts_of_other_containers_are_inherited() {
    with(async |house: House| {
        let mut config = sh("echo theirs > /anon/file; echo more > /named/file");
        config.volumes.insert("/anon".into());
        let first = house.create_with(config, bind("vol:/named")).await.unwrap();
        house.start(&first).await;
        house.wait(&first).await;
        let from = |text: String| HostConfig { volumes_from: vec![text], ..HostConfig::default() };
        let (_, log) = house.run("cat /anon/file /named/file", from(first.clone())).await;
        assert_eq!(log, "theirs\nmore\n");
        let (code, _) = house.run("echo x > /named/file", from(format!("{first}:ro"))).await;
        assert_ne!(code, 0);
        let fault = house.create_with(sh(""), from("nope".into())).await.unwrap_err();
        assert_eq!(
            (fault.kind(), fault.message()),
            (Kind::InvalidInput, "No such container: nope")
        );

        // The last one that has an anonymous volume takes it along.
        let containers = &house.engine().containers;
        let second = house.create("true", from(first.clone())).await;
        let view = containers.inspect(&first, false).await.unwrap();
        let anonymous = view.mounts.iter().find(|point| point.anonymous).unwrap();
        let source = std::path::PathBuf::from(&anonymous.source);
        let options = RemoveOptions { force: false, volumes: true };
        let all = naru_engine::ListFilter { all: true, ..Default::default() };
        for row in containers.list(&all).await.unwrap() {
            if row.id != second {
                containers.remove(&row.id, options).await.unwrap();
            }
        }
        assert!(source.exists());
        containers.remove(&second, options).await.unwrap();
        assert!(!source.exists());
        house.engine().volumes.inspect("vol").await.unwrap();
        house
    });
}

pub(crate) fn images_are_mounted_read_only() {
    with(async |house: House| {
        let before = host_mounts();
        let request = MountRequest {
            kind: MountKind::Image,
            source: "tiny:1".into(),
            target: "/image".into(),
            ..MountRequest::default()
        };
        let (_, log) = house
            .run(
                "cat /image/data/seed; echo x 2>/dev/null > /image/new || echo ro",
                mount(request.clone()),
            )
            .await;
        assert_eq!(log, "from the image\nro\n");
        let part = MountRequest { subpath: "data".into(), ..request.clone() };
        assert_eq!(house.run("ls /image", mount(part)).await.1, "seed\n");
        let missing = MountRequest { source: "nope".into(), ..request };
        let fault = house.create_with(sh(""), mount(missing)).await.unwrap_err();
        assert_eq!(
            (fault.kind(), fault.message()),
            (Kind::InvalidInput, "No such image: nope:latest")
        );
        assert_eq!(host_mounts(), before);
        house
    });
}

pub(crate) fn nothing_is_mounted_over_proc() {
    with(async |house: House| {
        for (target, message) in [
            ("/proc", "\"/proc\" cannot be mounted because it is not of type proc"),
            ("/proc/self", "\"/proc/self\" cannot be mounted because it is inside /proc"),
            ("/x/../proc/sys", "\"/proc/sys\" cannot be mounted because it is inside /proc"),
        ] {
            let id = house.create("true", bind(&format!("vol:{target}"))).await;
            let fault = house.engine().containers.start(&id).await.unwrap_err();
            assert!(one_line(&fault).contains(message), "{fault:?}");
        }
        house
    });
}

pub(crate) fn mounts_are_shown_as_docker_shows_them() {
    with(async |house: House| {
        let mut config = sh("true");
        config.volumes.insert("/anon".into());
        let long = |source: &str, target: &str| MountRequest {
            kind: MountKind::Volume,
            source: source.into(),
            target: target.into(),
            ..MountRequest::default()
        };
        let host = HostConfig {
            binds: vec!["vol:/v".into(), "vol2:/ro:ro".into(), "/tmp:/b:ro,rslave".into()],
            mounts: vec![long("v3", "/m"), long("", "/n")],
            tmpfs: [("/t2".to_owned(), "size=1m".to_owned())].into(),
            ..HostConfig::default()
        };
        let id = house.create_with(config, host).await.unwrap();
        let view = house.engine().containers.inspect(&id, false).await.unwrap();
        let mut shown: Vec<String> = view
            .mounts
            .iter()
            .map(|point| {
                let propagation = point.propagation.map_or("", |one| one.as_str());
                format!(
                    "{} {} {:?} {} {propagation:?}",
                    point.destination,
                    point.kind.as_str(),
                    point.mode,
                    point.writable
                )
            })
            .collect();
        shown.sort();
        assert_eq!(
            shown,
            [
                "/anon volume \"\" true \"\"",
                "/b bind \"ro,rslave\" false \"rslave\"",
                "/m volume \"z\" true \"\"",
                "/n volume \"z\" true \"\"",
                "/ro volume \"ro\" false \"\"",
                "/v volume \"z\" true \"\"",
            ]
        );
        house
    });
}

pub(crate) fn an_overlay_as_a_volume_is_mounted_once() {
    with(async |house: House| {
        let base = house.dir.path().join("layers");
        for name in ["low", "deep", "up", "work"] {
            std::fs::create_dir_all(base.join(name)).unwrap();
        }
        write(base.join("low/a"), "a\n").unwrap();
        write(base.join("deep/b"), "b\n").unwrap();
        let at = |name: &str| base.join(name).to_string_lossy().into_owned();
        let layers = format!(
            "lowerdir={}:{},upperdir={},workdir={}",
            at("low"),
            at("deep"),
            at("up"),
            at("work")
        );
        let options = [("type", "overlay"), ("device", "overlay"), ("o", layers.as_str())];
        house.engine().volumes.create(with_options("lay", &options)).await.unwrap();
        let id = house.create("echo c > /v/c; touch /up; sleep 1000", bind("lay:/v")).await;
        house.start(&id).await;
        house.appears(&id, "up").await;
        let (_, log) = house.run("cat /w/a /w/b /w/c; echo d > /w/d", bind("lay:/w")).await;
        assert_eq!(log, "a\nb\nc\n");
        assert!(base.join("up/d").exists());
        // What is on a disk stays when nobody uses it.
        let options = RemoveOptions { force: true, volumes: false };
        house.engine().containers.remove(&id, options).await.unwrap();
        assert_eq!(house.run("cat /v/c /v/d", bind("lay:/v")).await.1, "c\nd\n");
        house
    });
}
