//! Files in and out of containers: stopped, running and frozen; through volumes, binds and tmpfs; hostile ones.

use crate::house::{House, soon, with};
use naru_engine::{ChangeKind, CopyIn, HostConfig, MountKind, MountRequest};
use naru_errdefs::{Fault, Kind};
use naru_test_support::{Item, TarFile};
use std::io::Cursor;

async fn put(house: &House, id: &str, path: &str, items: Vec<Item>) -> Result<(), Fault> {
    put_with(house, id, path, items, CopyIn::default()).await
}

async fn put_with(
    house: &House,
    id: &str,
    path: &str,
    items: Vec<Item>,
    options: CopyIn,
) -> Result<(), Fault> {
    let archive = Cursor::new(TarFile::of(items).finish());
    soon("a copy in", house.engine().containers.copy_in(id, path, options, archive)).await
}

async fn get(house: &House, id: &str, path: &str) -> Result<Vec<u8>, Fault> {
    let (_, mut stream) = soon("a copy out", house.engine().containers.copy_out(id, path)).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = soon("a piece", stream.next()).await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

fn has(archive: &[u8], text: &str) -> bool {
    archive.windows(text.len()).any(|window| window == text.as_bytes())
}

fn bind(source: &std::path::Path, target: &str) -> HostConfig {
    HostConfig { binds: vec![format!("{}:{target}", source.display())], ..HostConfig::default() }
}

/// The mounts of this process's host, which nothing here may change.
fn host_mounts() -> usize {
    std::fs::read_to_string("/proc/self/mountinfo")
        .unwrap()
        .lines()
        .filter(|line| line.contains("naru"))
        .count()
}

pub(crate) fn a_stopped_container_is_copied_into_and_out_of() {
    with(|house| async move {
        let before = host_mounts();
        let outside = house.dir.path().join("bound");
        std::fs::create_dir(&outside).unwrap();
        let mut host = bind(&outside, "/bound");
        host.mounts = vec![MountRequest {
            kind: MountKind::Volume,
            source: "vol".into(),
            target: "/data".into(),
            ..MountRequest::default()
        }];
        let id = house.create("cat /tmp/new /bound/new /data/new /data/seed", host).await;
        // Never started: the places of its mounts are made for the first look.
        assert!(has(&get(&house, &id, "/data").await.unwrap(), "from the image"));
        for place in ["/tmp", "/bound", "/data"] {
            put(&house, &id, place, vec![Item::file("new", format!("in {place}\n"))])
                .await
                .unwrap();
        }
        assert_eq!(std::fs::read_to_string(outside.join("new")).unwrap(), "in /bound\n");
        assert!(has(&get(&house, &id, "/bound/new").await.unwrap(), "in /bound"));
        let stat = house.engine().containers.stat_path(&id, "/bound/").await.unwrap();
        assert_eq!((stat.name.as_str(), stat.mode >> 31), ("bound", 1));
        house.start(&id).await;
        assert_eq!(house.wait(&id).await.code, 0);
        assert_eq!(house.logs(&id).await, "in /tmp\nin /bound\nin /data\nfrom the image\n");
        assert_eq!(host_mounts(), before);
        let fault = get(&house, &id, "/nope").await.unwrap_err();
        assert_eq!(fault.message(), format!("Could not find the file /nope in container {id}"));
        let fault = put(&house, &id, "/bin/text", vec![]).await.unwrap_err();
        assert_eq!(fault.message(), "extraction point is not a directory");
        let changes = house.engine().containers.changes(&id).await.unwrap();
        assert!(
            changes
                .iter()
                .any(|change| change.path == "/tmp/new" && change.kind == ChangeKind::Added)
        );
        assert!(
            changes
                .iter()
                .any(|change| change.path == "/tmp" && change.kind == ChangeKind::Modified)
        );
        assert!(changes.iter().all(|change| !change.path.starts_with("/data/")));
        house
    });
}

pub(crate) fn a_running_container_is_copied_into_and_out_of() {
    with(|house| async move {
        let mut host = HostConfig::default();
        host.tmpfs.insert("/scratch".into(), String::new());
        let script = "echo live > /scratch/live; touch /tmp/ready; while [ ! -e /scratch/go ]; do sleep 0.02; done; cat /scratch/go; stat -c %u:%g /scratch/go";
        let id = house.create(script, host).await;
        house.start(&id).await;
        house.appears(&id, "tmp/ready").await;
        assert!(has(&get(&house, &id, "/scratch").await.unwrap(), "live\n"));
        // What is the kernel's is not the container's.
        let proc = get(&house, &id, "/proc").await.unwrap();
        assert!(has(&proc, "proc/") && !has(&proc, "proc/self"), "{} bytes", proc.len());
        house.engine().containers.pause(&id).await.unwrap();
        put(&house, &id, "/scratch", vec![Item::file("go", "went\n").owner(7, 8)]).await.unwrap();
        house.engine().containers.unpause(&id).await.unwrap();
        assert_eq!(house.wait(&id).await.code, 0);
        assert_eq!(house.logs(&id).await, "went\n7:8\n");
        house
    });
}

pub(crate) fn read_only_places_are_not_copied_into() {
    with(|house| async move {
        let outside = house.dir.path().join("bound");
        std::fs::create_dir(&outside).unwrap();
        let source = outside.display();
        let host = HostConfig {
            readonly_rootfs: true,
            binds: vec![format!("{source}:/ro:ro"), format!("{source}:/rw")],
            ..HostConfig::default()
        };
        let id = house.create("sleep 1000", host).await;
        for running in [false, true] {
            if running {
                house.start(&id).await;
            }
            for (place, message) in [
                ("/tmp", "container rootfs is marked read-only"),
                ("/ro", "mounted volume is marked read-only"),
            ] {
                let fault = put(&house, &id, place, vec![Item::file("f", "")]).await.unwrap_err();
                assert_eq!((fault.kind(), fault.message()), (Kind::Forbidden, message));
            }
            put(&house, &id, "/rw", vec![Item::file("f", "")]).await.unwrap();
            assert!(outside.join("f").exists());
        }
        house
    });
}

pub(crate) fn hostile_archives_and_containers_stay_inside() {
    with(|house| async move {
        let target = house.dir.path().join("target");
        std::fs::create_dir(&target).unwrap();
        let far = format!("../../../../../../../../..{}", target.display());
        let script = format!(
            "touch /tmp/ready; while :; do mkdir -p /tmp/d; ln -s {far} /tmp/l; mv /tmp/l /tmp/d/s; rm -rf /tmp/d; ln -s {far} /tmp/d; rm -f /tmp/d; done"
        );
        let script = script
            .replace("ln ", "busybox ln ")
            .replace("mv ", "busybox mv ")
            .replace("rm ", "busybox rm ");
        let id = house.create(&script, HostConfig::default()).await;
        house.start(&id).await;
        house.appears(&id, "tmp/ready").await;
        for _ in 0..100 {
            // It may fail; it stays inside.
            let items = vec![
                Item::dir("d").mode(0o777),
                Item::file("d/f", "hostile"),
                Item::file("d/s/g", "hostile"),
                Item::link("k", &far),
                Item::file("k/h", "hostile"),
            ];
            drop(put(&house, &id, "/tmp", items).await);
            drop(get(&house, &id, "/tmp/d/").await);
        }
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
        let fault = put(&house, &id, "/tmp", vec![Item::file("../../x", "")]).await.unwrap_err();
        assert_eq!(fault.kind(), Kind::InvalidInput);
        house
    });
}

pub(crate) fn a_client_that_leaves_holds_nothing() {
    with(|house| async move {
        let id = house.create("true", HostConfig::default()).await;
        // An upload that never ends, and is dropped in its middle.
        let (reader, mut writer) = tokio::io::duplex(1 << 16);
        let containers = house.engine().containers.clone();
        let own = id.clone();
        let copying = tokio::spawn(async move {
            containers.copy_in(&own, "/tmp", CopyIn::default(), reader).await
        });
        let archive =
            TarFile::of([Item::file("first", "x"), Item::file("big", vec![b'x'; 1 << 20])])
                .finish();
        tokio::io::AsyncWriteExt::write_all(&mut writer, &archive[..100_000]).await.unwrap();
        drop(writer);
        let fault = soon("the failure", copying).await.unwrap().unwrap_err();
        assert!(fault.message().contains("archive"), "{}", fault.message());
        // Its turn is free again, and what was written is there.
        house.start(&id).await;
        house.wait(&id).await;
        assert!(has(&get(&house, &id, "/tmp/first").await.unwrap(), "first"));
        // A download that is dropped at once.
        for _ in 0..40 {
            drop(house.engine().containers.copy_out(&id, "/").await.unwrap());
        }
        put_with(
            &house,
            &id,
            "/tmp",
            vec![Item::dir("first")],
            CopyIn { keep_kinds: true, to_user: false },
        )
        .await
        .unwrap_err();
        house
    });
}

/// A copy into a run that has ended keeps that run's mounts: the next start waits for it, and finds what was written.
pub(crate) fn a_start_waits_for_copies_into_the_run_before() {
    with(|house| async move {
        let id =
            house.create("cat /tmp/late 2>/dev/null || sleep 1000", HostConfig::default()).await;
        house.start(&id).await;
        let (reader, mut writer) = tokio::io::duplex(1 << 16);
        let archive =
            TarFile::of([Item::file("first", vec![b'x'; 200_000]), Item::file("late", "late\n")]);
        let archive = archive.finish();
        let containers = house.engine().containers.clone();
        let own = id.clone();
        let copying = tokio::spawn(async move {
            containers.copy_in(&own, "/tmp", CopyIn::default(), reader).await
        });
        tokio::io::AsyncWriteExt::write_all(&mut writer, &archive[..150_000]).await.unwrap();
        house.appears(&id, "tmp/first").await;
        house.engine().containers.kill(&id, Some("KILL")).await.unwrap();
        house.wait(&id).await;
        let containers = house.engine().containers.clone();
        let mut start = std::pin::pin!(containers.start(&id));
        let moment = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(moment, &mut start).await.is_err(), "it did not wait");
        tokio::io::AsyncWriteExt::write_all(&mut writer, &archive[150_000..]).await.unwrap();
        drop(writer);
        soon("the copy", copying).await.unwrap().unwrap();
        soon("the start", start).await.unwrap();
        assert_eq!(house.wait(&id).await.code, 0);
        assert_eq!(house.logs(&id).await, "late\n");
        house
    });
}

pub(crate) fn a_thousand_copies_at_once() {
    with(|house| async move {
        let id = house.create("sleep 1000", HostConfig::default()).await;
        let idle = house.create("true", HostConfig::default()).await;
        house.start(&id).await;
        let mut copies = tokio::task::JoinSet::new();
        for number in 0..1000 {
            let containers = house.engine().containers.clone();
            let id = if number % 2 == 0 { id.clone() } else { idle.clone() };
            copies.spawn(async move {
                let archive = TarFile::of([Item::file(format!("f{number}"), "x")]).finish();
                containers.copy_in(&id, "/tmp", CopyIn::default(), Cursor::new(archive)).await?;
                containers.stat_path(&id, &format!("/tmp/f{number}")).await
            });
        }
        while let Some(done) = soon("a copy", copies.join_next()).await {
            done.unwrap().unwrap();
        }
        house
    });
}

pub(crate) fn files_become_the_containers_users_when_asked_for() {
    with(|house| async move {
        let config = |user: &str| naru_engine::ContainerConfig {
            user: user.into(),
            ..crate::house::sh("stat -c %u:%g /tmp/plain /tmp/given")
        };
        for (user, want) in
            [("bob", "5:6\n1000:1000\n"), ("7:crew", "5:6\n7:50\n"), ("", "5:6\n5:6\n")]
        {
            let id = house.create_with(config(user), HostConfig::default()).await.unwrap();
            put(&house, &id, "/tmp", vec![Item::file("plain", "").owner(5, 6)]).await.unwrap();
            let options = CopyIn { to_user: true, keep_kinds: false };
            put_with(&house, &id, "/tmp", vec![Item::file("given", "").owner(5, 6)], options)
                .await
                .unwrap();
            house.start(&id).await;
            house.wait(&id).await;
            assert_eq!(house.logs(&id).await, want, "{user}");
        }
        house
    });
}
