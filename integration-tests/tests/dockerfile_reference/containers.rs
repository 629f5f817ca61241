//! What the reference says of containers and their flags: what an image asks for is what they do. Acts: as root, with the built
//! binary; the peer's containers are compared in other suites.

use integration_tests::{Daemon, context, until};
use std::time::Duration;

/// Builds an image.
fn build(daemon: &Daemon, tag: &str, file: &str) {
    let dir = context(daemon, &format!("of-{tag}"), &[("Dockerfile", file)]);
    let place = dir.to_str().expect("a path in UTF-8");
    daemon.naru(&["build", "-q", "--network", "none", "-t", tag, place]).ok();
}

/// Runs a container until it says that it is ready, stops it, and answers its code and what it said.
fn stopped(daemon: &Daemon, flags: &[&str], tag: &str) -> (String, String) {
    let words = [&["run", "-d", "--network", "none"], flags, &[tag]].concat();
    let id = daemon.naru(&words).ok().text().to_owned();
    let said = || daemon.naru(&["logs", &id]).ok().stdout;
    let ready = until(Duration::from_secs(30), || said().contains("ready\n").then_some(()));
    assert!(ready.is_some(), "{tag}: {}", said());
    daemon.naru(&["stop", "-t", "2", &id]).ok();
    let code = daemon.naru(&["inspect", "-f", "{{.State.ExitCode}}", &id]).ok().text().to_owned();
    let text = said();
    daemon.naru(&["rm", &id]).ok();
    (code, text.replace("ready\n", ""))
}

/// Ends with a word and a code of its own at each of two signals; a fifo that nobody writes to waits without end.
const TRAPS: &str = "trap 'echo usr; exit 3' USR1; trap 'echo term; exit 4' TERM; mknod /f p; echo ready; while :; do read x < /f & wait $!; done";

/// STOPSIGNAL, and who gets it.
pub fn stop() {
    let daemon = Daemon::start().with_busybox("box");
    let copy = format!("COPY <<\"EOF\" /s\n{TRAPS}\nEOF\n");
    build(&daemon, "term", &format!("FROM box\n{copy}ENTRYPOINT [\"sh\", \"/s\"]\n"));
    build(&daemon, "usr", "FROM term\nSTOPSIGNAL SIGUSR1\n");
    build(&daemon, "ten", "FROM term\nSTOPSIGNAL 10\n");
    let check = |flags: &[&str], tag: &str, code: &str, text: &str| {
        assert_eq!(stopped(&daemon, flags, tag), (code.to_owned(), text.to_owned()), "{tag}");
    };
    // It is SIGTERM unless the image or a flag says otherwise, by name or by number.
    check(&[], "term", "4", "term\n");
    check(&[], "usr", "3", "usr\n");
    check(&[], "ten", "3", "usr\n");
    check(&["--stop-signal", "SIGTERM"], "usr", "4", "term\n");
    // A program below a shell does not hear of it, and is killed; with `exec` it is the one.
    build(&daemon, "shell", &format!("FROM box\n{copy}ENTRYPOINT sh /s; true\n"));
    build(&daemon, "exec", &format!("FROM box\n{copy}ENTRYPOINT exec sh /s\n"));
    check(&[], "shell", "137", "");
    check(&[], "exec", "4", "term\n");
}

/// `run` over what the image says.
pub fn flags() {
    let daemon = Daemon::start_apart(&[]).with_busybox("box");
    let file = "FROM box\nENV A=image\nWORKDIR /w\nUSER user\nLABEL l=m\nEXPOSE 80/tcp\nEXPOSE 80/udp\n\
        ENTRYPOINT [\"echo\", \"entry\"]\nCMD [\"cmd\"]\n";
    build(&daemon, "all", file);
    let run = |flags: &[&str], words: &[&str]| {
        let head = ["run", "--rm", "--network", "none"];
        daemon.naru(&[&head[..], flags, &["all"], words].concat()).ok().stdout
    };
    assert_eq!(run(&[], &[]), "entry cmd\n");
    assert_eq!(run(&[], &["-d"]), "entry -d\n");
    // Another program takes no CMD of the image along, and no shell around it.
    assert_eq!(run(&["--entrypoint", "echo"], &[]), "\n");
    assert_eq!(run(&["--entrypoint", "echo"], &["$A"]), "$A\n");
    let shown = "echo $A; pwd; id -u";
    assert_eq!(run(&["--entrypoint", "sh"], &["-c", shown]), "image\n/w\n1000\n");
    let flags = ["--entrypoint", "sh", "--env", "A=flag", "-w", "/", "-u", "0"];
    assert_eq!(run(&flags, &["-c", shown]), "flag\n/\n0\n");
    let labels = ["image", "inspect", "--format", "{{json .Config.Labels}}", "all"];
    assert_eq!(daemon.naru(&labels).ok().text(), "{\"l\":\"m\"}");
    // EXPOSE publishes nothing; -P all that is exposed, each on a port of its own; -p what it says.
    let published = |flags: &[&str]| {
        let head = ["run", "-d", "--entrypoint", "sleep"];
        let id = daemon.naru(&[&head[..], flags, &["all", "1000"]].concat()).ok();
        let ports = daemon.naru(&["port", id.text()]).ok().stdout;
        daemon.naru(&["rm", "-f", id.text()]).ok();
        let mut ports: Vec<String> = ports.lines().map(str::to_owned).collect();
        ports.retain(|line| line.contains("0.0.0.0"));
        ports.sort();
        ports
    };
    assert_eq!(published(&[]), [""; 0]);
    let all = published(&["-P"]);
    assert!(
        matches!(&all[..], [tcp, udp] if tcp.starts_with("80/tcp -> 0.0.0.0:") && udp.starts_with("80/udp -> 0.0.0.0:")),
        "{all:?}"
    );
    assert!(all.iter().all(|line| line.rsplit(':').next().is_some_and(|port| port.len() == 5)));
    assert_eq!(
        published(&["-p", "8080:80/tcp", "-p", "8080:80/udp"]),
        ["80/tcp -> 0.0.0.0:8080", "80/udp -> 0.0.0.0:8080"]
    );
}
