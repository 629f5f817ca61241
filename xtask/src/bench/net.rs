//! `bench net`: what networks cost: a run on them, packets through them, names, attaching, memory. Each peer is on a machine
//! (a network namespace) of its own with its own bridge and packet rules, and with a neighbour. Acts.

mod costs;
mod load;
mod machine;
mod paths;

pub use load::run as load;
pub use machine::Machine;

use super::measure::{Make, Times, timed};
use super::memory;
use super::peers::{Docker, IMAGE, Podman};
use super::report::{self, Row};
use crate::shell;
use integration_tests::Daemon;
use std::path::Path;
use std::process::Command;

/// The user network that each has.
const NETWORK: &str = "bench";

/// The command line of a subject.
type Client<'a> = Box<dyn Fn(&[&str]) -> Command + 'a>;

/// One whose networks are measured.
struct Subject<'a> {
    name: &'static str,
    machine: &'a Machine,
    client: Client<'a>,
    /// Whether containers find each other by name at 127.0.0.11.
    names: bool,
}

impl Subject<'_> {
    fn command(&self, args: &[&str]) -> Command {
        (self.client)(args)
    }

    fn done(&self, args: &[&str]) -> Result<(), String> {
        timed(&mut self.command(args)).map(drop).map_err(|error| format!("{}: {error}", self.name))
    }
}

/// Measures everything and returns the rows of the table.
pub fn run(binary: &Path, rounds: usize) -> Result<Vec<Row>, String> {
    machine::leave_the_host()?;
    let dir = tempfile::Builder::new()
        .prefix("naru-bench")
        .tempdir_in("/tmp")
        .map_err(|error| error.to_string())?;
    let tar = dir.path().join("box.tar");
    report::write_bytes(&tar, &integration_tests::image::busybox_tar())?;
    shell::say("starting the peers");
    let (ours, theirs, podmans) = (Machine::own()?, Machine::new()?, Machine::new()?);
    let mut daemon = Daemon::start().with_busybox(IMAGE);
    daemon.terminate();
    machine::keep_in_memory(&daemon.exec_root())?;
    daemon.use_binary(binary);
    daemon.launch();
    machine::keep_in_memory(&dir.path().join("docker/exec"))?;
    let docker = Docker::start_on(&theirs, dir.path(), &tar)?;
    let podman = Podman::start_on(&podmans, dir.path(), &tar)?;
    let mut rows = Vec::new();
    {
        let subjects = [
            Subject {
                name: "naru",
                machine: &ours,
                client: Box::new(|args| daemon.command(args)),
                names: true,
            },
            Subject {
                name: "docker",
                machine: &theirs,
                client: Box::new(|args| docker.command(args)),
                names: true,
            },
            Subject {
                name: "podman",
                machine: &podmans,
                client: Box::new(|args| podman.command(args)),
                names: false,
            },
        ];
        let mut usable = Vec::new();
        for subject in subjects {
            let tried = subject
                .done(&["run", "--rm", IMAGE, "true"])
                .and_then(|()| subject.done(&["network", "create", NETWORK]));
            match tried {
                Ok(()) => usable.push(subject),
                Err(error) if subject.name == "podman" => rows.push(Row {
                    what: "podman on a bridge".to_owned(),
                    ours: String::new(),
                    peers: format!("left out: {}", error.lines().last().unwrap_or_default()),
                    bar: String::new(),
                    met: None,
                }),
                Err(error) => return Err(error),
            }
        }
        rows.extend(costs::runs(&usable, rounds)?);
        rows.extend(costs::published(&usable, rounds)?);
        rows.extend(costs::attaching(&usable, rounds)?);
        rows.extend(paths::all(&usable)?);
        let pss =
            || daemon.monitor_pid().map_or(0, memory::pss_kib) + memory::pss_kib(daemon.pid());
        rows.extend(costs::memory(&usable, &[&pss, &|| docker.pss_kib()])?);
        for subject in &usable {
            subject.done(&["network", "rm", NETWORK])?;
        }
    }
    rows.extend(costs::starts(&mut daemon)?);
    Ok(rows)
}

/// A row of a time, ours first: less is better.
fn of_times(what: &str, names: &[&str], times: &[Times]) -> Option<Row> {
    let (ours, peers) = times.split_first()?;
    let peers = names.iter().skip(1).zip(peers).map(|(name, times)| {
        format!("{name} {} (×{:.1})", figure(times), times.median() / ours.median())
    });
    Some(Row {
        what: what.to_owned(),
        ours: figure(ours),
        peers: peers.collect::<Vec<_>>().join(", "),
        bar: String::new(),
        met: None,
    })
}

fn figure(times: &Times) -> String {
    format!("{:.1} ms (p95 {:.1})", times.median(), times.p95())
}

/// Interleaved, for work of several commands.
fn interleaved(
    rounds: usize,
    subjects: &[Subject<'_>],
    work: &dyn Fn(&Subject<'_>) -> Result<(), String>,
) -> Result<Vec<Times>, String> {
    let mut times = vec![Vec::new(); subjects.len()];
    // The first round warms caches and is not counted.
    for round in 0..=rounds {
        for (list, subject) in times.iter_mut().zip(subjects) {
            let start = std::time::Instant::now();
            work(subject)?;
            if round > 0 {
                list.push(start.elapsed());
            }
        }
    }
    Ok(times.into_iter().map(Times::new).collect())
}

/// The commands of subjects, to be timed in turn.
fn makes<'a>(subjects: &'a [Subject<'_>], args: &'a [&str]) -> Vec<(&'a str, Make<'a>)> {
    subjects
        .iter()
        .map(|subject| {
            let make: Make<'a> = Box::new(move || subject.command(args));
            (subject.name, make)
        })
        .collect()
}
