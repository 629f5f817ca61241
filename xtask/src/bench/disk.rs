//! A disk for one benchmark: a fresh ext4 with a journal, mounted over `/tmp` for this program and what it starts alone. Acts.
//!
//! Everybody who is measured keeps their files on it. The disk below may be anything: old and full of holes, or without a journal, and
//! then ext4 looks past every inode that was deleted in the last minutes, one by one, whenever it makes a file (`recently_deleted` in
//! the kernel's `ialloc.c`): what was measured before decided over what is measured now.

use crate::shell;
use std::path::Path;
use std::process::Command;

/// Set for the program that runs on the disk.
const INSIDE: &str = "NARU_BENCH_DISK";
/// How large it can grow.
const SIZE: u64 = 32 << 30;

/// Runs this program again on a disk of its own, with the same arguments. `false` when it is there already, and the caller should go on.
///
/// `also` are directories: those below `/tmp` are to be seen there all the same.
pub fn enter(binary: &Path, also: &[&Path]) -> Result<bool, String> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(false);
    }
    let image = tempfile::Builder::new()
        .prefix("naru-bench-disk")
        .tempfile_in("/var/tmp")
        .map_err(|error| format!("cannot make a file in `/var/tmp`: {error}"))?;
    image.as_file().set_len(SIZE).map_err(|error| error.to_string())?;
    let path = image.path().to_string_lossy().into_owned();
    shell::run("mkfs.ext4", &["-q", "-E", "assume_storage_prezeroed=1", "-m", "0", &path])?;
    let stage = tempfile::tempdir_in("/var/tmp").map_err(|error| error.to_string())?;
    // The mounts are seen in here only, and go with the last process of it; the loop device goes with its mount.
    let script = r#"
        set -e
        image=$1 stage=$2 binary=$3 program=$4; shift 4
        mount -o loop,noatime "$image" "$stage"
        rm "$image" # It lives as long as the loop device does, and whatever ends this ends it.
        chmod 1777 "$stage"
        cp "$binary" "$stage/naru-measured"
        while [ "$1" != -- ]; do
            case "$1" in /tmp/*)
                mkdir -p "$stage/${1#/tmp/}"
                mount --rbind "$1" "$stage/${1#/tmp/}" ;;
            esac
            shift
        done
        shift
        mount --rbind "$stage" /tmp
        exec "$program" "$@"
    "#;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(&path)
        .arg(stage.path())
        .arg(binary)
        .arg(program)
        .args(also)
        .arg("--")
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .env("NARU_BIN", "/tmp/naru-measured")
        .current_dir(shell::root())
        .status()
        .map_err(|error| format!("cannot run `unshare`: {error}"))?;
    if status.success() { Ok(true) } else { Err(format!("the benchmark failed: {status}")) }
}
