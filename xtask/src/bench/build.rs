//! `bench build`: builds beside dockerd's classic builder and buildah, on one base image, without networks. Acts.

mod contexts;

use super::measure::{Times, timed};
use super::peers::{Docker, IMAGE, Podman};
use super::report::{self, Row};
use crate::shell;
use contexts::Case;
use integration_tests::Daemon;
use std::path::Path;
use std::process::Command;

/// The build of a directory, perhaps with nothing taken from the cache.
type Build<'a> = Box<dyn Fn(&Path, bool) -> Command + 'a>;

/// Who builds: the command that makes an image of a name from a directory, with or without what is cached.
struct Subject<'a> {
    name: &'static str,
    build: Build<'a>,
}

/// Name of what is built.
const TAG: &str = "bench/built";

/// Measures everything, or the cases whose names have one of these words, and returns the rows of the table.
pub fn run(binary: &Path, rounds: usize, words: &[&str]) -> Result<Vec<Row>, String> {
    let dir = tempfile::Builder::new()
        .prefix("naru-bench")
        .tempdir_in("/tmp")
        .map_err(|error| error.to_string())?;
    let tar = dir.path().join("box.tar");
    report::write_bytes(&tar, &integration_tests::image::busybox_tar())?;
    shell::say("starting the peers");
    let mut daemon = Daemon::start().with_busybox(IMAGE);
    daemon.terminate();
    daemon.use_binary(binary);
    daemon.launch();
    let docker = Docker::start(dir.path(), &tar)?;
    let podman = Podman::start(dir.path(), &tar)?;
    let subjects = [
        Subject {
            name: "naru",
            build: Box::new(|context, anew| {
                with(daemon.command(&["build", "-q", "--network", "none"]), context, anew)
            }),
        },
        Subject {
            name: "docker (classic)",
            build: Box::new(|context, anew| {
                let mut command = docker.command(&["build", "-q", "--network", "none"]);
                command.env("DOCKER_BUILDKIT", "0");
                with(command, context, anew)
            }),
        },
        Subject {
            name: "buildah",
            build: Box::new(|context, anew| {
                // Without namespaces it knows the host's network alone.
                let args = ["bud", "-q", "--layers", "--network", "host", "--isolation", "chroot"];
                with(podman.buildah(&args), context, anew)
            }),
        },
    ];
    let mut rows = Vec::new();
    let is_meant = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    for case in contexts::all().into_iter().filter(|case| is_meant(case.name)) {
        shell::say(case.name);
        let row = measure(&case, &subjects, dir.path(), rounds)?;
        shell::say(&format!("  {} | {}", row.ours, row.peers));
        rows.push(row);
    }
    Ok(rows)
}

fn with(mut command: Command, context: &Path, anew: bool) -> Command {
    if anew {
        command.arg("--no-cache");
    }
    command.args(["-t", TAG]).arg(context);
    command
}

/// One case, everybody in turn each round.
fn measure(
    case: &Case,
    subjects: &[Subject<'_>],
    dir: &Path,
    rounds: usize,
) -> Result<Row, String> {
    let context = dir.join("context");
    std::fs::create_dir(&context).map_err(|error| error.to_string())?;
    (case.fill)(&context)?;
    let mut times = vec![Vec::new(); subjects.len()];
    // The first round warms caches and is not counted.
    for round in 0..=rounds.min(case.rounds) {
        if case.changes {
            report::write(
                &context.join("src/main.c"),
                &format!("int main() {{ return {round}; }}\n"),
            )?;
        }
        for (list, subject) in times.iter_mut().zip(subjects) {
            let time = match timed(&mut (subject.build)(&context, case.anew)) {
                Ok(time) => time,
                // Its `RUN` cannot always seal its memfd on newer kernels ("Device or resource busy"); that round is left out.
                Err(error) if subject.name == "buildah" => {
                    shell::say(&format!("buildah: {}", error.lines().last().unwrap_or_default()));
                    continue;
                }
                Err(error) => return Err(format!("{}: {error}", subject.name)),
            };
            if round > 0 {
                list.push(time);
            }
        }
    }
    std::fs::remove_dir_all(&context).map_err(|error| error.to_string())?;
    let medians: Vec<f64> = times.into_iter().map(|list| Times::new(list).median()).collect();
    let Some((ours, peers)) = medians.split_first() else {
        return Err("nobody built".to_owned());
    };
    let names = subjects.iter().skip(1).map(|subject| subject.name);
    let texts: Vec<String> = names
        .zip(peers)
        .map(|(name, time)| match time.is_nan() {
            true => format!("{name} fails"),
            false => format!("{name} {time:.0} ms (×{:.1})", time / ours),
        })
        .collect();
    let docker = peers.first().copied().unwrap_or(f64::NAN);
    Ok(Row {
        what: format!("build: {}", case.name),
        ours: format!("{ours:.0} ms"),
        peers: texts.join(", "),
        bar: format!("{} times faster than docker", case.bar),
        met: Some(docker / ours >= case.bar),
    })
}
