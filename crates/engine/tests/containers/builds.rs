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
struct Told {
    output: String,
    /// Names of vertices, and whether they came from the cache.
    done: Vec<(String, bool)>,
}

impl Told {
    fn cached(&self, part: &str) -> bool {
        let found = self.done.iter().find(|(name, _)| name.contains(part));
        found.unwrap_or_else(|| panic!("no vertex {part}: {:?}", self.done)).1
    }
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
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

async fn build(
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
