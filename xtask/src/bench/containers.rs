//! `bench run`: what a container costs, from the command line to the memory it takes. Acts.

use super::measure::{Make, Times, interleaved, timed};
use super::memory;
use super::peers::{Docker, IMAGE, Podman, Runc};
use super::report::Row;
use crate::shell;
use integration_tests::Daemon;
use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How many containers the start, stop and memory figures are taken over.
const MANY: usize = 100;

/// Measures everything and returns the rows of the table.
pub fn run(binary: &Path, rounds: usize) -> Result<Vec<Row>, String> {
    let dir = tempfile::Builder::new()
        .prefix("naru-bench")
        .tempdir_in("/tmp")
        .map_err(|error| error.to_string())?;
    let tar = dir.path().join("box.tar");
    super::report::write_bytes(&tar, &integration_tests::image::busybox_tar())?;
    shell::say("starting the peers");
    let mut daemon = Daemon::start().with_busybox(IMAGE);
    daemon.use_binary(binary);
    let docker = Docker::start(dir.path(), &tar)?;
    let podman = Podman::start(dir.path(), &tar)?;
    let runc = Runc::start(dir.path(), &tar)?;
    let mut rows = Vec::new();
    rows.extend(single(&daemon, &docker, &podman, &runc, rounds)?);
    rows.extend(execs(&daemon, &docker, &podman, rounds)?);
    rows.extend(many(&daemon, &docker)?);
    rows.extend(at_rest(&mut daemon, &docker)?);
    rows.extend(starts(&mut daemon)?);
    Ok(rows)
}

/// `run --rm --network none IMAGE true`, the whole command.
fn single(
    daemon: &Daemon,
    docker: &Docker,
    podman: &Podman,
    runc: &Runc,
    rounds: usize,
) -> Result<Vec<Row>, String> {
    shell::say("run --rm --network none IMAGE true");
    let counter = Cell::new(0u32);
    let args = ["run", "--rm", "--network", "none", IMAGE, "true"];
    let floor = super::floor::Floor::new()?;
    let subjects: Vec<(&str, Make<'_>)> = vec![
        ("naru", Box::new(|| daemon.command(&args))),
        ("docker", Box::new(|| docker.command(&args))),
        ("podman", Box::new(|| podman.command(&args))),
        (
            "runc",
            Box::new(|| {
                counter.set(counter.get() + 1);
                runc.run(&format!("bench-{}", counter.get()))
            }),
        ),
        ("floor", Box::new(|| floor.command())),
    ];
    let times = interleaved(rounds, &subjects)?;
    let [ours, docker, podman, runc, floor] = times.as_slice() else {
        return Err("a peer is missing".to_owned());
    };
    let row = |bar: &str, met: bool| Row {
        what: "`run --rm --network none IMAGE true`".to_owned(),
        ours: figure(ours),
        peers: [
            ("docker", docker),
            ("podman", podman),
            ("runc alone", runc),
            ("kernel floor", floor),
        ]
        .map(|(name, times)| {
            format!("{name} {} (×{:.1})", figure(times), times.median() / ours.median())
        })
        .join(", "),
        bar: bar.to_owned(),
        met: Some(met),
    };
    Ok(vec![
        row("25 times faster than docker", ours.median() * 25.0 <= docker.median()),
        row("faster than bare `runc run`", ours.median() < runc.median()),
        row("at most 4 times the floor", ours.median() <= floor.median() * 4.0),
    ])
}

/// `exec C true`.
fn execs(
    daemon: &Daemon,
    docker: &Docker,
    podman: &Podman,
    rounds: usize,
) -> Result<Vec<Row>, String> {
    shell::say("exec C true");
    let start = ["run", "-d", "--name", "bench-exec", "--network", "none", IMAGE, "sleep", "1000"];
    timed(&mut daemon.command(&start))?;
    timed(&mut docker.command(&start))?;
    timed(&mut podman.command(&start))?;
    let args = ["exec", "bench-exec", "true"];
    let subjects: Vec<(&str, Make<'_>)> = vec![
        ("naru", Box::new(|| daemon.command(&args))),
        ("docker", Box::new(|| docker.command(&args))),
        ("podman", Box::new(|| podman.command(&args))),
    ];
    let times = interleaved(rounds, &subjects)?;
    let remove = ["rm", "-f", "bench-exec"];
    timed(&mut daemon.command(&remove))?;
    timed(&mut docker.command(&remove))?;
    timed(&mut podman.command(&remove))?;
    let [ours, docker, podman] = times.as_slice() else {
        return Err("a peer is missing".to_owned());
    };
    Ok(vec![Row {
        what: "`exec C true`".to_owned(),
        ours: figure(ours),
        peers: format!(
            "docker {} (×{:.1}), podman {} (×{:.1})",
            figure(docker),
            docker.median() / ours.median(),
            figure(podman),
            podman.median() / ours.median()
        ),
        bar: "10 times faster than docker".to_owned(),
        met: Some(ours.median() * 10.0 <= docker.median()),
    }])
}

/// Containers started one after another by one client each, their memory, and their removal.
fn many(daemon: &Daemon, docker: &Docker) -> Result<Vec<Row>, String> {
    shell::say("100 containers started and removed");
    let ours = || daemon_pss(daemon);
    let theirs = || docker.pss_kib();
    let (naru_start, naru_kib, naru_stop) = crowd(&|args| daemon.command(args), &ours)?;
    let (docker_start, docker_kib, docker_stop) = crowd(&|args| docker.command(args), &theirs)?;
    let row = |what: &str, ours: Duration, theirs: Duration| Row {
        what: what.to_owned(),
        ours: format!("{:.0} ms", ours.as_secs_f64() * 1000.0),
        peers: format!(
            "docker {:.0} ms (×{:.1})",
            theirs.as_secs_f64() * 1000.0,
            theirs.as_secs_f64() / ours.as_secs_f64()
        ),
        bar: String::new(),
        met: None,
    };
    Ok(vec![
        row("100 containers started, one after another", naru_start, docker_start),
        row("100 containers removed by force", naru_stop, docker_stop),
        Row {
            what: "memory (PSS) of one more running container, our processes only".to_owned(),
            ours: format!("{naru_kib} KiB"),
            peers: format!("docker {docker_kib} KiB"),
            bar: "at most 150 KiB, no process".to_owned(),
            met: Some(naru_kib <= 150),
        },
    ])
}

type Crowd = (Duration, u64, Duration);

fn crowd(command: &dyn Fn(&[&str]) -> Command, pss: &dyn Fn() -> u64) -> Result<Crowd, String> {
    let before = pss();
    let start = Instant::now();
    let names: Vec<String> = (0..MANY).map(|number| format!("crowd-{number}")).collect();
    for name in &names {
        timed(&mut command(&[
            "run",
            "-d",
            "--name",
            name,
            "--network",
            "none",
            IMAGE,
            "sleep",
            "1000",
        ]))?;
    }
    let started = start.elapsed();
    let each = pss().saturating_sub(before) / MANY as u64;
    let start = Instant::now();
    let mut args = vec!["rm", "-f"];
    args.extend(names.iter().map(String::as_str));
    timed(&mut command(&args))?;
    Ok((started, each, start.elapsed()))
}

fn daemon_pss(daemon: &Daemon) -> u64 {
    memory::pss_kib(daemon.pid()) + daemon.monitor_pid().map_or(0, memory::pss_kib)
}

/// Memory and disk writes while nothing happens.
fn at_rest(daemon: &mut Daemon, docker: &Docker) -> Result<Vec<Row>, String> {
    shell::say("at rest");
    daemon.terminate();
    daemon.launch();
    timed(&mut daemon.command(&[
        "run",
        "-d",
        "--name",
        "rest",
        "--network",
        "none",
        IMAGE,
        "sleep",
        "1000",
    ]))?;
    let pids: Vec<u32> = [Some(daemon.pid()), daemon.monitor_pid()].into_iter().flatten().collect();
    // Rest is a span of time, so this one waits on purpose.
    let pause = |time| std::thread::park_timeout(time);
    pause(Duration::from_secs(3));
    let before: u64 = pids.iter().map(|pid| memory::written(*pid)).sum();
    pause(Duration::from_secs(10));
    let written = pids.iter().map(|pid| memory::written(*pid)).sum::<u64>() - before;
    let ours = daemon_pss(daemon);
    let theirs = docker.pss_kib();
    timed(&mut daemon.command(&["rm", "-f", "rest"]))?;
    Ok(vec![
        Row {
            what: "memory (PSS) of daemon and monitor at rest".to_owned(),
            ours: format!("{:.1} MiB", ours as f64 / 1024.0),
            peers: format!(
                "dockerd and containerd {:.1} MiB (×{:.1})",
                theirs as f64 / 1024.0,
                theirs as f64 / ours as f64
            ),
            bar: "at most 12 MiB".to_owned(),
            met: Some(ours <= 12 * 1024),
        },
        Row {
            what: "disk writes in 10 s at rest, one container running".to_owned(),
            ours: format!("{written} bytes"),
            peers: String::new(),
            bar: "none".to_owned(),
            met: Some(written == 0),
        },
    ])
}

/// From the start of the process to the first answer, empty and with running containers.
fn starts(daemon: &mut Daemon) -> Result<Vec<Row>, String> {
    shell::say("daemon start to ready");
    let empty = ready(daemon, 50, "empty");
    for number in 0..MANY {
        let name = format!("adopt-{number}");
        timed(&mut daemon.command(&[
            "run",
            "-d",
            "--name",
            &name,
            "--network",
            "none",
            IMAGE,
            "sleep",
            "1000",
        ]))?;
    }
    Ok(vec![empty, ready(daemon, 300, "100 containers to re-adopt")])
}

fn ready(daemon: &mut Daemon, limit: u32, what: &str) -> Row {
    let mut times = Vec::new();
    for _ in 0..10 {
        daemon.terminate();
        let start = Instant::now();
        daemon.launch();
        times.push(start.elapsed());
    }
    let times = Times::new(times);
    Row {
        what: format!("daemon start to ready, {what}"),
        ours: figure(&times),
        peers: String::new(),
        bar: format!("at most {limit} ms"),
        met: Some(times.median() <= f64::from(limit)),
    }
}

fn figure(times: &Times) -> String {
    format!("{:.1} ms (p95 {:.1})", times.median(), times.p95())
}
