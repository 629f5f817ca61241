//! The real docker CLI against our socket: what people's fingers and scripts do, unchanged. Acts: as root.

use integration_tests::daemon::{Signal, signal};
use integration_tests::pty::Terminal;
use integration_tests::{Daemon, run_with_input, until};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon with busybox, brought in by the docker CLI itself.
fn daemon() -> Daemon {
    let daemon = Daemon::start();
    let mut import = daemon.docker_command(&["import", "-c", "CMD [\"sh\"]", "-", "box"]);
    run_with_input(&mut import, &integration_tests::image::busybox_tar()).ok();
    daemon
}

/// A container that writes a numbered line ten times a second until it is told to stop.
fn counting(daemon: &Daemon, name: &str) -> String {
    let script =
        "trap 'echo bye; exit 3' TERM; n=0; while :; do echo line $n; n=$((n+1)); sleep 0.1; done";
    daemon
        .docker(&["run", "-d", "--network", "none", "--name", name, "box", "sh", "-c", script])
        .ok()
        .text()
        .to_owned()
}

#[test]
fn run_rm_it_gives_a_terminal_and_its_exit_code() {
    let daemon = daemon();
    let mut terminal = Terminal::start(&mut daemon.docker_command(&[
        "run",
        "--rm",
        "-it",
        "--network",
        "none",
        "box",
        "sh",
    ]));
    terminal.expect("# ");
    terminal.send("tty; echo sum=$((40+2))\n");
    terminal.expect("/dev/pts/0");
    terminal.expect("sum=42");
    terminal.resize(33, 111);
    // The client tells of the new size on its own; the shell is asked until it shows.
    let resized = until(DEADLINE, || {
        terminal.send("stty size\n");
        terminal.screen().contains("33 111").then_some(())
    });
    assert!(resized.is_some(), "{}", terminal.screen());
    terminal.send("exit 7\n");
    assert_eq!(terminal.wait(), 7);
    assert_eq!(daemon.docker(&["ps", "-aq"]).ok().text(), "");
}

#[test]
fn run_keeps_streams_apart_and_passes_the_exit_code() {
    let daemon = daemon();
    let done = daemon.docker(&[
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
    daemon
        .docker(&["run", "--rm", "--network", "none", "box", "no-such-program"])
        .fails(127, "executable file not found in $PATH");
    daemon
        .docker(&["run", "--rm", "--network", "none", "box", "/etc/passwd"])
        .fails(126, "permission denied");
    assert_eq!(daemon.docker(&["ps", "-aq"]).ok().text(), "");
}

#[test]
fn run_i_passes_input_and_its_end() {
    let daemon = daemon();
    let big = vec![b'x'; 3 << 20];
    let mut command =
        daemon.docker_command(&["run", "--rm", "-i", "--network", "none", "box", "wc", "-c"]);
    assert_eq!(run_with_input(&mut command, &big).ok().text(), (3 << 20).to_string());
}

#[test]
fn run_d_names_the_container_and_ps_shows_it() {
    let daemon = daemon();
    let id = counting(&daemon, "web");
    assert_eq!(id.len(), 64, "{id}");
    let row = daemon.docker(&["ps", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.State}}"]).ok();
    assert_eq!(row.text(), format!("{} web box running", &id[..12]));
    let table = daemon.docker(&["ps"]).ok();
    assert!(
        table.stdout.contains("\"sh -c 'trap") && table.stdout.contains("Up "),
        "{}",
        table.stdout
    );
    daemon
        .docker(&["run", "-d", "--network", "none", "--name", "web", "box", "true"])
        .fails(125, "Conflict. The container name \"/web\" is already in use by container");
    assert_eq!(daemon.docker(&["ps", "-q", "--filter", "name=nobody"]).ok().text(), "");
    assert_eq!(daemon.docker(&["ps", "-q", "--no-trunc", "--filter", "name=web"]).ok().text(), id);
}

#[test]
fn logs_f_follows_to_the_end() {
    let daemon = daemon();
    counting(&daemon, "web");
    let mut follow = daemon
        .docker_command(&["logs", "-f", "web"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .spawn()
        .expect("the docker CLI is installed");
    let mut lines =
        BufReader::new(follow.stdout.take().expect("piped")).lines().map_while(Result::ok);
    for number in 0..5 {
        assert_eq!(lines.next().expect("a line"), format!("line {number}"));
    }
    daemon.docker(&["stop", "-t", "10", "web"]).ok();
    assert_eq!(lines.last().expect("a last line"), "bye");
    assert!(follow.wait().expect("our own child").success());
    let tail = daemon.docker(&["logs", "--tail", "1", "-t", "web"]).ok();
    let (time, text) = tail.text().split_once(' ').expect("a time stamp");
    assert_eq!(text, "bye");
    assert!(time.ends_with('Z') && time.len() == 30, "{time}");
}

#[test]
fn exec_it_gives_a_terminal_and_its_exit_code() {
    let daemon = daemon();
    counting(&daemon, "web");
    let mut terminal =
        Terminal::start(&mut daemon.docker_command(&["exec", "-it", "-e", "A=b", "web", "sh"]));
    terminal.expect("# ");
    terminal.send("echo value=$A; tty; exit 9\n");
    terminal.expect("value=b");
    terminal.expect("/dev/pts/");
    assert_eq!(terminal.wait(), 9);
    let done = daemon.docker(&["exec", "web", "sh", "-c", "echo out; echo err >&2; exit 4"]);
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (4, "out\n", "err\n"));
    let mut command = daemon.docker_command(&["exec", "-i", "web", "cat"]);
    assert_eq!(run_with_input(&mut command, b"given\n").ok().stdout, "given\n");
    // Here the reason is output, because the stream is open by then; so it is with the reference daemon.
    let done = daemon.docker(&["exec", "web", "no-such-program"]);
    assert_eq!(done.code, 127);
    assert!(done.stdout.contains("executable file not found in $PATH"), "{}", done.stdout);
    daemon.docker(&["exec", "nobody", "true"]).fails(1, "No such container: nobody");
}

#[test]
fn attach_and_detach_leave_the_container_running() {
    let daemon = daemon();
    daemon.docker(&["run", "-dit", "--network", "none", "--name", "shell", "box", "sh"]).ok();
    let mut terminal = Terminal::start(&mut daemon.docker_command(&["attach", "shell"]));
    terminal.send("echo here=$((1+1))\n");
    terminal.expect("here=2");
    terminal.send("\x10\x11");
    terminal.expect("read escape sequence");
    terminal.wait();
    assert_eq!(
        daemon.docker(&["inspect", "-f", "{{.State.Status}}", "shell"]).ok().text(),
        "running"
    );
}

#[test]
fn stop_lets_the_program_end_by_itself() {
    let daemon = daemon();
    counting(&daemon, "web");
    assert_eq!(daemon.docker(&["stop", "web"]).ok().text(), "web");
    let state =
        daemon.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web"]).ok();
    assert_eq!(state.text(), "exited 3");
    let status = daemon.docker(&["ps", "-a", "--format", "{{.Status}}"]).ok();
    assert!(status.text().starts_with("Exited (3) "), "{}", status.text());
    assert_eq!(daemon.docker(&["start", "web"]).ok().text(), "web");
    daemon.docker(&["kill", "web"]).ok();
    assert_eq!(daemon.docker(&["wait", "web"]).ok().text(), "137");
    daemon.docker(&["stop", "nobody"]).fails(1, "No such container: nobody");
}

#[test]
fn rm_refuses_what_runs_unless_forced() {
    let daemon = daemon();
    counting(&daemon, "web");
    daemon
        .docker(&["rm", "web"])
        .fails(1, "Stop the container before attempting removal or force remove");
    assert_eq!(daemon.docker(&["rm", "-f", "web"]).ok().text(), "web");
    daemon.docker(&["rm", "web"]).fails(1, "No such container: web");
    assert_eq!(daemon.docker(&["ps", "-aq"]).ok().text(), "");
}

#[test]
fn images_lists_tags_and_removes() {
    let daemon = daemon();
    daemon.docker(&["tag", "box", "example.com/team/box:1"]).ok();
    let list = daemon.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok();
    let mut names: Vec<&str> = list.text().lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["box:latest", "example.com/team/box:1"]);
    let gone = daemon.docker(&["rmi", "example.com/team/box:1"]).ok();
    assert!(gone.stdout.contains("Untagged: example.com/team/box:1"), "{}", gone.stdout);
    let history = daemon.docker(&["history", "--format", "{{.Comment}}", "box"]).ok();
    assert!(!history.text().is_empty());
    daemon.docker(&["rmi", "nobody"]).fails(1, "No such image: nobody:latest");
}

#[test]
fn save_and_load_bring_an_image_back() {
    let daemon = daemon();
    let id = daemon.docker(&["inspect", "-f", "{{.Id}}", "box"]).ok().text().to_owned();
    let archive = daemon.dir().join("box.tar");
    let path = archive.to_str().expect("a path in ASCII");
    daemon.docker(&["save", "-o", path, "box"]).ok();
    daemon.docker(&["rmi", "box"]).ok();
    let loaded = daemon.docker(&["load", "-i", path]).ok();
    assert!(loaded.stdout.contains("Loaded image: box:latest"), "{}", loaded.stdout);
    assert_eq!(daemon.docker(&["inspect", "-f", "{{.Id}}", "box"]).ok().text(), id);
    let mut broken = daemon.docker_command(&["load"]);
    let done = run_with_input(&mut broken, b"this is no archive");
    assert_ne!(done.code, 0, "{}", done.stdout);
}

#[test]
fn inspect_shows_what_was_asked_for() {
    let daemon = daemon();
    daemon
        .docker(&[
            "create",
            "--network",
            "none",
            "--name",
            "made",
            "-e",
            "A=b",
            "-l",
            "x=y",
            "--memory",
            "64m",
            "--cap-drop",
            "CHOWN",
            "--read-only",
            "--restart",
            "on-failure:3",
            "-w",
            "/tmp",
            "box",
            "echo",
            "hi",
        ])
        .ok();
    let show =
        |format: &str| daemon.docker(&["inspect", "-f", format, "made"]).ok().text().to_owned();
    assert_eq!(show("{{.Name}} {{.Path}} {{.Args}} {{.State.Status}}"), "/made echo [hi] created");
    assert_eq!(show("{{.HostConfig.Memory}} {{.HostConfig.CapDrop}}"), "67108864 [CAP_CHOWN]");
    assert_eq!(
        show("{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"),
        "on-failure 3"
    );
    assert_eq!(show("{{.HostConfig.ReadonlyRootfs}} {{.Config.WorkingDir}}"), "true /tmp");
    assert!(show("{{.Config.Env}}").contains("A=b"));
    assert_eq!(show("{{index .Config.Labels \"x\"}}"), "y");
    daemon.docker(&["inspect", "nobody"]).fails(1, "No such object: nobody");
}

#[test]
fn a_client_that_is_killed_leaves_the_daemon_well() {
    let daemon = daemon();
    counting(&daemon, "web");
    for _ in 0..5 {
        let mut follow = daemon
            .docker_command(&["logs", "-f", "web"])
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("the docker CLI is installed");
        let mut lines = BufReader::new(follow.stdout.take().expect("piped")).lines();
        assert!(lines.next().is_some());
        signal(follow.id(), Signal::KILL);
        follow.wait().expect("our own child");
    }
    let sockets = || {
        let fds = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("a live daemon");
        fds.count()
    };
    let before = sockets();
    // The next line of the container shows the daemon that its readers are gone.
    assert!(until(DEADLINE, || (sockets() <= before).then_some(())).is_some());
    assert_eq!(daemon.docker(&["ps", "-q"]).ok().text().lines().count(), 1);
}

#[test]
fn version_info_and_the_small_commands_work() {
    let daemon = daemon();
    let version = daemon
        .docker(&["version", "--format", "{{.Server.Platform.Name}} {{.Server.MinAPIVersion}}"])
        .ok();
    assert_eq!(version.text(), "Naru 1.24");
    assert_eq!(
        daemon.docker(&["info", "--format", "{{.Images}} {{.OSType}}"]).ok().text(),
        "1 linux"
    );
    assert!(daemon.docker(&["system", "df"]).ok().stdout.contains("Images"));
    assert!(
        daemon.docker(&["network", "ls", "--format", "{{.Name}}"]).ok().stdout.contains("none\n")
    );
    assert_eq!(daemon.docker(&["volume", "ls", "-q"]).ok().text(), "");
    counting(&daemon, "web");
    assert!(daemon.docker(&["top", "web"]).ok().stdout.contains("sh -c trap"));
    let stats =
        daemon.docker(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "web"]).ok();
    assert!(stats.text().starts_with("web "), "{}", stats.text());
    daemon.docker(&["pause", "web"]).ok();
    assert_eq!(daemon.docker(&["inspect", "-f", "{{.State.Paused}}", "web"]).ok().text(), "true");
    daemon.docker(&["unpause", "web"]).ok();
    daemon.docker(&["rename", "web", "net"]).ok();
    daemon.docker(&["update", "--memory", "128m", "--memory-swap", "256m", "net"]).ok();
    assert_eq!(
        daemon.docker(&["inspect", "-f", "{{.HostConfig.Memory}}", "net"]).ok().text(),
        "134217728"
    );
}

#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    let daemon = daemon();
    daemon
        .docker(&["network", "create", "-d", "overlay", "lan"])
        .fails(1, "network driver `overlay` is not supported");
    daemon.docker(&["search", "x"]).fails(1, "searching a registry is not supported");
    daemon.docker(&["swarm", "init"]).fails(1, "no cluster mode");
}

#[test]
fn every_version_that_is_promised_is_spoken() {
    let daemon = daemon();
    for minor in 24..=50 {
        let mut command = daemon.docker_command(&["ps", "-aq"]);
        command.env("DOCKER_API_VERSION", format!("1.{minor}"));
        integration_tests::run(&mut command).ok();
    }
    let mut command = daemon.docker_command(&["ps"]);
    command.env("DOCKER_API_VERSION", "1.99");
    integration_tests::run(&mut command)
        .fails(1, "client version 1.99 is too new. Maximum supported API version is 1.51");
}
