//! The command line end to end: exit codes next to the docker CLI's, streams, terminals, signals. Acts: as root, with
//! the built binary.

use integration_tests::daemon::signal;
use integration_tests::pty::Terminal;
use integration_tests::{Daemon, run, until};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::Duration;

fn daemon() -> Daemon {
    Daemon::start().with_busybox("box")
}

/// `run` on no network, with these words behind.
fn on_box<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["run", "--rm", "--network", "none"], words].concat()
}

#[test]
fn exit_codes_are_the_docker_cli_s() {
    let daemon = daemon();
    daemon.naru(&["run", "-d", "--name", "up", "--network", "none", "box", "sleep", "600"]).ok();
    daemon.naru(&["create", "--name", "down", "--network", "none", "box", "nosuch"]).ok();
    let mut different = Vec::new();
    for line in [
        "run --rm --network none box true",
        "run --rm --network none box false",
        "run --rm --network none box sh -c 'exit 42'",
        "run --rm --network none box sh -c 'kill -9 $$'",
        "run --rm --network none box nosuch",
        "run --rm --network none box /etc",
        "run --rm --network none box /nosuch",
        "run --rm --network none -w relative box true",
        "run --rm --network none --pull never nosuch true",
        "run --rm --network none --bogus box true",
        "run --rm --network none -Z box true",
        "run --rm --network none --memory abc box true",
        "run --rm --network none --memory 1m box true",
        "run --rm --network none -u nobody-here box true",
        "run --name up --network none box true",
        "run --rm --restart always box true",
        "run",
        "run --name",
        "create --network none nosuch",
        "create --bogus box",
        "exec up true",
        "exec up false",
        "exec up sh -c 'exit 3'",
        "exec up nosuch",
        "exec up /etc",
        "exec -u nobody-here up true",
        "exec nosuch true",
        "exec down true",
        "exec up",
        "exec --bogus up true",
        "start nosuch",
        "start -a down",
        "stop nosuch",
        "kill nosuch",
        "kill down",
        "kill -s NOSUCH up",
        "rm nosuch",
        "rm -f nosuch",
        "rm up",
        "logs nosuch",
        "logs up",
        "wait nosuch",
        "inspect nosuch",
        "inspect up",
        "inspect --type image up",
        "ps --bogus",
        "ps extra",
        "ps --filter what",
        "ps --filter what=x",
        "images --filter what=x",
        "ps --format '{{.Nope'",
        "rename up",
        "rename up down",
        "rmi nosuch",
        "rmi -f nosuch",
        "tag nosuch x",
        "tag box BAD",
        "save nosuch",
        "history nosuch",
        "pause nosuch",
        "unpause up",
        "top nosuch",
        "top up",
        "bogus",
        "container bogus",
        "version",
        "info",
        "load -i /nosuch/file",
        "import /nosuch/file",
        "update nosuch -m 64m",
        "attach nosuch",
        "attach down",
    ] {
        let script = |program: &str| {
            let mut command = daemon.docker_command(&[]);
            let line = format!("exec {program} {line}");
            let mut shell = std::process::Command::new("/bin/sh");
            shell.args(["-c", &line]);
            for (name, value) in command.envs(std::iter::empty::<(&str, &str)>()).get_envs() {
                if let Some(value) = value {
                    shell.env(name, value);
                }
            }
            run(&mut shell)
        };
        let docker = script("docker");
        let naru = script(&integration_tests::binary().display().to_string());
        if naru.code != docker.code {
            different.push(format!(
                "{line}\nnaru {}: {}{}\ndocker {}: {}{}",
                naru.code, naru.stdout, naru.stderr, docker.code, docker.stdout, docker.stderr
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn a_further_process_that_cannot_start_ends_as_a_first_one_does() {
    let daemon = daemon();
    daemon.naru(&["run", "-d", "--name", "up", "--network", "none", "box", "sleep", "600"]).ok();
    for (command, code, words) in
        [("nosuch", 127, "executable file not found"), ("/etc", 126, "permission denied")]
    {
        let done = daemon.naru(&["exec", "up", command]);
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(done.code == code && said.contains(words), "{}: {said}", done.code);
    }
}

#[test]
fn output_goes_where_it_belongs() {
    let daemon = daemon();
    let done = daemon.naru(&on_box(&["box", "sh", "-c", "echo out; echo err >&2"])).ok();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
    let done =
        daemon.naru(&on_box(&["-a", "stderr", "box", "sh", "-c", "echo out; echo err >&2"])).ok();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", "err\n"));
}

#[test]
fn input_is_passed_and_ends() {
    let daemon = daemon();
    let big = vec![b'x'; 3 << 20];
    let done = daemon.naru_with_input(&on_box(&["-i", "box", "wc", "-c"]), &big).ok();
    assert_eq!(done.text(), (3 << 20).to_string());
    // More than all pipes hold, both ways at once.
    let done = daemon.naru_with_input(&on_box(&["-i", "box", "cat"]), &big).ok();
    assert_eq!(done.stdout.len(), big.len());
    daemon.naru(&["run", "-d", "--name", "cc", "--network", "none", "box", "sleep", "600"]).ok();
    let done = daemon.naru_with_input(&["exec", "-i", "cc", "cat"], b"to exec").ok();
    assert_eq!(done.stdout, "to exec");
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let daemon = daemon();
    let mut child = daemon
        .command(&on_box(&["box", "yes"]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "y\n");
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn a_terminal_has_its_size_from_the_start_and_follows_it() {
    let daemon = daemon();
    let mut terminal = Terminal::start(&mut daemon.command(&on_box(&[
        "-it",
        "box",
        "sh",
        "-c",
        "stty size; exec sh",
    ])));
    terminal.expect("24 80");
    terminal.resize(33, 101);
    let followed = until(Duration::from_secs(10), || {
        terminal.send("stty size\n");
        std::thread::park_timeout(Duration::from_millis(100));
        terminal.screen().contains("33 101").then_some(())
    });
    assert!(followed.is_some(), "{}", terminal.screen());
    terminal.send("exit 7\n");
    assert_eq!(terminal.wait(), 7);
}

#[test]
fn the_keys_detach_and_attach_comes_back() {
    let daemon = daemon();
    let mut terminal = Terminal::start(&mut daemon.command(&[
        "run",
        "-it",
        "--name",
        "tt",
        "--network",
        "none",
        "box",
        "sh",
    ]));
    terminal.send("echo $((40+2))\n");
    terminal.expect("42");
    terminal.send("\u{10}\u{11}");
    assert_eq!(terminal.wait(), 0);
    assert_eq!(daemon.naru(&["inspect", "-f", "{{.State.Running}}", "tt"]).text(), "true");
    let mut terminal =
        Terminal::start(&mut daemon.command(&["attach", "--detach-keys", "ctrl-a,b", "tt"]));
    terminal.send("echo $((50+1))\n");
    terminal.expect("51");
    terminal.send("\u{1}b");
    assert_eq!(terminal.wait(), 0);
    let mut terminal = Terminal::start(&mut daemon.command(&["attach", "tt"]));
    terminal.send("exit 3\n");
    assert_eq!(terminal.wait(), 3);
}

#[test]
fn the_terminal_is_restored_when_a_signal_ends_the_client() {
    let daemon = daemon();
    daemon.naru(&["run", "-dit", "--name", "tt", "--network", "none", "box", "sh"]).ok();
    let host = daemon.host();
    let script = format!(
        "{} -H {host} attach tt; echo ended $?; stty -a | grep -c ' icanon'",
        integration_tests::binary().display(),
    );
    let mut terminal = Terminal::start(std::process::Command::new("/bin/sh").args(["-c", &script]));
    terminal.send("echo $((60+1))\n");
    terminal.expect("61");
    let (client, _) = integration_tests::daemon::processes()
        .into_iter()
        .find(|(_, words)| words.contains(&host) && words.iter().any(|word| word == "attach"))
        .unwrap();
    signal(client, rustix::process::Signal::TERM);
    terminal.expect("ended 143");
    terminal.expect("\n1");
    assert_eq!(terminal.wait(), 0);
    assert_eq!(daemon.naru(&["inspect", "-f", "{{.State.Running}}", "tt"]).text(), "true");
}

#[test]
fn a_signal_reaches_a_container_with_a_terminal_too() {
    let daemon = daemon();
    let terminal = Terminal::start(&mut daemon.command(&on_box(&[
        "-it",
        "box",
        "sh",
        "-c",
        "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.1; done",
    ])));
    terminal.expect("ready");
    let host = daemon.host();
    let (client, _) = integration_tests::daemon::processes()
        .into_iter()
        .find(|(_, words)| words.contains(&host) && words.iter().any(|word| word == "-it"))
        .unwrap();
    signal(client, rustix::process::Signal::TERM);
    terminal.expect("got");
    assert_eq!(terminal.wait(), 9);
}

#[test]
fn signals_reach_the_container() {
    let daemon = daemon();
    let mut child = daemon
        .command(&on_box(&[
            "box",
            "sh",
            "-c",
            "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.1; done",
        ]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    signal(child.id(), rustix::process::Signal::TERM);
    assert_eq!(lines.next().unwrap().unwrap(), "got");
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn a_tty_without_a_terminal_is_refused() {
    let daemon = daemon();
    daemon.naru(&on_box(&["-it", "box", "true"])).fails(125, "the input device is not a TTY");
    // Without input there is nothing to check: the container still gets its terminal.
    let done = daemon.naru(&on_box(&["-t", "box", "tty"])).ok();
    assert!(
        done.stdout.starts_with("/dev/pts/") || done.stdout.starts_with("/dev/console"),
        "{}",
        done.stdout
    );
}

#[test]
fn ids_and_files_for_them() {
    let daemon = daemon();
    let file = daemon.dir().join("cid");
    let path = file.display().to_string();
    let id = daemon
        .naru(&["run", "-d", "--cidfile", &path, "--network", "none", "box", "sleep", "600"])
        .ok();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), id.text());
    assert_eq!(id.text().len(), 64);
    daemon
        .naru(&["run", "--rm", "--cidfile", &path, "--network", "none", "box", "true"])
        .fails(125, "container ID file found");
    let other = daemon.dir().join("other");
    let path = other.display().to_string();
    daemon
        .naru(&["run", "--cidfile", &path, "--pull", "never", "nosuch"])
        .fails(125, "No such image: nosuch:latest");
    assert!(!other.exists(), "an ID file without a container stays behind");
}

#[test]
fn a_missing_image_is_named_as_docker_names_it() {
    let daemon = daemon();
    let done = daemon.naru(&["run", "--rm", "no/such", "true"]);
    assert_eq!(done.code, 125);
    assert!(
        done.stderr.starts_with("Unable to find image 'no/such:latest' locally\n"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("hint: "), "{}", done.stderr);
}

#[test]
fn lists_and_formats() {
    let daemon = daemon();
    daemon
        .naru(&[
            "run",
            "-d",
            "--name",
            "web",
            "-l",
            "tier=front",
            "--network",
            "none",
            "box",
            "sleep",
            "600",
        ])
        .ok();
    daemon.naru(&["create", "--name", "idle", "--network", "none", "box", "true"]).ok();
    for (args, expected) in [
        (&["ps", "--format", "{{.Names}} {{.Image}} {{.State}}"][..], "web box running"),
        (&["ps", "-a", "--filter", "status=created", "--format", "{{.Names}}"], "idle"),
        (&["ps", "-a", "--filter", "name=we", "--format", "{{.Names}}"], "web"),
        (&["ps", "--filter", "label=tier=front", "--format", "{{.Label \"tier\"}}"], "front"),
        (&["ps", "-l", "--format", "{{.Names}}"], "idle"),
        (&["ps", "--format", "table {{.Names}}\\t{{.Image}}"], "NAMES     IMAGE\nweb       box"),
        (&["inspect", "-f", "{{.Name}} {{json .State.Running}}", "web"], "/web true"),
        (&["inspect", "-f", "{{index .Config.Labels \"tier\"}}", "web"], "front"),
        (&["images", "--format", "{{.Repository}}:{{.Tag}}", "box"], "box:latest"),
        (&["exec", "web", "hostname"], ""),
        (&["version", "--format", "{{.Server.Os}}"], "linux"),
        (&["info", "--format", "{{.OSType}}"], "linux"),
    ] {
        let done = daemon.naru(args).ok();
        if !expected.is_empty() {
            assert_eq!(done.text(), expected, "{args:?}");
        }
    }
    let table = daemon.naru(&["ps"]).ok().stdout;
    assert!(table.starts_with("CONTAINER ID   IMAGE     COMMAND"), "{table}");
    assert_eq!(daemon.naru(&["ps", "-q"]).text().len(), 12);
    assert_eq!(daemon.naru(&["ps", "-q", "--no-trunc"]).text().len(), 64);
    let json = daemon.naru(&["ps", "--format", "json"]).ok().stdout;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["Names"], "web");
    let all: serde_json::Value =
        serde_json::from_str(&daemon.naru(&["inspect", "web", "box"]).ok().stdout).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
}

#[test]
fn a_link_called_docker_behaves_as_the_client() {
    let daemon = daemon();
    let link = daemon.dir().join("docker");
    std::os::unix::fs::symlink(integration_tests::binary(), &link).unwrap();
    let ask = |words: &[&str]| {
        run(std::process::Command::new(&link).env("DOCKER_HOST", daemon.host()).args(words))
    };
    assert_eq!(ask(&["run", "--rm", "--network", "none", "box", "echo", "hi"]).ok().text(), "hi");
    assert!(ask(&["--version"]).ok().stdout.starts_with("Docker version "));
    ask(&["run"]).fails(1, "'docker run' requires at least 1 argument");
}

#[test]
fn the_client_noun_chooses_the_daemon() {
    let daemon = daemon();
    let mut command = std::process::Command::new(integration_tests::binary());
    let done = run(command.args(["client", "-H", &daemon.host(), "images", "-q"])).ok();
    assert_eq!(done.text().len(), 12);
    let mut command = std::process::Command::new(integration_tests::binary());
    let done = run(command
        .env("NARU_HOST", daemon.host())
        .env("DOCKER_HOST", "unix:///nonexistent")
        .args(["images", "-q"]))
    .ok();
    assert_eq!(done.text().len(), 12);
}

#[test]
fn a_directory_loads_as_an_archive_does() {
    let daemon = daemon();
    let tar = daemon.dir().join("box.tar");
    daemon.naru(&["save", "--format", "oci", "-o", &tar.display().to_string(), "box"]).ok();
    let layout = daemon.dir().join("layout");
    std::fs::create_dir(&layout).unwrap();
    run(std::process::Command::new("tar").arg("-C").arg(&layout).arg("-xf").arg(&tar)).ok();
    daemon.naru(&["rmi", "box"]).ok();
    let done = daemon.naru(&["load", "-i", &layout.display().to_string()]).ok();
    assert!(done.stdout.contains("Loaded image"), "{}", done.stdout);
    assert_eq!(daemon.naru(&on_box(&["box", "echo", "again"])).ok().text(), "again");
    let nothing = daemon.dir().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    daemon.naru(&["load", "-i", &nothing.display().to_string()]).fails(1, "holds no image");
    // Half an archive is never left under the name that was asked for.
    let bad = daemon.dir().join("bad.tar");
    daemon
        .naru(&["save", "-o", &bad.display().to_string(), "nosuch"])
        .fails(1, "No such image: nosuch:latest");
    assert_eq!(
        std::fs::read_dir(daemon.dir())
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("bad.tar"))
            .count(),
        0
    );
}

#[test]
fn logs_follow_until_the_end() {
    let daemon = daemon();
    daemon
        .naru(&[
            "run",
            "-d",
            "--name",
            "cc",
            "--network",
            "none",
            "box",
            "sh",
            "-c",
            "for i in 1 2 3; do echo line$i; sleep 0.2; done; echo err >&2",
        ])
        .ok();
    let done = daemon.naru(&["logs", "-f", "cc"]).ok();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("line1\nline2\nline3\n", "err\n"));
    assert_eq!(daemon.naru(&["logs", "--tail", "1", "cc"]).ok().stderr, "err\n");
    let stamped = daemon.naru(&["logs", "-t", "cc"]).ok().stdout;
    let (stamp, line) = stamped.lines().next().unwrap().split_once(' ').unwrap();
    assert!(line == "line1" && stamp.ends_with('Z') && stamp.len() == 30, "{stamped}");
    assert_eq!(daemon.naru(&["wait", "cc"]).text(), "0");
    assert_eq!(daemon.naru(&["logs", "--since", "1h", "--until", "50m", "cc"]).ok().stdout, "");
}

#[test]
fn start_attached_and_interactive() {
    let daemon = daemon();
    daemon.naru(&["create", "-i", "--name", "cc", "--network", "none", "box", "cat"]).ok();
    let done = daemon.naru_with_input(&["start", "-a", "-i", "cc"], b"fed").ok();
    assert_eq!(done.stdout, "fed");
    daemon.naru(&["create", "--name", "dd", "--network", "none", "box", "sh", "-c", "exit 5"]).ok();
    assert_eq!(daemon.naru(&["start", "-a", "dd"]).code, 5);
}

#[test]
fn prune_asks_first() {
    let daemon = daemon();
    daemon.naru(&["create", "--name", "cc", "--network", "none", "box"]).ok();
    daemon.naru_with_input(&["container", "prune"], b"n\n").fails(1, "not confirmed");
    assert_eq!(daemon.naru(&["ps", "-a", "--format", "{{.Names}}"]).text(), "cc");
    let done = daemon.naru_with_input(&["container", "prune"], b"y\n").ok();
    assert!(done.stdout.contains("Total reclaimed space: "), "{}", done.stdout);
    assert_eq!(daemon.naru(&["ps", "-aq"]).text(), "");
    daemon.naru(&["system", "prune", "-af"]).ok();
    assert_eq!(daemon.naru(&["images", "-q", "box"]).text(), "");
}

#[test]
fn writing_to_a_full_pipe_of_a_slow_reader_keeps_everything() {
    let daemon = daemon();
    let mut child = daemon
        .command(&on_box(&["box", "seq", "200000"]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::with_capacity(512, child.stdout.take().unwrap());
    let mut count = 0_u32;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        count += 1;
        assert_eq!(line.trim_end(), count.to_string());
        line.clear();
    }
    assert_eq!((count, child.wait().unwrap().code()), (200_000, Some(0)));
    std::io::stdout().flush().unwrap();
}
