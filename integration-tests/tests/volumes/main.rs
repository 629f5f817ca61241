//! Volumes end to end, by our own client and by docker's: made, mounted in every form, shared, kept, backed up. Acts: as
//! root, with the built binary.

use integration_tests::{Daemon, leftovers, run_with_input, until};
use std::time::Duration;

fn daemon() -> Daemon {
    Daemon::start().with_busybox("box")
}

/// `run` on no network, with these words behind.
fn on_box<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["run", "--rm", "--network", "none"], words].concat()
}

/// The host's mounts.
fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

#[test]
fn a_volume_lives_from_create_to_rm() {
    let daemon = daemon();
    for client in [Daemon::naru, Daemon::docker] {
        assert_eq!(client(&daemon, &["volume", "create", "data"]).ok().text(), "data");
        assert_eq!(client(&daemon, &["volume", "create", "data"]).ok().text(), "data");
        client(&daemon, &on_box(&["-v", "data:/v", "box", "sh", "-c", "echo kept > /v/f"])).ok();
        let seen = client(&daemon, &on_box(&["-v", "data:/v:ro", "box", "cat", "/v/f"])).ok();
        assert_eq!(seen.text(), "kept");
        let shown = client(&daemon, &["volume", "inspect", "-f", "{{.Driver}} {{.Scope}}", "data"]);
        assert_eq!(shown.ok().text(), "local local");
        assert_eq!(client(&daemon, &["volume", "ls", "-q"]).ok().text(), "data");
        let listed = client(&daemon, &["volume", "ls"]).ok();
        assert_eq!(listed.stdout, "DRIVER    VOLUME NAME\nlocal     data\n");

        let held =
            client(&daemon, &["create", "--network", "none", "-v", "data:/v", "box", "true"]).ok();
        let id = held.text();
        client(&daemon, &["volume", "rm", "data"])
            .fails(1, &format!("remove data: volume is in use - [{id}]"));
        client(&daemon, &["volume", "rm", "-f", "data"]).fails(1, "volume is in use");
        client(&daemon, &["rm", "-v", id]).ok();
        assert_eq!(client(&daemon, &["volume", "rm", "data"]).ok().text(), "data");
        client(&daemon, &["volume", "rm", "data"]).fails(1, "get data: no such volume");
        client(&daemon, &["volume", "inspect", "data"]).fails(1, "get data: no such volume");
        assert!(!daemon.data_root().join("volumes/data").exists());
    }
}

#[test]
fn names_with_tricks_and_unknown_options_are_refused() {
    let daemon = daemon();
    let long = "n".repeat(300);
    for client in [Daemon::naru, Daemon::docker] {
        for (words, part) in [
            (&["create", "../x"][..], "includes invalid characters for a local volume name"),
            (&["create", "a/b"], "includes invalid characters for a local volume name"),
            (&["create", "x"], "volume name is too short"),
            (&["create", &long], "file name too long"),
            (&["create", "-d", "rexray", "vol"], "plugin \"rexray\" not found"),
            (&["create", "-o", "colour=red", "vol"], "create vol: invalid option: \"colour\""),
            (&["create", "-o", "type=tmpfs", "vol"], "missing required option: \"device\""),
            (&["create", "-o", "size=1g", "vol"], "quota size requested but no quota support"),
            (&["rm", "a/b"], "no such volume"),
        ] {
            let words = [&["volume"], words].concat();
            client(&daemon, &words).fails(1, part);
        }
    }
    daemon.naru(&["volume", "rm", "../containers"]).fails(1, "no such volume");
    let left = std::fs::read_dir(daemon.data_root().join("volumes")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn prune_takes_what_nobody_uses() {
    let daemon = daemon();
    daemon.naru(&["volume", "create", "--label", "keep=no", "named"]).ok();
    daemon.naru(&["volume", "create", "--label", "keep=yes", "other"]).ok();
    let anonymous = daemon.naru(&["volume", "create"]).ok().text().to_owned();
    let pruned = daemon.docker(&["volume", "prune", "-f"]).ok();
    assert!(pruned.stdout.starts_with(&format!("Deleted Volumes:\n{anonymous}\n")), "{pruned:?}");
    let filter = ["volume", "prune", "-a", "-f", "--filter", "label=keep=no"];
    let pruned = daemon.naru(&filter).ok();
    assert_eq!(pruned.stdout, "Deleted Volumes:\nnamed\n\nTotal reclaimed space: 0B\n");
    // A client before 1.42 means all of them.
    let mut old = daemon.docker_command(&["volume", "prune", "-f"]);
    old.env("DOCKER_API_VERSION", "1.41");
    assert!(run_with_input(&mut old, b"").ok().stdout.contains("other"));
    assert_eq!(daemon.naru(&["volume", "ls", "-q"]).ok().text(), "");
}

#[test]
fn mounts_in_their_long_form() {
    let daemon = daemon();
    let before = mounts();
    let dir = daemon.dir().join("host");
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    std::fs::write(dir.join("sub/file"), "host\n").unwrap();
    let source = dir.to_string_lossy().into_owned();
    for client in [Daemon::naru, Daemon::docker] {
        for (mount, script, want) in [
            (format!("type=bind,src={source},dst=/m"), "cat /m/sub/file", "host"),
            (format!("type=bind,src={source},dst=/m,ro"), "echo x > /m/y || echo ro", "ro"),
            (
                format!("type=bind,src={source},dst=/m,ro,bind-recursive=writable"),
                "cat /m/sub/file",
                "host",
            ),
            (
                format!("type=bind,src={source},dst=/m,ro,bind-recursive=readonly,bind-propagation=rprivate"),
                "cat /m/sub/file",
                "host",
            ),
            (format!("type=bind,src={source},dst=/m,bind-recursive=disabled"), "cat /m/sub/file", "host"),
            ("type=tmpfs,dst=/m,tmpfs-size=1m,tmpfs-mode=0711".into(), "stat -c %a /m", "711"),
            ("type=volume,src=vol,dst=/m,volume-label=a=b".into(), "echo in > /m/f; cat /m/f", "in"),
            ("type=volume,src=vol,dst=/m,volume-subpath=f".into(), "cat /m", "in"),
            ("type=volume,src=vol,dst=/etc,volume-nocopy".into(), "ls /etc | head -1", "f"),
            (
                "type=volume,src=mem,dst=/m,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-opt=o=size=1m".into(),
                "df /m | tail -1 | awk '{print $1, $2}'",
                "tmpfs 1024",
            ),
            ("type=image,src=box,dst=/m".into(), "cat /m/etc/group | head -1", "root:x:0:"),
            ("type=image,src=box,dst=/m,image-subpath=etc".into(), "head -1 /m/group", "root:x:0:"),
        ] {
            let words = on_box(&["--mount", &mount, "box", "sh", "-c", script]);
            assert_eq!(client(&daemon, &words).ok().text(), want, "{mount}");
        }
    }
    let labels = daemon.naru(&["volume", "inspect", "-f", "{{.Labels.a}}", "vol"]);
    assert_eq!(labels.ok().text(), "b");
    assert_eq!(mounts(), before);
}

#[test]
fn mounts_that_cannot_be_say_why() {
    let daemon = daemon();
    daemon
        .naru(&on_box(&["-v", "vol:/v", "box", "sh", "-c", "ln -s / /v/root; ln -s ../.. /v/up"]))
        .ok();
    for client in [Daemon::naru, Daemon::docker] {
        for (mount, part) in [
            ("type=volume,src=vol,dst=/m,volume-subpath=root/etc", "cannot access path"),
            ("type=volume,src=vol,dst=/m,volume-subpath=up/up/etc/passwd", "cannot access path"),
            (
                "type=volume,src=vol,dst=/m,volume-subpath=../x",
                "subpath must be a relative path within the volume",
            ),
            (
                "type=volume,dst=/m,volume-subpath=x",
                "must not set Subpath when using anonymous volumes",
            ),
            ("type=image,src=nope,dst=/m", "No such image: nope:latest"),
            ("type=bind,src=/no/such,dst=/m", "bind source path does not exist: /no/such"),
            (
                "type=volume,src=vol,dst=/proc",
                "\"/proc\" cannot be mounted because it is not of type proc",
            ),
            (
                "type=volume,src=vol,dst=/proc/sys",
                "\"/proc/sys\" cannot be mounted because it is inside /proc",
            ),
            (
                "type=tmpfs,dst=/proc/sys",
                "\"/proc/sys\" cannot be mounted because it is inside /proc",
            ),
        ] {
            let done = client(&daemon, &on_box(&["--mount", mount, "box", "true"]));
            // Docker's client takes everything that ends in "no such file or directory" for a missing command.
            assert!([125, 127].contains(&done.code), "{mount}: {done:?}");
            assert!(done.stderr.contains(part), "{mount}: {done:?}");
        }
    }
    // Docker's client takes this for a missing image.
    daemon
        .naru(&on_box(&["--volumes-from", "nope", "box", "true"]))
        .fails(125, "No such container: nope");
    let left = daemon.naru(&["volume", "ls", "-q"]).ok();
    assert_eq!(left.text(), "vol");
}

#[test]
fn containers_lend_each_other_their_volumes() {
    let daemon = daemon();
    let script = "echo shared > /data/f; sleep 600";
    daemon
        .naru(&[
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            "lender",
            "-v",
            "/data",
            "box",
            "sh",
            "-c",
            script,
        ])
        .ok();
    let view = daemon.naru(&[
        "inspect",
        "-f",
        "{{range .Mounts}}{{.Type}} {{.Destination}} {{.Driver}} {{.RW}} {{.Name}}{{end}}",
        "lender",
    ]);
    let view = view.ok().text().to_owned();
    assert!(view.starts_with("volume /data local true "), "{view}");
    let name = view.rsplit(' ').next().unwrap();
    let there = || {
        let words = on_box(&["--volumes-from", "lender:ro", "box", "cat", "/data/f"]);
        (daemon.docker(&words).text() == "shared").then_some(())
    };
    assert!(until(Duration::from_secs(20), there).is_some());
    daemon
        .docker(&on_box(&["--volumes-from", "lender:ro", "box", "touch", "/data/g"]))
        .fails(1, "Read-only file system");
    daemon.docker(&["volume", "rm", name]).fails(1, "volume is in use");
    daemon.docker(&["rm", "-f", "-v", "lender"]).ok();
    assert_eq!(daemon.naru(&["volume", "ls", "-q"]).ok().text(), "");
}

#[test]
fn memory_is_shared_and_outlives_the_daemon() {
    let mut daemon = daemon();
    let before = mounts();
    let options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m"];
    daemon.naru(&[&["volume", "create"], &options[..], &["mem"]].concat()).ok();
    let script = "echo there > /m/f; sleep 600";
    let up = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "up",
        "-v",
        "mem:/m",
        "box",
        "sh",
        "-c",
        script,
    ];
    let id = daemon.naru(&up).ok().text().to_owned();
    let there = |daemon: &Daemon| {
        let seen = daemon.naru(&on_box(&["-v", "mem:/x", "box", "cat", "/x/f"]));
        (seen.text() == "there").then_some(())
    };
    assert!(until(Duration::from_secs(20), || there(&daemon)).is_some());
    daemon.kill();
    daemon.launch();
    assert!(there(&daemon).is_some());
    assert_eq!(mounts(), before);
    daemon.naru(&["rm", "-f", "up"]).ok();
    assert_eq!(daemon.naru(&on_box(&["-v", "mem:/x", "box", "ls", "/x"])).ok().text(), "");
    assert_eq!(leftovers::mentioning(&id), [""; 0]);
}

#[test]
fn a_volume_is_carried_in_a_tar() {
    let daemon = daemon();
    let script = "mkdir /v/d; echo text > /v/d/f; chown 7:8 /v/d/f; chmod 4711 /v/d/f; ln -s d/f /v/l; ln /v/d/f /v/h";
    daemon.naru(&on_box(&["-v", "one:/v", "box", "sh", "-c", script])).ok();
    let file = daemon.dir().join("one.tar");
    let file = file.to_string_lossy().into_owned();
    daemon.naru(&["volume", "backup", "one", &file]).ok();
    daemon.naru(&["volume", "create", "two"]).ok();
    daemon.naru(&["volume", "restore", "two", &file]).ok();
    let show = "cd /v; stat -c '%n %u %g %a %h' d/f; readlink l; cat h";
    let shown = daemon.naru(&on_box(&["-v", "two:/v", "box", "sh", "-c", show])).ok();
    assert_eq!(shown.text(), "d/f 7 8 4711 2\nd/f\ntext");

    daemon.naru(&["create", "--network", "none", "-v", "two:/v", "box", "true"]).ok();
    daemon.naru(&["volume", "restore", "two", &file]).fails(1, "restore two: volume is in use");
    daemon.naru(&["volume", "restore", "--force", "two", &file]).ok();
    daemon.naru(&["volume", "restore", "nope", &file]).fails(1, "get nope: no such volume");
    daemon.naru(&["volume", "backup", "nope"]).fails(1, "get nope: no such volume");

    // An archive that wants out stays in, or is refused; what was there is there.
    let outside = daemon.dir().join("outside");
    std::fs::create_dir(&outside).unwrap();
    for evil in [evil_names(), evil_links(&outside)] {
        daemon.naru_with_input(&["volume", "restore", "one"], &evil);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        assert!(!daemon.data_root().join("volumes/escaped").exists());
    }
    daemon.naru_with_input(&["volume", "restore", "two", "--force"], b"no archive").fails(1, "");
}

fn evil_names() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    let name = b"../../escaped";
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_size(0);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append(&header, &b""[..]).unwrap();
    tar.into_inner().unwrap()
}

fn evil_links(outside: &std::path::Path) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    integration_tests::image::link(&mut tar, "door", &outside.to_string_lossy());
    integration_tests::image::append(
        &mut tar,
        "door/escaped",
        tar::EntryType::Regular,
        0o644,
        b"x",
    );
    tar.into_inner().unwrap()
}

#[test]
fn events_and_room_are_shown() {
    let daemon = daemon();
    let (mut follower, mut lines) = daemon.follow(&[
        "events",
        "--filter",
        "type=volume",
        "--format",
        "{{.Action}} {{.Actor.ID}}",
    ]);
    // The listener is in the daemon's books once an event has reached it.
    let heard = until(Duration::from_secs(20), || {
        daemon.naru(&["volume", "create", "probe"]).ok();
        daemon.naru(&["volume", "rm", "probe"]).ok();
        let info = daemon.naru(&["info", "--format", "{{.NEventsListener}}"]).ok();
        (info.text() != "0").then_some(())
    });
    assert!(heard.is_some());
    daemon.naru(&on_box(&["-v", "vol:/v", "box", "sh", "-c", "echo 12345 > /v/f"])).ok();
    let df = daemon.docker(&[
        "system",
        "df",
        "--format",
        "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}",
    ]);
    assert!(df.ok().stdout.contains("Local Volumes 1 0 6B"));
    daemon.naru(&["volume", "rm", "vol"]).ok();
    let wanted = ["create vol", "mount vol", "unmount vol", "destroy vol"];
    let seen: Vec<String> =
        lines.by_ref().filter(|line| line.ends_with(" vol")).take(wanted.len()).collect();
    assert_eq!(seen, wanted);
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn every_flag_of_the_commands_is_known() {
    let daemon = daemon();
    for client in [Daemon::naru, Daemon::docker] {
        let on = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            client(&daemon, &[&["volume"], words.as_slice()].concat())
        };
        on("create -d local --label k=v --label bare plain").ok();
        on("create --driver=local -o type=tmpfs -o device=tmpfs --opt o=size=1m,mode=700 memory")
            .ok();
        let anonymous = on("create").ok().text().to_owned();
        assert_eq!(anonymous.len(), 64, "{anonymous}");
        let held = ["create", "--network", "none", "-v", "plain:/v", "box", "true"];
        let holder = client(&daemon, &held).ok().text().to_owned();
        for (flags, want) in [
            ("-q --filter name=pla", "plain"),
            ("-q --filter label=k", "plain"),
            ("-q --filter label=k=v --filter label=bare", "plain"),
            ("-q --filter label=k=w", ""),
            ("--filter driver=local --filter dangling=false --format {{.Name}}", "plain"),
            (
                "--filter dangling=true --filter name=mem --format {{.Driver}}/{{.Name}}",
                "local/memory",
            ),
            ("--filter name=plain --format {{.Scope}}", "local"),
        ] {
            assert_eq!(on(&format!("ls {flags}")).ok().text(), want, "{flags}");
        }
        // docker's own client lists them in the order of Go's maps: any.
        let listed = on("ls --filter name=plain --format {{.Labels}}").ok().text().to_owned();
        assert!(["bare=,k=v", "k=v,bare="].contains(&listed.as_str()), "{listed}");
        assert!(on("ls --format json").ok().stdout.contains(r#""Name":"memory""#));
        on("ls --filter colour=red").fails(1, "colour");
        for (template, want) in [
            (
                "{{.Options.type}}/{{.Options.device}}/{{.Options.o}}",
                "tmpfs/tmpfs/size=1m,mode=700",
            ),
            ("{{.Name}}", "memory"),
        ] {
            assert_eq!(on(&format!("inspect --format {template} memory")).ok().text(), want);
        }
        assert!(on("inspect -f json plain").ok().stdout.contains(r#""Driver":"local""#));
        on("inspect plain nosuch").fails(1, "get nosuch: no such volume");
        on("rm nosuch").fails(1, "get nosuch: no such volume");
        on("rm --force nosuch").ok();
        on("prune --force --filter label=nobody").ok();
        // What is mounted from elsewhere is nobody's to throw away unasked.
        let pruned = on("prune -a -f --filter label!=k").ok();
        assert!(pruned.stdout.contains(&anonymous), "{}", pruned.stdout);
        on("rm memory").ok();
        client(&daemon, &["rm", &holder]).ok();
        assert_eq!(on("ls -q").ok().text(), "plain");
        on("rm plain").ok();
    }
}

/// In a mount namespace of its own, so that something can be mounted below a source without the host seeing it.
#[test]
fn read_only_is_so_with_all_that_is_mounted_below() {
    let dir = tempfile::Builder::new().prefix("naru-t").tempdir_in("/tmp").unwrap();
    let tar = dir.path().join("box.tar");
    std::fs::write(&tar, integration_tests::image::busybox_tar()).unwrap();
    let script = r#"
        set -e
        cd "$DIR"; mkdir -p src/sub; mount -t tmpfs below src/sub; echo deep > src/sub/file
        "$NARU" daemon --data-root "$DIR"/data --exec-root "$DIR"/exec --pidfile "$DIR"/pid -H unix://"$DIR"/s 2> log &
        daemon=$!
        trap '"$NARU" -H unix://"$DIR"/s rm -f slave >/dev/null 2>&1 || :; kill $daemon; wait $daemon || :' EXIT
        for try in $(seq 200); do test -S s && break; sleep 0.05; done
        naru() { "$NARU" -H unix://"$DIR"/s "$@"; }
        naru import -c 'CMD ["sh"]' - box < box.tar > /dev/null
        try() {
            echo "$1: $(naru run --rm --network none --mount "type=bind,src=$DIR/src,dst=/m,$1" box sh -c \
                'cat /m/sub/file 2>/dev/null; (echo x > /m/new) 2>/dev/null || echo top; (echo x > /m/sub/new) 2>/dev/null || echo below')" | tr '\n' ' '
            echo
            rm -f src/new src/sub/new
        }
        try ro
        try ro,bind-recursive=writable
        try ro,bind-recursive=readonly,bind-propagation=rprivate
        try ro,bind-recursive=disabled
        try readonly=false
        echo "short: $(naru run --rm --network none -v "$DIR"/src:/m:ro box sh -c '(echo x > /m/sub/new) 2>/dev/null || echo below')"
        mount --make-rshared /
        naru run -d --network none --name slave -v "$DIR"/src:/m:rslave box sh -c 'until test -e /m/late/file; do usleep 10000; done; echo seen' > /dev/null
        mkdir src/late; mount -t tmpfs late src/late; touch src/late/file
        naru wait slave; naru logs slave
    "#;
    let done = integration_tests::run(
        std::process::Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .env("DIR", dir.path())
            .env("NARU", integration_tests::binary()),
    );
    let lines: Vec<&str> = done.stdout.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "ro: deep top below",
            "ro,bind-recursive=writable: deep top",
            "ro,bind-recursive=readonly,bind-propagation=rprivate: deep top below",
            "ro,bind-recursive=disabled: top below",
            "readonly=false: deep",
            "short: below",
            "0",
            "seen",
        ],
        "{}",
        done.stderr
    );
}

#[test]
fn copies_see_what_is_mounted_whether_it_runs_or_not() {
    let daemon = daemon();
    daemon
        .naru(&on_box(&["-v", "vol:/v", "box", "sh", "-c", "mkdir /v/in; echo in > /v/in/f"]))
        .ok();
    let options = ["-o", "type=tmpfs", "-o", "device=tmpfs"];
    daemon.naru(&[&["volume", "create"], &options[..], &["mem"]].concat()).ok();
    let script = "echo mem > /mem/f; until test -e /v/stop; do usleep 10000; done";
    let words = [
        "create",
        "--network",
        "none",
        "--name",
        "look",
        "-v",
        "mem:/mem",
        "--mount",
        "type=volume,src=vol,dst=/v,volume-subpath=in",
        "--mount",
        "type=image,src=box,dst=/i",
        "box",
        "sh",
        "-c",
        script,
    ];
    daemon.naru(&words).ok();
    let out = daemon.dir().join("out");
    let read = |from: &str| {
        std::fs::remove_file(&out).ok();
        daemon.naru(&["cp", from, &out.to_string_lossy()]).ok();
        std::fs::read_to_string(&out).unwrap()
    };
    let before = mounts();
    let both = || {
        assert_eq!(read("look:/v/f"), "in\n");
        assert!(read("look:/i/etc/group").starts_with("root:x:0:"));
    };
    both();
    daemon.naru(&["start", "look"]).ok();
    both();
    let there = || {
        let done = daemon.naru(&["cp", "look:/mem/f", &out.to_string_lossy()]);
        (done.code == 0).then_some(())
    };
    assert!(until(Duration::from_secs(20), there).is_some());
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "mem\n");
    let stop = daemon.dir().join("stop");
    std::fs::write(&stop, "").unwrap();
    daemon.naru(&["cp", &stop.to_string_lossy(), "look:/v/stop"]).ok();
    daemon.naru(&["wait", "look"]).ok();
    both();
    assert!(daemon.data_root().join("volumes/vol/_data/in/stop").exists());
    daemon.naru(&["cp", "look:/mem/f", "-"]).fails(1, "");
    assert_eq!(mounts(), before);
}
