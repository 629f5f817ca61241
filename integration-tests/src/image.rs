//! Images small enough to be made for every test. Pure, but for reading the host's busybox.

/// A root file system with a static busybox and the files that containers expect, as a tar.
pub fn busybox_tar() -> Vec<u8> {
    let busybox =
        std::fs::read("/bin/busybox").expect("Debian's package busybox-static is installed");
    let mut tar = tar::Builder::new(Vec::new());
    for dir in ["bin/", "etc/", "tmp/", "root/", "proc/", "sys/", "dev/", "home/", "var/"] {
        let mode = if dir == "tmp/" { 0o1777 } else { 0o755 };
        append(&mut tar, dir, tar::EntryType::Directory, mode, b"");
    }
    append(&mut tar, "bin/busybox", tar::EntryType::Regular, 0o755, &busybox);
    for applet in [
        "sh", "ls", "cat", "echo", "true", "false", "sleep", "id", "env", "pwd", "stty", "tty",
        "seq", "kill", "ps", "mount", "grep", "head", "tail", "wc", "touch", "mkdir", "rm", "ln",
        "chmod", "hostname", "nc", "yes", "dd", "date", "trap", "test", "readlink", "stat",
        "printf", "usleep", "find", "awk", "sed", "sync", "ip", "free", "df", "nproc", "uname",
        "whoami", "du", "mv", "cp", "sort", "tr", "ulimit", "umount", "mknod", "timeout", "setsid",
        "wget", "httpd", "top", "time", "xargs", "chown", "ping", "nslookup",
    ] {
        link(&mut tar, &format!("bin/{applet}"), "busybox");
    }
    append(
        &mut tar,
        "etc/passwd",
        tar::EntryType::Regular,
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n",
    );
    append(
        &mut tar,
        "etc/group",
        tar::EntryType::Regular,
        0o644,
        b"root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
    );
    tar.into_inner().expect("a tar in memory")
}

/// What a layer has inside, decompressed as it is read.
pub fn inflating(layer: impl std::io::Read) -> impl std::io::Read {
    flate2::read::MultiGzDecoder::new(layer)
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(u64::try_from(size).unwrap_or(0));
    header
}

/// Adds an entry with content.
pub fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    name: &str,
    kind: tar::EntryType,
    mode: u32,
    content: &[u8],
) {
    let mut header = header(kind, mode, content.len());
    tar.append_data(&mut header, name, content).expect("a tar in memory");
}

/// Adds a symbolic link.
pub fn link(tar: &mut tar::Builder<Vec<u8>>, name: &str, target: &str) {
    let mut header = header(tar::EntryType::Symlink, 0o777, 0);
    tar.append_link(&mut header, name, target).expect("a tar in memory");
}

/// The busybox root with more entries: links (`name -> target`) and files.
pub fn busybox_tar_with(links: &[(&str, &str)], files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let base = busybox_tar();
    let mut tar = tar::Builder::new(Vec::new());
    let replaced = |name: &str| {
        links.iter().any(|(link, _)| *link == name)
            || files.iter().any(|(file, _, _)| *file == name)
    };
    let mut archive = tar::Archive::new(base.as_slice());
    for entry in archive.entries().expect("our own tar") {
        let mut entry = entry.expect("our own tar");
        let name =
            entry.path().expect("our own names").to_string_lossy().trim_end_matches('/').to_owned();
        if replaced(&name) {
            continue;
        }
        let header = entry.header().clone();
        match header.link_name().expect("our own tar") {
            Some(target) => link(&mut tar, &name, &target.to_string_lossy()),
            None => {
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut content).expect("our own tar");
                append(
                    &mut tar,
                    &name,
                    header.entry_type(),
                    header.mode().expect("our own tar"),
                    &content,
                );
            }
        }
    }
    for (name, target) in links {
        link(&mut tar, name, target);
    }
    for (name, mode, content) in files {
        append(&mut tar, name, tar::EntryType::Regular, *mode, content);
    }
    tar.into_inner().expect("a tar in memory")
}

/// The busybox root with a page for its `httpd` that tells who asks.
pub fn who_tar() -> Vec<u8> {
    let who = b"#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n%s\\n' \"$REMOTE_ADDR\"\n";
    let links = [("bin/nslookup", "busybox"), ("bin/ping", "busybox"), ("bin/ping6", "busybox")];
    busybox_tar_with(&links, &[("www/cgi-bin/who", 0o755, who)])
}
