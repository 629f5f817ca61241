//! CVE-2019-5736: a container gets hold of the runtime's binary and overwrites it on the host. Acts.

use crate::bundle::Bundle;
use std::os::unix::fs::PermissionsExt;

/// What the file of a process's binary can be opened for, once nobody executes it any more.
fn reopened_for_writing(pid: &str, end: impl FnOnce()) -> std::io::Result<std::fs::File> {
    let held = std::fs::File::open(format!("/proc/{pid}/exe")).unwrap();
    end();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held));
    std::fs::File::options().write(true).open(path)
}

#[test]
fn the_binary_of_init_cannot_be_written_to() {
    let bundle = Bundle::new(&["true"]).with_own_program();
    bundle.create(&[]);
    let pid = bundle.state()["pid"].to_string();
    let error = reopened_for_writing(&pid, || drop(bundle.ok(&["delete", "--force", &bundle.id])))
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{error}");
}

/// A script whose interpreter is `/proc/self/exe` is executed by the kernel, so nothing can be looked at before: our
/// binary runs inside. It must not be writable from there, neither while it runs nor afterwards.
#[test]
fn a_script_that_is_interpreted_by_our_binary_harms_nothing() {
    let bundle = Bundle::new(&["/script"]).with_own_program();
    let script = bundle.dir.path().join("rootfs/script");
    std::fs::write(&script, "#!/proc/self/exe --help\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let before = std::fs::metadata(&bundle.program).unwrap().modified().unwrap();
    let output = bundle.oci(&["run", &bundle.id]);
    // It runs (and explains itself), from a mount that nothing can be written through.
    assert!(output.status.code().is_some(), "{output:?}");
    assert_eq!(std::fs::metadata(&bundle.program).unwrap().modified().unwrap(), before);
}

/// From inside: hold the binary of a process on its way, wait until it is gone, write.
#[test]
fn a_container_cannot_overwrite_the_runtime_during_exec() {
    let attack = "while true; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || ( exec 3< $p/exe; \
                  case $(readlink /proc/self/fd/3) in /bin/*) ;; *) echo got $(readlink /proc/self/fd/3); esac; \
                  ) 2>/dev/null; done; done";
    let bundle = Bundle::new(&["sh", "-c", attack]);
    let out = bundle.dir.path().join("out");
    let mut command = bundle.command(&["create", &bundle.id]);
    command.stdout(std::fs::File::create(&out).unwrap()).stderr(std::process::Stdio::null());
    assert!(command.status().unwrap().success());
    bundle.ok(&["start", &bundle.id]);
    for _ in 0..10 {
        bundle.ok(&["exec", &bundle.id, "true"]);
    }
    assert_eq!(std::fs::read_to_string(out).unwrap(), "");
}
