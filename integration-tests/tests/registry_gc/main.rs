//! Garbage collection while twenty clients push, pull and delete: no push fails, nothing that is referenced goes, and everything else
//! is gone afterwards. Acts: as root, with the built binary, through a daemon whose registry stands on the engine's own store.
//!
//! Two minutes; `NARU_GC_SECONDS` makes it longer or shorter.

mod client;
mod wire;

use client::{Client, Live, pull};
use integration_tests::{Daemon, binary, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use wire::Wire;

const REGISTRY: &str = "127.0.0.1:5000";
/// Clients that speak HTTP; those that go through the daemon come on top.
const CLIENTS: u64 = 18;
/// Those that push and pull through the daemon.
const ENGINES: u64 = 2;
/// How long what nothing leads to stays while clients are at work. No push may take longer.
const GRACE: u64 = 20;

fn seconds() -> u64 {
    let set = std::env::var("NARU_GC_SECONDS").ok();
    set.map_or(120, |text| text.parse().expect("NARU_GC_SECONDS is a number"))
}

/// The blobs of the daemon's store.
fn blobs(daemon: &Daemon) -> BTreeSet<String> {
    let directory = daemon.data_root().join("content/blobs/sha256");
    let entries = std::fs::read_dir(directory).expect("the store's blobs");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        format!("sha256:{}", entry.expect("an entry").file_name().display())
    };
    entries.map(name).collect()
}

/// Has the registry collect, without a pause, until the end. Says how often, and how many blobs went.
fn collect(until: Instant) -> (u64, u64) {
    let mut wire = Wire::to(REGISTRY);
    let (mut runs, mut gone) = (0, 0);
    while Instant::now() < until {
        let path = format!("/admin/gc?grace={GRACE}&delete-untagged=true");
        let answer = wire.ask("POST", &path, "", b"");
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 200, "{said}");
        let told: Value = serde_json::from_str(said.trim()).expect("a report");
        assert!(told["error"].is_null(), "{said}");
        runs += 1;
        gone += told["blobs"].as_u64().expect("a count");
    }
    (runs, gone)
}

/// A client that goes through the daemon: its image is the registry's by rows, then the registry's alone, then the engine's again.
fn engine(daemon: &Daemon, number: u64, until: Instant) -> u64 {
    let mut rounds = 0;
    while Instant::now() < until {
        let name = format!("{REGISTRY}/engine/app:e{number}-{rounds}");
        daemon.naru(&["tag", "box", &name]).ok();
        daemon.naru(&["push", "-q", &name]).ok();
        daemon.naru(&["rmi", &name]).ok();
        daemon.naru(&["pull", "-q", &name]).ok();
        let mut rm = daemon.neighbour(binary().to_str().expect("a path"));
        run(rm.args(["registry", "rm", &name])).ok();
        daemon.naru(&["rmi", &name]).ok();
        rounds += 1;
    }
    rounds
}

#[test]
fn collecting_while_twenty_clients_push_and_pull() {
    let daemon = Daemon::start_apart(&["--registry", REGISTRY]).with_busybox("box");
    let before = blobs(&daemon);
    let live = Live::default();
    let until = Instant::now() + Duration::from_secs(seconds());
    let (done, (runs, gone), rounds) = std::thread::scope(|scope| {
        let (daemon, live) = (&daemon, &live);
        let engines: Vec<_> =
            (0..ENGINES).map(|number| scope.spawn(move || engine(daemon, number, until))).collect();
        let (done, collected) = daemon.nearby(|| {
            // Threads are where the one that starts them is.
            std::thread::scope(|scope| {
                let clients: Vec<_> = (0..CLIENTS)
                    .map(|number| {
                        scope.spawn(move || {
                            let mut client = Client::new(number, REGISTRY, live);
                            client.work(until);
                            client.done
                        })
                    })
                    .collect();
                let collector = scope.spawn(move || collect(until));
                let done: Vec<_> = clients
                    .into_iter()
                    .map(|client| client.join().expect("a client that found everything"))
                    .collect();
                (done, collector.join().expect("collections that ended well"))
            })
        });
        let rounds: u64 = engines.into_iter().map(|it| it.join().expect("an engine")).sum();
        (done, collected, rounds)
    });
    let all = |read: fn(&client::Done) -> u64| done.iter().map(read).sum::<u64>();
    let longest = done.iter().map(|it| it.longest).max().unwrap_or_default();
    println!(
        "{} pushes ({} parts known, {} mounted), {} pulls, {} deletions, {rounds} rounds of engines; {runs} collections took {gone} blobs; the longest push took {longest:?}",
        all(|it| it.pushes),
        all(|it| it.known),
        all(|it| it.mounts),
        all(|it| it.pulls),
        all(|it| it.deletes),
    );
    assert!(longest < Duration::from_secs(GRACE), "too slow to say anything: {longest:?}");
    assert!(all(|it| it.pushes) > CLIENTS * 2 && all(|it| it.deletes) > 0 && rounds > 0);
    assert!(runs > 2, "collections went on meanwhile");
    if seconds() > 2 * GRACE {
        assert!(gone > 0, "something went while clients were at work");
    }
    check(&daemon, &live);
    let mut gc = daemon.neighbour(binary().to_str().expect("a path"));
    let told =
        run(gc.args(["registry", "gc", "--delete-untagged", "--grace", "0s", REGISTRY])).ok();
    assert!(told.stdout.contains("Total reclaimed space: "), "{}", told.stdout);
    let referenced = check(&daemon, &live);
    let expected: BTreeSet<String> = before.union(&referenced).cloned().collect();
    let here = blobs(&daemon);
    let lost: Vec<_> = expected.difference(&here).collect();
    let left: Vec<_> = here.difference(&expected).collect();
    assert!(lost.is_empty() && left.is_empty(), "lost: {lost:?}\nleft: {left:?}");
    let uploads = std::fs::read_dir(daemon.data_root().join("content/ingests")).expect("uploads");
    assert_eq!(uploads.count(), 0, "uploads are left");
    daemon.naru(&["run", "--rm", "--network", "none", "box", "true"]).ok();
}

/// Pulls everything that was acknowledged and not deleted; the digests of all of it.
fn check(daemon: &Daemon, live: &Live) -> BTreeSet<String> {
    let live = live.lock().expect("a lock");
    daemon.nearby(|| {
        let mut wire = Wire::to(REGISTRY);
        let mut referenced = BTreeSet::new();
        for ((repository, tag), digest) in &*live {
            let parts = pull(&mut wire, repository, tag).expect("an image that is whole");
            assert_eq!(parts.first(), Some(digest), "{repository}:{tag}");
            referenced.extend(parts);
        }
        referenced
    })
}
