//! Volumes with real containers: made, shared, filled, kept; and what they refuse.

use crate::house::{House, sh, with};
use naru_engine::{
    EventFilter, HostConfig, MountKind, MountRequest, RemoveOptions, Timestamp, VolumeFilter,
    VolumePruneFilter, VolumeRequest,
};
use naru_errdefs::{Kind, one_line};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

fn named(name: &str) -> VolumeRequest {
    VolumeRequest { name: name.into(), ..VolumeRequest::default() }
}

fn with_options(name: &str, options: &[(&str, &str)]) -> VolumeRequest {
    let options: BTreeMap<String, String> =
        options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    VolumeRequest { options: Some(options), ..named(name) }
}

fn bind(text: &str) -> HostConfig {
    HostConfig { binds: vec![text.into()], ..HostConfig::default() }
}

fn mount(request: MountRequest) -> HostConfig {
    HostConfig { mounts: vec![request], ..HostConfig::default() }
}

/// A file with this content.
fn write(path: std::path::PathBuf, text: &str) -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::fs::File::create(path)?, text.as_bytes())
}

fn host_mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

pub(crate) fn volumes_are_made_listed_and_removed() {
    with(async |mut house: House| {
        let volumes = house.engine().volumes.clone();
        let made = volumes.create(named("one")).await.unwrap();
        assert!(made.mountpoint.is_dir());
        let labels = Some([("env".to_owned(), "x".to_owned())].into());
        volumes.create(VolumeRequest { labels, ..named("two") }).await.unwrap();
        let again = volumes.create(named("one")).await.unwrap();
        assert_eq!(again.created, made.created);
        let other = with_options("one", &[("type", "tmpfs"), ("device", "tmpfs")]);
        assert_eq!(volumes.create(other).await.unwrap_err().kind(), Kind::Conflict);
        let anonymous = volumes.create(VolumeRequest::default()).await.unwrap();
        assert_eq!(anonymous.name.len(), 64);

        let names = async |filter: VolumeFilter| -> Vec<String> {
            let found = volumes.list(&filter).await.unwrap();
            found.into_iter().map(|view| view.name).filter(|name| name.len() < 64).collect()
        };
        assert_eq!(names(VolumeFilter::default()).await, ["one", "two"]);
        let label = VolumeFilter { label: vec!["env=x".into()], ..VolumeFilter::default() };
        assert_eq!(names(label).await, ["two"]);
        let name = VolumeFilter { name: vec!["ne".into()], ..VolumeFilter::default() };
        assert_eq!(names(name).await, ["one"]);

        let id = house.create("true", bind("one:/v")).await;
        let idle = VolumeFilter { dangling: Some(true), ..VolumeFilter::default() };
        assert_eq!(names(idle).await, ["two"]);
        for force in [false, true] {
            let fault = volumes.remove("one", force).await.unwrap_err();
            assert_eq!(fault.kind(), Kind::Conflict);
            assert_eq!(fault.message(), format!("remove one: volume is in use - [{id}]"));
        }
        let pruned = volumes.prune(VolumePruneFilter::default()).await.unwrap();
        assert_eq!(pruned.deleted, [anonymous.name]);

        // Another daemon finds them as they were.
        drop(volumes);
        house.end_daemon().await;
        house.start_daemon().await;
        let volumes = house.engine().volumes.clone();
        assert_eq!(volumes.inspect("one").await.unwrap(), again);
        let all = VolumePruneFilter { all: true, ..VolumePruneFilter::default() };
        assert_eq!(volumes.prune(all).await.unwrap().deleted, ["two"]);
        house.engine().containers.remove(&id, RemoveOptions::default()).await.unwrap();
        volumes.remove("one", false).await.unwrap();
        assert!(!made.mountpoint.exists());
        let fault = volumes.remove("one", false).await.unwrap_err();
        assert_eq!((fault.kind(), fault.message()), (Kind::NotFound, "get one: no such volume"));
        volumes.remove("one", true).await.unwrap();
        let left = std::fs::read_dir(house.dir.path().join("data/volumes")).unwrap().count();
        assert_eq!(left, 0);
        house
    });
}

pub(crate) fn names_with_tricks_are_refused() {
    with(async |house: House| {
        let volumes = &house.engine().volumes;
        for name in ["../x", "a/b", "/abs", ".hidden", "-x", "a", &"n".repeat(300), "a\0b"] {
            let fault = volumes.create(named(name)).await.unwrap_err();
            assert_eq!(fault.kind(), Kind::InvalidInput, "{name}");
            assert_eq!(volumes.inspect(name).await.unwrap_err().kind(), Kind::NotFound);
            assert_eq!(volumes.remove(name, false).await.unwrap_err().kind(), Kind::NotFound);
        }
        for text in ["../x:/v", "a/b:/v", &format!("{}:/v", "n".repeat(300))] {
            let fault = house.create_with(sh(""), bind(text)).await.unwrap_err();
            assert_eq!(fault.kind(), Kind::InvalidInput, "{text}");
        }
        for (options, part) in [
            (&[("colour", "red")][..], "invalid option: \"colour\""),
            (&[("type", "tmpfs")][..], "missing required option: \"device\""),
            (&[("size", "1g")][..], "quota size requested but no quota support"),
        ] {
            let fault = volumes.create(with_options("vol", options)).await.unwrap_err();
            assert!(fault.message().contains(part), "{fault:?}");
        }
        let left = std::fs::read_dir(house.dir.path().join("data/volumes")).unwrap().count();
        assert_eq!(left, 0);
        house
    });
}

pub(crate) fn leftovers_are_swept_and_old_directories_are_kept() {
    with(async |mut house: House| {
        let dir = house.dir.path().join("data/volumes");
        house.engine().volumes.create(named("kept")).await.unwrap();
        house.end_daemon().await;
        for name in ["old", "half", ".gone-1"] {
            std::fs::create_dir_all(dir.join(name).join("_data")).unwrap();
            write(dir.join(name).join("_data/file"), name).unwrap();
        }
        write(dir.join("half/unfinished"), "").unwrap();
        write(dir.join("kept/unfinished"), "").unwrap();
        house.start_daemon().await;
        let found = house.engine().volumes.list(&VolumeFilter::default()).await.unwrap();
        let names: Vec<&str> = found.iter().map(|view| view.name.as_str()).collect();
        assert_eq!(names, ["kept", "old"]);
        assert!(!dir.join("half").exists() && !dir.join(".gone-1").exists());
        assert!(!dir.join("kept/unfinished").exists());
        assert_eq!(std::fs::read_to_string(dir.join("old/_data/file")).unwrap(), "old");
        house
    });
}

pub(crate) fn a_volume_in_memory_is_one_for_all_who_run_with_it() {
    with(async |mut house: House| {
        let before = host_mounts();
        let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,mode=700")];
        house.engine().volumes.create(with_options("mem", &options)).await.unwrap();
        let script = "cat /proc/mounts > /mounts; echo first > /v/file; touch /up; sleep 1000";
        let id = house.create(script, bind("mem:/v")).await;
        house.start(&id).await;
        house.appears(&id, "up").await;
        let view = house.engine().containers.inspect(&id, false).await.unwrap();
        let mounts = std::fs::read_to_string(view.upper_dir.join("mounts")).unwrap();
        assert!(mounts.contains(" /v tmpfs rw"), "{mounts}");

        let (code, log) = house.run("cat /w/file; echo second > /w/two", bind("mem:/w")).await;
        assert_eq!((code, log.as_str()), (0, "first\n"));
        // A daemon that knows nothing of the first mount finds it.
        house.end_daemon().await;
        house.start_daemon().await;
        let (code, log) = house.run("cat /v/two", bind("mem:/v:ro")).await;
        assert_eq!((code, log.as_str()), (0, "second\n"));
        let (code, _) = house.run("echo no > /v/three", bind("mem:/v:ro")).await;
        assert_ne!(code, 0);
        let subpath = MountRequest {
            kind: MountKind::Volume,
            source: "mem".into(),
            target: "/s".into(),
            subpath: "file".into(),
            ..MountRequest::default()
        };
        assert_eq!(house.run("cat /s", mount(subpath)).await.1, "first\n");
        // What nobody uses is gone.
        let options = RemoveOptions { force: true, volumes: false };
        house.engine().containers.remove(&id, options).await.unwrap();
        assert_eq!(house.run("ls /v", bind("mem:/v")).await.1, "");
        assert_eq!(host_mounts(), before);
        house
    });
}

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

pub(crate) fn empty_volumes_are_filled_and_others_are_not() {
    with(async |house: House| {
        let volumes = &house.engine().volumes;
        let empty = volumes.create(named("empty")).await.unwrap().mountpoint;
        assert_eq!(house.run("cat /data/seed", bind("empty:/data")).await.1, "from the image\n");
        let status = std::fs::metadata(&empty).unwrap();
        assert_eq!(status.mode() & 0o7777, 0o755);
        let full = volumes.create(named("full")).await.unwrap().mountpoint;
        write(full.join("own"), "x").unwrap();
        assert_eq!(house.run("ls /data", bind("full:/data")).await.1, "own\n");
        assert_eq!(house.run("ls /data", bind("bare:/data:nocopy")).await.1, "");
        // The owner and the mode of the image's directory come along.
        assert_eq!(house.run("stat -c %a /tmp", bind("tmp:/tmp")).await.1, "1777\n");
        // A volume that somebody runs with is filled in its place.
        volumes.create(named("shared")).await.unwrap();
        let id = house.create("touch /up; sleep 1000", bind("shared:/elsewhere")).await;
        house.start(&id).await;
        house.appears(&id, "up").await;
        assert_eq!(house.run("ls /data", bind("shared:/data")).await.1, "seed\n");
        let exec = house.run("ls /x", bind("shared:/x")).await;
        assert_eq!(exec.1, "seed\n");
        std::fs::set_permissions(&full, std::fs::Permissions::from_mode(0o700)).unwrap();
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

/// An entry of an access list as the kernel keeps it.
fn acl_entry(tag: u16, permissions: u16, id: u32) -> Vec<u8> {
    [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
}

pub(crate) fn volumes_are_backed_up_and_restored() {
    with(async |house: House| {
        let volumes = &house.engine().volumes;
        let data = volumes.create(named("vol")).await.unwrap().mountpoint;
        std::fs::create_dir(data.join("d")).unwrap();
        write(data.join("d/f"), "text\n").unwrap();
        std::os::unix::fs::chown(data.join("d/f"), Some(7), Some(8)).unwrap();
        std::fs::set_permissions(data.join("d/f"), std::fs::Permissions::from_mode(0o4755))
            .unwrap();
        symlink("nowhere", data.join("link")).unwrap();
        let file = std::fs::File::open(data.join("d/f")).unwrap();
        naru_kernel::xattr::set(&file, b"user.note", b"kept\x00").unwrap();
        // Version 2; owner rwx, user 7 r--, group ---, mask r--, others ---.
        let acl = [
            &2u32.to_le_bytes()[..],
            &acl_entry(1, 7, u32::MAX),
            &acl_entry(2, 4, 7),
            &acl_entry(4, 0, u32::MAX),
            &acl_entry(16, 4, u32::MAX),
            &acl_entry(32, 0, u32::MAX),
        ]
        .concat();
        let listed = std::fs::File::create(data.join("acl")).unwrap();
        naru_kernel::xattr::set(&listed, b"system.posix_acl_access", &acl).unwrap();
        // What layers mean a deletion by is a name like others in a volume.
        write(data.join(".wh.d"), "").unwrap();
        write(data.join(".wh..wh..opq"), "").unwrap();
        std::fs::hard_link(data.join("d/f"), data.join("hard")).unwrap();
        let mut archive = Vec::new();
        let mut stream = volumes.backup("vol").await.unwrap();
        while let Some(piece) = stream.next().await {
            archive.extend_from_slice(&piece.unwrap());
        }
        let copy = volumes.create(named("copy")).await.unwrap().mountpoint;
        write(copy.join("old"), "").unwrap();
        volumes.restore("copy", std::io::Cursor::new(archive.clone()), false).await.unwrap();
        let status = std::fs::metadata(copy.join("d/f")).unwrap();
        assert_eq!((status.uid(), status.gid(), status.mode() & 0o7777), (7, 8, 0o4755));
        assert_eq!(status.ino(), std::fs::metadata(copy.join("hard")).unwrap().ino());
        assert_eq!(std::fs::read_link(copy.join("link")).unwrap().to_str(), Some("nowhere"));
        assert!(!copy.join("old").exists());
        let file = std::fs::File::open(copy.join("d/f")).unwrap();
        assert_eq!(naru_kernel::xattr::get(&file, b"user.note").unwrap(), b"kept\x00");
        let listed = std::fs::File::open(copy.join("acl")).unwrap();
        assert_eq!(naru_kernel::xattr::get(&listed, b"system.posix_acl_access").unwrap(), acl);
        assert!(copy.join(".wh.d").exists() && copy.join(".wh..wh..opq").exists());

        let id = house.create("cat /v/d/f", bind("copy:/v")).await;
        let refused = volumes.restore("copy", std::io::Cursor::new(archive.clone()), false).await;
        assert_eq!(
            refused.unwrap_err().message(),
            format!("restore copy: volume is in use - [{id}]")
        );
        volumes.restore("copy", std::io::Cursor::new(archive.clone()), true).await.unwrap();
        house.start(&id).await;
        house.wait(&id).await;
        assert_eq!(house.logs(&id).await, "text\n");
        // What is no archive changes nothing.
        for bad in [Vec::new(), b"no archive at all".to_vec(), archive[..700].to_vec()] {
            assert!(volumes.restore("vol", std::io::Cursor::new(bad), false).await.is_err());
            assert_eq!(std::fs::read_to_string(data.join("d/f")).unwrap(), "text\n");
        }
        assert_eq!(volumes.backup("nope").await.unwrap_err().kind(), Kind::NotFound);
        house
    });
}

pub(crate) fn what_happens_to_volumes_is_told() {
    with(async |house: House| {
        let filter = EventFilter {
            since: Some(Timestamp::now()),
            kind: vec!["volume".into()],
            volume: vec!["vol".into()],
            ..EventFilter::default()
        };
        let mut events = house.engine().events.subscribe(filter);
        let id = house.create("true", bind("vol:/v:ro")).await;
        house.start(&id).await;
        house.wait(&id).await;
        let containers = &house.engine().containers;
        containers.remove(&id, RemoveOptions::default()).await.unwrap();
        house.engine().volumes.remove("vol", false).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..4 {
            let event = crate::house::soon("an event", events.next()).await.unwrap();
            seen.push(event.action.clone());
            if event.action == "mount" {
                assert_eq!(event.attributes["read/write"], "false");
                assert_eq!(event.attributes["destination"], "/v");
                assert_eq!(event.attributes["container"], id);
            }
        }
        assert_eq!(seen, ["create", "mount", "unmount", "destroy"]);
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

pub(crate) fn many_at_once_never_lose_a_volume_under_a_container() {
    with(async |house: House| {
        let engine = house.engine().clone();
        let tasks: Vec<_> = (0..60)
            .map(|number| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    let name = format!("vol{}", number % 3);
                    if number % 2 == 0 {
                        match engine.volumes.remove(&name, false).await {
                            Err(fault)
                                if !matches!(fault.kind(), Kind::Conflict | Kind::NotFound) =>
                            {
                                panic!("{fault:?}")
                            }
                            _ => {}
                        }
                        return;
                    }
                    let host = HostConfig {
                        network_mode: "none".into(),
                        auto_remove: number % 4 == 1,
                        ..bind(&format!("{name}:/data"))
                    };
                    let request = naru_engine::CreateRequest {
                        name: None,
                        config: sh("true"),
                        host,
                        networks: Default::default(),
                    };
                    match engine.containers.create(request).await {
                        Err(fault) if fault.kind() != Kind::Conflict => panic!("{fault:?}"),
                        _ => {}
                    }
                })
            })
            .collect();
        for task in tasks {
            crate::house::soon("a task", task).await.unwrap();
        }
        let all = naru_engine::ListFilter { all: true, ..Default::default() };
        let rows = engine.containers.list(&all).await.unwrap();
        assert!(!rows.is_empty());
        for row in rows {
            for point in row.mounts {
                let source = std::path::Path::new(&point.source);
                assert_eq!(
                    std::fs::read_to_string(source.join("seed")).unwrap(),
                    "from the image\n"
                );
                engine.volumes.inspect(point.name.as_deref().unwrap()).await.unwrap();
            }
        }
        drop(engine);
        house
    });
}
