//! Who reaches whom, and who does not. Acts.

use crate::rig::{Rig, network, tcp};
use naru_network::firewall::{
    Firewall, FirewallOptions, Link, Network, Outgoing, Proto, State, bridged_packets_pass_rules,
    host_forward_policy,
};

fn with(networks: Vec<Network>) -> State {
    State { networks, ..State::default() }
}

#[test]
fn an_internal_network_ends_at_its_bridge() {
    let rig = Rig::new(false);
    let mut firewall = rig.firewall(FirewallOptions::default());
    let internal = Network { internal: true, ..network(2) };
    let mut state = with(vec![network(0), internal]);
    state.published = vec![tcp("8080", "10.81.0.2:80"), tcp("8083", "10.83.0.2:80")];
    rig.host.run(|| firewall.rebuild(&state).unwrap());
    for to in ["192.0.2.2:80", "10.81.0.2:80", "192.0.2.1:8080", "[fd81::2]:80", "[2001:db8::2]:80"]
    {
        rig.d.refused(to);
    }
    for from in [&rig.machine, &rig.a] {
        for to in ["10.83.0.2:80", "192.0.2.1:8083", "[fd83::2]:80"] {
            from.refused(to);
        }
    }
    assert_eq!(rig.host.ask("10.83.0.2:80"), "d 10.83.0.1");
}

#[test]
fn containers_are_kept_apart_but_for_links_and_published_ports() {
    for bridged_pass in [true, false] {
        let rig = Rig::new(bridged_pass);
        let mut firewall = rig.firewall(FirewallOptions::default());
        let mut state = with(vec![Network { icc: false, ..network(0) }]);
        state.published = vec![tcp("8080", "10.81.0.2:80")];
        rig.host.run(|| firewall.rebuild(&state).unwrap());
        // What the engine does to their ports of the bridge.
        let pass = rig.host.run(bridged_packets_pass_rules);
        for host in [2, 3].into_iter().filter(|_| !pass) {
            rig.host.command(&format!("ip link set veth81{host} type bridge_slave isolated on"));
        }
        rig.b.refused("10.81.0.2:80");
        rig.a.refused("10.81.0.3:80");
        assert_eq!(rig.b.ask("192.0.2.1:8080"), "a 10.81.0.1");
        assert_eq!(rig.a.ask("192.0.2.2:80"), "machine 192.0.2.1");
        let ip = |text: &str| text.parse().unwrap();
        let link = Link { from: ip("10.81.0.3"), to: ip("10.81.0.2"), proto: Proto::Tcp, port: 80 };
        rig.host.run(|| firewall.link(&[link]).unwrap());
        assert_eq!(rig.b.ask("10.81.0.2:80"), "a 10.81.0.3");
        rig.a.refused("10.81.0.3:80");
        rig.host.run(|| firewall.unlink(&[link, link]).unwrap());
        rig.host.run(|| firewall.unlink(&[link]).unwrap());
        rig.b.refused("10.81.0.2:80");
    }
}

#[test]
fn only_listed_sources_enter_when_they_must_be_listed() {
    let rig = Rig::new(false);
    let net = |text: &str| text.parse().unwrap();
    let mut state = with(vec![network(0), network(1)]);
    state.published = vec![tcp("8080", "10.81.0.2:80"), tcp("8080", "[fd81::2]:80")];
    let rebuild = |sources: &[&str]| {
        let explicit = Some(sources.iter().map(|source| net(source)).collect());
        let mut firewall = rig.firewall(FirewallOptions { explicit });
        rig.host.run(|| {
            firewall.rebuild(&state).unwrap();
            assert!(firewall.verify(&state).unwrap().is_none());
        });
    };
    rebuild(&[]);
    rig.machine.refused("192.0.2.1:8080");
    rig.c.refused("192.0.2.1:8080");
    assert_eq!(rig.host.ask("127.0.0.1:8080"), "a 10.81.0.1");
    assert_eq!(rig.host.ask("192.0.2.1:8080"), "a 192.0.2.1");
    rebuild(&["192.0.2.0/30", "198.51.100.7/32", "fd82::/16"]);
    assert_eq!(rig.machine.ask("192.0.2.1:8080"), "a 192.0.2.2");
    rig.machine.refused("[2001:db8::1]:8080");
    assert_eq!(rig.c.ask("[2001:db8::1]:8080"), "a fd81::1");
    rebuild(&["0.0.0.0/0", "::/0"]);
    assert_eq!(rig.c.ask("192.0.2.1:8080"), "a 10.81.0.1");
    assert_eq!(rig.machine.ask("[2001:db8::1]:8080"), "a 2001:db8::2");
}

#[test]
fn a_network_leaves_with_a_fixed_address_or_its_own() {
    let rig = Rig::new(false);
    let mut firewall = rig.firewall(FirewallOptions::default());
    rig.host.commands(
        "ip address add 192.0.2.9/24 dev eth0
        ip address add 2001:db8::9/64 dev eth0 nodad",
    );
    let from = |text: &str| Outgoing::From(text.parse().unwrap());
    let fixed =
        Network { outgoing4: from("192.0.2.9"), outgoing6: from("2001:db8::9"), ..network(0) };
    let routed = Network {
        outgoing4: Outgoing::Routed,
        outgoing6: Outgoing::Routed,
        direct: true,
        ..network(1)
    };
    let state = with(vec![fixed, routed]);
    rig.host.run(|| {
        firewall.rebuild(&state).unwrap();
        assert!(firewall.verify(&state).unwrap().is_none());
    });
    assert_eq!(rig.a.ask("192.0.2.2:80"), "machine 192.0.2.9");
    assert_eq!(rig.a.ask("[2001:db8::2]:80"), "machine 2001:db8::9");
    assert_eq!(rig.c.ask("192.0.2.2:80"), "machine 10.82.0.2");
    assert_eq!(rig.c.ask("[2001:db8::2]:80"), "machine fd82::2");
    assert_eq!(rig.machine.ask("10.82.0.2:80"), "c 192.0.2.2");
    rig.machine.refused("10.81.0.2:80");
    let wrong = Network { outgoing4: from("2001:db8::9"), ..network(0) };
    rig.host.run(|| firewall.add_network(&wrong).unwrap_err());
}

/// `route_localnet` lets packets for `127.0.0.0/8` in from the bridge; nobody may come in by that.
#[test]
fn the_hosts_loopback_stays_the_hosts() {
    for bridged_pass in [true, false] {
        let rig = Rig::new(bridged_pass);
        rig.host.serve("host", 81);
        let mut firewall = rig.firewall(FirewallOptions::default());
        let mut state = with(vec![network(0)]);
        state.published = vec![tcp("127.0.0.1:8080", "10.81.0.2:80")];
        rig.host.run(|| firewall.rebuild(&state).unwrap());
        assert_eq!(rig.host.ask("127.0.0.1:8080"), "a 10.81.0.1");
        rig.host.refused("127.0.0.2:8080");
        rig.host.refused("192.0.2.1:8080");
        rig.machine.refused("192.0.2.1:8080");
        // Somebody who sends such packets over the wire.
        for (space, via) in [(&rig.b, "10.81.0.1"), (&rig.machine, "192.0.2.1")] {
            space.commands(&format!(
                "sysctl -qw net.ipv4.conf.all.route_localnet=1
                ip route del local 127.0.0.0/8 dev lo table local
                ip route del local 127.0.0.1 dev lo table local
                ip address del 127.0.0.1/8 dev lo
                ip route add 127.0.0.0/8 via {via} src {}",
                if via == "192.0.2.1" { "192.0.2.2" } else { "10.81.0.3" }
            ));
        }
        // Even on a host that lets them in itself.
        rig.host.command("sysctl -qw net.ipv4.conf.all.route_localnet=1");
        rig.b.refused("127.0.0.1:81");
        rig.b.refused("127.0.0.1:8080");
        rig.machine.refused("127.0.0.1:8080");
    }
}

#[test]
fn several_daemons_and_the_hosts_own_rules_are_left_alone() {
    let rig = Rig::new(false);
    rig.host.nft(
        "table inet site {
            chain forward {
                type filter hook forward priority 0; policy accept;
                ip daddr 10.81.0.3 drop
            }
        }
        table ip nat {
            chain prerouting {
                type nat hook prerouting priority -100;
                tcp dport 9999 redirect to :80
            }
        }",
    );
    let before = rig.host.command("nft list ruleset");
    let mut one = rig.firewall(FirewallOptions::default());
    let mut other =
        rig.host.run(|| Firewall::open("naru-other", FirewallOptions::default()).unwrap());
    let mut first = with(vec![network(0)]);
    first.published = vec![tcp("8080", "10.81.0.2:80"), tcp("8081", "10.81.0.3:80")];
    let mut second = with(vec![network(1)]);
    second.published = vec![tcp("8082", "10.82.0.2:80")];
    rig.host.run(|| {
        one.rebuild(&first).unwrap();
        other.rebuild(&second).unwrap();
    });
    assert_eq!(rig.machine.ask("192.0.2.1:8080"), "a 192.0.2.2");
    assert_eq!(rig.machine.ask("192.0.2.1:8082"), "c 192.0.2.2");
    assert_eq!(rig.c.ask("192.0.2.1:8080"), "a 10.81.0.1");
    rig.c.refused("10.81.0.2:80");
    // Our accept does not outvote the host's drop.
    rig.machine.refused("192.0.2.1:8081");
    rig.host.run(|| one.remove().unwrap());
    assert_eq!(rig.machine.ask("192.0.2.1:8082"), "c 192.0.2.2");
    rig.host.run(|| {
        assert!(!one.is_there().unwrap());
        assert!(other.is_there().unwrap());
        other.remove().unwrap();
        other.remove().unwrap();
    });
    assert_eq!(rig.host.command("nft list ruleset"), before);
}

#[test]
fn a_host_that_drops_what_it_forwards_is_told_of() {
    let rig = Rig::new(false);
    let found = || rig.host.run(|| host_forward_policy().unwrap());
    assert_eq!(found(), []);
    rig.host.nft(
        "table inet site {
            chain pass { type filter hook forward priority 0; policy drop; }
            chain in { type filter hook input priority 0; policy drop; }
        }
        table ip filter {
            chain FORWARD { type filter hook forward priority 0; policy accept; }
        }",
    );
    let found = found();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].family, &*found[0].table, &*found[0].chain), ("inet", "site", "pass"));
    rig.host.command("nft flush ruleset");
    rig.host.command("iptables-legacy -P FORWARD DROP");
    rig.host.command("ip6tables-legacy -A FORWARD -s fd81::/64 -j DROP");
    let found = rig.host.run(|| host_forward_policy().unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].family, &*found[0].table), ("ip", "filter (legacy)"));
    rig.host.command("iptables-legacy -P FORWARD ACCEPT");
    rig.host.command("ip6tables-legacy -P FORWARD DROP");
    let found = rig.host.run(|| host_forward_policy().unwrap());
    assert_eq!((found.len(), found[0].family), (1, "ip6"), "{found:?}");
}
