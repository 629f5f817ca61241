//! A real distribution: Debian's own programs and services run in containers. Acts: as root, with the built binary.

use integration_tests::pty::Terminal;
use integration_tests::{Daemon, debian, until};
use std::time::Duration;

fn daemon() -> Daemon {
    let daemon = Daemon::start();
    let tar = debian::root_tar();
    daemon.naru(&["import", "-c", "CMD [\"bash\"]", tar.to_str().unwrap(), "debian:12"]).ok();
    daemon
}

#[test]
fn apt_and_perl_run() {
    let daemon = daemon();
    let apt = daemon
        .naru(&["run", "--rm", "--network", "none", "debian:12", "apt-get", "--version"])
        .ok();
    assert!(apt.stdout.starts_with("apt "), "{}", apt.stdout);
    let perl = daemon
        .naru(&["run", "--rm", "--network", "none", "debian:12", "perl", "-e", "print 6 * 7"])
        .ok();
    assert_eq!(perl.text(), "42");
}

#[test]
fn an_interactive_bash_works_on_a_terminal() {
    let daemon = daemon();
    let mut terminal = Terminal::start(&mut daemon.command(&[
        "run",
        "--rm",
        "-it",
        "--network",
        "none",
        "debian:12",
    ]));
    terminal.send("echo answer $((40 + 2))\n");
    terminal.expect("answer 42");
    terminal.send("stty size\n");
    terminal.expect("24 80");
    terminal.resize(33, 101);
    // The size travels to the container after the signal, so ask until it is there.
    let shown = until(Duration::from_secs(10), || {
        terminal.send("stty size\n");
        terminal.screen().contains("33 101").then_some(())
    });
    assert!(shown.is_some(), "{}", terminal.screen());
    terminal.send("tty; exit 7\n");
    assert_eq!(terminal.wait(), 7);
}

#[test]
fn nginx_answers_a_container_in_its_network_namespace_and_stops_cleanly() {
    let daemon = daemon();
    daemon
        .naru(&[
            "run",
            "-d",
            "--name",
            "web",
            "--network",
            "none",
            "debian:12",
            "nginx",
            "-g",
            "daemon off;",
        ])
        .ok();
    let ask = "exec 3<>/dev/tcp/127.0.0.1/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
    let page = until(Duration::from_secs(20), || {
        let done = daemon.naru(&[
            "run",
            "--rm",
            "--network",
            "container:web",
            "debian:12",
            "bash",
            "-c",
            ask,
        ]);
        (done.code == 0).then_some(done.stdout)
    });
    assert!(page.unwrap().contains("Welcome to nginx"));
    daemon.naru(&["stop", "web"]).ok();
    assert_eq!(
        daemon
            .naru(&["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "web"])
            .text(),
        "exited 0"
    );
    daemon.naru(&["rm", "web"]).ok();
}

#[test]
fn redis_answers_a_container_in_its_network_namespace_and_stops_cleanly() {
    let daemon = daemon();
    daemon
        .naru(&[
            "run",
            "-d",
            "--name",
            "db",
            "--network",
            "none",
            "-w",
            "/tmp",
            "debian:12",
            "redis-server",
            "--save",
            "",
        ])
        .ok();
    let answer = until(Duration::from_secs(20), || {
        let set = [
            "run",
            "--rm",
            "--network",
            "container:db",
            "debian:12",
            "redis-cli",
            "incr",
            "visits",
        ];
        let done = daemon.naru(&set);
        (done.code == 0 && !done.stdout.contains("refused")).then_some(done.stdout)
    });
    assert_eq!(answer.unwrap().trim(), "1");
    daemon.naru(&["stop", "db"]).ok();
    assert_eq!(daemon.naru(&["inspect", "--format", "{{.State.ExitCode}}", "db"]).text(), "0");
    assert!(daemon.naru(&["logs", "db"]).ok().stdout.contains("Ready to accept connections"));
}
