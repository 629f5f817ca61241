//! What a test must not leave: processes, mounts and cgroups that carry its name. Acts: reads `/proc` and the cgroup tree.

use std::path::Path;

/// Everything on this machine that still mentions the text (a directory of the test, or a container's ID).
pub fn mentioning(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
        if line.contains(text) {
            found.push(format!("mount: {line}"));
        }
    }
    let own = std::process::id();
    for (pid, words) in crate::daemon::processes() {
        if pid != own && words.iter().any(|word| word.contains(text)) {
            found.push(format!("process {pid}: {}", words.join(" ")));
        }
    }
    cgroups(Path::new("/sys/fs/cgroup"), text, 0, &mut found);
    found
}

fn cgroups(dir: &Path, text: &str, depth: usize, found: &mut Vec<String>) {
    if depth > 4 {
        return;
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(text) {
            found.push(format!("cgroup: {}", entry.path().display()));
        }
        cgroups(&entry.path(), text, depth + 1, found);
    }
}
