//! SIGKILL of the daemon while it makes and removes volumes, at named places and at random instants: what was
//! acknowledged holds, and nothing is half there.

use crate::house::{House, config_of, with};
use naru_engine::{Engine, VolumeFilter, VolumeRequest};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// The role `volume-daemon DATA EXEC TAG`: makes volumes, removes every second one, says what it does, until it is killed.
pub(crate) fn daemon(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let config = config_of(&mut arguments);
    let tag = arguments.next().unwrap().into_string().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let volumes = Engine::open(config).await.unwrap().volumes;
        for number in 0.. {
            let name = format!("{tag}-{number}");
            let labels = Some([("number".to_owned(), number.to_string())].into());
            let request = VolumeRequest { name: name.clone(), labels, ..VolumeRequest::default() };
            volumes.create(request).await.unwrap();
            println!("made {name}");
            if number % 2 == 1 {
                println!("removing {name}");
                volumes.remove(&name, false).await.unwrap();
                println!("removed {name}");
            }
        }
    });
    ExitCode::SUCCESS
}

/// Runs the role until it is killed; what it said.
fn run(root: &Path, tag: &str, failpoint: Option<&str>, most: Duration) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("volume-daemon").arg(root.join("data")).arg(root.join("run")).arg(tag);
    if let Some(failpoint) = failpoint {
        command.env("NARU_FAILPOINT", failpoint);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let reader = std::thread::spawn(move || lines.collect());
    if failpoint.is_none() {
        std::thread::sleep(most);
        child.kill().unwrap();
    }
    child.wait().unwrap();
    reader.join().unwrap()
}

pub(crate) fn a_daemon_killed_among_volumes_keeps_its_word() {
    with(async |mut house: House| {
        house.end_daemon().await;
        let root = house.dir.path().to_owned();
        let failpoints = [
            "volume.before-record:3",
            "volume.after-record:3",
            "volume.before-forget:2",
            "volume.after-forget:2",
        ];
        let rounds = failpoints.iter().map(|point| Some(*point)).chain([None; 8]);
        for (round, failpoint) in rounds.enumerate() {
            let most = Duration::from_millis(60 + 37 * u64::try_from(round).unwrap());
            let (at, tag) = (root.clone(), format!("round{round}"));
            let said =
                tokio::task::spawn_blocking(move || run(&at, &tag, failpoint, most)).await.unwrap();
            let told = |word: &str| -> BTreeSet<String> {
                said.iter().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
            };
            house.start_daemon().await;
            let volumes = house.engine().volumes.clone();
            let found = volumes.list(&VolumeFilter::default()).await.unwrap();
            let names: BTreeSet<String> = found.iter().map(|view| view.name.clone()).collect();
            let kept: BTreeSet<String> =
                told("made ").difference(&told("removing ")).cloned().collect();
            assert!(names.is_superset(&kept), "{failpoint:?}: {kept:?} {names:?}");
            assert!(names.is_disjoint(&told("removed ")), "{failpoint:?}: {names:?}");
            // Whoever is there is whole: with its label, its directory, and no mark.
            for view in &found {
                let number = view.name.rsplit('-').next().unwrap();
                assert_eq!(view.labels.as_ref().unwrap()["number"], number, "{view:?}");
                let inside: Vec<_> = std::fs::read_dir(view.mountpoint.parent().unwrap())
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name())
                    .collect();
                assert_eq!(inside, ["_data"], "{failpoint:?} {}", view.name);
            }
            let directories: BTreeSet<String> = std::fs::read_dir(root.join("data/volumes"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            assert_eq!(directories, names, "{failpoint:?}");
            for name in names {
                volumes.remove(&name, false).await.unwrap();
            }
            drop(volumes);
            house.end_daemon().await;
        }
        house
    });
}
