//! Volumes with real containers: made, shared, filled, kept; and what they refuse.

use crate::house::{House, sh, with};
use naru_engine::{
    EventFilter, HostConfig, MountKind, MountRequest, RemoveOptions, Timestamp, VolumeFilter,
    VolumePruneFilter, VolumeRequest,
};
use naru_errdefs::Kind;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

pub(crate) fn named(name: &str) -> VolumeRequest {
    VolumeRequest { name: name.into(), ..VolumeRequest::default() }
}

pub(crate) fn with_options(name: &str, options: &[(&str, &str)]) -> VolumeRequest {
    let options: BTreeMap<String, String> =
        options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    VolumeRequest { options: Some(options), ..named(name) }
}

pub(crate) fn bind(text: &str) -> HostConfig {
    HostConfig { binds: vec![text.into()], ..HostConfig::default() }
}

pub(crate) fn mount(request: MountRequest) -> HostConfig {
    HostConfig { mounts: vec![request], ..HostConfig::default() }
}

/// A file with this content.
pub(crate) fn write(path: std::path::PathBuf, text: &str) -> std::io::Result<()> {
    std::io::Write::write_all(&mut std::fs::File::create(path)?, text.as_bytes())
}

pub(crate) fn host_mounts() -> String {
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
