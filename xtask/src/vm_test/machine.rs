//! Boots the machine and reads what it says. Acts.

use super::modules::Kernel;
use super::verdict;
use crate::shell;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Emulation is slow, and a test machine may have much else to do.
const PATIENCE: Duration = Duration::from_secs(600);
const DISK_SIZE: u64 = 64 << 20;

/// Boots with `initramfs` and further `words` for the kernel, and returns the lines of the serial console. `dir` is for
/// files of the machine.
pub fn boot(
    kernel: &Kernel,
    initramfs: &[u8],
    words: &str,
    dir: &Path,
) -> Result<Vec<String>, String> {
    let failed =
        |path: &Path, error: std::io::Error| format!("cannot write `{}`: {error}", path.display());
    let ramfs = dir.join("initramfs");
    write_new(&ramfs, initramfs).map_err(|error| failed(&ramfs, error))?;
    let disk = dir.join("disk");
    std::fs::File::create_new(&disk)
        .and_then(|file| file.set_len(DISK_SIZE))
        .map_err(|error| failed(&disk, error))?;
    shell::say(&format!("booting {} with {} MiB of tests", kernel.release, initramfs.len() >> 20));
    let mut child = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"])
        .args(["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-nic", "none"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&ramfs)
        .arg("-append")
        .arg(format!(
            "console=ttyS0 quiet panic=-1 oops=panic mitigations=off cgroup_no_v1=all {words}"
        ))
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=raw,cache=unsafe", disk.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| {
            format!("cannot run `qemu-system-x86_64` (Debian: qemu-system-x86): {error}")
        })?;
    let output = child.stdout.take().ok_or("qemu has no output")?;
    let (sender, receiver) = channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let deadline = Instant::now() + PATIENCE;
    let mut lines = Vec::new();
    let in_time = loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if verdict::is_news(&line) {
                    shell::say(&format!("  {line}"));
                }
                lines.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => break true,
            Err(RecvTimeoutError::Timeout) => break false,
        }
    };
    if !in_time {
        child.kill().map_err(|error| format!("cannot stop the machine: {error}"))?;
    }
    let status = child.wait().map_err(|error| format!("cannot wait for the machine: {error}"))?;
    reader.join().map_err(|_panic| "the reader of the console failed".to_owned())?;
    let said = || lines.iter().rev().take(40).rev().cloned().collect::<Vec<_>>().join("\n");
    if !in_time {
        return Err(format!(
            "the machine did not end within {} s; it said:\n{}",
            PATIENCE.as_secs(),
            said()
        ));
    }
    if !status.success() {
        return Err(format!("qemu ended with {status}; the machine said:\n{}", said()));
    }
    Ok(lines)
}

fn write_new(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    std::fs::File::create_new(path)?.write_all(content)
}
