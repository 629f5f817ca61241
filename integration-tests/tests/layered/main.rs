//! macvlan and ipvlan networks on an interface of the host. Acts: as root, with the built binary, each daemon in a network
//! namespace of its own.

use integration_tests::machines::{OTHER, Town};

/// The wire's subnets, in which the host is .1 and the other machine .2.
const WIRE: [&str; 4] = ["--subnet", "192.0.2.0/24", "--ip-range", "192.0.2.128/25"];

/// Whether the kernel has this kind of interface; when not, networks of it are refused in words that say so.
#[track_caller]
fn has_kind(town: &Town, kind: &str) -> bool {
    let more: &[&str] = if kind == "vlan" { &["id", "4000"] } else { &[] };
    let probe = ["ip", "link", "add", "link", "lan0", "name", "probe", "type", kind];
    if town.host.run(&[&probe, more].concat()).code == 0 {
        town.host.ip("link del probe");
        return true;
    }
    let parent = if kind == "vlan" { "parent=lan0.4000" } else { "parent=lan0" };
    let driver = if kind == "vlan" { "macvlan" } else { kind };
    let create =
        ["network", "create", "-d", driver, "-o", parent, "--subnet", "10.90.0.0/24", "no"];
    let made = town.daemon.naru(&create);
    let done = if made.code == 0 {
        town.daemon.naru(&["run", "--rm", "--network", "no", "box", "true"])
    } else {
        made
    };
    assert!(done.code != 0 && done.stderr.contains("this kernel lacks"), "{done:?}");
    false
}

#[track_caller]
fn check_on_the_wire(driver: &str, options: &[&str]) {
    let town = Town::start(&[]);
    if !has_kind(&town, driver) {
        return;
    }
    let head = ["network", "create", "-d", driver, "-o", "parent=lan0", "--gateway", OTHER[0]];
    town.daemon.naru(&[&head, options, &WIRE[..], &["wire"]].concat()).ok();
    town.server("one", &["--network", "wire", "--network-alias", "uno"]);
    town.idler("two", &["--network", "wire"]);
    let (one, two) = (town.address("one", "wire"), town.address("two", "wire"));
    let page = format!("http://{one}/cgi-bin/who");
    // Among themselves, by name, and from the other machine, which sees them as they are; the other machine is the way out.
    assert_eq!(town.wait_for(|| town.get("two", &page)), two);
    assert_eq!(town.addresses_of("two", "uno"), [one.as_str()]);
    assert_eq!(town.other.get(&page).as_deref(), Some(OTHER[0]));
    let route = town.daemon.naru(&["exec", "two", "ip", "route"]).ok();
    assert!(route.stdout.contains(&format!("default via {}", OTHER[0])), "{}", route.stdout);
    // The host's own interface is as it was, and nothing is left of the containers' when they go.
    town.daemon.naru(&["rm", "-f", "one", "two"]).ok();
    town.daemon.naru(&["network", "rm", "wire"]).ok();
    town.host.run(&["ip", "link", "show", "lan0"]).ok();
}

#[test]
fn macvlan_containers_are_machines_on_the_wire() {
    check_on_the_wire("macvlan", &[]);
}

#[test]
fn ipvlan_containers_share_the_hosts_place_on_the_wire() {
    check_on_the_wire("ipvlan", &[]);
}

#[test]
fn ipvlan_of_layer_3_needs_no_neighbours() {
    let town = Town::start(&[]);
    if !has_kind(&town, "ipvlan") {
        return;
    }
    let create = [
        "network",
        "create",
        "-d",
        "ipvlan",
        "-o",
        "parent=lan0",
        "-o",
        "ipvlan_mode=l3",
        "--subnet",
        "10.88.0.0/24",
        "routed",
    ];
    town.daemon.naru(&create).ok();
    town.server("one", &["--network", "routed"]);
    town.idler("two", &["--network", "routed"]);
    let page = format!("http://{}/cgi-bin/who", town.address("one", "routed"));
    assert_eq!(town.wait_for(|| town.get("two", &page)), town.address("two", "routed"));
    town.other.ip("route add 10.88.0.0/24 dev lan0");
    // The other machine has been told where it is.
    assert!(town.other.get(&page).is_some());
}

#[test]
fn networks_without_a_parent_stay_on_the_host() {
    let town = Town::start(&[]);
    for (driver, options) in [("macvlan", &["--internal"][..]), ("ipvlan", &[]), ("macvlan", &[])] {
        if !has_kind(&town, driver) {
            continue;
        }
        let create = ["network", "create", "-d", driver];
        town.daemon.naru(&[&create, options, &["--subnet", "10.89.0.0/24", "own"]].concat()).ok();
        town.server("one", &["--network", "own"]);
        town.idler("two", &["--network", "own"]);
        let page = format!("http://{}/cgi-bin/who", town.address("one", "own"));
        town.wait_for(|| town.get("two", &page));
        assert_eq!(town.other.get(&page), None, "{driver}");
        let ping = ["exec", "two", "ping", "-c", "1", "-W", "1", OTHER[0]];
        assert_ne!(town.daemon.naru(&ping).code, 0, "{driver}");
        town.daemon.naru(&["rm", "-f", "one", "two"]).ok();
        town.daemon.naru(&["network", "rm", "own"]).ok();
        let links = town.host.run(&["ip", "-br", "link"]).ok();
        assert!(!links.stdout.contains("dm-"), "{}", links.stdout);
    }
}

#[test]
fn vlans_are_made_and_removed_with_their_network() {
    let town = Town::start(&[]);
    if !has_kind(&town, "vlan") {
        return;
    }
    town.other.ip("link add link lan0 name lan0.42 type vlan id 42");
    town.other.ip("address add 10.42.0.2/24 dev lan0.42");
    town.other.ip("link set lan0.42 up");
    for driver in ["macvlan", "ipvlan"].into_iter().filter(|driver| has_kind(&town, driver)) {
        let create = [
            "network",
            "create",
            "-d",
            driver,
            "-o",
            "parent=lan0.42",
            "--subnet",
            "10.42.0.0/24",
            "--ip-range",
            "10.42.0.128/25",
            "tagged",
        ];
        town.daemon.naru(&create).ok();
        town.server("one", &["--network", "tagged"]);
        let page = format!("http://{}/cgi-bin/who", town.address("one", "tagged"));
        assert_eq!(town.wait_for(|| town.other.get(&page)), "10.42.0.2", "{driver}");
        town.daemon.naru(&["rm", "-f", "one"]).ok();
        town.daemon.naru(&["network", "rm", "tagged"]).ok();
        assert_ne!(town.host.run(&["ip", "link", "show", "lan0.42"]).code, 0, "{driver}");
    }
    // One that was there stays.
    town.host.ip("link add link lan0 name lan0.7 type vlan id 7");
    let create = [
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        "parent=lan0.7",
        "--subnet",
        "10.7.0.0/24",
        "own",
    ];
    town.daemon.naru(&create).ok();
    town.daemon.naru(&["network", "rm", "own"]).ok();
    town.host.run(&["ip", "link", "show", "lan0.7"]).ok();
}

#[test]
fn a_parent_that_is_not_there_is_named() {
    let town = Town::start(&[]);
    let create = ["network", "create", "-d", "macvlan", "-o", "parent=nosuch0", "bad"];
    let done = town.daemon.naru(&create);
    assert!(done.code == 1 && done.stderr.contains("nosuch0"), "{done:?}");
}
