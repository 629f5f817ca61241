//! IPv6: alone, beside IPv4, and by daemons that give it to all. Acts: as root, with the built binary, each daemon in a
//! network namespace of its own.

use integration_tests::dns::{self, A, AAAA, PTR};
use integration_tests::machines::{HOST, OTHER, Town};
use std::net::Ipv6Addr;

fn who(host: &str) -> String {
    format!("http://{host}:8080/cgi-bin/who")
}

fn is_unique_local(address: &str) -> bool {
    address.parse::<Ipv6Addr>().is_ok_and(|address| address.octets()[0] == 0xfd)
}

/// The addresses that `name` has for `asker`, of IPv6.
#[track_caller]
fn six(town: &Town, asker: &str, name: &str) -> Vec<String> {
    let answer = town.ask(asker, name, AAAA).expect("the resolver answers");
    answer.addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn a_network_of_ipv6_alone_has_names_ports_and_a_way_out() {
    let town = Town::start(&[]);
    let create = ["network", "create", "--ipv4=false", "--ipv6", "six"];
    town.daemon.naru(&create).ok();
    town.server("web", &["--network", "six", "-p", "8080:80"]);
    town.idler("mate", &["--network", "six"]);
    let address = town.address6("web", "six");
    assert!(is_unique_local(&address), "{address}");
    assert_eq!(town.address("web", "six"), "");
    assert_eq!(six(&town, "mate", "web"), [address.as_str()]);
    let four = town.ask("mate", "web", A).unwrap();
    assert_eq!((four.code, four.addresses.len()), (0, 0), "known, without such an address");
    assert_eq!(town.ask("mate", &dns::reverse(&address), PTR).unwrap().names, ["web.six"]);
    town.wait_for(|| town.host.get(&who("[::1]")));
    assert!(town.host.get(&who(&format!("[{}]", HOST[1]))).is_some());
    let seen = town.other.get(&who(&format!("[{}]", HOST[1])));
    assert_eq!(seen.as_deref(), Some(OTHER[1]), "the client's own address");
    assert!(town.get("mate", &who(&format!("[{}]", HOST[1]))).is_some());
    assert!(town.get("web", &who(&format!("[{}]", HOST[1]))).is_some(), "its own port");
    let ping = ["exec", "mate", "ping6", "-c", "1", "-W", "3", OTHER[1]];
    town.daemon.naru(&ping).ok();
    assert_eq!(town.daemon.naru(&["port", "web"]).ok().text(), "80/tcp -> [::]:8080");
}

#[test]
fn a_dual_network_has_both_and_fixed_addresses() {
    let town = Town::start(&[]);
    let subnets = ["--subnet", "10.77.0.0/24", "--subnet", "fd77::/64"];
    town.daemon.naru(&[&["network", "create", "--ipv6"], &subnets[..], &["dual"]].concat()).ok();
    let fixed = ["--network", "dual", "--ip", "10.77.0.9", "--ip6", "fd77::9", "-p", "8080:80"];
    town.server("web", &fixed);
    town.idler("mate", &["--network", "dual"]);
    assert_eq!(town.address("web", "dual"), "10.77.0.9");
    assert_eq!(town.address6("web", "dual"), "fd77::9");
    assert_eq!(town.addresses_of("mate", "web"), ["10.77.0.9"]);
    assert_eq!(six(&town, "mate", "web"), ["fd77::9"]);
    for address in ["127.0.0.1", "[::1]", HOST[0], &format!("[{}]", HOST[1])] {
        town.wait_for(|| town.host.get(&who(address)));
    }
    assert_eq!(town.other.get(&who(HOST[0])).as_deref(), Some(OTHER[0]));
    let seen = town.other.get(&who(&format!("[{}]", HOST[1])));
    assert_eq!(seen.as_deref(), Some(OTHER[1]));
    for (flag, address, says) in [
        ("--ip", "10.77.0.9", "already in use"),
        ("--ip6", "fd77::9", "already in use"),
        ("--ip", "10.78.0.9", "subnet"),
        ("--ip6", "fd78::9", "subnet"),
    ] {
        let done =
            town.daemon.naru(&["run", "--rm", "--network", "dual", flag, address, "box", "true"]);
        assert!(done.code == 125, "{done:?}");
        assert!(done.stderr.to_lowercase().contains(says), "{done:?}");
    }
    // One family only, by the address that is asked for.
    town.server("low", &["--network", "dual", "-p", "[::1]:8082:80"]);
    let url = |host: &str| format!("http://{host}:8082/cgi-bin/who");
    town.wait_for(|| town.host.get(&url("[::1]")));
    assert_eq!(town.host.get(&url("127.0.0.1")), None);
    assert_eq!(town.other.get(&url(&format!("[{}]", HOST[1]))), None);
}

#[test]
fn networks_get_prefixes_of_their_own_and_a_daemon_gives_ipv6_to_all() {
    let town = Town::start(&["--ipv6"]);
    for network in ["one", "two"] {
        town.daemon.naru(&["network", "create", network]).ok();
    }
    town.server("web", &["-p", "8080:80"]);
    town.idler("in-one", &["--network", "one"]);
    town.idler("in-two", &["--network", "two"]);
    let places = [
        town.address6("web", "bridge"),
        town.address6("in-one", "one"),
        town.address6("in-two", "two"),
    ];
    let mut prefixes: Vec<[u8; 8]> = Vec::new();
    for place in &places {
        assert!(is_unique_local(place), "{places:?}");
        let octets = place.parse::<Ipv6Addr>().unwrap().octets();
        prefixes.push(octets[..8].try_into().unwrap());
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    assert_eq!(prefixes.len(), 3, "{places:?}");
    town.wait_for(|| town.host.get(&who("[::1]")));
    // A network without it is one without it.
    town.daemon.naru(&["network", "create", "--ipv6=false", "four"]).ok();
    town.idler("in-four", &["--network", "four"]);
    assert_eq!(town.address6("in-four", "four"), "");
    let shown = town.daemon.naru(&["exec", "in-four", "ip", "-6", "address"]).ok();
    assert_eq!(shown.text(), "");
}
