//! SIGKILL of a daemon in the middle of a build.

use crate::builds::{archive, build};
use crate::house::{config_of, with};
use naru_engine::Engine;
use naru_engine::builds::{BuildEvent, BuildOptions};
use std::io::{BufRead, BufReader, Cursor};
use std::process::{Command, ExitCode, Stdio};
use tokio::sync::mpsc;

const KILLED: &str =
    "FROM tiny:1\nRUN cat /proc/sys/kernel/random/uuid > /id\nRUN echo second; sleep 1000\n";

/// The role `build-daemon DATA EXEC`: opens the engine, builds, says when the second process runs, and stays.
pub(crate) fn daemon(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let config = config_of(&mut arguments);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let engine = Engine::open(config).await.unwrap();
        let archive = archive(&[("Dockerfile", KILLED)]);
        let context = engine.builds.receive(Cursor::new(archive)).await.unwrap();
        let (sender, mut events) = mpsc::channel(64);
        let building = engine.builds.build(Some(context), BuildOptions::default(), sender);
        let listening = async {
            while let Some(event) = events.recv().await {
                if matches!(event, BuildEvent::VertexOutput { .. }) {
                    println!("second");
                }
            }
        };
        tokio::join!(building, listening).0.unwrap();
    });
    ExitCode::SUCCESS
}

pub(crate) fn a_daemon_killed_in_a_build_goes_on_from_the_last_vertex() {
    with(async |mut house| {
        house.end_daemon().await;
        let root = house.dir.path().to_owned();
        tokio::task::spawn_blocking(move || {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .arg("build-daemon")
                .arg(root.join("data"))
                .arg(root.join("run"))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            let mut lines = BufReader::new(child.stdout.take().unwrap());
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before its second step");
            child.kill().unwrap();
            child.wait().unwrap();
        })
        .await
        .unwrap();
        house.start_daemon().await;
        for place in ["run/containers", "data/containers", "data/build/run"] {
            let left = std::fs::read_dir(house.dir.path().join(place)).unwrap().count();
            assert_eq!(left, 0, "{place}");
        }
        assert!(house.engine().images.verify(false).await.unwrap().is_empty());
        let other = KILLED.replace("echo second; sleep 1000", "echo goes on");
        let (built, told) = build(&house, &[("Dockerfile", &other)], BuildOptions::default()).await;
        built.unwrap();
        assert!(told.cached("random/uuid") && told.output.contains("goes on"), "{told:?}");
        house
    });
}
