//! Further processes, terminals, our own init, gates. Acts.

use crate::fixture::{Fixture, finish, follow, pipes, process};
use naru_runtime::{ExecOptions, Gate, Progress, Reason, UserRequest};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

#[test]
fn a_further_process_is_in_the_container() {
    let mut running = Fixture::new("echo ready; sleep 100").start();
    running.wait_for_line("ready");
    let out = running.shell("hostname; pwd; ls /proc/self/fd | tr '\\n' ' '; grep -E 'CapPrm|CapBnd' /proc/self/status; \
                             tr '\\0' ' ' < /proc/1/cmdline; exit 7");
    assert_eq!(out.code, 7, "{out:?}");
    let expected = "box\n/\n0 1 2 3 CapPrm:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n";
    assert!(out.stdout.starts_with(expected), "{out:?}");
    for kind in ["mnt", "pid", "net", "uts", "ipc", "cgroup"] {
        let link = std::fs::read_link(format!("/proc/{}/ns/{kind}", running.pid)).unwrap();
        assert_eq!(
            running.shell(&format!("readlink /proc/self/ns/{kind}")).stdout.trim(),
            link.to_str().unwrap()
        );
    }
}

#[test]
fn a_further_process_has_its_own_user_directory_and_environment() {
    let mut running = Fixture::new("mkdir /work; echo ready; sleep 100").start();
    running.wait_for_line("ready");
    let mut further = process(&["/bin/sh", "-c", "id -u; pwd; echo $X $HOME"]);
    further["cwd"] = json!("/work");
    further["env"] = json!(["PATH=/bin", "X=y"]);
    let user = Some(UserRequest { user: "www".to_owned(), groups: Vec::new() });
    let options = ExecOptions { user, ..ExecOptions::default() };
    let out = running.exec(further, &options).unwrap();
    assert_eq!(out.stdout, "33\n/work\ny /var/www\n");
    let missing = running.exec(process(&["tea"]), &ExecOptions::default()).unwrap_err();
    assert_eq!(missing.reason, Reason::NotFound);
}

#[test]
fn a_terminal_is_the_containers_own() {
    let fixture = Fixture::new("stty size; readlink /proc/self/fd/0; test -c /dev/console && echo console; ps -o tty | tail -1; id -u > /dev/tty; read line; echo got $line")
        .set("/process/terminal", json!(true))
        .set("/process/consoleSize", json!({"height": 33, "width": 101}));
    let mut launching = fixture.launch(None).unwrap();
    let master = follow(&mut launching).unwrap().expect("a console");
    let mut master = File::from(master);
    let mut seen = String::new();
    let mut buffer = [0; 512];
    while !seen.contains("\r\n0\r\n") {
        let length = master.read(&mut buffer).unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert!(seen.starts_with("33 101\r\n/dev/pts/0\r\nconsole\r\n136,0\r\n"), "{seen:?}");
    master.write_all(b"hello\n").unwrap();
    while !seen.contains("got hello") {
        let length = master.read(&mut buffer).unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert_eq!(naru_kernel::reap::wait(launching.pidfd()).unwrap(), 0);
}

#[test]
fn our_own_init_reaps_passes_signals_on_and_leaves_nothing() {
    let fixture = Fixture::new("trap 'echo term; exit 5' TERM; (sleep 0.01 &) ; echo $$; echo ready; while true; do sleep 0.05; done")
        .with(|options| options.init = true);
    let mut running = fixture.start();
    running.wait_for_line("ready");
    assert_eq!(running.shell("cat /proc/1/status | grep -E 'State|CapPrm' | cut -f2 | tr '\\n' ' '; ls /proc/1/fd 2>&1 | wc -l").stdout.trim().split(' ').count(), 4);
    naru_kernel::reap::signal(running.pid, 15).unwrap();
    assert_eq!(naru_kernel::reap::wait(&running.pidfd).unwrap(), 5);
}

#[test]
fn our_own_init_tells_why_the_command_did_not_start() {
    let fixture =
        Fixture::new("").set("/process/args", json!(["tea"])).with(|options| options.init = true);
    assert_eq!(fixture.error().reason, Reason::NotFound);
}

#[test]
fn a_container_waits_at_its_gate() {
    let fixture = Fixture::new("echo through").with(|options| options.gate = Gate::Handshake);
    let (stdio, outputs) = pipes();
    let mut launching = fixture.launch(Some(stdio)).unwrap();
    loop {
        match launching.advance().unwrap() {
            Progress::Gated => break,
            Progress::Waiting => {
                naru_kernel::reap::ended_within(launching.handshake_fd(), None).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    launching.release().unwrap();
    assert_eq!(finish(launching, outputs).unwrap().stdout, "through\n");
}

#[test]
fn a_container_waits_at_a_named_pipe() {
    let fixture = Fixture::new("echo through");
    let pipe = fixture.dir.path().join("gate");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let fixture = fixture.with(|options| options.gate = Gate::Fifo(pipe.clone()));
    let (stdio, outputs) = pipes();
    let mut launching = fixture.launch(Some(stdio)).unwrap();
    while !matches!(launching.advance().unwrap(), Progress::Gated) {
        naru_kernel::reap::ended_within(launching.handshake_fd(), None).unwrap();
    }
    File::options().write(true).open(&pipe).unwrap().write_all(b"g").unwrap();
    assert_eq!(finish(launching, outputs).unwrap().stdout, "through\n");
}

#[test]
fn a_container_that_is_killed_on_its_way_is_an_error() {
    let fixture = Fixture::new("").with(|options| options.gate = Gate::Handshake);
    let (stdio, _outputs) = pipes();
    let mut launching = fixture.launch(Some(stdio)).unwrap();
    while !matches!(launching.advance().unwrap(), Progress::Gated) {
        naru_kernel::reap::ended_within(launching.handshake_fd(), None).unwrap();
    }
    naru_kernel::reap::kill(launching.pidfd()).unwrap();
    naru_kernel::reap::wait(launching.pidfd()).unwrap();
    assert!(follow_error(&mut launching).contains("killed"));
}

fn follow_error(launching: &mut naru_runtime::Launching) -> String {
    launching.advance().unwrap_err().message
}

#[test]
fn standard_streams_belong_to_the_user() {
    let fixture =
        Fixture::new("echo one > /dev/stdout; echo two > /dev/stderr; stat -L -c %u /dev/stdout")
            .with(|options| {
                options.user = Some(UserRequest { user: "www".to_owned(), groups: Vec::new() })
            });
    let out = fixture.run().unwrap();
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("one\n33\n", "two\n"));
}

#[test]
fn hooks_run_where_they_should() {
    let fixture = Fixture::new("echo command");
    let told = fixture.dir.path().join("told");
    std::fs::write(fixture.lower().join("hook"), "#!/bin/sh\n/bin/cat > /told\n").unwrap();
    assert!(
        std::process::Command::new("chmod")
            .arg("755")
            .arg(fixture.lower().join("hook"))
            .status()
            .unwrap()
            .success()
    );
    let on_host =
        json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("cat > {}", told.display())]}]);
    let fixture = fixture
        .set("/hooks", json!({"createRuntime": on_host, "startContainer": [{"path": "/hook"}]}))
        .with(|options| drop(options.hook_state.insert("id".to_owned(), "test".into())));
    assert_eq!(fixture.stdout(), "command\n");
    for file in [told, fixture.upper().join("told")] {
        let state: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(state["id"], "test");
        assert!(state["pid"].as_u64().unwrap() > 0);
    }
    let failing = Fixture::new("").set("/hooks", json!({"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "echo no >&2; exit 3"]}]}));
    let error = failing.error();
    assert!(
        error.message.contains("hook `/bin/sh` failed") && error.message.contains("no"),
        "{error}"
    );
}

#[test]
fn descriptors_can_be_passed_on() {
    // A process of its own, so that the numbers are free.
    let (reader, writer) = std::io::pipe().unwrap();
    let fixture = Fixture::new("echo through >&3").with(|options| options.preserve_fds = 1);
    let writer = OwnedFd::from(writer);
    let child = naru_kernel::clone::spawn(0, None, || {
        naru_kernel::exec::place(std::os::fd::AsFd::as_fd(&writer), 3, false).unwrap();
        let code = fixture.launch(None).and_then(|mut launching| {
            follow(&mut launching)?;
            naru_kernel::reap::wait(launching.pidfd())
                .map_err(|error| naru_runtime::StartError::other(error.to_string()))
        });
        code.unwrap_or(99)
    })
    .unwrap();
    assert_eq!(naru_kernel::reap::wait(&child.pidfd).unwrap(), 0);
    drop(writer);
    let mut text = String::new();
    File::from(OwnedFd::from(reader)).read_to_string(&mut text).unwrap();
    assert_eq!(text, "through\n");
}
