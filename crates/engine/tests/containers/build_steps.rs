//! Steps of builds: files that are copied and added, and processes with real mounts and limits.

use crate::builds::{archive, build, output};
use crate::house::{soon, with};
use naru_engine::builds::{BuildEvent, BuildOptions, NetworkChoice, RunLimits, Ulimit};
use naru_oci::Reference;
use std::io::Cursor;
use std::process::Command;
use tokio::sync::mpsc;

pub(crate) fn files_are_copied_as_docker_copies_them() {
    with(async |house| {
        let check = async |steps: &str, want: &str| {
            let dockerfile = format!("FROM tiny:1\n{steps}\n");
            let files = [
                ("Dockerfile", dockerfile.as_str()),
                ("a.txt", "a"),
                ("b.txt", "b"),
                ("dir/c.txt", "c"),
                ("dir/sub/d.md", "d"),
                ("we[i]rd", "w"),
            ];
            let found = output(&house, &files, BuildOptions::default()).await;
            assert_eq!(found.trim_end(), want, "{steps}");
        };
        let stat = |paths: &str| format!("RUN stat -c '%n %a %u:%g %F' {paths}");
        // A file to a name, into a directory, into one that is there.
        check(&format!("COPY a.txt /x\n{}", stat("/x")), "/x 644 0:0 regular file").await;
        check(
            &format!("COPY a.txt /new/\n{}", stat("/new /new/a.txt")),
            "/new 755 0:0 directory\n/new/a.txt 644 0:0 regular file",
        )
        .await;
        check(
            &format!("COPY a.txt /data\n{}", stat("/data/a.txt /data/seed")),
            "/data/a.txt 644 0:0 regular file\n/data/seed 644 0:0 regular file",
        )
        .await;
        // A directory's content, not itself; merged with what is there.
        check("COPY dir /data\nRUN cat /data/c.txt /data/sub/d.md /data/seed", "cdfrom the image")
            .await;
        check("WORKDIR /w\nCOPY dir sub/deep\nRUN ls /w/sub/deep", "c.txt\nsub").await;
        // Several, wildcards, a name that looks like one.
        check("COPY *.txt dir/sub/d.md /all/\nRUN ls /all", "a.txt\nb.txt\nd.md").await;
        check("COPY we[[]i]rd /odd/\nRUN ls /odd", "we[i]rd").await;
        check("COPY we[i]rd /even/\nRUN ls /even", "we[i]rd").await;
        // Owners and modes.
        check(
            &format!(
                "COPY --chown=bob:crew --chmod=u=rwX,go= dir /own\n{}",
                stat("/own /own/c.txt")
            ),
            "/own 755 1000:50 directory\n/own/c.txt 600 1000:50 regular file",
        )
        .await;
        check(
            &format!("COPY --chown=7 --chmod=4755 a.txt /n\n{}", stat("/n")),
            "/n 4755 7:7 regular file",
        )
        .await;
        // Links on the way in the image lead inside it.
        check("RUN mkdir /real && cd / && busybox ln -s real link && busybox ln -s /bin/../real/f /abs\nCOPY a.txt /link/\nCOPY b.txt /abs\nRUN ls /real && busybox test -L /link", "a.txt\nf").await;
        // From a stage, owners stay.
        check("RUN mkdir /o && touch /o/f && busybox chown 5:6 /o/f\nFROM tiny:1\nCOPY --from=0 /o /o\nRUN stat -c '%u:%g' /o/f", "5:6").await;
        check(
            "COPY --parents dir/./sub/d.md a.txt /p/\nRUN busybox find /p | busybox sort",
            "/p\n/p/a.txt\n/p/sub\n/p/sub/d.md",
        )
        .await;
        check(
            "COPY --exclude=**/*.md --exclude=b* . /e/\nRUN busybox find /e -type f | busybox sort",
            "/e/Dockerfile\n/e/a.txt\n/e/dir/c.txt\n/e/we[i]rd",
        )
        .await;
        check("COPY --link a.txt /data/linked\nRUN cat /data/linked /data/seed", "afrom the image")
            .await;
        check("ARG WHO=you\nCOPY <<one <<'two' /h/\nhi $WHO\none\nhi $WHO\ntwo\nRUN cat /h/one /h/two", "hi you\nhi $WHO").await;
        let refused = async |steps: &str, want: &str| {
            let dockerfile = format!("FROM tiny:1\n{steps}\n");
            let files = [("Dockerfile", dockerfile.as_str()), ("a.txt", "a"), ("dir/c", "c")];
            let fault = build(&house, &files, BuildOptions::default()).await.0.unwrap_err().fault;
            assert!(fault.message().contains(want), "{steps}: {}", fault.message());
        };
        refused("COPY a.txt dir /x", "the destination must be a directory and end with a /").await;
        refused("COPY dir /data/seed", "cannot copy to non-directory: /data/seed").await;
        refused("COPY a.txt /data/seed/x", "cannot copy to non-directory").await;
        refused("COPY --chown=nobody a.txt /", "unable to find user nobody").await;
        refused("COPY --chmod=999 a.txt /", "invalid chmod parameter").await;
        refused("COPY --from=nowhere.invalid/x a.txt /", "nowhere.invalid").await;
        refused(
            "ADD --keep-git-dir=true https://127.0.0.1:1/x.git /",
            "cannot fetch the git repository",
        )
        .await;
        house
    });
}

pub(crate) fn mounts_of_a_process_leave_nothing_in_the_image() {
    with(async |house| {
        let files = [
            (
                "Dockerfile",
                "FROM tiny:1 AS made\n\
                 RUN --mount=type=secret,id=key,target=/run/deep/key cat /run/deep/key && busybox touch /etc/mine\n\
                 RUN --mount=type=cache,target=/cache/x n=$(cat /cache/x/n || echo 0) && echo $((n+1)) > /cache/x/n && echo \"count $((n+1))\"\n\
                 RUN --mount=type=tmpfs,target=/memory echo x > /memory/x\n\
                 RUN --mount=type=bind,target=/ctx ls /ctx && ! touch /ctx/no 2>/dev/null\n\
                 RUN --mount=type=bind,source=f,target=/ctx/f,rw echo more >> /ctx/f && cat /ctx/f\n\
                 FROM tiny:1\n\
                 RUN --mount=type=bind,from=made,target=/made ls /made /made/etc\n",
            ),
            ("f", "file\n"),
        ];
        let secret = naru_engine::builds::Secret(bytes::Bytes::from_static(b"xyzzy-secret\n"));
        let options = || BuildOptions {
            secrets: [("key".to_owned(), secret.clone())].into(),
            tags: vec!["mounts".parse::<Reference>().unwrap().or_latest()],
            ..Default::default()
        };
        let told = output(&house, &files, options()).await;
        assert!(told.contains("xyzzy-secret") && told.contains("count 1"), "{told}");
        assert!(told.contains("Dockerfile\nf\n") && told.contains("file\nmore"), "{told}");
        let (_, listing) = told.split_once("/made:\n").unwrap();
        assert_eq!(listing, "bin\ndata\netc\ntmp\n\n/made/etc:\ngroup\nmine\npasswd\n");
        let again = BuildOptions { no_cache: true, ..options() };
        assert!(output(&house, &files, again).await.contains("count 2"));
        // Nowhere under the data root but where it was printed: nothing is kept of output.
        let found = Command::new("grep")
            .args(["-rl", "xyzzy-secret"])
            .arg(house.dir.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
        let missing = build(
            &house,
            &[("Dockerfile", "FROM tiny:1\nRUN --mount=type=secret,id=no,required=true true\n")],
            BuildOptions::default(),
        )
        .await
        .0;
        assert!(missing.unwrap_err().fault.message().contains("secret no: not found"));
        house
    });
}

pub(crate) fn processes_see_what_the_file_says() {
    with(async |house| {
        let check = async |steps: &str, want: &str| {
            let dockerfile = format!("FROM tiny:1\n{steps}\n");
            let options = BuildOptions {
                build_args: [
                    ("GIVEN".to_owned(), Some("given".to_owned())),
                    ("HTTP_PROXY".to_owned(), Some("proxy".to_owned())),
                ]
                .into(),
                ..Default::default()
            };
            let found = output(&house, &[("Dockerfile", &dockerfile)], options).await;
            assert_eq!(found.trim_end(), want, "{steps}");
        };
        check("ARG GIVEN=x\nARG OTHER=other\nARG UNSET\nRUN echo $GIVEN $OTHER ${UNSET-unset} $HTTP_PROXY", "given other unset proxy").await;
        check("USER bob\nRUN id -u && id -g", "1000\n1000").await;
        check("SHELL [\"/bin/busybox\", \"sh\", \"-ec\"]\nRUN echo shell", "shell").await;
        check("RUN [\"/bin/echo\", \"exec\", \"$HOME\"]", "exec $HOME").await;
        check("RUN <<EOF\necho one\necho two\nEOF", "one\ntwo").await;
        check("RUN <<EOF\n#!/bin/busybox cat\nscript\nEOF", "#!/bin/busybox cat\nscript").await;
        check("RUN cat <<A && cat <<B\na\nA\nb\nB", "a\nb").await;
        check("RUN --network=none busybox ip -o link | busybox wc -l", "1").await;
        check("ENV A=1\nENV A=2 B=$A\nRUN echo $A $B", "2 1").await;
        house
    });
}

pub(crate) fn archives_are_added_unpacked() {
    with(async |house| {
        let inner = archive(&[("in/side", "inside\n"), ("data/seed", "new\n")]);
        let mut packed = naru_layer::Compression::Gzip.encoder(Vec::new()).unwrap();
        std::io::Write::write_all(&mut packed, &inner).unwrap();
        let packed = packed.finish().unwrap();
        let dockerfile = "FROM tiny:1\nADD a.tar.gz /\nADD --unpack=false a.tar.gz /kept/\nADD plain /\nRUN cat /in/side /data/seed /plain && ls /kept && stat -c %u /in/side\n";
        let mut tar = naru_layer::tar::Writer::new(Vec::new());
        for (name, content) in [
            ("Dockerfile", dockerfile.as_bytes()),
            ("a.tar.gz", &packed[..]),
            ("plain", b"plain\n"),
        ] {
            let entry = naru_layer::tar::Entry {
                stored: content.len() as u64,
                ..naru_layer::tar::Entry::new(name, naru_layer::tar::EntryKind::File, 0o644)
            };
            tar.start(&entry).unwrap();
            tar.data(content).unwrap();
        }
        let builds = house.engine().builds.clone();
        let context = builds.receive(Cursor::new(tar.finish().unwrap())).await.unwrap();
        let (sender, mut events) = mpsc::channel(64);
        let listening = async {
            let mut text = String::new();
            while let Some(event) = events.recv().await {
                if let BuildEvent::VertexOutput { bytes, .. } = event {
                    text.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
            text
        };
        let building = builds.build(Some(context), BuildOptions::default(), sender);
        let (built, text) = soon("a build", async { tokio::join!(building, listening) }).await;
        built.unwrap();
        assert_eq!(text, "inside\nnew\nplain\na.tar.gz\n1000\n");
        house
    });
}

/// Prints what small steps cost; only a bound that says something is very wrong.
pub(crate) fn fifty_small_steps_take_no_time() {
    with(async |house| {
        let mut dockerfile = String::from("FROM tiny:1\n");
        for number in 0..25 {
            dockerfile.push_str(&format!("COPY f /f{number}\nRUN echo {number} > /r{number}\n"));
        }
        let files = [("Dockerfile", dockerfile.as_str()), ("f", "x")];
        let started = std::time::Instant::now();
        output(&house, &files, BuildOptions::default()).await;
        let first = started.elapsed();
        let started = std::time::Instant::now();
        output(&house, &files, BuildOptions::default()).await;
        println!("50 steps: {first:?} uncached, {:?} cached", started.elapsed());
        assert!(first.as_secs() < 50);
        house
    });
}

pub(crate) fn a_process_keeps_to_its_limits() {
    with(async |house| {
        let dockerfile = "FROM tiny:1\nRUN ulimit -n; cat /etc/hosts; head -c 300m /dev/zero | busybox tail > /dev/null\n";
        let options = BuildOptions {
            limits: RunLimits {
                memory: 64 << 20,
                memory_swap: 64 << 20,
                ulimits: vec![Ulimit { name: "nofile".into(), soft: 123, hard: 123 }],
                extra_hosts: vec!["there:10.9.8.7".into()],
                ..RunLimits::default()
            },
            network: NetworkChoice::None,
            ..Default::default()
        };
        let (built, told) = build(&house, &[("Dockerfile", dockerfile)], options).await;
        let failure = built.unwrap_err();
        assert_eq!(failure.code, Some(137), "{failure:?} {}", told.output);
        assert!(told.output.contains("123") && told.output.contains("10.9.8.7\tthere"));
        house
    });
}
