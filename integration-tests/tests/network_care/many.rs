//! Five hundred networks and a thousand ports: the last costs what the first did, and nothing is left.

use integration_tests::Scene;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Asks the daemon without a client's process, and measures.
#[track_caller]
fn ask(socket: &Path, method: &str, path: &str, body: &str) -> (Duration, String) {
    let begin = Instant::now();
    let mut stream = UnixStream::connect(socket).expect("a daemon");
    let length = body.len();
    let request = format!(
        "{method} /v1.43{path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("a reader");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let took = begin.elapsed();
    assert!(answer.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
    (took, answer)
}

/// The lower quartile: what something costs when nobody else is in the way.
fn cost(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 4]
}

/// The last fifty cost less than so many times of what the first fifty did.
#[track_caller]
fn is_flat(what: &str, times: &[Duration], factor: u32) {
    let (first, last) = (cost(&times[..50]), cost(&times[times.len() - 50..]));
    let whole: Duration = times.iter().sum();
    let tenths: Vec<Duration> = times.chunks(times.len() / 10).map(cost).collect();
    println!("{what}: {} in {whole:?}, by tenths {tenths:?}", times.len());
    assert!(last < first * factor, "{what}: first {first:?}, last {last:?}");
}

/// Rules of the machine's owner.
const OWN: &str = "
table inet mine {
    chain enter { type filter hook input priority 0; policy accept; tcp dport 22 accept
    }
    chain pass { type filter hook forward priority 5; policy accept; ip saddr 203.0.113.0/24 drop
    }
}
table ip nat {
    chain POSTROUTING { type nat hook postrouting priority 100; ip saddr 198.51.100.0/24 masquerade
    }
}";

#[track_caller]
fn own_rules(scene: &Scene) -> String {
    let legacy = |table: &str| scene.host.run(&["iptables-legacy", "-t", table, "-S"]).ok().stdout;
    [
        scene.host.nft("list table inet mine"),
        scene.host.nft("list table ip nat"),
        legacy("filter"),
        legacy("nat"),
    ]
    .concat()
}

#[track_caller]
fn with_own_rules() -> (Scene, String) {
    let scene = Scene::new(&["--default-address-pool", "base=10.64.0.0/10,size=24"]);
    scene.host.nft(OWN);
    for rule in [
        ["iptables-legacy", "-A", "FORWARD", "-s", "203.0.113.0/24", "-j", "DROP"],
        ["iptables-legacy", "-A", "INPUT", "-s", "203.0.113.0/24", "-j", "DROP"],
    ] {
        scene.host.run(&rule).ok();
    }
    let own = own_rules(&scene);
    (scene, own)
}

#[test]
fn five_hundred_networks() {
    let (scene, own) = with_own_rules();
    let before = scene.host.shown();
    let socket = scene.daemon.socket();
    let create = |socket: &Path, number: usize| {
        let body = format!("{{\"Name\": \"net{number}\"}}");
        ask(socket, "POST", "/networks/create", &body).0
    };
    let mut made: Vec<Duration> = (0..450).map(|number| create(&socket, number)).collect();
    // The last fifty in turn with the first fifty of another daemon: both have the same share of a busy machine.
    let (young, _) = with_own_rules();
    for number in 450..500 {
        made.insert(number - 450, create(&young.daemon.socket(), number));
        made.push(create(&socket, number));
    }
    assert_eq!(scene.bridges(), 500);
    assert_eq!(own_rules(&scene), own);
    // The kernel checks every chain of a table when one is added, which is most of what the last ones cost more.
    is_flat("networks made", &made, 3);
    let removed: Vec<Duration> = (0..500)
        .map(|number| ask(&socket, "DELETE", &format!("/networks/net{number}"), "").0)
        .collect();
    // The other way round: the first were removed with all others there.
    let removed: Vec<Duration> = removed.into_iter().rev().collect();
    assert_eq!(scene.bridges(), 0);
    is_flat("networks removed (the last first)", &removed, 2);
    assert_eq!(own_rules(&scene), own);
    scene.nothing_is_left(&before);
}

#[test]
fn a_thousand_ports() {
    let (scene, own) = with_own_rules();
    let before = scene.host.shown();
    let socket = scene.daemon.socket();
    scene.daemon.naru(&["network", "create", "lan"]).ok();
    scene.pages("page", &["--network", "lan", "-p", "9000:80"]);
    let names: Vec<String> = (0..100).map(|number| format!("many{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let first = 20_000 + number * 10;
        let range = format!("{first}-{}:80-89", first + 9);
        let head = ["create", "--name", name, "--network", "lan", "-p", &range];
        scene.daemon.naru(&[&head[..], &["box", "sleep", "100000"]].concat()).ok();
    }
    let started: Vec<Duration> = names
        .iter()
        .map(|name| ask(&socket, "POST", &format!("/containers/{name}/start"), "").0)
        .collect();
    assert_eq!(scene.host.nft("list ruleset").matches(" . 2").count() / 1000, 1);
    assert_eq!(scene.fetched(9000).as_deref(), Some("page of page"));
    let removed: Vec<Duration> = names
        .iter()
        .map(|name| ask(&socket, "DELETE", &format!("/containers/{name}?force=1"), "").0)
        .collect();
    is_flat("containers with ten ports each started", &started, 2);
    let removed: Vec<Duration> = removed.into_iter().rev().collect();
    is_flat("containers with ten ports each removed (the last first)", &removed, 2);
    assert_eq!(own_rules(&scene), own);
    scene.nothing_is_left(&before);
}
