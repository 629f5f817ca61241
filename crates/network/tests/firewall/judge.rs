//! What we tell the kernel is what we say that we tell it: `nft` reads the same back, wherever it came from. Acts.

use crate::rig::{Space, network, published, tcp};
use naru_network::firewall::{
    Drift, Firewall, FirewallOptions, Link, Network, Outgoing, Proto, State, describe,
};
use serde_json::Value;

/// A bit of everything.
fn state() -> State {
    let ip = |text: &str| text.parse().unwrap();
    let internal = Network { internal: true, icc: false, ..network(1) };
    let fixed = Network {
        outgoing4: Outgoing::From(ip("192.0.2.9")),
        outgoing6: Outgoing::From(ip("2001:db8::9")),
        direct: true,
        ..network(2)
    };
    let routed = Network { outgoing6: Outgoing::Routed, icc: false, ..network(3) };
    State {
        networks: vec![network(0), internal, fixed, routed],
        published: vec![
            tcp("8080", "10.81.0.2:80"),
            tcp("8080", "[fd81::2]:80"),
            tcp("127.0.0.1:8081", "10.81.0.2:81"),
            tcp("[::1]:8081", "[fd81::2]:81"),
            tcp("[2001:db8::1]:8082", "[fd81::2]:82"),
            published(Proto::Udp, "0.0.0.0:53", "10.83.0.2:5353"),
            published(Proto::Udp, "[::]:53", "[fd83::2]:5353"),
            published(Proto::Sctp, "9000", "10.83.0.2:9000"),
            published(Proto::Sctp, "9000", "[fd83::2]:9000"),
        ],
        links: vec![
            Link { from: ip("10.84.0.3"), to: ip("10.84.0.2"), proto: Proto::Tcp, port: 80 },
            Link { from: ip("fd84::3"), to: ip("fd84::2"), proto: Proto::Udp, port: 53 },
        ],
    }
}

/// The table as `nft` reads it, without numbers that the kernel gives, elements sorted.
fn read_back(space: &Space) -> Vec<Value> {
    let json = space.command("nft -j list table inet naru");
    let mut json: Value = serde_json::from_str(&json).unwrap();
    let mut all = json["nftables"].as_array_mut().unwrap().split_off(1);
    for object in &mut all {
        for value in object.as_object_mut().unwrap().values_mut() {
            value.as_object_mut().unwrap().remove("handle");
            if let Some(elements) = value.get_mut("elem").and_then(Value::as_array_mut) {
                elements.sort_by_key(Value::to_string);
            }
        }
    }
    all
}

fn check(options: &FirewallOptions, state: &State) {
    let (ours, theirs) = (Space::new(), Space::new());
    theirs.nft(&describe("naru", options, state).unwrap());
    ours.run(|| {
        let mut firewall = Firewall::open("naru", options.clone()).unwrap();
        // Twice, as after a restart.
        firewall.rebuild(state).unwrap();
        firewall.rebuild(state).unwrap();
        assert_eq!(firewall.verify(state).unwrap(), Drift::default());
    });
    let (ours_read, theirs_read) = (read_back(&ours), read_back(&theirs));
    for (one, other) in ours_read.iter().zip(&theirs_read) {
        assert_eq!(one, other);
    }
    assert_eq!(ours_read.len(), theirs_read.len());
    // Who saves all rules of the host with `nft` can load them again.
    let saved = ours.command("nft list ruleset");
    let again = Space::new();
    again.nft(&saved);
    assert_eq!(read_back(&again), ours_read);
}

#[test]
fn nft_reads_back_what_we_describe() {
    check(&FirewallOptions::default(), &state());
    check(&FirewallOptions::default(), &State::default());
    let explicit = Some(
        ["192.0.2.0/25", "198.51.100.7/32", "2001:db8::/33", "2001:db8::7/128", "0.0.0.0/0"]
            .map(|net| net.parse().unwrap())
            .to_vec(),
    );
    check(&FirewallOptions { explicit }, &state());
}

#[test]
fn the_rules_are_these() {
    let text = describe("naru", &FirewallOptions::default(), &state()).unwrap();
    let golden = include_str!("rules.nft");
    assert_eq!(text, golden, "{text}");
}

#[test]
fn names_that_are_no_names_are_refused() {
    for name in ["", "a b", "x;", "naru\"", "../x", "-x", &"x".repeat(32), "naru\n"] {
        assert!(Firewall::open(name, FirewallOptions::default()).is_err(), "{name:?}");
    }
    for bridge in ["", ".", "a/b", "br0 accept", "sixteen-letters0"] {
        let network = Network { bridge: bridge.to_owned(), ..network(0) };
        let state = State { networks: vec![network], ..State::default() };
        assert!(describe("naru", &FirewallOptions::default(), &state).is_err(), "{bridge:?}");
    }
    for wrong in
        [tcp("0.0.0.0:8080", "[fd81::2]:80"), tcp("8080", "10.81.0.2:0"), tcp("0", "10.81.0.2:80")]
    {
        let state = State { published: vec![wrong], ..State::default() };
        let error = describe("naru", &FirewallOptions::default(), &state).unwrap_err();
        assert!(error.to_string().contains("cannot publish"), "{error}");
    }
}
