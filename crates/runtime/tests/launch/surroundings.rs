//! Mounts, devices, masks, limits, settings, namespaces. Acts.

use crate::fixture::{Fixture, process};
use naru_runtime::{ExecOptions, Reason};
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn the_default_mounts_are_there() {
    let out = Fixture::new("cut -d' ' -f2-3 /proc/mounts | sort | grep -v cgroup/").stdout();
    for expected in [
        "/ overlay",
        "/dev tmpfs",
        "/dev/mqueue mqueue",
        "/dev/pts devpts",
        "/dev/shm tmpfs",
        "/proc proc",
        "/proc/keys ",
        "/proc/sys proc",
        "/sys sysfs",
    ] {
        assert!(out.lines().any(|line| line.starts_with(expected)), "{expected} in {out}");
    }
}

#[test]
fn nothing_of_the_host_is_mounted() {
    let fixture = Fixture::new("cat /proc/self/mountinfo");
    let out = fixture.stdout();
    let base = fixture.dir.path().display().to_string();
    for line in out.lines() {
        let point = line.split(' ').nth(4).unwrap();
        assert!(!point.contains(&base), "{line}");
        assert!(
            ["/", "/proc", "/dev", "/sys"].iter().any(|known| point.starts_with(known)),
            "{line}"
        );
    }
    assert_eq!(out.lines().filter(|line| line.split(' ').nth(4) == Some("/")).count(), 1);
    let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!host.contains(&base), "mounted on the host");
}

#[test]
fn the_default_devices_are_there() {
    let out = Fixture::new("cd /dev; stat -c '%n %F %t:%T %a' null zero full random urandom tty; for l in fd stdin ptmx; do readlink $l; done")
        .stdout();
    let expected = "null character special file 1:3 666\nzero character special file 1:5 666\n\
                    full character special file 1:7 666\nrandom character special file 1:8 666\n\
                    urandom character special file 1:9 666\ntty character special file 5:0 666\n\
                    /proc/self/fd\n/proc/self/fd/0\npts/ptmx\n";
    assert_eq!(out, expected);
}

#[test]
fn given_devices_are_made() {
    let device = json!({"path": "/dev/deep/loop", "type": "b", "major": 7, "minor": 3, "fileMode": 432, "uid": 33, "gid": 34});
    let fixture = Fixture::new("stat -c '%F %t:%T %a %u:%g' /dev/deep/loop")
        .set("/linux/devices", json!([device]));
    assert_eq!(fixture.stdout(), "block special file 7:3 660 33:34\n");
}

#[test]
fn masked_and_read_only_paths_are_so() {
    let out = Fixture::new(
        "ls /sys/firmware | wc -l; cat /proc/keys | wc -c; \
         echo 1 > /proc/sys/kernel/hostname; touch /sys/x; echo done",
    )
    .run()
    .unwrap();
    assert_eq!(out.stdout, "0\n0\ndone\n");
    assert_eq!(out.stderr.matches("Read-only file system").count(), 2, "{}", out.stderr);
}

#[test]
fn a_read_only_root_is_read_only_and_tmpfs_is_not() {
    let fixture = Fixture::new(
        "touch /x 2>/dev/null || echo refused; touch /t/x && echo written; stat -c %a /t",
    )
    .set("/root/readonly", json!(true));
    std::fs::create_dir(fixture.lower().join("t")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o1700);
    std::fs::set_permissions(fixture.lower().join("t"), mode).unwrap();
    let fixture = fixture.mount("/t", "tmpfs", "tmpfs".as_ref(), &["size=1m", "nosuid"]);
    assert_eq!(fixture.stdout(), "refused\nwritten\n1700\n");
}

#[test]
fn tmpfs_can_start_with_what_it_covers() {
    let fixture =
        Fixture::new("cat /t/a/b; readlink /t/l; stat -c '%a %u' /t/a/b; echo more > /t/a/b");
    std::fs::create_dir_all(fixture.lower().join("t/a")).unwrap();
    let file = fixture.lower().join("t/a/b");
    std::fs::write(&file, "content\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&file, Some(33), None).unwrap();
    std::os::unix::fs::symlink("a", fixture.lower().join("t/l")).unwrap();
    let fixture = fixture.mount("/t", "tmpfs", "tmpfs".as_ref(), &["tmpcopyup"]);
    assert_eq!(fixture.stdout(), "content\na\n640 33\n");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "content\n");
}

#[test]
fn binds_of_directories_and_files_with_their_flags() {
    let host = tempfile::tempdir().unwrap();
    std::fs::create_dir(host.path().join("dir")).unwrap();
    std::fs::write(host.path().join("file"), "text\n").unwrap();
    let fixture = Fixture::new(
        "echo new > /made/here/written; cat /some/file; touch /frozen/x 2>/dev/null || echo refused; \
         grep -E ' /frozen ' /proc/mounts | cut -d' ' -f4",
    )
    .mount("/made/here", "bind", &host.path().join("dir"), &["rbind", "rprivate"])
    .mount("/some/file", "bind", &host.path().join("file"), &["bind", "ro"])
    .mount("/frozen", "none", &host.path().join("dir"), &["bind", "ro", "nosuid", "noexec", "nodev"]);
    let out = fixture.stdout();
    assert!(out.starts_with("text\nrefused\nro,nosuid,nodev,noexec"), "{out}");
    assert_eq!(std::fs::read_to_string(host.path().join("dir/written")).unwrap(), "new\n");
}

#[test]
fn a_bind_source_that_is_missing_is_named() {
    let error = Fixture::new("").mount("/x", "bind", "/nowhere/at/all".as_ref(), &["bind"]).error();
    assert_eq!(error.message, "cannot bind `/nowhere/at/all` to `/x`: no such file or directory");
}

#[test]
fn a_missing_working_directory_is_made() {
    let out =
        Fixture::new("pwd; stat -c '%a %u' .").set("/process/cwd", json!("/srv/app/deep")).stdout();
    assert_eq!(out, "/srv/app/deep\n755 0\n");
    let read_only =
        Fixture::new("pwd").set("/process/cwd", json!("/new")).set("/root/readonly", json!(true));
    assert_eq!(read_only.stdout(), "/new\n");
    let error = Fixture::new("").set("/process/cwd", json!("/etc/passwd")).error();
    assert_eq!(error.reason, Reason::BadWorkdir);
}

#[test]
fn limits_are_set_and_cut_with_a_word() {
    let fixture = Fixture::new("ulimit -n; ulimit -c; umask")
        .set("/process/user/umask", json!(0o027))
        .set(
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]),
        );
    assert_eq!(fixture.stdout(), "100\n0\n0027\n");
    let hard = naru_kernel::rlimit::get(7).unwrap().hard;
    let fixture = Fixture::new("ulimit -Hn")
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 10, "hard": hard + 1}]));
    let outcome = fixture.run().unwrap();
    let cut = outcome.stdout.trim() == hard.to_string() && outcome.warnings.len() == 1;
    let raised = outcome.stdout.trim() == (hard + 1).to_string() && outcome.warnings.is_empty();
    assert!(cut || raised, "{outcome:?}");
}

#[test]
fn settings_host_name_and_domain_belong_to_the_container() {
    let before = std::fs::read_to_string("/proc/sys/kernel/msgmax").unwrap();
    let fixture = Fixture::new(
        "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/domainname",
    )
    .set("/domainname", json!("example.org"))
    .set("/linux/sysctl", json!({"kernel.msgmax": "8193", "net.ipv4.ip_forward": "1"}));
    assert_eq!(fixture.stdout(), "8193\n1\nexample.org\n");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/msgmax").unwrap(), before);
}

#[test]
fn host_namespaces_are_the_hosts() {
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let fixture = Fixture::new("readlink /proc/self/ns/net").without_namespace("network");
    assert_eq!(fixture.stdout().trim(), own.to_str().unwrap());
    let fixture = Fixture::new("echo $$").without_namespace("pid");
    assert_ne!(fixture.stdout().trim(), "1");
}

#[test]
fn namespaces_of_another_container_are_joined() {
    let mut first = Fixture::new("echo ready; sleep 100").start();
    first.wait_for_line("ready");
    let path = |kind: &str| format!("/proc/{}/ns/{kind}", first.pid);
    let namespaces = json!([
        {"type": "mount"}, {"type": "uts", "path": path("uts")}, {"type": "network", "path": path("net")},
        {"type": "pid", "path": path("pid")}, {"type": "ipc", "path": path("ipc")}, {"type": "cgroup"},
    ]);
    let second = Fixture::new("for n in net uts pid ipc; do readlink /proc/self/ns/$n; done; cat /proc/1/cmdline | tr '\\0' ' '")
        .set("/linux/namespaces", namespaces)
        .set("/hostname", json!(""));
    let out = second.stdout();
    for kind in ["net", "uts", "pid", "ipc"] {
        let link = std::fs::read_link(path(kind)).unwrap();
        assert!(out.contains(link.to_str().unwrap()), "{kind}: {out}");
    }
    assert!(out.contains("sleep 100"), "{out}");
    // The launching process is where it was.
    assert_ne!(
        std::fs::read_link("/proc/self/ns/net").unwrap(),
        std::fs::read_link(path("net")).unwrap()
    );
    let error = Fixture::new("").set(
        "/linux/namespaces",
        json!([{"type": "mount"}, {"type": "network", "path": "/etc/passwd"}]),
    );
    let error = error.set("/hostname", json!("")).error();
    assert!(error.message.contains("not a namespace"), "{error}");
}

#[test]
fn a_user_namespace_maps_users() {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let fixture = Fixture::new("id -u; cat /proc/self/uid_map | tr -s ' '; touch /x; stat -c '%u' /x; stat -c %t:%T /dev/null; echo > /dev/null; hostname")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .set("/linux/namespaces/-", json!({"type": "user"}));
    for name in ["upper", "work"] {
        std::os::unix::fs::chown(fixture.dir.path().join(name), Some(100_000), Some(100_000))
            .unwrap();
    }
    let mut fixture = fixture;
    fixture.spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["destination"] != "/sys/fs/cgroup");
    assert_eq!(fixture.stdout(), "0\n 0 100000 65536\n0\n1:3\nbox\n");
    assert_eq!(std::fs::metadata(fixture.upper().join("x")).unwrap().uid(), 100_000);
    drop(std::fs::remove_dir_all(fixture.incompat()));
    let mut running =
        fixture.set("/process/args", json!(["/bin/sh", "-c", "echo ready; sleep 100"])).start();
    running.wait_for_line("ready");
    let options = ExecOptions { user_namespace: true, ..ExecOptions::default() };
    let outcome = running
        .exec(process(&["/bin/sh", "-c", "id -u; cat /proc/self/uid_map | tr -s ' '"]), &options)
        .unwrap();
    assert_eq!(outcome.stdout, "0\n 0 100000 65536\n");
}

#[test]
fn a_user_namespace_of_another_container_is_joined() {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let first = Fixture::new("cat /proc/self/oom_score_adj; echo ready; sleep 100")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .set("/process/oomScoreAdj", json!(77))
        .set("/linux/namespaces/-", json!({"type": "user"}));
    for name in ["upper", "work"] {
        let path = first.dir.path().join(name);
        std::os::unix::fs::chown(path, Some(100_000), Some(100_000)).unwrap();
    }
    let mut first = first.start();
    first.wait_for_line("77");
    first.wait_for_line("ready");
    let path = |kind: &str| format!("/proc/{}/ns/{kind}", first.pid);
    let second = Fixture::new(
        "id -u; cat /proc/self/uid_map | tr -s ' '; readlink /proc/self/ns/user; hostname",
    );
    let root = naru_runtime::Root::Directory(second.lower());
    let mut second = second
        .set(
            "/linux/namespaces",
            json!([{"type": "mount"}, {"type": "uts"}, {"type": "ipc"},
             {"type": "user", "path": path("user")}, {"type": "pid", "path": path("pid")},
             {"type": "network", "path": path("net")}]),
        )
        .with(|options| options.root = root);
    second.spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["destination"] != "/sys/fs/cgroup");
    // Who is mapped there must find its way to the root.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(second.dir.path(), open).unwrap();
    std::os::unix::fs::chown(second.lower(), Some(100_000), Some(100_000)).unwrap();
    let out = second.stdout();
    let user = std::fs::read_link(path("user")).unwrap();
    assert_eq!(out, format!("0\n 0 100000 65536\n{}\nbox\n", user.display()));
}

#[test]
fn owners_of_a_bind_can_be_shifted() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("file"), "").unwrap();
    std::os::unix::fs::chown(host.path().join("file"), Some(500), Some(500)).unwrap();
    let map = json!([{"containerID": 500, "hostID": 7, "size": 1}]);
    let mount = json!({"destination": "/m", "type": "bind", "source": host.path(), "options": ["bind", "idmap"],
                       "uidMappings": map, "gidMappings": map});
    assert_eq!(Fixture::new("stat -c %u:%g /m/file").set("/mounts/-", mount).stdout(), "7:7\n");
}

#[test]
fn oom_score_and_no_new_privileges() {
    let fixture = Fixture::new("cat /proc/self/oom_score_adj; grep NoNew /proc/self/status")
        .set("/process/oomScoreAdj", json!(500))
        .set("/process/noNewPrivileges", json!(true));
    assert_eq!(fixture.stdout(), "500\nNoNewPrivs:\t1\n");
}

#[test]
fn ambient_capabilities_reach_an_ordinary_user() {
    let caps = json!(["CAP_NET_BIND_SERVICE"]);
    let fixture = Fixture::new("grep -E 'CapEff|CapAmb' /proc/self/status")
        .set("/process/user", json!({"uid": 33, "gid": 34}))
        .set("/process/capabilities", json!({"bounding": caps, "permitted": caps, "effective": caps, "inheritable": caps, "ambient": caps}));
    assert_eq!(fixture.stdout(), "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n");
}

#[test]
fn an_unknown_user_is_named() {
    let fixture = Fixture::new("").with(|options| {
        options.user =
            Some(naru_runtime::UserRequest { user: "tea".to_owned(), groups: Vec::new() });
    });
    let error = fixture.error();
    assert_eq!(error.message, "unable to find user tea: no matching entries in passwd file");
    assert_eq!(error.reason, Reason::BadUser);
}

#[test]
fn a_passwd_that_is_a_pipe_does_not_hang() {
    let fixture = Fixture::new("");
    let passwd = fixture.lower().join("etc/passwd");
    std::fs::remove_file(&passwd).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&passwd).status().unwrap();
    assert!(made.success());
    let fixture = fixture.with(|options| {
        options.user =
            Some(naru_runtime::UserRequest { user: "www".to_owned(), groups: Vec::new() });
    });
    assert_eq!(fixture.error().reason, Reason::BadUser);
}

#[test]
fn a_directory_as_root_works_like_an_overlay() {
    let fixture = Fixture::new("echo x > /written; echo $$");
    let lower = fixture.lower();
    let fixture =
        fixture.with(|options| options.root = naru_runtime::Root::Directory(lower.clone()));
    assert_eq!(fixture.stdout(), "1\n");
    assert!(lower.join("written").exists());
    let missing =
        fixture.with(|options| options.root = naru_runtime::Root::Directory("/nowhere".into()));
    assert!(missing.error().message.contains("/nowhere"));
}

#[test]
fn many_layers_do_not_overflow_the_options() {
    let fixture = Fixture::new("cat /layer-3 /layer-399");
    let mut lower = Vec::new();
    for number in 0..400 {
        let name = format!("layer-with-a-rather-long-name-{number}");
        let layer = fixture.dir.path().join(&name);
        std::fs::create_dir(&layer).unwrap();
        std::fs::write(layer.join(format!("layer-{number}")), format!("{number}\n")).unwrap();
        lower.push(name.into());
    }
    lower.push("lower".into());
    let fixture = fixture.with(|options| {
        if let naru_runtime::Root::Overlay { lower: layers, .. } = &mut options.root {
            *layers = lower;
        }
    });
    assert_eq!(fixture.stdout(), "3\n399\n");
}
