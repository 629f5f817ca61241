//! Packets on every way: throughput, latency, connections, names. Acts: one peer after another, with our load program.

use super::machine::HERE;
use super::{IMAGE, NETWORK, Row, Subject};
use crate::bench::measure::middle;
use crate::shell;
use std::process::{Child, Command, Stdio};

/// How often each is measured, in turn.
const ROUNDS: usize = 3;
/// The port of the server in a container, and of the one on the host.
const INSIDE: &str = "7000";
/// The port that it is published on.
const PUBLISHED: &str = "18001";
/// The server on the host itself.
const HOST: &str = "18002";
/// The server in a container, and who asks it from another.
const SERVER: &str = "bench-server";
const CLIENT: &str = "bench-client";

/// What is measured by a role of the load program.
struct Measure {
    role: &'static str,
    what: &'static str,
    seconds: &'static str,
    /// From the load program's number to that of the table.
    scale: f64,
    unit: &'static str,
    more_is_better: bool,
}

const THROUGHPUT: Measure = Measure {
    role: "send",
    what: "throughput",
    seconds: "0.6",
    scale: 8e-9,
    unit: "Gbit/s",
    more_is_better: true,
};
const LATENCY: Measure = Measure {
    role: "echo",
    what: "there and back",
    seconds: "0.3",
    scale: 1.0,
    unit: "µs",
    more_is_better: false,
};
const CONNECTIONS: Measure = Measure {
    role: "connect",
    what: "connections",
    seconds: "0.6",
    scale: 1.0,
    unit: "a second",
    more_is_better: true,
};
const NAMES: Measure = Measure {
    role: "dns",
    what: "answers",
    seconds: "0.6",
    scale: 1.0,
    unit: "a second",
    more_is_better: true,
};

/// From where to where.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToContainer,
    ToHost,
    FromLoopback,
    FromHost,
    FromNeighbour,
    Resolver,
}

impl Way {
    fn words(self) -> &'static str {
        match self {
            Way::ToContainer => "container to container",
            Way::ToHost => "container to host",
            Way::FromLoopback => "published port, from the host's loopback",
            Way::FromHost => "published port, by the host's own address",
            Way::FromNeighbour => "published port, from another machine",
            Way::Resolver => "DNS at 127.0.0.11, the name of another container",
        }
    }

    /// The load program on this way.
    fn command(self, subject: &Subject<'_>, measure: &Measure) -> Command {
        let in_container = |target: &[&str]| {
            let words = ["exec", CLIENT, "/load", "load", measure.role];
            subject.command(&[&words, target, &[measure.seconds]].concat())
        };
        let outside = |mut command: Command, target: &str| {
            command.args(["load", measure.role, target, measure.seconds]);
            command
        };
        let own = std::env::current_exe().unwrap_or_default();
        match self {
            Way::ToContainer => in_container(&[&format!("{}:{INSIDE}", address(subject))]),
            Way::ToHost => in_container(&[&format!("{HERE}:{HOST}")]),
            Way::Resolver => in_container(&["127.0.0.11:53", SERVER]),
            Way::FromLoopback => {
                outside(subject.machine.command(own), &format!("127.0.0.1:{PUBLISHED}"))
            }
            Way::FromHost => outside(subject.machine.command(own), &format!("{HERE}:{PUBLISHED}")),
            Way::FromNeighbour => {
                outside(subject.machine.command_of_neighbour(own), &format!("{HERE}:{PUBLISHED}"))
            }
        }
    }
}

/// The rows of all ways.
pub fn all(subjects: &[Subject<'_>]) -> Result<Vec<Row>, String> {
    for subject in subjects {
        start(subject)?;
    }
    let servers = subjects.iter().map(serve_on_host).collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    for (way, measures) in [
        (Way::ToContainer, vec![THROUGHPUT, LATENCY]),
        (Way::ToHost, vec![THROUGHPUT, LATENCY]),
        (Way::FromLoopback, vec![THROUGHPUT, LATENCY, CONNECTIONS]),
        (Way::FromHost, vec![THROUGHPUT, LATENCY, CONNECTIONS]),
        (Way::FromNeighbour, vec![THROUGHPUT, LATENCY, CONNECTIONS]),
        (Way::Resolver, vec![NAMES]),
    ] {
        for measure in measures {
            shell::say(&format!("{}: {}", way.words(), measure.what));
            rows.push(row(subjects, way, &measure)?);
        }
    }
    drop(servers);
    for subject in subjects {
        subject.done(&["rm", "-f", SERVER, CLIENT])?;
    }
    Ok(rows)
}

fn row(subjects: &[Subject<'_>], way: Way, measure: &Measure) -> Result<Row, String> {
    let mut figures: Vec<(&str, Result<f64, String>)> = Vec::new();
    let mut takers: Vec<_> = subjects
        .iter()
        .filter(|subject| subject.names || way != Way::Resolver)
        .map(|subject| (subject, Ok(Vec::new())))
        .collect();
    for _ in 0..ROUNDS {
        for (subject, taken) in &mut takers {
            if let Ok(list) = taken {
                match number(way.command(subject, measure)) {
                    Ok(figure) => list.push(figure * measure.scale),
                    Err(error) => *taken = Err(error),
                }
            }
        }
    }
    for (subject, taken) in takers {
        figures.push((subject.name, taken.map(middle)));
    }
    let mut figures = figures.into_iter();
    let ours = figures.next().ok_or("nobody was measured")?.1?;
    let mut docker = f64::NAN;
    let mut peers = Vec::new();
    for (name, figure) in figures {
        match figure {
            Ok(figure) => {
                let ratio = if measure.more_is_better { ours / figure } else { figure / ours };
                peers.push(format!("{name} {} (×{ratio:.2})", rounded(figure)));
                if name == "docker" {
                    docker = ratio;
                }
            }
            // What a peer cannot do is said, and is no failure of the benchmark.
            Err(error) => {
                peers.push(format!("{name}: {}", error.lines().last().unwrap_or("failed")))
            }
        }
    }
    Ok(Row {
        what: format!("{}: {} ({})", way.words(), measure.what, measure.unit),
        ours: rounded(ours),
        peers: peers.join(", "),
        // Packets of both go through the same kernel; a tenth is noise.
        bar: "not behind docker (within a tenth)".to_owned(),
        met: Some(docker >= 0.9),
    })
}

/// Pure: a number with the digits that mean something.
fn rounded(figure: f64) -> String {
    if figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.1}") }
}

/// The number that a load program prints.
fn number(mut command: Command) -> Result<f64, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_number| {
        format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())
    })
}

/// A server with a published port and a client, in containers of one user network.
fn start(subject: &Subject<'_>) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let bind = format!("{}:/load:ro", own.display());
    let port = format!("{PUBLISHED}:{INSIDE}");
    let common = ["run", "-d", "--network", NETWORK, "-v", bind.as_str(), "--name"];
    let server = [SERVER, "-p", port.as_str(), IMAGE, "/load", "load", "serve", INSIDE];
    subject.done(&[common.as_slice(), &server].concat())?;
    subject.done(&[common.as_slice(), &[CLIENT, IMAGE, "sleep", "1000"]].concat())
}

fn address(subject: &Subject<'_>) -> String {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let output = subject.command(&["inspect", "-f", format, SERVER]).output();
    output.map_or_else(
        |_error| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// A server on the host itself, ended with this value.
struct OnHost(Child);

impl Drop for OnHost {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn serve_on_host(subject: &Subject<'_>) -> Result<OnHost, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let child = subject
        .machine
        .command(own)
        .args(["load", "serve", HOST])
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start a server: {error}"))?;
    Ok(OnHost(child))
}
