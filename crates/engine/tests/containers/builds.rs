//! Builds: contexts to images, with real processes.

use crate::house::{House, soon, with};
use naru_engine::builds::{
    BuildContext, BuildEvent, BuildFailure, BuildOptions, Built, DockerfileSource, NetworkChoice,
    RunLimits, Ulimit,
};
use naru_oci::Reference;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::process::Command;
use tokio::sync::mpsc;

/// What was told of a build.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) output: String,
    /// Names of vertices, and whether they came from the cache.
    done: Vec<(String, bool)>,
}

impl Told {
    pub(crate) fn cached(&self, part: &str) -> bool {
        let found = self.done.iter().find(|(name, _)| name.contains(part));
        found.unwrap_or_else(|| panic!("no vertex {part}: {:?}", self.done)).1
    }
}

pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = naru_layer::tar::Writer::new(Vec::new());
    for (name, content) in files {
        let entry = naru_layer::tar::Entry {
            name: name.as_bytes().to_vec(),
            kind: naru_layer::tar::EntryKind::File,
            mode: 0o644,
            uid: 1000,
            gid: 1000,
            modified: naru_kernel::times::FileTime { seconds: 1_600_000_000, nanoseconds: 0 },
            accessed: None,
            attributes: Vec::new(),
            stored: content.len() as u64,
            sparse: None,
            dropped: Vec::new(),
        };
        tar.start(&entry).unwrap();
        tar.data(content.as_bytes()).unwrap();
    }
    tar.finish().unwrap()
}

async fn context(house: &House, files: &[(&str, &str)]) -> BuildContext {
    house.engine().builds.receive(Cursor::new(archive(files))).await.unwrap()
}

pub(crate) async fn build(
    house: &House,
    files: &[(&str, &str)],
    options: BuildOptions,
) -> (Result<Built, BuildFailure>, Told) {
    let context = context(house, files).await;
    let (sender, mut events) = mpsc::channel(64);
    let builds = house.engine().builds.clone();
    let building = builds.build(Some(context), options, sender);
    let listening = async {
        let mut told = Told::default();
        let mut names = BTreeMap::new();
        while let Some(event) = events.recv().await {
            match event {
                BuildEvent::VertexStarted { id, name, .. } => {
                    names.insert(id, name);
                }
                BuildEvent::VertexOutput { bytes, .. } => {
                    told.output.push_str(&String::from_utf8_lossy(&bytes));
                }
                BuildEvent::VertexDone { id, cached, .. } => {
                    told.done.push((names[&id].clone(), cached));
                }
                _ => {}
            }
        }
        told
    };
    soon("a build", async { tokio::join!(building, listening) }).await
}

fn tagged(tag: &str) -> BuildOptions {
    BuildOptions { tags: vec![tag.parse::<Reference>().unwrap().or_latest()], ..Default::default() }
}

pub(crate) fn an_image_is_built_and_runs() {
    with(async |house| {
        let files = [
            (
                "Dockerfile",
                "FROM tiny:1\nENV WHO=world\nWORKDIR /work\nCOPY hello.txt there/\nRUN echo \"hi $WHO\" > made && cat there/hello.txt && echo built\nCMD cat made there/hello.txt\n",
            ),
            ("hello.txt", "hello from the context\n"),
        ];
        let (built, told) = build(&house, &files, tagged("first")).await;
        let built = built.unwrap();
        assert!(told.output.contains("hello from the context\nbuilt\n"), "{}", told.output);
        assert!(!built.all_cached);
        assert!(!told.cached("ENV") && !told.cached("CMD"), "{:?}", told.done);
        let config = naru_engine::ContainerConfig {
            image: "first".into(),
            ..naru_engine::ContainerConfig::default()
        };
        let id = house.create_with(config, naru_engine::HostConfig::default()).await.unwrap();
        house.start(&id).await;
        assert_eq!(house.wait(&id).await.code, 0);
        assert_eq!(house.logs(&id).await, "hi world\nhello from the context\n");

        // The same again is the same image, all of it from the cache.
        let (again, told) = build(&house, &files, tagged("second")).await;
        let again = again.unwrap();
        assert!(again.all_cached, "{:?}", told.done);
        assert!(told.done.iter().all(|(_, cached)| *cached), "{:?}", told.done);
        assert_eq!((again.image, again.manifest), (built.image, built.manifest));
        let view = house.engine().images.inspect("second").await.unwrap();
        let history: Vec<String> =
            view.config.history.iter().filter_map(|line| line.created_by.clone()).collect();
        assert_eq!(
            history[history.len() - 5..],
            [
                "ENV WHO=world",
                "WORKDIR /work",
                "COPY hello.txt there/ # buildkit",
                "RUN /bin/sh -c echo \"hi $WHO\" > made && cat there/hello.txt && echo built # buildkit",
                "CMD [\"/bin/sh\" \"-c\" \"cat made there/hello.txt\"]",
            ]
        );

        // A changed file: what comes before it is cached.
        let changed = [files[0], ("hello.txt", "other\n")];
        let (other, told) = build(&house, &changed, tagged("third")).await;
        assert_ne!(other.unwrap().image, built.image);
        assert!(told.cached("WORKDIR"));
        assert!(!told.cached("COPY") && !told.cached("RUN"));
        house
    });
}

pub(crate) fn a_process_that_fails_fails_the_build() {
    with(async |house| {
        let files = [("Dockerfile", "FROM tiny:1\nRUN echo before; exit 7\nRUN echo never\n")];
        let (built, told) = build(&house, &files, BuildOptions::default()).await;
        let failure = built.unwrap_err();
        assert_eq!(failure.code, Some(7));
        assert_eq!(
            failure.fault.message(),
            "The command '/bin/sh -c echo before; exit 7' returned a non-zero code: 7"
        );
        assert!(told.output.contains("before") && !told.output.contains("never"));
        house
    });
}

pub(crate) fn stages_that_are_not_needed_are_not_built() {
    with(async |house| {
        let files = [(
            "Dockerfile",
            "FROM tiny:1 AS one\nRUN echo one > /one\nFROM tiny:1 AS unused\nRUN exit 1\nFROM scratch AS two\nCOPY --from=one /one /\nFROM scratch\nCOPY --from=two / /\n",
        )];
        let (built, told) = build(&house, &files, tagged("stages")).await;
        built.unwrap();
        assert!(told.done.iter().all(|(name, _)| !name.contains("unused")));
        // By name, and no further than that.
        let options = BuildOptions { target: Some("ONE".into()), ..Default::default() };
        let (built, told) = build(&house, &files, options).await;
        assert!(built.unwrap().all_cached);
        assert!(told.done.iter().all(|(name, _)| !name.contains("two")), "{:?}", told.done);
        let options = BuildOptions { target: Some("unused".into()), ..Default::default() };
        assert_eq!(build(&house, &files, options).await.0.unwrap_err().code, Some(1));
        let options = BuildOptions { target: Some("none".into()), ..Default::default() };
        let (built, _) = build(&house, &files, options).await;
        assert!(built.unwrap_err().fault.message().contains("target stage \"none\""));
        house
    });
}

pub(crate) fn one_vertex_is_made_once_for_many_builds() {
    with(async |house| {
        // Every execution leaves another number; the same vertex made twice would make two images.
        let files = [(
            "Dockerfile",
            "FROM tiny:1\nRUN sleep 0.3; cat /proc/sys/kernel/random/uuid > /id\n",
        )];
        let builds = (0..20).map(|_| build(&house, &files, BuildOptions::default()));
        let built = futures_util::future::join_all(builds).await;
        let mut images: Vec<_> = built.into_iter().map(|(built, _)| built.unwrap().image).collect();
        images.dedup();
        assert_eq!(images.len(), 1);
        house
    });
}

pub(crate) fn a_build_that_nobody_waits_for_leaves_nothing() {
    with(async |house| {
        let files = [("Dockerfile", "FROM tiny:1\nRUN echo started; sleep 1000\n")];
        let context = context(&house, &files).await;
        let (sender, mut events) = mpsc::channel(64);
        let builds = house.engine().builds.clone();
        let building = tokio::spawn(async move {
            builds.build(Some(context), BuildOptions::default(), sender).await.map(drop)
        });
        soon("the process", async {
            while let Some(event) = events.recv().await {
                if matches!(event, BuildEvent::VertexOutput { .. }) {
                    return;
                }
            }
            panic!("it ended");
        })
        .await;
        building.abort();
        let running = house.dir.path().join("run/containers");
        soon("the end of the process", async {
            while std::fs::read_dir(&running).unwrap().next().is_some() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
        let list = naru_engine::ListFilter { all: true, ..Default::default() };
        assert!(house.engine().containers.list(&list).await.unwrap().is_empty());
        house
    });
}

pub(crate) fn what_is_missing_is_explained() {
    with(async |house| {
        let base = ("Dockerfile", "FROM tiny:1\nCOPY secret.txt /\n");
        let check = async |files: &[(&str, &str)], hint: &str| {
            let (built, _) = build(&house, files, BuildOptions::default()).await;
            let fault = built.unwrap_err().fault;
            assert!(fault.message().contains("\"/secret.txt\": not found"), "{fault:?}");
            assert!(fault.hint().unwrap_or_default().contains(hint), "{fault:?}");
        };
        check(&[base], "paths are looked up in the build context").await;
        check(&[base, (".dockerignore", "*.txt\n"), ("secret.txt", "x")], "`*.txt`").await;
        let options = BuildOptions {
            dockerfile: DockerfileSource::Path("nowhere".into()),
            ..Default::default()
        };
        let (built, _) = build(&house, &[base], options).await;
        assert_eq!(
            built.unwrap_err().fault.message(),
            "Cannot locate specified Dockerfile: nowhere"
        );
        house
    });
}

/// Builds a Dockerfile that must succeed; what its processes wrote.
async fn output(house: &House, files: &[(&str, &str)], options: BuildOptions) -> String {
    let (built, told) = build(house, files, options).await;
    match built {
        Ok(_built) => told.output,
        Err(failure) => panic!("{failure:?}\n{}", told.output),
    }
}

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

pub(crate) fn triggers_are_carried_out_by_whoever_builds_on_it() {
    with(async |house| {
        let base = "FROM tiny:1\nONBUILD COPY f /from/\nONBUILD RUN cat /from/f\n";
        output(&house, &[("Dockerfile", base)], tagged("base")).await;
        let files = [("Dockerfile", "FROM base\nRUN echo after\n"), ("f", "trigger\n")];
        let told = "# Executing 2 build triggers\ntrigger\nafter\n";
        assert_eq!(output(&house, &files, tagged("child")).await, told);
        let files = [("Dockerfile", "FROM child\nRUN echo only\n")];
        assert_eq!(output(&house, &files, BuildOptions::default()).await, "only\n");
        // A trigger takes files from a stage that nothing else needs.
        let base = "FROM tiny:1\nONBUILD COPY --from=made /m /m\n";
        output(&house, &[("Dockerfile", base)], tagged("base")).await;
        let text = "FROM tiny:1 AS made\nRUN echo made > /m\nFROM base\nRUN cat /m\n";
        let told = "# Executing 1 build trigger\nmade\n";
        assert_eq!(output(&house, &[("Dockerfile", text)], BuildOptions::default()).await, told);
        let text = "FROM base\nFROM tiny:1 AS made\n";
        let options = BuildOptions { target: Some("0".to_owned()), ..Default::default() };
        let failed = build(&house, &[("Dockerfile", text)], options).await.0.unwrap_err();
        assert!(failed.fault.message().contains("needs to be defined before"), "{failed:?}");
        house
    });
}

pub(crate) fn the_same_input_gives_the_same_digests() {
    with(async |house| {
        let files = [
            ("Dockerfile", "FROM tiny:1\nWORKDIR /new/dir\nCOPY . .\nRUN echo x > y\nCMD true\n"),
            ("f", "content"),
        ];
        let options = || BuildOptions {
            source_date_epoch: Some(1_700_000_000),
            no_cache: true,
            ..Default::default()
        };
        let first = build(&house, &files, options()).await.0.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let second = build(&house, &files, options()).await.0.unwrap();
        assert_eq!((first.image, first.manifest), (second.image, second.manifest));
        house
    });
}

pub(crate) fn the_cache_is_shown_and_pruned() {
    with(async |house| {
        let builds = house.engine().builds.clone();
        let files = [("Dockerfile", "FROM tiny:1\nCOPY f /f\nRUN echo x > y\n"), ("f", "content")];
        output(&house, &files, tagged("kept")).await;
        let records = builds.usage().await.unwrap();
        let regular = |records: &[naru_engine::builds::CacheRecord]| {
            records.iter().filter(|record| record.kind == "regular").count()
        };
        assert_eq!(regular(&records), 2, "{records:?}");
        assert!(records.iter().any(|record| record.description == "RUN echo x > y"));
        // What an image is made of stays, unless all is asked for; the image stays whole anyway.
        builds.prune(naru_engine::builds::PruneBuild::default()).await.unwrap();
        assert_eq!(regular(&builds.usage().await.unwrap()), 2);
        let all = naru_engine::builds::PruneBuild { all: true, ..Default::default() };
        assert!(builds.prune(all).await.unwrap().deleted.len() >= 2);
        assert_eq!(regular(&builds.usage().await.unwrap()), 0);
        let config = naru_engine::ContainerConfig {
            image: "kept".into(),
            cmd: Some(vec!["cat".into(), "/y".into(), "/f".into()]),
            ..Default::default()
        };
        let id = house.create_with(config, naru_engine::HostConfig::default()).await.unwrap();
        house.start(&id).await;
        house.wait(&id).await;
        assert_eq!(house.logs(&id).await, "x\ncontent");
        let (_, told) = build(&house, &files, BuildOptions::default()).await;
        assert!(!told.cached("COPY"));
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
                name: name.as_bytes().to_vec(),
                kind: naru_layer::tar::EntryKind::File,
                mode: 0o644,
                uid: 0,
                gid: 0,
                modified: naru_kernel::times::FileTime::default(),
                accessed: None,
                attributes: Vec::new(),
                stored: content.len() as u64,
                sparse: None,
                dropped: Vec::new(),
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

pub(crate) fn what_cannot_be_done_is_refused_by_name() {
    with(async |house| {
        for (dockerfile, want) in [
            ("FROM tiny:1\nRUN --security=insecure true\n", "security.insecure is not allowed"),
            ("FROM tiny:1\nRUN --network=host true\n", "network.host is not allowed"),
            (
                "FROM tiny:1 AS a\nCOPY --from=b / /\nFROM tiny:1 AS b\nCOPY --from=a / /\n",
                "circular dependency detected on stage",
            ),
            ("ARG X\nFROM ${X}\n", "should not be blank"),
            ("FROM tiny:1\nEXPOSE 99999\n", "Dockerfile:2: invalid containerPort"),
        ] {
            let (built, _) =
                build(&house, &[("Dockerfile", dockerfile)], BuildOptions::default()).await;
            let fault = built.unwrap_err().fault;
            assert!(fault.message().contains(want), "{dockerfile}: {}", fault.message());
        }
        house
    });
}
