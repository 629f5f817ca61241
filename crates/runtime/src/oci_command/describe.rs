//! Acts: tells what this runtime is and can do.

use super::{SPECIFICATION, VERSION, say};
use crate::plan::capabilities;
use naru_errdefs::Fault;

const HELP: &str = "\
naru oci: containers out of OCI bundles

usage: naru oci [--root DIR] [--log FILE] [--log-format text|json] COMMAND

  create [--bundle DIR] [--console-socket PATH] [--pid-file FILE] [--preserve-fds N] [--no-new-keyring] ID
  start ID
  run [options of create] [--detach] [--keep] ID
  state ID
  kill [--all] ID [SIGNAL]
  delete [--force] ID
  exec [--process FILE] [--cwd DIR] [--env NAME=VALUE] [--tty] [--user NAME] [--cap NAME] [--no-new-privs]
       [--detach] [--pid-file FILE] [--console-socket PATH] [--preserve-fds N] ID [COMMAND …]
  list [--format table|json] [--quiet]
  ps ID
  pause ID
  resume ID
  features
  --version
";

/// `--help`.
pub(super) fn help() -> Result<u8, Fault> {
    say(HELP)
}

/// `--version`, in the shape that engines read.
pub(super) fn version() -> Result<u8, Fault> {
    say(&format!("naru version {VERSION}\nspec: {SPECIFICATION}\n"))
}

/// `features`.
pub(super) fn features() -> Result<u8, Fault> {
    let mut options = [
        "async",
        "atime",
        "bind",
        "defaults",
        "dev",
        "diratime",
        "dirsync",
        "exec",
        "idmap",
        "noatime",
        "nodev",
        "nodiratime",
        "noexec",
        "nosuid",
        "nosymfollow",
        "private",
        "ratime",
        "rbind",
        "rdev",
        "rdiratime",
        "relatime",
        "rexec",
        "ridmap",
        "rnoatime",
        "rnodev",
        "rnodiratime",
        "rnoexec",
        "rnosuid",
        "rnosymfollow",
        "ro",
        "rprivate",
        "rrelatime",
        "rro",
        "rrw",
        "rshared",
        "rslave",
        "rstrictatime",
        "rsuid",
        "rsymfollow",
        "runbindable",
        "rw",
        "shared",
        "slave",
        "strictatime",
        "suid",
        "symfollow",
        "sync",
        "tmpcopyup",
        "unbindable",
    ];
    options.sort_unstable();
    let features = serde_json::json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPECIFICATION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": options.as_slice(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
            "capabilities": capabilities::names((1 << 41) - 1),
            "cgroup": {"v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false},
            "seccomp": {
                "enabled": true,
                "actions": ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                            "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"],
                "operators": ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                              "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"],
                "archs": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
            },
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": false},
            "mountExtensions": {"idmap": {"enabled": true}},
        },
        "annotations": {},
    });
    say(&format!("{features:#}\n"))
}
