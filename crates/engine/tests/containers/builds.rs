//! Builds: contexts to images, with real processes.

use crate::house::{House, soon, with};
use naru_engine::builds::{
    BuildContext, BuildEvent, BuildFailure, BuildOptions, Built, DockerfileSource,
};
use naru_oci::Reference;
use std::collections::BTreeMap;
use std::io::Cursor;
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
            uid: 1000,
            gid: 1000,
            modified: naru_kernel::times::FileTime { seconds: 1_600_000_000, nanoseconds: 0 },
            stored: content.len() as u64,
            ..naru_layer::tar::Entry::new(*name, naru_layer::tar::EntryKind::File, 0o644)
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
pub(crate) async fn output(house: &House, files: &[(&str, &str)], options: BuildOptions) -> String {
    let (built, told) = build(house, files, options).await;
    match built {
        Ok(_built) => told.output,
        Err(failure) => panic!("{failure:?}\n{}", told.output),
    }
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
