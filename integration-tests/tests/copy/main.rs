//! `cp` and `diff` with the built binary, and the docker CLI's `cp` against our daemon. Acts: as root.

use integration_tests::daemon::processes;
use integration_tests::{Daemon, run_with_input, until};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// A daemon, a directory to copy from and to, and which client copies.
struct House {
    daemon: Daemon,
    client: &'static str,
}

impl House {
    fn new(client: &'static str) -> House {
        let daemon = Daemon::start().with_busybox("box");
        let house = House { daemon, client };
        fs::create_dir_all(house.at("d/s")).unwrap();
        house.write("f", "one\n");
        house.write("d/g", "two\n");
        fs::set_permissions(house.at("d/g"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("d", house.at("ld")).unwrap();
        symlink("f", house.at("lf")).unwrap();
        std::os::unix::fs::chown(house.at("f"), Some(1000), Some(1000)).unwrap();
        house
    }

    fn at(&self, path: &str) -> PathBuf {
        self.daemon.dir().join("w").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let mut file = fs::File::create(self.at(path)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// Copies, in the directory of the test.
    #[track_caller]
    fn cp(&self, args: &[&str]) -> integration_tests::Done {
        self.cp_with(args, b"")
    }

    #[track_caller]
    fn cp_with(&self, args: &[&str], input: &[u8]) -> integration_tests::Done {
        let args = [&["cp"], args].concat();
        let mut command = match self.client {
            "docker" => self.daemon.docker_command(&args),
            _ => self.daemon.command(&args),
        };
        command.current_dir(self.at(""));
        run_with_input(&mut command, input)
    }

    fn container(&self, name: &str, more: &[&str], script: &str) {
        let args =
            [&["create", "--network", "none", "--name", name], more, &["box", "sh", "-c", script]]
                .concat();
        self.daemon.naru(&args).ok();
    }

    /// What a container sees at a path, by its own `find`.
    #[track_caller]
    fn tree(&self, name: &str, path: &str) -> String {
        let script = format!("find {path} | sort");
        self.daemon.naru(&["exec", name, "sh", "-c", &script]).ok().text().replace('\n', " ")
    }
}

const SLEEP: &str = "sleep 1000";

fn both(test: impl Fn(House)) {
    for client in ["naru", "docker"] {
        test(House::new(client));
    }
}

#[test]
fn copies_go_in_where_docker_puts_them() {
    both(|house| {
        house.container("c1", &[], SLEEP);
        for running in [false, true] {
            if running {
                house.daemon.naru(&["start", "c1"]).ok();
            }
            let top = if running { "/tmp/r" } else { "/tmp/s" };
            let to = |path: &str| format!("c1:{top}{path}");
            house.cp(&["d", &to("")]).ok();
            house.cp(&["f", &to("/new")]).ok();
            house.cp(&["f", &to("/s")]).ok();
            house.cp(&["f", &to("/s/")]).ok();
            house.cp(&["d", &to("/s")]).ok();
            house.cp(&["d/.", &to("/whole")]).ok();
            house.cp(&["lf", &to("/link")]).ok();
            house.cp(&["-L", "lf", &to("/file")]).ok();
            house.cp(&["-L", "ld", &to("/")]).ok();
        }
        for top in ["/tmp/s", "/tmp/r"] {
            let want = [
                "", "/file", "/g", "/ld", "/ld/g", "/ld/s", "/link", "/new", "/s", "/s/d",
                "/s/d/g", "/s/d/s", "/s/f", "/whole", "/whole/g", "/whole/s",
            ];
            let want: Vec<String> = want.iter().map(|path| format!("{top}{path}")).collect();
            assert_eq!(house.tree("c1", top), want.join(" "), "{}", house.client);
        }
        let script = "cat /tmp/r/new /tmp/r/file; readlink /tmp/r/link; stat -c %a /tmp/r/g";
        let done = house.daemon.naru(&["exec", "c1", "sh", "-c", script]).ok();
        assert_eq!(done.text(), "one\none\nf\n640");
    });
}

#[test]
fn copies_come_out_where_docker_puts_them() {
    both(|house| {
        let script = "mkdir -p /x/d/s; echo one >/x/f; echo two >/x/d/g; ln /x/f /x/d/h; ln -s /x/d /x/ld; ln -s f /x/lf; chown 7:8 /x/f; sleep 1000";
        house.container("c1", &[], script);
        house.daemon.naru(&["start", "c1"]).ok();
        let made = until(DEADLINE, || {
            let done = house.daemon.naru(&["exec", "c1", "stat", "-c", "%u", "/x/f"]);
            (done.text() == "7").then_some(())
        });
        assert!(made.is_some());
        for state in ["running", "paused", "stopped"] {
            match state {
                "paused" => drop(house.daemon.naru(&["pause", "c1"]).ok()),
                "stopped" => drop(house.daemon.naru(&["kill", "c1"]).ok()),
                _ => {}
            }
            fs::create_dir(house.at("o")).unwrap();
            house.cp(&["c1:/x/f", "o"]).ok();
            house.cp(&["c1:x/f", "o/new"]).ok();
            house.cp(&["c1:/x/d", "o"]).ok();
            house.cp(&["c1:/x/d", "o/e"]).ok();
            house.cp(&["c1:/x/d/.", "o/e"]).ok();
            house.cp(&["c1:/x/lf", "o/l"]).ok();
            house.cp(&["-L", "c1:/x/lf", "o/lfile"]).ok();
            house.cp(&["-L", "c1:/x/ld", "o"]).ok();
            house.cp(&["c1:/x/ld/", "o/slash"]).ok();
            assert_eq!((house.read("o/f"), house.read("o/new")), ("one\n".into(), "one\n".into()));
            assert_eq!(
                (house.read("o/d/g"), house.read("o/e/g")),
                ("two\n".into(), "two\n".into())
            );
            assert!(!house.at("o/e/d").exists());
            assert_eq!(fs::read_link(house.at("o/l")).unwrap(), Path::new("f"));
            assert_eq!(house.read("o/lfile"), "one\n");
            assert_eq!(
                (house.read("o/ld/g"), house.read("o/slash/h")),
                ("two\n".into(), "one\n".into())
            );
            assert_eq!(fs::metadata(house.at("o/f")).unwrap().uid(), 0);
            fs::remove_dir_all(house.at("o")).unwrap();
            if state == "paused" {
                house.daemon.naru(&["unpause", "c1"]).ok();
            }
        }
    });
}

#[test]
fn refusals_are_dockers() {
    both(|house| {
        house.container("c1", &[], SLEEP);
        for (args, message) in [
            (&["a", "b"][..], "must specify at least one container source"),
            (&["c1:/x", "c1:/y"], "copying between containers is not supported"),
            (&["", "c1:/x"], "source can not be empty"),
            (&["f", ""], "destination can not be empty"),
            (&["c1:/nope", "."], "Could not find the file /nope in container c1"),
            (&["c1:/bin", "nodir/x"], "nodir\" does not exist"),
            (&["f", "c1:/nope/"], "no such directory"),
            (&["f", "c1:/nope/x"], "Could not find the file /nope"),
            (&["d", "c1:/etc/passwd"], "cannot copy directory"),
            (&["c1:/etc", "f"], "cannot copy directory"),
            (&["nofile", "c1:/tmp"], "nofile: no such file or directory"),
            (&["f", "nosuch:/tmp"], "No such container: nosuch"),
            (&["nosuch:/tmp", "."], "No such container: nosuch"),
            (&["-", "c1:/nope"], "destination \"c1:/nope\" must be a directory"),
            (&["c1:/bin/sh", "/dev/null"], "must be a directory or a regular file: got a device"),
            (&["c1:", "x"], "bad parameter: pathcannot be empty"),
        ] {
            house.cp(args).fails(1, message);
        }
        house.daemon.naru(&["cp", "f"]).fails(1, "requires 2 arguments");
        house.daemon.naru(&["cp", "--nope", "f", "c1:/"]).fails(125, "unknown flag");
    });
}

#[test]
fn owners_are_roots_unless_they_are_kept() {
    let house = House::new("naru");
    house.container("c1", &[], SLEEP);
    house.daemon.naru(&["start", "c1"]).ok();
    house.cp(&["f", "c1:/plain"]).ok();
    house.cp(&["-a", "f", "c1:/kept"]).ok();
    let done = house.daemon.naru(&["exec", "c1", "stat", "-c", "%u:%g", "/plain", "/kept"]).ok();
    assert_eq!(done.text(), "0:0\n1000:1000");
    house.cp(&["c1:/kept", "back"]).ok();
    house.cp(&["-a", "c1:/kept", "same"]).ok();
    let owner = |path: &str| fs::metadata(house.at(path)).unwrap().uid();
    assert_eq!((owner("back"), owner("same")), (0, 1000));
    // Progress is for terminals, unless it is asked for.
    assert_eq!(house.cp(&["f", "c1:/x"]).ok().stderr, "");
    let done = house.cp(&["--quiet=false", "f", "c1:/x"]).ok();
    assert!(
        done.stderr.starts_with("Successfully copied ") && done.stderr.ends_with("B to c1:/x\n"),
        "{}",
        done.stderr
    );
}

#[test]
fn archives_go_through_pipes() {
    both(|house| {
        house.container("c1", &[], SLEEP);
        let done = house.daemon.command(&["cp", "c1:/etc", "-"]).output().unwrap();
        assert!(done.status.success());
        let mut archive = tar::Archive::new(done.stdout.as_slice());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["etc/", "etc/group", "etc/passwd"]);
        house.cp_with(&["-", "c1:/tmp"], &done.stdout).ok();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&done.stdout).unwrap();
        house.cp_with(&["-", "c1:/home"], &packed.finish().unwrap()).ok();
        house.cp(&["c1:/tmp/etc/passwd", "p"]).ok();
        house.cp(&["c1:/home/etc/passwd", "q"]).ok();
        assert_eq!(house.read("p"), house.read("q"));
        house.cp_with(&["-", "c1:/tmp"], b"BZh91AY&SYxxxxxxxxxxxxxxx").fails(1, "unexpected end");
        house.cp_with(&["-", "c1:/tmp"], &[b'?'; 4096]).fails(1, "");
    });
}

#[test]
fn nothing_leaves_the_destination() {
    both(|house| {
        let outside = house.daemon.dir().join("outside");
        fs::create_dir(&outside).unwrap();
        house.container("c1", &[], SLEEP);
        let far = format!("../../../../../..{}", outside.display());
        // What somebody in the container could have made, and what an archive can say.
        let mut tar = tar::Builder::new(Vec::new());
        let mut raw = |name: &str, kind: tar::EntryType, target: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            let bytes = header.as_old_mut();
            bytes.name[..name.len()].copy_from_slice(name.as_bytes());
            bytes.linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(0o777);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, content).unwrap();
        };
        raw("t/", tar::EntryType::Directory, "", b"");
        raw("t/l", tar::EntryType::Symlink, &outside.display().to_string(), b"");
        raw("t/m", tar::EntryType::Symlink, "sub", b"");
        let links = tar.into_inner().unwrap();
        house.cp_with(&["-", "c1:/tmp"], &links).ok();
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        let name = format!("{far}/escaped");
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(1);
        header.set_cksum();
        tar.append(&header, &b"x"[..]).unwrap();
        house
            .cp_with(&["-", "c1:/tmp"], &tar.into_inner().unwrap())
            .fails(1, "outside of the destination");
        // The link is a text in both directions; nothing goes through it.
        house.cp(&["f", "c1:/tmp/t/l/f"]).fails(1, "Could not find the file");
        house.cp(&["c1:/tmp/t", "t"]).ok();
        assert_eq!(fs::read_link(house.at("t/l")).unwrap(), outside);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    });
}

/// The most memory that a process has used, in KiB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_big_file_takes_no_memory_and_stays_sparse() {
    let house = House::new("naru");
    house.container("c1", &[], SLEEP);
    house.daemon.naru(&["start", "c1"]).ok();
    let big = fs::File::create(house.at("big")).unwrap();
    big.set_len(1 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&big, b"end", (1 << 30) - 3).unwrap();
    let before = peak(house.daemon.pid());
    house.cp(&["big", "c1:/big"]).ok();
    house.cp(&["c1:/big", "back"]).ok();
    // The docker CLI spells holes out.
    let mut command = house.daemon.docker_command(&["cp", "big", "c1:/spelled"]);
    run_with_input(command.current_dir(house.at("")), b"").ok();
    let after = peak(house.daemon.pid());
    assert!(after < before + 64 * 1024, "{before} KiB before, {after} KiB after");
    let meta = fs::metadata(house.at("back")).unwrap();
    assert!(meta.len() == 1 << 30 && meta.blocks() < 1024, "{} blocks", meta.blocks());
    let script = "du -k /big /spelled | cut -f1; tail -c 3 /big; tail -c 3 /spelled";
    let script = script.replace("cut -f1", "awk '{print $1}'");
    let done = house.daemon.naru(&["exec", "c1", "sh", "-c", &script]).ok();
    let words: Vec<&str> = done.text().split_whitespace().collect();
    let kibibytes = |at: usize| words[at].parse::<u64>().unwrap();
    // Spelled-out holes are found as far as they come in large pieces.
    assert!(kibibytes(0) < 1024 && kibibytes(1) < 1 << 19, "{words:?}");
    assert_eq!(words[2], "endend");
}

#[test]
fn a_client_that_is_killed_leaves_nothing_open() {
    let house = House::new("naru");
    house.container("c1", &[], "true");
    let open = || fs::read_dir(format!("/proc/{}/fd", house.daemon.pid())).unwrap().count();
    let mounts = || fs::read_to_string(format!("/proc/{}/mountinfo", house.daemon.pid())).unwrap();
    house.cp(&["f", "c1:/tmp"]).ok();
    let (descriptors, mounted) = (open(), mounts());
    for _ in 0..5 {
        let mut child = house
            .daemon
            .command(&["cp", "-", "c1:/tmp"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_path("big").unwrap();
        header.set_size(1 << 30);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        stdin.write_all(header.as_bytes()).unwrap();
        stdin.write_all(&[b'x'; 1 << 20]).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    house.write("long", &"0123456789abcdef".repeat(2 << 20));
    house.cp(&["long", "c1:/long"]).ok();
    for _ in 0..5 {
        let mut child = house
            .daemon
            .command(&["cp", "c1:/long", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = [0; 100_000];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The container can be started as soon as the daemon has let go of it.
    house.daemon.naru(&["start", "-a", "c1"]).ok();
    // Two namespaces wait ready for the next container since this start, with a few descriptors each; ten clients would
    // have left more.
    let settled = until(DEADLINE, || (open() <= descriptors + 9).then_some(()));
    assert!(settled.is_some(), "{} descriptors, {descriptors} before", open());
    assert_eq!(mounts(), mounted);
    let pid = house.daemon.pid();
    let helpers = processes().into_iter().filter(|(_, line)| {
        line.iter().any(|word| word.contains(&pid.to_string()) && word.contains("tar"))
    });
    assert_eq!(helpers.count(), 0);
}

#[test]
fn diff_lists_what_was_changed() {
    both(|house| {
        house.container(
            "c1",
            &[],
            "rm /etc/group; echo x >/etc/passwd; mkdir /new; echo y >/new/f",
        );
        house.daemon.naru(&["start", "-a", "c1"]).ok();
        let args = ["diff", "c1"];
        let done = match house.client {
            "docker" => house.daemon.docker(&args),
            _ => house.daemon.naru(&args),
        }
        .ok();
        for line in ["C /etc", "D /etc/group", "C /etc/passwd", "A /new", "A /new/f"] {
            assert!(done.stdout.lines().any(|have| have == line), "{line}: {}", done.stdout);
        }
    });
}

/// A container that does not run shows volumes, parts of volumes and images as it will see them.
#[test]
fn a_stopped_container_shows_parts_of_volumes_and_images() {
    let house = House::new("naru");
    let daemon = &house.daemon;
    daemon.naru(&["volume", "create", "vol"]).ok();
    daemon
        .naru(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-v",
            "vol:/v",
            "box",
            "sh",
            "-c",
            "mkdir /v/part; echo in > /v/part/f",
        ])
        .ok();
    daemon
        .naru(&[
            "create",
            "--name",
            "rest",
            "--network",
            "none",
            "--mount",
            "type=volume,src=vol,dst=/p,volume-subpath=part",
            "--mount",
            "type=image,src=box,dst=/i",
            "box",
            "true",
        ])
        .ok();
    house.cp(&["rest:/p/f", "got"]).ok();
    assert_eq!(house.read("got"), "in\n");
    house.cp(&["f", "rest:/p/new"]).ok();
    let seen = daemon.naru(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        "vol:/v",
        "box",
        "cat",
        "/v/part/new",
    ]);
    assert_eq!(seen.ok().text(), "one");
    house.cp(&["rest:/i/bin/busybox", "tool"]).ok();
    assert_eq!(
        fs::metadata(house.at("tool")).unwrap().len(),
        fs::metadata("/bin/busybox").unwrap().len()
    );
    house.cp(&["f", "rest:/i/x"]).fails(1, "read-only");
}
