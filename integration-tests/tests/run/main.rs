//! `naru run` and what people do with what runs, with the built binary. Acts: as root.

use integration_tests::{Daemon, leftovers, until};
use std::time::Duration;

fn daemon() -> Daemon {
    Daemon::start().with_busybox("box")
}

/// `run --rm --network none OPTIONS box COMMAND`, its standard output.
#[track_caller]
fn inside(daemon: &Daemon, options: &[&str], command: &str) -> String {
    let mut args = vec!["run", "--rm", "--network", "none"];
    args.extend_from_slice(options);
    args.extend_from_slice(&["box", "sh", "-c", command]);
    daemon.naru(&args).ok().text().to_owned()
}

#[test]
fn output_and_exit_code_come_back() {
    let daemon = daemon();
    let done = daemon.naru(&[
        "run",
        "--rm",
        "--network",
        "none",
        "box",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 42",
    ]);
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (42, "out\n", "err\n"));
    let killed =
        daemon.naru(&["run", "--rm", "--network", "none", "box", "sh", "-c", "kill -9 $$"]);
    // A process cannot kill itself as number 1 of its namespace, so the shell goes on and ends well.
    assert_eq!(killed.code, 0);
    let killed = daemon.naru(&[
        "run",
        "--rm",
        "--init",
        "--network",
        "none",
        "box",
        "sh",
        "-c",
        "kill -9 $$",
    ]);
    assert_eq!(killed.code, 137);
    assert_eq!(daemon.naru(&["ps", "-aq"]).text(), "");
}

#[test]
fn standard_input_reaches_the_command_and_ends() {
    let daemon = daemon();
    let done = daemon
        .naru_with_input(&["run", "--rm", "-i", "--network", "none", "box", "cat"], b"one\ntwo\n")
        .ok();
    assert_eq!(done.stdout, "one\ntwo\n");
    let big = vec![b'x'; 3 << 20];
    let done = daemon
        .naru_with_input(&["run", "--rm", "-i", "--network", "none", "box", "wc", "-c"], &big)
        .ok();
    assert_eq!(done.text(), (3 << 20).to_string());
}

#[test]
fn a_lot_of_output_is_complete() {
    let daemon = daemon();
    let done = daemon.naru(&["run", "--rm", "--network", "none", "box", "seq", "1", "300000"]).ok();
    assert_eq!(done.stdout.lines().count(), 300_000);
    assert!(done.stdout.ends_with("300000\n"));
}

#[test]
fn identity_and_place_of_the_process() {
    let daemon = daemon();
    assert_eq!(inside(&daemon, &[], "id -u; id -g; pwd"), "0\n0\n/");
    assert_eq!(inside(&daemon, &["-u", "1000"], "id -u; id -g"), "1000\n1000");
    assert_eq!(inside(&daemon, &["-u", "user"], "id -u; id -G"), "1000\n1000 2000");
    assert_eq!(inside(&daemon, &["-u", "7:8"], "id -u; id -g"), "7\n8");
    assert_eq!(inside(&daemon, &["--group-add", "2000"], "id -G"), "0 2000");
    assert_eq!(inside(&daemon, &["-w", "/new/place"], "pwd"), "/new/place");
    assert_eq!(inside(&daemon, &["-h", "ferry"], "hostname"), "ferry");
    assert_eq!(inside(&daemon, &["-e", "A=1", "-e", "B=x y"], "echo $A; echo \"$B\""), "1\nx y");
    assert_eq!(
        inside(&daemon, &[], "echo $PATH"),
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    );
    assert_eq!(inside(&daemon, &[], "cat /sys/class/net/lo/flags"), "0x9");
    assert_eq!(inside(&daemon, &[], "echo $$"), "1");
    assert_eq!(inside(&daemon, &["--entrypoint", "echo"], "ignored"), "sh -c ignored");
}

#[test]
fn capabilities_and_lockdown_are_dockers() {
    let daemon = daemon();
    let caps = |options: &[&str]| {
        inside(&daemon, options, "grep CapEff /proc/self/status | sed 's/.*\\t//'")
    };
    assert_eq!(caps(&[]), "00000000a80425fb");
    assert_eq!(caps(&["--cap-drop", "ALL"]), "0000000000000000");
    assert_eq!(caps(&["--cap-drop", "ALL", "--cap-add", "CHOWN"]), "0000000000000001");
    assert_eq!(caps(&["--cap-add", "NET_ADMIN"]), "00000000a80435fb");
    let bounding = std::fs::read_to_string("/proc/self/status").unwrap();
    let bounding =
        bounding.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap().to_owned();
    assert_eq!(caps(&["--privileged"]), bounding);
    assert_eq!(inside(&daemon, &[], "grep Seccomp: /proc/self/status | sed 's/.*\\t//'"), "2");
    let open = ["--security-opt", "seccomp=unconfined"];
    assert_eq!(inside(&daemon, &open, "grep Seccomp: /proc/self/status | sed 's/.*\\t//'"), "0");
    let nnp = ["--security-opt", "no-new-privileges"];
    assert_eq!(inside(&daemon, &nnp, "grep NoNewPrivs /proc/self/status | sed 's/.*\\t//'"), "1");
    assert_eq!(
        inside(&daemon, &[], "mount -t tmpfs x /tmp 2>/dev/null || echo refused"),
        "refused"
    );
    assert_eq!(
        inside(
            &daemon,
            &[],
            "cat /proc/kcore 2>/dev/null | wc -c; ls /proc/acpi 2>/dev/null | wc -l"
        ),
        "0\n0"
    );
    assert_eq!(
        inside(&daemon, &[], "echo 1 > /proc/sys/kernel/panic 2>/dev/null || echo refused"),
        "refused"
    );
}

#[test]
fn file_systems_are_what_was_asked_for() {
    let daemon = daemon();
    let shared = daemon.dir().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("note"), "hello").unwrap();
    let bind = format!("{}:/mnt/x", shared.display());
    assert_eq!(
        inside(&daemon, &["-v", &bind], "cat /mnt/x/note; echo back > /mnt/x/answer"),
        "hello"
    );
    assert_eq!(std::fs::read_to_string(shared.join("answer")).unwrap(), "back\n");
    let read_only = format!("{bind}:ro");
    assert_eq!(
        inside(&daemon, &["-v", &read_only], "echo x > /mnt/x/y 2>/dev/null || echo refused"),
        "refused"
    );
    let mount = format!("type=bind,source={},target=/mnt/y,readonly", shared.display());
    assert_eq!(inside(&daemon, &["--mount", &mount], "cat /mnt/y/note"), "hello");
    assert_eq!(
        inside(&daemon, &["--read-only"], "touch /x 2>/dev/null || echo refused"),
        "refused"
    );
    assert_eq!(
        inside(&daemon, &["--read-only", "--tmpfs", "/scratch"], "touch /scratch/x && echo fine"),
        "fine"
    );
    let sized = inside(
        &daemon,
        &["--tmpfs", "/scratch:size=64k,mode=1777"],
        "df -k /scratch | tail -1 | awk '{print $2}'",
    );
    assert_eq!(sized, "64");
    assert_eq!(
        inside(&daemon, &["--shm-size", "8m"], "df -k /dev/shm | tail -1 | awk '{print $2}'"),
        "8192"
    );
    assert_eq!(
        inside(
            &daemon,
            &["--device", "/dev/loop-control:/dev/lc"],
            "test -c /dev/lc && echo there"
        ),
        "there"
    );
}

#[test]
fn limits_hold() {
    let daemon = daemon();
    let over = daemon.naru(&[
        "run",
        "--network",
        "none",
        "--name",
        "fat",
        "-m",
        "16m",
        "--memory-swap",
        "16m",
        "box",
        "sh",
        "-c",
        "yes | tr -d '\\n' | head -c 64000000 | sort",
    ]);
    assert_eq!(over.code, 137, "{}", over.stderr);
    assert_eq!(daemon.naru(&["inspect", "-f", "{{.State.OOMKilled}}", "fat"]).text(), "true");
    let bomb = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done";
    let forks = daemon.naru(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--pids-limit",
        "5",
        "box",
        "sh",
        "-c",
        bomb,
    ]);
    assert!(
        forks.code == 2 && forks.stderr.contains("can't fork"),
        "{} {}",
        forks.code,
        forks.stderr
    );
    assert_eq!(
        inside(&daemon, &["--ulimit", "nofile=100:200"], "ulimit -n; ulimit -Hn"),
        "100\n200"
    );
    assert_eq!(
        inside(
            &daemon,
            &["--sysctl", "net.ipv4.ip_forward=1"],
            "cat /proc/sys/net/ipv4/ip_forward"
        ),
        "1"
    );
    daemon
        .naru(&[
            "run",
            "-d",
            "--name",
            "live",
            "--network",
            "none",
            "-m",
            "32m",
            "box",
            "sleep",
            "100",
        ])
        .ok();
    daemon.naru(&["update", "-m", "48m", "--memory-swap", "96m", "live"]).ok();
    assert_eq!(
        daemon.naru(&["inspect", "-f", "{{.HostConfig.Memory}}", "live"]).text(),
        (48 << 20).to_string()
    );
    let stats =
        daemon.naru(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "live"]).ok();
    assert_eq!(stats.text(), "live 1");
}

#[test]
fn no_descriptor_of_ours_is_inside() {
    let daemon = daemon();
    assert_eq!(inside(&daemon, &[], "ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3");
    daemon.naru(&["run", "-d", "--name", "c1", "--network", "none", "box", "sleep", "100"]).ok();
    assert_eq!(
        daemon.naru(&["exec", "c1", "sh", "-c", "ls /proc/1/fd | tr '\\n' ' '"]).ok().text(),
        "0 1 2"
    );
    assert_eq!(
        daemon.naru(&["exec", "c1", "sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"]).ok().text(),
        "0 1 2 3"
    );
}

#[test]
fn a_life_from_create_to_remove() {
    let daemon = daemon();
    let id = daemon
        .naru(&[
            "create",
            "--name",
            "web",
            "--network",
            "none",
            "box",
            "sh",
            "-c",
            "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done",
        ])
        .ok();
    assert_eq!(id.text().len(), 64);
    assert_eq!(daemon.naru(&["inspect", "-f", "{{.State.Status}}", "web"]).text(), "created");
    daemon.naru(&["start", "web"]).ok();
    let up = until(Duration::from_secs(10), || {
        (daemon.naru(&["logs", "web"]).stdout == "up\n").then_some(())
    });
    assert!(up.is_some());
    assert!(daemon.naru(&["ps"]).ok().stdout.contains("web"));
    daemon.naru(&["pause", "web"]).ok();
    assert_eq!(daemon.naru(&["inspect", "-f", "{{.State.Status}}", "web"]).text(), "paused");
    daemon.naru(&["unpause", "web"]).ok();
    daemon.naru(&["rename", "web", "site"]).ok();
    let (mut waiter, mut lines) = daemon.follow(&["wait", "site"]);
    daemon.naru(&["stop", "site"]).ok();
    assert_eq!(lines.next().as_deref(), Some("3"));
    waiter.wait().unwrap();
    assert_eq!(daemon.naru(&["logs", "site"]).stdout, "up\nbye\n");
    assert_eq!(
        daemon.naru(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "site"]).text(),
        "exited 3"
    );
    daemon.naru(&["start", "site"]).ok();
    daemon.naru(&["rm", "site"]).fails(1, "cannot remove");
    daemon.naru(&["rm", "-f", "site"]).ok();
    daemon.naru(&["inspect", "site"]).fails(1, "No such");
}

#[test]
fn exec_runs_beside_the_first_process() {
    let daemon = daemon();
    daemon
        .naru(&[
            "run",
            "-d",
            "--name",
            "c1",
            "--network",
            "none",
            "-e",
            "A=1",
            "box",
            "sleep",
            "100",
        ])
        .ok();
    assert_eq!(daemon.naru(&["exec", "c1", "sh", "-c", "echo $A; exit 0"]).ok().text(), "1");
    assert_eq!(daemon.naru(&["exec", "c1", "sh", "-c", "exit 9"]).code, 9);
    assert_eq!(daemon.naru_with_input(&["exec", "-i", "c1", "cat"], b"in").ok().stdout, "in");
    assert_eq!(
        daemon
            .naru(&[
                "exec",
                "-u",
                "user",
                "-w",
                "/tmp",
                "-e",
                "B=2",
                "c1",
                "sh",
                "-c",
                "id -u; pwd; echo $B"
            ])
            .ok()
            .text(),
        "1000\n/tmp\n2"
    );
    daemon.naru(&["exec", "c1", "nonsense"]).fails(127, "executable file not found");
    daemon.naru(&["exec", "c1", "/etc/passwd"]).fails(126, "permission denied");
    daemon.naru(&["exec", "-d", "c1", "touch", "/made"]).ok();
    let made = until(Duration::from_secs(5), || {
        (daemon.naru(&["exec", "c1", "test", "-e", "/made"]).code == 0).then_some(())
    });
    assert!(made.is_some());
}

#[test]
fn restart_policies_are_kept() {
    let daemon = daemon();
    daemon
        .naru(&[
            "run",
            "-d",
            "--name",
            "c1",
            "--restart",
            "on-failure:2",
            "--network",
            "none",
            "box",
            "false",
        ])
        .ok();
    let count = until(Duration::from_secs(20), || {
        let state = daemon.naru(&["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "c1"]);
        (state.text() == "exited 2").then_some(())
    });
    assert!(count.is_some(), "{}", daemon.naru(&["inspect", "c1"]).stdout);
}

#[test]
fn namespaces_are_shared_on_request() {
    let daemon = daemon();
    daemon
        .naru(&[
            "run",
            "-d",
            "--name",
            "a1",
            "--ipc",
            "shareable",
            "--network",
            "none",
            "box",
            "sleep",
            "100",
        ])
        .ok();
    let link = |options: &[&str], kind: &str| {
        let mut args = vec!["run", "--rm"];
        args.extend_from_slice(options);
        let command = format!("readlink /proc/self/ns/{kind}");
        args.extend_from_slice(&["box", "sh", "-c", &command]);
        daemon.naru(&args).ok().text().to_owned()
    };
    let of_a = |kind: &str| {
        daemon
            .naru(&["exec", "a1", "readlink", &format!("/proc/1/ns/{kind}")])
            .ok()
            .text()
            .to_owned()
    };
    let host = |kind: &str| {
        std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_string_lossy().into_owned()
    };
    assert_eq!(link(&["--network", "container:a1"], "net"), of_a("net"));
    assert_eq!(link(&["--network", "none", "--ipc", "container:a1"], "ipc"), of_a("ipc"));
    assert_eq!(link(&["--network", "none", "--pid", "container:a1"], "pid"), of_a("pid"));
    assert_eq!(link(&["--network", "host"], "net"), host("net"));
    assert_eq!(link(&["--network", "none", "--pid", "host"], "pid"), host("pid"));
    assert_eq!(link(&["--network", "none", "--uts", "host"], "uts"), host("uts"));
    assert_ne!(link(&["--network", "none"], "net"), host("net"));
}

#[test]
fn logs_can_be_cut_and_followed() {
    let daemon = daemon();
    daemon
        .naru(&[
            "run",
            "-d",
            "--name",
            "c1",
            "--network",
            "none",
            "box",
            "sh",
            "-c",
            "seq 1 5; sleep 0.3; echo last >&2",
        ])
        .ok();
    let (mut follower, lines) = daemon.follow(&["logs", "-f", "c1"]);
    let seen: Vec<String> = lines.collect();
    follower.wait().unwrap();
    assert_eq!(seen, ["1", "2", "3", "4", "5"]);
    assert_eq!(daemon.naru(&["logs", "--tail", "2", "c1"]).ok().stdout, "5\n");
    let stamped = daemon.naru(&["logs", "-t", "--tail", "all", "c1"]).ok();
    assert!(
        stamped.stdout.lines().all(|line| line.contains('T') && line.contains("Z ")),
        "{}",
        stamped.stdout
    );
}

#[test]
fn two_daemons_live_side_by_side_and_nothing_is_left() {
    let (first, second) = (daemon(), daemon());
    first.naru(&["run", "-d", "--name", "same", "--network", "none", "box", "sleep", "100"]).ok();
    let id = second
        .naru(&["run", "-d", "--name", "same", "--network", "none", "box", "sleep", "100"])
        .ok()
        .text()
        .to_owned();
    first.naru(&["rm", "-f", "same"]).ok();
    assert_eq!(second.naru(&["inspect", "-f", "{{.State.Running}}", "same"]).text(), "true");
    let dir = second.dir().to_string_lossy().into_owned();
    drop(second);
    let gone = until(Duration::from_secs(10), || {
        (leftovers::mentioning(&id).is_empty() && leftovers::mentioning(&dir).is_empty())
            .then_some(())
    });
    assert!(gone.is_some(), "{:?} {:?}", leftovers::mentioning(&id), leftovers::mentioning(&dir));
}

#[test]
fn no_exit_code_of_an_exec_is_lost() {
    let daemon = daemon();
    daemon.naru(&["run", "-d", "--name", "busy", "--network", "none", "box", "sleep", "1000"]).ok();
    for round in 0..100 {
        let done = daemon.naru(&["exec", "busy", "sh", "-c", "exit 7"]);
        assert_eq!(done.code, 7, "{round}: {done:?}");
    }
}
