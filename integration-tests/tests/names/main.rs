//! Names of containers, and names of others: who is found by whom, who is asked, what the files say. Acts: as root, with
//! the built binary, each daemon in a network namespace of its own.

use integration_tests::dns::{self, A, AAAA, Answer, PTR, Upstream};
use integration_tests::machines::{DEADLINE, OTHER, Town, inside};
use integration_tests::until;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Longer than any answer from tables takes, shorter than waiting for anybody.
const AT_ONCE: Duration = Duration::from_secs(1);

#[track_caller]
fn unknown(town: &Town, asker: &str, name: &str) {
    let answer = town.ask(asker, name, A).expect("the resolver answers");
    assert!(answer.addresses.is_empty() && answer.code != 0, "{asker} {name}: {answer:?}");
}

#[test]
fn ten_containers_on_two_networks_find_each_other_within_and_not_across() {
    let town = Town::start(&[]);
    for network in ["red", "Blue.Lan"] {
        town.daemon.naru(&["network", "create", network]).ok();
    }
    let red = ["r1", "r2", "r3", "r4", "r5"];
    let blue = ["b1", "b2", "b3", "b4"];
    for name in red {
        town.idler(name, &["--network", "red", "--network-alias", "all", "--hostname", "Own"]);
    }
    for name in blue {
        town.idler(name, &["--network", "Blue.Lan", "--network-alias", &format!("alias-{name}")]);
    }
    town.idler("both", &["--network", "red"]);
    town.daemon.naru(&["network", "connect", "--alias", "bridge-man", "Blue.Lan", "both"]).ok();
    let address = |name: &str, network: &str| vec![town.address(name, network)];
    for (names, network, asker) in [(&red[..], "red", "r1"), (&blue[..], "Blue.Lan", "b1")] {
        for name in names {
            let place = address(name, network);
            let id = town.inspect(name, "{{.Id}}");
            let short = &id[..12];
            let full = format!("{name}.{network}");
            for spelling in [name, short, &full, &full.to_uppercase()] {
                assert_eq!(town.addresses_of(asker, spelling), place, "{asker}: {spelling}");
                assert_eq!(town.addresses_of("both", spelling), place, "both: {spelling}");
            }
            let pointer = town.ask(asker, &dns::reverse(&place[0]), PTR).unwrap();
            assert_eq!(pointer.names, std::slice::from_ref(&full));
            // Known, without an address of IPv6: nobody else is asked.
            let six = town.ask(asker, name, AAAA).unwrap();
            assert_eq!(six, Answer { code: 0, addresses: vec![], names: vec![] });
        }
    }
    for (asker, others, network) in [("b1", &red[..], "red"), ("r1", &blue[..], "Blue.Lan")] {
        for name in others {
            unknown(&town, asker, name);
            unknown(&town, asker, &format!("{name}.{network}"));
            let place = address(name, network);
            assert_eq!(town.ask(asker, &dns::reverse(&place[0]), PTR).unwrap().names, [""; 0]);
        }
    }
    // Each alias in its network; a container on both sees both, and is seen by each at the place that is there.
    assert_eq!(town.addresses_of("b1", "alias-b2"), address("b2", "Blue.Lan"));
    assert_eq!(town.addresses_of("r1", "both"), address("both", "red"));
    assert_eq!(town.addresses_of("b1", "bridge-man"), address("both", "Blue.Lan"));
    unknown(&town, "r1", "bridge-man");
    // All who share an alias are given, each first in turn.
    let shared: BTreeSet<String> = red.iter().flat_map(|name| address(name, "red")).collect();
    let answers: Vec<Vec<String>> = (0..10).map(|_| town.addresses_of("r1", "all")).collect();
    for answer in &answers {
        assert_eq!(answer.iter().cloned().collect::<BTreeSet<_>>(), shared);
    }
    let first: BTreeSet<String> = answers.iter().map(|answer| answer[0].clone()).collect();
    assert_eq!(first, shared, "each comes first in turn");
    // Who stops is not found any more, who is renamed by the new name only.
    town.daemon.naru(&["stop", "-t", "0", "r5"]).ok();
    unknown(&town, "r1", "r5");
    town.daemon.naru(&["rename", "r4", "new4"]).ok();
    assert_eq!(town.addresses_of("r1", "new4"), address("new4", "red"));
    unknown(&town, "r1", "r4");
}

#[test]
fn names_are_answered_again_after_a_kill() {
    let mut town = Town::start(&[]);
    town.daemon.naru(&["network", "create", "lan"]).ok();
    for name in ["one", "two"] {
        town.idler(name, &["--network", "lan"]);
    }
    let place = vec![town.address("two", "lan")];
    assert_eq!(town.addresses_of("one", "two"), place);
    town.daemon.kill();
    town.daemon.launch();
    let pid = town.pid("one");
    let answer = until(DEADLINE, || {
        inside(pid, || dns::ask(dns::RESOLVER, "two", A)).filter(|answer| answer.code == 0)
    });
    let shown: Vec<String> = answer.unwrap().addresses.iter().map(ToString::to_string).collect();
    assert_eq!(shown, place);
}

#[test]
fn links_are_names_for_who_links_only() {
    let town = Town::start(&[]);
    town.daemon.naru(&["network", "create", "lan"]).ok();
    town.idler("db", &["--network", "lan"]);
    town.idler("web", &["--network", "lan", "--link", "db:store"]);
    town.idler("plain", &["--network", "lan"]);
    let place = vec![town.address("db", "lan")];
    assert_eq!(town.addresses_of("web", "store"), place);
    assert_eq!(town.addresses_of("web", "db"), place);
    unknown(&town, "plain", "store");
    unknown(&town, "db", "store");
    // On the default network links are lines of the file, and nobody is found by name otherwise.
    town.idler("old-db", &[]);
    town.idler("old-web", &["--link", "old-db:store"]);
    let hosts = town.daemon.naru(&["exec", "old-web", "cat", "/etc/hosts"]).ok();
    let line = format!("{}\tstore ", town.address("old-db", "bridge"));
    assert!(hosts.stdout.contains(&line), "{}", hosts.stdout);
    let env = town.daemon.naru(&["exec", "old-web", "env"]).ok();
    assert!(!env.stdout.contains("old-db="), "{}", env.stdout);
}

#[test]
fn the_hosts_servers_are_asked_as_they_are_now() {
    let town = Town::start_with_names("nameserver 127.0.0.53\noptions edns0\n", &[]);
    let stub = Upstream::start(town.host.pid(), "127.0.0.53", Some(Ipv4Addr::new(10, 9, 9, 1)));
    let other = Upstream::start(town.other.pid(), OTHER[0], Some(Ipv4Addr::new(10, 9, 9, 2)));
    town.daemon.naru(&["network", "create", "lan"]).ok();
    town.idler("one", &["--network", "lan"]);
    // On a loopback, where containers themselves would never reach it.
    assert_eq!(town.addresses_of("one", "example.org"), ["10.9.9.1"]);
    assert_eq!(stub.asked(), 1);
    town.set_behind_stub(&format!("nameserver {}\n", OTHER[0]));
    assert_eq!(town.addresses_of("one", "example.org"), ["10.9.9.2"]);
    assert_eq!(stub.asked(), 1, "what is behind the stub is asked, not the stub");
    town.set_resolv_conf("nameserver 127.0.0.1\n");
    let third = Upstream::start(town.host.pid(), "127.0.0.1", Some(Ipv4Addr::new(10, 9, 9, 3)));
    assert_eq!(town.addresses_of("one", "example.org"), ["10.9.9.3"]);
    assert_eq!((other.asked(), third.asked()), (1, 1));
    assert_eq!(town.addresses_of("one", "one"), [town.address("one", "lan")]);
    assert_eq!((other.asked(), third.asked()), (1, 1), "our own names are asked of nobody");
    // No server at all: never a public one instead.
    town.set_resolv_conf("");
    let begin = Instant::now();
    assert_eq!(town.ask("one", "example.org", A).unwrap().code, 2);
    assert_eq!(town.addresses_of("one", "one"), [town.address("one", "lan")]);
    assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
}

#[test]
fn names_of_containers_are_fast_while_an_upstream_never_answers() {
    let town = Town::start_with_names(&format!("nameserver {}\n", OTHER[0]), &[]);
    let _silent = Upstream::start(town.other.pid(), OTHER[0], None);
    town.daemon.naru(&["network", "create", "lan"]).ok();
    town.idler("one", &["--network", "lan"]);
    town.idler("two", &["--network", "lan"]);
    let (pid, place) = (town.pid("one"), town.address("two", "lan"));
    inside(pid, || {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect(dns::RESOLVER).unwrap();
        // A flood of questions that nobody will answer, and some that are none at all.
        for number in 0..5000 {
            drop(socket.send(&dns::question(&format!("flood-{number}.example.org"), A)));
            drop(socket.send(&[0xff; 40]));
        }
        for _ in 0..20 {
            // A datagram may be lost in a flood; whoever asks asks again.
            let begin = Instant::now();
            let question = dns::question("two", A);
            let ask = || dns::exchange(dns::RESOLVER, &question, Duration::from_millis(200));
            let answer = dns::parse(&until(DEADLINE, ask).unwrap());
            assert_eq!(answer.addresses.len(), 1);
            assert_eq!(answer.addresses[0].to_string(), place);
            assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
        }
        let begin = Instant::now();
        let answer = dns::ask(dns::RESOLVER, "example.org", A);
        assert!(answer.is_none_or(|answer| answer.code == 2), "nobody knows it");
        assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
    });
}

#[test]
fn names_that_are_too_long_are_refused_and_the_resolver_goes_on() {
    let town = Town::start(&[]);
    town.daemon.naru(&["network", "create", "lan"]).ok();
    town.idler("one", &["--network", "lan"]);
    let (pid, place) = (town.pid("one"), town.address("one", "lan"));
    inside(pid, || {
        let long = ["a"; 150].join(".");
        let answer =
            dns::exchange(dns::RESOLVER, &dns::question(&long, A), AT_ONCE).expect("an answer");
        assert_eq!(answer[3] & 15, 1, "a format error");
        let label = "b".repeat(70);
        let answer = dns::exchange(dns::RESOLVER, &dns::question(&label, A), AT_ONCE);
        assert!(answer.is_none_or(|answer| answer[3] & 15 == 1));
        let answer = dns::ask(dns::RESOLVER, "one", A).unwrap();
        assert_eq!(answer.addresses[0].to_string(), place);
    });
}

#[test]
fn a_container_asks_the_servers_that_it_was_given() {
    let town = Town::start_with_names(&format!("nameserver {}\n", OTHER[0]), &[]);
    let hosts = Upstream::start(town.other.pid(), OTHER[0], Some(Ipv4Addr::new(10, 9, 9, 1)));
    let own = Upstream::start(town.other.pid(), OTHER[1], Some(Ipv4Addr::new(10, 9, 9, 2)));
    let loopback = Upstream::start(town.host.pid(), "127.0.0.7", Some(Ipv4Addr::new(10, 9, 9, 3)));
    town.daemon.naru(&["network", "create", "lan"]).ok();
    town.idler("one", &["--network", "lan", "--dns", OTHER[1]]);
    town.idler("two", &["--network", "lan", "--dns", "127.0.0.7"]);
    town.idler("three", &["--network", "lan", "--dns-option", "use-vc", "--dns-option", "x:1"]);
    assert_eq!(town.addresses_of("one", "example.org"), ["10.9.9.2"]);
    assert_eq!(town.addresses_of("two", "example.org"), ["10.9.9.3"]);
    // Over TCP only, where nobody listens.
    assert_eq!(town.ask("three", "example.org", A).unwrap().code, 2);
    assert_eq!((hosts.asked(), own.asked(), loopback.asked()), (0, 1, 1));
    // A container that must not reach outside does not do so by questions.
    town.daemon.naru(&["network", "create", "--internal", "cell"]).ok();
    town.idler("four", &["--network", "cell", "--dns", OTHER[1]]);
    assert_eq!(town.ask("four", "secret.example.org", A).unwrap().code, 2);
    assert_eq!((hosts.asked(), own.asked()), (0, 1));
}

#[test]
fn wishes_that_cannot_be_are_refused() {
    let town = Town::start(&[]);
    for (flag, value, says) in [
        ("--dns", "nonsense", "nonsense"),
        ("--dns", "1.2.3", "1.2.3"),
        ("--add-host", "noaddress", "noaddress"),
        ("--add-host", "a:1.2.3", "1.2.3"),
    ] {
        for mode in ["create", "run"] {
            let done = town.daemon.naru(&[mode, "--name", "bad", flag, value, "box", "true"]);
            assert!(done.code == 125 || done.code == 1, "{flag} {value}: {done:?}");
            assert!(done.stderr.contains(says), "{flag} {value}: {done:?}");
        }
    }
    assert_eq!(town.daemon.naru(&["ps", "-aq"]).ok().text(), "");
}

#[test]
fn the_files_say_what_was_wished() {
    let text = format!("nameserver {}\nsearch host.example\noptions timeout:3\n", OTHER[0]);
    let town = Town::start_with_names(&text, &[]);
    town.daemon.naru(&["network", "create", "lan"]).ok();
    let cat = |flags: &[&str], file: &str| {
        let words = [&["run", "--rm"], flags, &["box", "cat", file]].concat();
        town.daemon.naru(&words).ok().stdout
    };
    let lines = |flags: &[&str]| {
        let text = cat(flags, "/etc/resolv.conf");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let host = format!("nameserver {}", OTHER[0]);
    assert_eq!(lines(&[]), [&host, "search host.example", "options timeout:3"]);
    assert_eq!(lines(&["--network", "host"]), [&host, "search host.example", "options timeout:3"]);
    assert_eq!(
        lines(&["--network", "lan"]),
        ["nameserver 127.0.0.11", "search host.example", "options timeout:3 ndots:0"]
    );
    let wishes = [
        "--dns",
        "10.1.1.1",
        "--dns",
        "10.1.1.2",
        "--dns-search",
        "a.example",
        "--dns-search",
        "b.example",
        "--dns-option",
        "ndots:2",
        "--dns-option",
        "rotate",
    ];
    let tail = ["search a.example b.example", "options ndots:2 rotate"];
    assert_eq!(lines(&wishes)[..2], ["nameserver 10.1.1.1", "nameserver 10.1.1.2"]);
    assert_eq!(lines(&wishes)[2..], tail);
    let on_lan = lines(&[&["--network", "lan"], &wishes[..]].concat());
    assert_eq!(on_lan[0], "nameserver 127.0.0.11");
    assert_eq!(on_lan[1..], tail);
    assert_eq!(lines(&["--dns-search", "."]), [&host, "options timeout:3"]);
    let names = [
        "--network",
        "lan",
        "--hostname",
        "web",
        "--domainname",
        "a.example",
        "--add-host",
        "gate:host-gateway",
        "--add-host",
        "far=10.2.2.2",
        "--add-host",
        "six:[fd00::7]",
    ];
    let hosts = cat(&names, "/etc/hosts");
    let gate = format!("{}\tgate\n", town.gateway("lan"));
    for line in [gate.as_str(), "10.2.2.2\tfar\n", "fd00::7\tsix\n", "\tweb.a.example web\n"] {
        assert!(hosts.contains(line), "{line:?} in {hosts}");
    }
    let words = [&["run", "--rm"], &names[..], &["box", "hostname"]].concat();
    assert_eq!(town.daemon.naru(&words).ok().text(), "web");
    assert_eq!(cat(&names, "/proc/sys/kernel/domainname").trim(), "a.example");
}
