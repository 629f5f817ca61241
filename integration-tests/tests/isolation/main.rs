//! Who must not reach whom. Acts: as root, with the built binary, each daemon in a network namespace of its own.

use integration_tests::machines::{HOST, OTHER, Town};

fn page(address: &str) -> String {
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    format!("http://{host}/cgi-bin/who")
}

#[test]
fn networks_are_apart_and_other_machines_outside() {
    let town = Town::start(&["--ipv6"]);
    for network in ["red", "blue"] {
        town.daemon.naru(&["network", "create", "--ipv6", network]).ok();
    }
    town.server("r1", &["--network", "red"]);
    town.idler("r2", &["--network", "red"]);
    town.server("b1", &["--network", "blue"]);
    town.server("d1", &[]);
    for (name, network) in [("r1", "red"), ("b1", "blue"), ("d1", "bridge")] {
        for address in [town.address(name, network), town.address6(name, network)] {
            // It is there, for the host and for who lives with it.
            town.wait_for(|| town.host.get(&page(&address)));
            let own = format!("http://{}/cgi-bin/who", address_in_url(&address));
            assert!(town.get(name, &own).is_some(), "{name} at {address}");
            // Not for others, though their route leads to the host.
            assert_eq!(town.other.get(&page(&address)), None, "other to {name}");
            for asker in ["r1", "b1", "d1"] {
                if asker != name {
                    assert_eq!(town.get(asker, &page(&address)), None, "{asker} to {name}");
                }
            }
        }
    }
    assert!(town.get("r2", &page(&town.address("r1", "red"))).is_some());
}

fn address_in_url(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

#[test]
fn an_internal_network_has_no_outside() {
    let town = Town::start(&[]);
    town.daemon.naru(&["network", "create", "--internal", "--ipv6", "cell"]).ok();
    town.server("c1", &["--network", "cell", "-p", "8080:80"]);
    town.idler("c2", &["--network", "cell"]);
    town.server("web", &["-p", "8081:80"]);
    let c1 = [town.address("c1", "cell"), town.address6("c1", "cell")];
    for address in &c1 {
        town.wait_for(|| town.get("c2", &page(address)));
        assert_eq!(town.other.get(&page(address)), None);
        assert_eq!(town.get("web", &page(address)), None);
    }
    town.wait_for(|| town.host.get(&format!("http://{}:8081/cgi-bin/who", HOST[0])));
    // Nothing beyond: no route, and none that one makes oneself.
    for target in HOST.iter().chain(&OTHER) {
        let ping = ["exec", "c2", "ping", "-c", "1", "-W", "1", target];
        let done = town.daemon.naru(&ping);
        assert_ne!(done.code, 0, "{target}: {done:?}");
    }
    let bridge = town.gateway("cell");
    let route = ["exec", "--privileged", "c2", "ip", "route", "add", "default", "via", &bridge];
    town.daemon.naru(&route).ok();
    let target = format!("http://{}:8081/cgi-bin/who", HOST[0]);
    let other = ["exec", "c2", "ping", "-c", "1", "-W", "1", OTHER[0]];
    assert_ne!(town.daemon.naru(&other).code, 0);
    assert_eq!(town.get("c2", &target), None, "a published port of another network");
    assert_eq!(town.get("c2", &page(&town.address("web", "bridge"))), None);
    // What is published in it leads nowhere.
    assert_eq!(town.other.get(&format!("http://{}:8080/cgi-bin/who", HOST[0])), None);
}

#[test]
fn without_icc_only_published_ports_and_links_are_reached() {
    let town = Town::start(&[]);
    let option = "com.docker.network.bridge.enable_icc=false";
    town.daemon.naru(&["network", "create", "-o", option, "apart"]).ok();
    town.server("web", &["--network", "apart", "-p", "8080:80"]);
    town.idler("mate", &["--network", "apart"]);
    let direct = page(&town.address("web", "apart"));
    town.wait_for(|| town.host.get(&direct));
    assert_eq!(town.get("mate", &direct), None);
    let published = format!("http://{}:8080/cgi-bin/who", HOST[0]);
    assert!(town.get("mate", &published).is_some());
    assert_eq!(town.addresses_of("mate", "web"), [town.address("web", "apart")]);
}
