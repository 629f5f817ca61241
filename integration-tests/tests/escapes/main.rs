//! Ways out of a container that other runtimes had. Each test plays the attacker and then looks at the host. Acts: as root.

use integration_tests::{Daemon, image};
use std::path::Path;

fn daemon_with(links: &[(&str, &str)], files: &[(&str, u32, &[u8])]) -> Daemon {
    let daemon = Daemon::start();
    daemon.naru_with_input(&["import", "-", "evil"], &image::busybox_tar_with(links, files)).ok();
    daemon
}

/// CVE-2019-5736: the host's binary is overwritten through `/proc/self/exe` of a process that enters the container.
#[test]
fn the_host_binary_cannot_be_written_through_proc() {
    let daemon = daemon_with(&[], &[("bin/again", 0o755, b"#!/proc/self/exe\n")]);
    let before = std::fs::read(integration_tests::binary()).unwrap();
    let attack =
        "while :; do for p in /proc/[0-9]*; do (echo hacked > $p/exe) 2>/dev/null; done; done";
    daemon
        .naru(&["run", "-d", "--name", "c1", "--network", "none", "evil", "sh", "-c", attack])
        .ok();
    for _ in 0..20 {
        daemon.naru(&["exec", "c1", "/bin/again"]);
        daemon.naru(&["exec", "c1", "/proc/self/exe"]);
        daemon.naru(&["exec", "c1", "true"]);
    }
    daemon.naru(&["run", "--rm", "--network", "none", "evil", "/bin/again"]);
    daemon.naru(&["run", "--rm", "--network", "none", "evil", "/proc/self/exe"]);
    assert!(
        before == std::fs::read(integration_tests::binary()).unwrap(),
        "the binary on the host was changed"
    );
}

/// CVE-2024-21626: a working directory that names a descriptor of the runtime's is a way into the host's tree.
#[test]
fn no_descriptor_leads_to_the_host() {
    let daemon = daemon_with(&[], &[]);
    let marker = daemon.dir().join("only-on-the-host");
    std::fs::write(&marker, "x").unwrap();
    let inside = format!("ls -d ../../../../..{0} .{0} {0} 2>/dev/null", marker.display());
    daemon.naru(&["run", "-d", "--name", "c1", "--network", "none", "evil", "sleep", "100"]).ok();
    for number in 3..24 {
        let place = format!("/proc/self/fd/{number}");
        let done = daemon.naru(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-w",
            &place,
            "evil",
            "sh",
            "-c",
            &inside,
        ]);
        assert!(!done.stdout.contains("only-on-the-host"), "run -w {place}: {}", done.stdout);
        let done = daemon.naru(&["exec", "-w", &place, "c1", "sh", "-c", &inside]);
        assert!(!done.stdout.contains("only-on-the-host"), "exec -w {place}: {}", done.stdout);
    }
}

/// CVE-2021-30465 and its kin: a mount target that leads outside through a link.
#[test]
fn mount_targets_stay_inside() {
    let outside = tempfile::tempdir().unwrap();
    let target = format!("/..{}", outside.path().display());
    let relative = format!("../../../../../..{}", outside.path().display());
    let daemon = daemon_with(&[("link", &target), ("sneaky", &relative)], &[]);
    for link in ["/link", "/sneaky"] {
        let volume = format!("{}:{link}/made", daemon.dir().display());
        daemon.naru(&["run", "--rm", "--network", "none", "-v", &volume, "evil", "true"]);
        daemon.naru(&[
            "run",
            "--rm",
            "--network",
            "none",
            "--tmpfs",
            &format!("{link}/made"),
            "evil",
            "true",
        ]);
        daemon.naru(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-w",
            &format!("{link}/made"),
            "evil",
            "true",
        ]);
    }
    assert_eq!(
        std::fs::read_dir(outside.path()).unwrap().count(),
        0,
        "something was made on the host"
    );
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2025-31133 and their kin: `/proc`, `/sys` and `/dev` replaced by links.
#[test]
fn the_kernels_trees_replaced_by_links_do_not_unmask() {
    for name in ["proc", "sys", "dev"] {
        let daemon = daemon_with(&[(name, "/tmp")], &[]);
        let look = "cat /proc/kcore /tmp/kcore 2>/dev/null | head -c 4 | wc -c; echo 1 > /proc/sys/kernel/panic && echo written; ls /tmp/sda /tmp/vda 2>/dev/null";
        let done = daemon.naru(&["run", "--rm", "--network", "none", "evil", "sh", "-c", look]);
        assert!(
            !done.stdout.contains("written") && !done.stdout.contains("da\n"),
            "{name}: {}",
            done.stdout
        );
        assert!(done.code != 0 || done.stdout.starts_with('0'), "{name}: {}", done.stdout);
    }
}

/// Users are looked up in the container's own files, whatever those are.
#[test]
fn user_files_that_are_links_do_not_reach_the_host() {
    let secret = tempfile::tempdir().unwrap();
    let passwd = secret.path().join("passwd");
    std::fs::write(&passwd, "hostonly:x:4242:4242::/:/bin/sh\n").unwrap();
    let target = format!("/../../..{}", passwd.display());
    let daemon = daemon_with(&[("etc/passwd", &target)], &[]);
    let done =
        daemon.naru(&["run", "--rm", "--network", "none", "-u", "hostonly", "evil", "id", "-u"]);
    assert!(done.code == 125 && !done.stdout.contains("4242"), "{} {}", done.code, done.stdout);
}

/// A container cannot see processes, mounts or devices of the host.
#[test]
fn the_host_is_out_of_sight() {
    let daemon = daemon_with(&[], &[]);
    let look = |command: &str| {
        daemon
            .naru(&["run", "--rm", "--network", "none", "evil", "sh", "-c", command])
            .ok()
            .text()
            .to_owned()
    };
    // Process numbers begin anew, so none of the host's, which are high, is among them.
    let highest: u32 = look("ls /proc | grep '^[0-9]*$' | sort -n | tail -1").parse().unwrap();
    assert!(highest < 20, "process {highest} is in sight");
    // `core` points to the kernel's memory image, which not every kernel has.
    let core = if std::path::Path::new("/proc/kcore").exists() { "core " } else { "" };
    assert_eq!(
        look("ls /dev | tr '\\n' ' '"),
        format!(
            "{core}fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
        )
    );
    let root = daemon.data_root().to_string_lossy().into_owned();
    let mounts = look("cat /proc/self/mountinfo");
    // The root and the three files that every container gets name their places on the host, as docker's do.
    let ours = ["/", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"];
    let beyond: Vec<&str> = mounts
        .lines()
        .filter(|line| line.contains(&root))
        .filter(|line| !line.split(' ').nth(4).is_some_and(|place| ours.contains(&place)))
        .collect();
    assert!(beyond.is_empty(), "{beyond:?}");
    assert_eq!(
        look("mknod /tmp/disk b 254 0 2>&1; cat /tmp/disk 2>/dev/null | head -c 1 | wc -c")
            .lines()
            .last(),
        Some("0")
    );
    assert!(!Path::new("/hacked").exists());
}
