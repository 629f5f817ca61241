//! Create, start, state, kill, delete, run, exec. Acts.

use crate::bundle::Bundle;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

#[test]
fn a_container_goes_through_its_states() {
    let bundle = Bundle::new(&["sh", "-c", "echo > /started; sleep 1000"]);
    let pid_file = bundle.dir.path().join("pid");
    bundle.create(&["--pid-file", pid_file.to_str().unwrap()]);
    let state = bundle.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], bundle.id.as_str());
    assert_eq!(state["bundle"], bundle.dir.path().to_str().unwrap());
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), state["pid"].to_string());
    assert!(!bundle.dir.path().join("rootfs/started").exists());

    bundle.ok(&["start", &bundle.id]);
    bundle.wait_for("running");
    assert!(bundle.fails(&["start", &bundle.id], 1).contains("is running"));
    assert!(bundle.fails(&["delete", &bundle.id], 1).contains("is running"));
    assert!(bundle.fails(&["create", &bundle.id], 1).contains("container with id exists"));
    assert!(bundle.ok(&["list"]).contains(&bundle.id));
    assert_eq!(bundle.ok(&["list", "-q"]), format!("{}\n", bundle.id));

    bundle.ok(&["pause", &bundle.id]);
    assert_eq!(bundle.state()["status"], "paused");
    assert!(bundle.fails(&["exec", &bundle.id, "true"], 1).contains("paused"));
    bundle.ok(&["resume", &bundle.id]);

    bundle.ok(&["kill", &bundle.id, "SIGKILL"]);
    bundle.wait_for("stopped");
    assert_eq!(bundle.state()["pid"], 0);
    assert!(bundle.fails(&["kill", &bundle.id, "TERM"], 1).contains("not running"));
    bundle.ok(&["delete", &bundle.id]);
    assert!(bundle.fails(&["state", &bundle.id], 1).contains("does not exist"));
}

#[test]
fn nothing_is_left_of_a_deleted_container() {
    let bundle = Bundle::new(&["sleep", "1000"]);
    bundle.create(&[]);
    let pid = bundle.state()["pid"].to_string();
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(cgroup.contains(&bundle.id), "{cgroup}");
    bundle.ok(&["delete", "--force", &bundle.id]);
    assert_eq!(std::fs::read_dir(bundle.dir.path().join("state")).unwrap().count(), 0);
    for root in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        assert!(!root.path().join(&bundle.id).exists(), "{}", root.path().display());
    }
    bundle.ok(&["delete", "--force", &bundle.id]);
}

#[test]
fn run_passes_output_and_exit_code_through() {
    let bundle = Bundle::new(&["sh", "-c", "hostname; id -u; exit 7"]);
    let output = bundle.oci(&["run", &bundle.id]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "bundle\n0\n");
    assert_eq!(bundle.ok(&["list", "-q"]), "");
}

#[test]
fn what_cannot_be_created_says_why_and_leaves_nothing() {
    let bundle = Bundle::new(&["nope"]);
    let log = bundle.dir.path().join("log");
    let words = ["--log", log.to_str().unwrap(), "--log-format", "json", "create", &bundle.id];
    let told = bundle.fails(&words, 127);
    assert!(told.contains("exec: \"nope\": executable file not found in $PATH"), "{told}");
    let line: Value = serde_json::from_slice(&std::fs::read(&log).unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().unwrap().contains("executable file not found"), "{line}");
    assert_eq!(bundle.ok(&["list", "-q"]), "");

    bundle.write(|spec| spec["process"]["args"] = json!(["/etc/passwd"]));
    assert!(bundle.fails(&["run", &bundle.id], 126).contains("permission denied"));
    bundle.write(|spec| spec["mounts"] = json!([{"destination": "/x", "type": "bind", "source": "/nowhere", "options": ["bind"]}]));
    assert!(bundle.fails(&["run", &bundle.id], 1).contains("/nowhere"));
    bundle.write(|spec| spec["root"]["path"] = json!("elsewhere"));
    assert!(bundle.fails(&["run", &bundle.id], 1).contains("elsewhere"));
    bundle.write(|spec| drop(spec.as_object_mut().unwrap().remove("process")));
    assert!(bundle.fails(&["run", &bundle.id], 1).contains("`process`"));
    std::fs::write(bundle.dir.path().join("config.json"), "{").unwrap();
    assert!(bundle.fails(&["run", &bundle.id], 1).contains("not an OCI configuration"));
    assert!(bundle.fails(&["run", "--bundle", "/nowhere", &bundle.id], 1).contains("/nowhere"));
    assert_eq!(std::fs::read_dir(bundle.dir.path().join("state")).unwrap().count(), 0);
}

#[test]
fn wrong_words_are_refused() {
    let bundle = Bundle::new(&["true"]);
    assert!(bundle.fails(&["tea"], 1).contains("not a command"));
    assert!(bundle.fails(&["create", "--tea", "x"], 1).contains("--tea"));
    assert!(bundle.fails(&["create", "../x"], 1).contains("cannot be a container's ID"));
    assert!(bundle.fails(&["start"], 1).contains("is missing"));
    assert!(bundle.fails(&["--systemd-cgroup", "list"], 1).contains("systemd-cgroup"));
    assert!(bundle.fails(&["kill", &bundle.id, "TEA"], 1).contains("not a signal"));
    assert!(bundle.ok(&["--version"]).starts_with("naru version "));
    let features: Value = serde_json::from_str(&bundle.ok(&["features"])).unwrap();
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
}

#[test]
fn exec_runs_a_further_process() {
    let bundle = Bundle::new(&["sleep", "1000"]);
    bundle.create(&[]);
    bundle.ok(&["start", &bundle.id]);
    let id = bundle.id.as_str();
    assert_eq!(bundle.ok(&["exec", id, "hostname"]), "bundle\n");
    assert_eq!(
        bundle.ok(&[
            "exec",
            "--user",
            "www",
            "--cwd",
            "/etc",
            "-e",
            "X=y",
            id,
            "sh",
            "-c",
            "id -u; echo $X; ls"
        ]),
        "33\ny\ngroup\npasswd\n"
    );
    assert_eq!(bundle.oci(&["exec", id, "sh", "-c", "exit 9"]).status.code(), Some(9));
    assert!(bundle.fails(&["exec", id, "nope"], 127).contains("not found in $PATH"));
    assert!(
        bundle.fails(&["exec", "--user", "tea", id, "true"], 1).contains("unable to find user tea")
    );
    let process = bundle.dir.path().join("process.json");
    let text = json!({"args": ["sh", "-c", "id -u; grep -c . /proc/self/cgroup"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 5, "gid": 6}});
    std::fs::write(&process, text.to_string()).unwrap();
    assert!(bundle.ok(&["exec", "--process", process.to_str().unwrap(), id]).starts_with("5\n"));
    let groups = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let first = groups(&bundle.state()["pid"].to_string());
    let pid_file = bundle.dir.path().join("exec-pid");
    let words = ["exec", "--detach", "--pid-file", pid_file.to_str().unwrap(), id, "sleep", "1000"];
    let mut command = bundle.command(&words);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    assert!(command.status().unwrap().success());
    assert_eq!(groups(&std::fs::read_to_string(pid_file).unwrap()), first);
}

#[test]
fn a_terminal_goes_through_the_console_socket() {
    let bundle = Bundle::new(&["sh", "-c", "stty size; echo end"]);
    bundle.write(|spec| {
        spec["process"]["terminal"] = json!(true);
        spec["process"]["consoleSize"] = json!({"height": 20, "width": 70});
    });
    assert!(bundle.fails(&["create", &bundle.id], 1).contains("--console-socket"));
    let path = bundle.dir.path().join("console");
    let listener = UnixListener::bind(&path).unwrap();
    bundle.create(&["--console-socket", path.to_str().unwrap()]);
    let (socket, _) = listener.accept().unwrap();
    let (_, master) = naru_kernel::channel::receive(&socket, &mut [0; 64]).unwrap();
    let mut master = std::fs::File::from(master.expect("a descriptor"));
    bundle.ok(&["start", &bundle.id]);
    let mut text = String::new();
    let mut buffer = [0; 256];
    while !text.contains("end") {
        let length = master.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert_eq!(text, "20 70\r\nend\r\n");
    bundle.wait_for("stopped");
}

#[test]
fn signals_reach_a_container_in_the_foreground() {
    let bundle = Bundle::new(&[
        "sh",
        "-c",
        "trap 'exit 6' TERM; echo ready; while true; do sleep 0.05; done",
    ]);
    let mut command = bundle.command(&["run", &bundle.id]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    naru_kernel::reap::signal(child.id(), 15).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

#[test]
fn hooks_of_a_bundle_run_in_order() {
    let bundle = Bundle::new(&["true"]);
    let log = bundle.dir.path().join("log");
    let hook = |name: &str| {
        let script =
            format!("grep -o '\"status\":\"[a-z]*\"' | sed 's/^/{name} /' >> {}", log.display());
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}])
    };
    bundle.write(|spec| {
        spec["hooks"] = json!({
            "prestart": hook("prestart"), "createRuntime": hook("createRuntime"), "poststart": hook("poststart"),
            "poststop": hook("poststop"), "createContainer": hook("createContainer"),
        });
    });
    bundle.ok(&["run", &bundle.id]);
    let told = std::fs::read_to_string(&log).unwrap();
    let names = told.lines().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>();
    assert_eq!(names, ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]);
    assert!(told.ends_with("poststop \"status\":\"stopped\"\n"), "{told}");
}

#[test]
fn a_bundle_made_by_umoci_runs() {
    let bundle = Bundle::new(&["true"]);
    let work = bundle.dir.path().join("umoci");
    std::fs::create_dir(&work).unwrap();
    let umoci = |words: &[&str]| {
        let output =
            std::process::Command::new("umoci").args(words).current_dir(&work).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    umoci(&["init", "--layout", "image"]);
    umoci(&["new", "--image", "image:x"]);
    let rootfs = bundle.dir.path().join("rootfs");
    umoci(&["insert", "--image", "image:x", rootfs.to_str().unwrap(), "/"]);
    umoci(&[
        "config",
        "--image",
        "image:x",
        "--config.cmd",
        "/bin/sh",
        "--config.cmd",
        "-c",
        "--config.cmd",
        "id -u; exit 4",
    ]);
    umoci(&["unpack", "--image", "image:x", "made"]);
    let file = work.join("made/config.json");
    let mut spec: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    spec["process"]["terminal"] = json!(false);
    std::fs::File::create(&file).unwrap().write_all(spec.to_string().as_bytes()).unwrap();
    let output = bundle.oci(&["run", "--bundle", "umoci/made", &bundle.id]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "0\n");
}
