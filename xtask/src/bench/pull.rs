//! `bench pull`: a real image of many layers pulled from and pushed to Debian's docker-registry on loopback, by each peer in turn, and
//! pushed to the registry of our own daemon. Acts.

mod floor;
mod peak;
mod subjects;

use super::measure::{Times, timed};
use super::registry::Server;
use super::report::Row;
use crate::shell;
use integration_tests::debian;
use peak::Peak;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use subjects::{Subject, Subjects};

/// The image's name in the registries.
const NAME: &str = "bench/services:1";

/// Measures everything and returns the rows of the table.
pub fn run(binary: &Path, layout: &Path, rounds: usize) -> Result<Vec<Row>, String> {
    let dir = tempfile::Builder::new()
        .prefix("naru-bench")
        .tempdir_in("/tmp")
        .map_err(|error| error.to_string())?;
    shell::say("starting the peers");
    let server = Server::docker(dir.path(), None)?;
    let image = format!("{}/{NAME}", server.address);
    timed(Command::new("skopeo").args(["copy", "-q", "--dest-tls-verify=false"]).args([
        format!("oci:{}:{}", layout.display(), debian::LAYERED_TAG),
        format!("docker://{image}"),
    ]))?;
    let subjects = Subjects::start(binary, dir.path())?;
    let list = subjects.list();
    let mut rows = vec![image_row(layout)?];
    rows.extend(pulls(&list, &image, layout, dir.path(), rounds)?);
    rows.extend(pushes(&list, &image, dir.path(), rounds)?);
    rows.push(to_itself(&subjects, &image, rounds)?);
    rows.push(again(&list, &image, rounds)?);
    Ok(rows)
}

/// What is moved.
fn image_row(layout: &Path) -> Result<Row, String> {
    let (layers, packed) = floor::layers(layout)?;
    Ok(Row {
        what: "the image".to_owned(),
        ours: format!("{} layers, {:.0} MB packed", layers.len(), packed as f64 / 1e6),
        peers: String::new(),
        bar: String::new(),
        met: None,
    })
}

/// What was measured of one subject.
#[derive(Debug, Default)]
struct Measured {
    times: Vec<Duration>,
    peak: u64,
}

impl Measured {
    /// Measures a command once more. The first round warms caches; in it memory is looked at, which takes time, and the time does not
    /// count.
    fn once(
        &mut self,
        subject: &Subject<'_>,
        number: usize,
        command: &mut Command,
    ) -> Result<(), String> {
        let named = |error| format!("{}: {error}", subject.name);
        if number == 0 {
            self.peak = Peak::watch(subject.servers(), command).map_err(named)?;
        } else {
            self.times.push(timed(command).map_err(named)?);
        }
        Ok(())
    }
}

fn pulls(
    list: &[Subject<'_>],
    image: &str,
    layout: &Path,
    dir: &Path,
    rounds: usize,
) -> Result<Vec<Row>, String> {
    shell::say("pull");
    let mut measured: Vec<Measured> = list.iter().map(|_| Measured::default()).collect();
    let (mut inflate, mut disk) = (Vec::new(), Vec::new());
    for number in 0..=rounds {
        // Just before ours, and as it with nothing left to write for others: the disk's pace is not the same all the time.
        timed(&mut Command::new("sync"))?;
        let (inflated, written) = floor::measure(layout, dir)?;
        if number > 0 {
            inflate.push(inflated);
            disk.push(written);
        }
        for (subject, figures) in list.iter().zip(&mut measured) {
            subject.forget(image).map_err(|error| format!("{}: {error}", subject.name))?;
            // What others have still to write is not written at this one's cost.
            timed(&mut Command::new("sync"))?;
            figures.once(subject, number, &mut subject.pull(image))?;
        }
    }
    let (inflate, disk) = (Times::new(inflate).median(), Times::new(disk).median());
    let floor = inflate.max(disk);
    let mut rows =
        compare("pull, nothing there", list, &measured, 3.0, "3 times faster than docker");
    let ours = measured.first().map(|first| Times::new(first.times.clone()).median());
    let ours = ours.ok_or("nothing was measured")?;
    rows.push(Row {
        what:
            "pull against decompressing on all cores, and writing what stays: packed and unpacked"
                .to_owned(),
        ours: format!("{ours:.0} ms"),
        peers: format!(
            "decompress {inflate:.0} ms, disk {disk:.0} ms (×{:.2} of the slower)",
            ours / floor
        ),
        bar: "at most 1.3 of the slower".to_owned(),
        met: Some(ours <= floor * 1.3),
    });
    Ok(rows)
}

fn pushes(
    list: &[Subject<'_>],
    image: &str,
    dir: &Path,
    rounds: usize,
) -> Result<Vec<Row>, String> {
    shell::say("push");
    let mut measured: Vec<Measured> = list.iter().map(|_| Measured::default()).collect();
    for number in 0..=rounds {
        for (subject, figures) in list.iter().zip(&mut measured) {
            // A registry that has nothing, for each anew: what one pushed would be there for the next.
            let place = dir.join(format!("push-{number}-{}", subject.name));
            std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
            let server = Server::docker(&place, None)?;
            let target = format!("{}/{NAME}", server.address);
            subject.name_as(image, &target)?;
            timed(&mut Command::new("sync"))?;
            figures.once(subject, number, &mut subject.push(image, &target))?;
            subject.unname(&target)?;
            drop(server);
            std::fs::remove_dir_all(&place).map_err(|error| error.to_string())?;
        }
    }
    Ok(compare(
        "push, the registry has nothing",
        list,
        &measured,
        2.0,
        "2 times faster than docker",
    ))
}

/// A row of times and one of memory.
fn compare(
    what: &str,
    list: &[Subject<'_>],
    measured: &[Measured],
    bar: f64,
    words: &str,
) -> Vec<Row> {
    let median = |figures: &Measured| Times::new(figures.times.clone()).median();
    let all: Vec<(&str, f64, f64)> = list
        .iter()
        .zip(measured)
        .map(|(subject, figures)| (subject.name, median(figures), figures.peak as f64 / 1024.0))
        .collect();
    let Some(((_, ours, memory), peers)) = all.split_first() else { return Vec::new() };
    let docker = peers.iter().find(|(name, ..)| *name == "docker").map_or(f64::NAN, |it| it.1);
    let texts = |text: &dyn Fn(&(&str, f64, f64)) -> String| {
        peers.iter().map(text).collect::<Vec<_>>().join(", ")
    };
    vec![
        Row {
            what: what.to_owned(),
            ours: format!("{ours:.0} ms"),
            peers: texts(&|(name, time, _)| format!("{name} {time:.0} ms (×{:.1})", time / ours)),
            bar: words.to_owned(),
            met: Some(docker / ours >= bar),
        },
        Row {
            what: format!("{what}: peak memory (PSS) of all that takes part"),
            ours: format!("{memory:.0} MiB"),
            peers: texts(&|(name, _, peak)| {
                format!("{name} {peak:.0} MiB (×{:.1})", peak / memory)
            }),
            bar: String::new(),
            met: None,
        },
    ]
}

/// Pushed to the registry of the daemon that has it.
fn to_itself(subjects: &Subjects, image: &str, rounds: usize) -> Result<Row, String> {
    shell::say("push to the own registry");
    let mut times = Vec::new();
    for number in 0..rounds.max(5) {
        let target = format!("{}/bench/own-{number}:1", subjects.own_registry());
        timed(&mut subjects.ours(&["tag", image, &target]))?;
        times.push(timed(&mut subjects.ours(&["push", "-q", &target]))?);
    }
    let median = Times::new(times).median();
    Ok(Row {
        what: "push to the daemon's own registry, whole command".to_owned(),
        ours: format!("{median:.1} ms"),
        peers: String::new(),
        bar: "milliseconds, whatever the size".to_owned(),
        met: Some(median < 50.0),
    })
}

/// Pulled when it is all there.
fn again(list: &[Subject<'_>], image: &str, rounds: usize) -> Result<Row, String> {
    shell::say("pull of what is there");
    let mut measured: Vec<Measured> = list.iter().map(|_| Measured::default()).collect();
    for number in 0..=rounds {
        for (subject, figures) in list.iter().zip(&mut measured) {
            figures.once(subject, number, &mut subject.pull(image))?;
        }
    }
    let rows = compare("pull, everything there", list, &measured, 1.0, "");
    rows.into_iter()
        .next()
        .map(|row| Row { met: None, ..row })
        .ok_or_else(|| "nothing was measured".to_owned())
}
