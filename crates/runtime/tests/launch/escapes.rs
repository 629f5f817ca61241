//! Ways out of a container that other runtimes once had. Acts.

use crate::fixture::{Fixture, process};
use naru_runtime::{ExecOptions, Reason};
use serde_json::json;
use std::os::unix::fs::symlink;

/// CVE-2019-5736: the container's command is `/proc/self/exe`, which before `execve` is the runtime's own binary.
#[test]
fn our_binary_is_not_executed_as_the_command() {
    let error = Fixture::new("").set("/process/args", json!(["/proc/self/exe"])).error();
    assert_eq!(error.reason, Reason::NotExecutable, "{error}");
    let fixture = Fixture::new("");
    symlink("/proc/self/exe", fixture.lower().join("bin/innocent")).unwrap();
    let error = fixture.set("/process/args", json!(["innocent"])).error();
    assert_eq!(error.reason, Reason::NotExecutable, "{error}");
}

/// The same through `exec`.
#[test]
fn our_binary_is_not_executed_through_a_link_by_exec() {
    let fixture = Fixture::new("ln -s /proc/self/exe /bin/evil; echo ready; sleep 100");
    let mut running = fixture.start();
    running.wait_for_line("ready");
    for command in ["/proc/self/exe", "/bin/evil", "evil"] {
        let error = running.exec(process(&[command]), &ExecOptions::default()).unwrap_err();
        assert_eq!(error.reason, Reason::NotExecutable, "{command}: {error}");
    }
}

/// CVE-2024-21626: the working directory is a descriptor of ours that leads to the host.
#[test]
fn the_working_directory_is_never_a_descriptor_of_ours() {
    for number in 0..40 {
        let cwd = format!("/proc/self/fd/{number}");
        let fixture = Fixture::new("ls").set("/process/cwd", json!(cwd));
        let error = fixture.error();
        assert_eq!(error.reason, Reason::BadWorkdir, "{cwd}: {error}");
    }
    let mut running = Fixture::new("echo ready; sleep 100").start();
    running.wait_for_line("ready");
    for number in 3..40 {
        let mut further = process(&["/bin/ls"]);
        further["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let error = running.exec(further, &ExecOptions::default()).unwrap_err();
        assert_eq!(error.reason, Reason::BadWorkdir, "{number}: {error}");
    }
}

/// A path of the command through a descriptor of ours.
#[test]
fn the_command_is_never_reached_through_a_descriptor_of_ours() {
    for number in 3..40 {
        let command = format!("/proc/self/fd/{number}/bin/busybox");
        let error = Fixture::new("").set("/process/args", json!([command, "true"])).error();
        assert_eq!(error.reason, Reason::NotFound, "{error}");
    }
}

/// CVE-2019-19921: `/proc` of the image is a link, so that what is masked is somewhere else.
#[test]
fn procfs_is_not_mounted_through_a_link() {
    let fixture = Fixture::new("");
    std::fs::create_dir(fixture.lower().join("elsewhere")).unwrap();
    symlink("/elsewhere", fixture.lower().join("proc")).unwrap();
    let error = fixture.error();
    assert!(error.message.contains("the way there is a link"), "{error}");
}

/// A mount target that leads outside through a link stays inside.
#[test]
fn mount_targets_stay_inside_the_root() {
    let outside = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    std::fs::write(source.path().join("mark"), "").unwrap();
    let fixture = Fixture::new("cat /proc/mounts | grep -c victim; ls /victim/made");
    symlink("/victim", fixture.lower().join("absolute")).unwrap();
    symlink("../../../../../../../..", fixture.lower().join("dots")).unwrap();
    std::fs::create_dir(fixture.lower().join("victim")).unwrap();
    let dots = format!("/dots{}/made", outside.path().display());
    let fixture = fixture.mount("/absolute/made", "bind", source.path(), &["bind"]).mount(
        &dots,
        "bind",
        source.path(),
        &["bind"],
    );
    assert_eq!(fixture.stdout(), "1\nmark\n");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// Nothing is mounted over procfs, whatever link leads there.
#[test]
fn procfs_is_not_covered_through_a_link() {
    let source = tempfile::tempdir().unwrap();
    let fixture = Fixture::new("");
    symlink("/proc", fixture.lower().join("door")).unwrap();
    for (destination, kind, options) in
        [("/door/sys", "bind", &["bind"][..]), ("/door/sys", "tmpfs", &[])]
    {
        let fixture = Fixture::new("");
        symlink("/proc", fixture.lower().join("door")).unwrap();
        let error = fixture.mount(destination, kind, source.path(), options).error();
        assert!(error.message.contains("cannot be mounted because it is inside /proc"), "{error}");
    }
}

/// CVE-2025-31133: `/dev/null` of the image is a link, so that a mask shows what it should hide.
#[test]
fn masks_do_not_depend_on_the_containers_null_device() {
    let fixture =
        Fixture::new("cat /proc/keys | wc -c; stat -c %t:%T /proc/keys; cat /secret | wc -c");
    std::fs::create_dir(fixture.lower().join("dev")).unwrap();
    symlink("/etc/passwd", fixture.lower().join("dev/null")).unwrap();
    std::fs::write(fixture.lower().join("secret"), "secret").unwrap();
    let mut fixture = fixture.set("/linux/maskedPaths", json!(["/proc/keys", "/secret"]));
    fixture.spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    assert_eq!(fixture.stdout(), "0\n1:3\n0\n");
}

/// A mask through a link of the image covers what the link leads to.
#[test]
fn masks_follow_links_inside_the_root() {
    let fixture = Fixture::new("cat /real /link");
    std::fs::write(fixture.lower().join("real"), "secret").unwrap();
    symlink("/real", fixture.lower().join("link")).unwrap();
    assert_eq!(fixture.set("/linux/maskedPaths", json!(["/link"])).stdout(), "");
}

/// CVE-2025-52565: `/dev/console` of the image is a link to where the terminal would be bound instead.
#[test]
fn the_console_is_not_bound_through_a_link() {
    let fixture = Fixture::new("").set("/process/terminal", json!(true));
    std::fs::create_dir(fixture.lower().join("dev")).unwrap();
    symlink("/etc/passwd", fixture.lower().join("dev/console")).unwrap();
    let mut fixture = fixture;
    fixture.spec["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/dev");
    let error = fixture.error();
    assert!(error.message.contains("/dev/console"), "{error}");
}

/// CVE-2025-52881: what is written to settings goes to procfs of the host before anything of the image is in sight.
#[test]
fn settings_are_not_written_through_the_images_proc() {
    let fixture = Fixture::new("cat /proc/sys/kernel/msgmax; cat /trap");
    std::fs::write(fixture.lower().join("trap"), "untouched\n").unwrap();
    let trap = fixture.lower().join("trap");
    let fixture = fixture.set("/linux/sysctl", json!({"kernel.msgmax": "9000"}));
    let fixture = fixture.mount("/proc/uptime", "bind", &trap, &["bind"]);
    assert_eq!(fixture.stdout(), "9000\nuntouched\n");
}

/// What a container can see of the process of an `exec` before its command runs.
#[test]
fn a_process_on_its_way_cannot_be_looked_into() {
    // It looks at every process but itself for descriptors and binaries that it should not be able to name.
    let script = "echo ready; while true; do for p in /proc/[0-9]*; do \
                  case $p in /proc/1|/proc/self|/proc/$$) ;; *) \
                  for f in $p/exe $p/cwd $p/fd/*; do t=$(readlink $f 2>/dev/null); \
                  case \"$t\" in \"\"|/|/bin/busybox|/dev/null|pipe:*|/proc/*/fd) ;; *) echo leak: $f $t;; esac; done;; \
                  esac; done; done";
    let mut running = Fixture::new(script).start();
    running.wait_for_line("ready");
    for _ in 0..30 {
        assert_eq!(running.shell("true").code, 0);
    }
    naru_kernel::reap::kill(&running.pidfd).unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut running.outputs.0, &mut rest).unwrap();
    assert_eq!(rest, "");
}
