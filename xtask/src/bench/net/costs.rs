//! What it costs to run on a network, to publish, to attach, to be there. Acts: runs the peers' commands.

use super::super::floor::{self, Floor};
use super::super::measure::{self, Times, timed};
use super::{IMAGE, NETWORK, Row, Subject, figure, interleaved, makes, of_times};
use crate::shell;
use integration_tests::Daemon;
use std::time::Instant;

/// The floor without a network, and with one.
const FLOOR: &str = "kernel floor";
const NETWORKED: &str = "kernel floor with an interface on a bridge";
/// What ends at once when it is told to: podman does not kill by force before that.
const OBEDIENT: &str = "trap 'exit 0' TERM; sleep 1000 & wait";
/// How many containers the memory of one more is taken over.
const MANY: u64 = 20;
/// How many containers a new daemon finds running.
const ADOPTED: usize = 100;

/// `run --rm IMAGE true` on the default bridge and on a user network, the whole command.
pub fn runs(subjects: &[Subject<'_>], rounds: usize) -> Result<Vec<Row>, String> {
    floor::make_bridge()?;
    let floor = Floor::new()?;
    let mut rows = Vec::new();
    for (what, args) in [
        ("`run --rm IMAGE true`, default bridge", vec!["run", "--rm", IMAGE, "true"]),
        (
            "`run --rm --network NET IMAGE true`, user network",
            vec!["run", "--rm", "--network", NETWORK, IMAGE, "true"],
        ),
    ] {
        shell::say(what);
        let mut list = makes(subjects, &args);
        list.push((FLOOR, Box::new(|| floor.command())));
        list.push((NETWORKED, Box::new(|| floor.networked())));
        let names: Vec<&str> = list.iter().map(|(name, _)| *name).collect();
        let times = measure::interleaved(rounds, &list)?;
        let of = |name: &str| {
            let place = names.iter().position(|other| *other == name);
            place.and_then(|place| times.get(place)).ok_or("a peer is missing")
        };
        let (ours, docker) = (of("naru")?, of("docker")?);
        rows.extend(of_times(what, &names, &times).map(|row| Row {
            bar: "25 times faster than docker".to_owned(),
            met: Some(ours.median() * 25.0 <= docker.median()),
            ..row
        }));
        for name in [FLOOR, NETWORKED] {
            let floor = of(name)?;
            rows.push(Row {
                what: format!("the same, by the {name}"),
                ours: format!("{:.1} times the floor", ours.median() / floor.median()),
                peers: figure(floor),
                bar: "at most 4 times".to_owned(),
                met: Some(ours.median() <= floor.median() * 4.0),
            });
        }
    }
    Ok(rows)
}

/// A container with a published port comes and goes.
pub fn published(subjects: &[Subject<'_>], rounds: usize) -> Result<Vec<Row>, String> {
    shell::say("run -d -p, rm -f");
    let names: Vec<&str> = subjects.iter().map(|subject| subject.name).collect();
    let name = "bench-port";
    let run = ["run", "-d", "-p", "18000:80", "--name", name, IMAGE, "sh", "-c", OBEDIENT];
    let times = interleaved(rounds, subjects, &|subject| {
        subject.done(&run)?;
        subject.done(&["rm", "-f", name])
    })?;
    Ok(of_times("`run -d -p 18000:80 IMAGE sleep` and `rm -f`", &names, &times)
        .into_iter()
        .collect())
}

/// Networks come and go, and a running container comes to one and leaves it.
pub fn attaching(subjects: &[Subject<'_>], rounds: usize) -> Result<Vec<Row>, String> {
    shell::say("network create, rm, connect, disconnect");
    let names: Vec<&str> = subjects.iter().map(|subject| subject.name).collect();
    let whole = interleaved(rounds, subjects, &|subject| {
        subject.done(&["network", "create", "bench-other"])?;
        subject.done(&["network", "rm", "bench-other"])
    })?;
    for subject in subjects {
        subject.done(&["network", "create", "bench-other"])?;
        let run =
            ["run", "-d", "--network", NETWORK, "--name", "bench-goer", IMAGE, "sleep", "1000"];
        subject.done(&run)?;
    }
    let moves = interleaved(rounds, subjects, &|subject| {
        subject.done(&["network", "connect", "bench-other", "bench-goer"])?;
        subject.done(&["network", "disconnect", "bench-other", "bench-goer"])
    })?;
    for subject in subjects {
        subject.done(&["rm", "-f", "bench-goer"])?;
        subject.done(&["network", "rm", "bench-other"])?;
    }
    let create = of_times("`network create` and `network rm`", &names, &whole);
    let connect = of_times("`network connect` and `network disconnect`", &names, &moves);
    Ok(create.into_iter().chain(connect).collect())
}

/// Memory of one more container on a network.
pub fn memory(subjects: &[Subject<'_>], pss: &[&dyn Fn() -> u64]) -> Result<Vec<Row>, String> {
    shell::say("memory of one more container");
    let mut figures = Vec::new();
    for (subject, pss) in subjects.iter().zip(pss) {
        let start = |number: u64| {
            let name = format!("bench-{number}");
            subject.done(&[
                "run",
                "-d",
                "--network",
                NETWORK,
                "--name",
                &name,
                IMAGE,
                "sleep",
                "1000",
            ])
        };
        // The first brings what all share.
        start(0)?;
        let before = (pss(), kernel_kib());
        (1..=MANY).try_for_each(start)?;
        let ours = pss().saturating_sub(before.0) / MANY;
        figures.push((subject.name, ours, kernel_kib().saturating_sub(before.1) / MANY));
        let names: Vec<String> = (0..=MANY).map(|number| format!("bench-{number}")).collect();
        let mut args = vec!["rm", "-f"];
        args.extend(names.iter().map(String::as_str));
        subject.done(&args)?;
    }
    let (ours, peers) = figures.split_first().ok_or("nobody was measured")?;
    let words = |(_, processes, kernel): &(&str, u64, u64)| {
        format!("{processes} KiB of processes, {kernel} KiB of the kernel")
    };
    let peers = peers.iter().map(|figure| format!("{} {}", figure.0, words(figure)));
    Ok(vec![Row {
        what: "memory of one more running container on a user network (PSS of daemon, monitor, shims; slab, page tables and stacks of the kernel)".to_owned(),
        ours: words(ours),
        peers: peers.collect::<Vec<_>>().join(", "),
        bar: "at most 150 KiB of our memory".to_owned(),
        met: Some(ours.1 <= 150),
    }])
}

/// What the kernel holds for itself.
fn kernel_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    ["Slab:", "KernelStack:", "PageTables:", "Percpu:"]
        .iter()
        .map(|name| super::memory::field(&text, name))
        .sum()
}

/// From the start of the process to its first answer about all the containers that it finds running.
pub fn starts(daemon: &mut Daemon) -> Result<Vec<Row>, String> {
    shell::say("daemon start with containers on networks");
    timed(&mut daemon.command(&["network", "create", NETWORK]))?;
    for number in 0..ADOPTED {
        let name = format!("adopt-{number}");
        let network = if number % 2 == 0 { NETWORK } else { "bridge" };
        let port = format!("{}:80", 20_000 + number);
        timed(&mut daemon.command(&[
            "run",
            "-d",
            "--name",
            &name,
            "--network",
            network,
            "-p",
            &port,
            IMAGE,
            "sleep",
            "1000",
        ]))?;
    }
    let mut times = Vec::new();
    for _ in 0..5 {
        daemon.terminate();
        let start = Instant::now();
        daemon.launch();
        timed(&mut daemon.command(&["ps", "-q"]))?;
        times.push(start.elapsed());
    }
    let times = Times::new(times);
    Ok(vec![Row {
        what: "daemon start to the answer of `ps`, 100 containers with published ports to re-adopt"
            .to_owned(),
        ours: figure(&times),
        peers: String::new(),
        bar: "at most 300 ms".to_owned(),
        met: Some(times.median() <= 300.0),
    }])
}
