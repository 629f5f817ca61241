//! Published ports, from wherever somebody asks. Acts.

use crate::rig::{Rig, network, published, tcp};
use naru_network::firewall::{
    Drift, FirewallError, FirewallOptions, Network, Proto, State, forget_connections, forget_stale,
};

fn both() -> State {
    State {
        networks: vec![network(0), network(1)],
        published: vec![tcp("8080", "10.81.0.2:80"), tcp("8080", "[fd81::2]:80")],
        links: vec![],
    }
}

#[test]
fn a_published_port_answers_from_everywhere() {
    answers_from_everywhere(&Rig::new(false));
}

#[test]
fn a_published_port_answers_from_everywhere_where_bridged_frames_pass_rules() {
    answers_from_everywhere(&Rig::new(true));
}

fn answers_from_everywhere(rig: &Rig) {
    let mut firewall = rig.firewall(FirewallOptions::default());
    rig.host.run(|| firewall.rebuild(&both()).unwrap());
    assert_eq!(rig.host.ask("127.0.0.1:8080"), "a 10.81.0.1");
    assert_eq!(rig.host.ask("127.0.0.9:8080"), "a 10.81.0.1");
    assert_eq!(rig.host.ask("10.82.0.1:8080"), "a 10.82.0.1");
    assert_eq!(rig.host.ask("192.0.2.1:8080"), "a 192.0.2.1");
    assert_eq!(rig.machine.ask("192.0.2.1:8080"), "a 192.0.2.2");
    // Itself, its neighbour, a container of another network.
    assert_eq!(rig.a.ask("192.0.2.1:8080"), "a 10.81.0.1");
    assert_eq!(rig.b.ask("192.0.2.1:8080"), "a 10.81.0.1");
    assert_eq!(rig.c.ask("192.0.2.1:8080"), "a 10.81.0.1");
    assert_eq!(rig.c.ask("10.81.0.1:8080"), "a 10.81.0.1");
    println!("{}", rig.host.command("nft list table inet naru"));
    assert_eq!(rig.host.ask("[::1]:8080"), "a fd81::1");
    assert_eq!(rig.host.ask("[2001:db8::1]:8080"), "a 2001:db8::1");
    assert_eq!(rig.machine.ask("[2001:db8::1]:8080"), "a 2001:db8::2");
    assert_eq!(rig.a.ask("[2001:db8::1]:8080"), "a fd81::1");
    assert_eq!(rig.b.ask("[2001:db8::1]:8080"), "a fd81::1");
    assert_eq!(rig.c.ask("[fd81::1]:8080"), "a fd81::1");
    // The world.
    assert_eq!(rig.a.ask("192.0.2.2:80"), "machine 192.0.2.1");
    assert_eq!(rig.a.ask("[2001:db8::2]:80"), "machine 2001:db8::1");
    // Ports that nobody published.
    rig.machine.refused("10.81.0.3:80");
    rig.machine.refused("10.81.0.2:80");
    rig.c.refused("10.81.0.2:80");
    rig.c.refused("[fd81::2]:80");
    assert_eq!(rig.a.ask("10.81.0.3:80"), "b 10.81.0.2");
    assert_eq!(rig.host.ask("10.81.0.3:80"), "b 10.81.0.1");
    let drift = rig.host.run(|| firewall.verify(&both()).unwrap());
    assert!(drift.is_none(), "{drift:?}");
    rig.host.run(|| firewall.remove().unwrap());
    assert_eq!(rig.host.command("nft list ruleset"), "");
}

/// Large segments with checksums that the kernel has yet to make, and are made of rewritten headers.
#[test]
fn much_goes_through_whole_and_soon() {
    for bridged_pass in [false, true] {
        let rig = Rig::new(bridged_pass);
        rig.a.echo(90);
        let mut firewall = rig.firewall(FirewallOptions::default());
        let mut state = both();
        state.published = vec![tcp("9090", "10.81.0.2:90"), tcp("9090", "[fd81::2]:90")];
        rig.host.run(|| firewall.rebuild(&state).unwrap());
        let bytes: Vec<u8> =
            (0..16_u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        for (space, to) in [
            (&rig.host, "[::1]:9090"),
            (&rig.host, "127.0.0.1:9090"),
            (&rig.machine, "[2001:db8::1]:9090"),
            (&rig.b, "192.0.2.1:9090"),
        ] {
            let begin = std::time::Instant::now();
            assert!(space.send_through(to, &bytes) == bytes, "{to}");
            println!("16 MiB to {to} and back: {:?}", begin.elapsed());
        }
    }
}

#[test]
fn udp_answers_from_everywhere_and_stale_ways_are_forgotten() {
    let rig = Rig::new(false);
    let mut firewall = rig.firewall(FirewallOptions::default());
    let state = State { networks: vec![network(0), network(1)], ..State::default() };
    rig.host.run(|| firewall.rebuild(&state).unwrap());
    let udp = |port: &str, to: &str| published(Proto::Udp, port, to);
    let ports = [udp("5353", "10.81.0.2:80"), udp("5353", "[fd81::2]:80")];
    rig.host.run(|| firewall.publish(&ports).unwrap());
    for (space, to, answer) in [
        (&rig.host, "127.0.0.1:5353", "a 10.81.0.1"),
        (&rig.host, "192.0.2.1:5353", "a 192.0.2.1"),
        (&rig.host, "[::1]:5353", "a fd81::1"),
        (&rig.machine, "192.0.2.1:5353", "a 192.0.2.2"),
        (&rig.machine, "[2001:db8::1]:5353", "a 2001:db8::2"),
        (&rig.b, "192.0.2.1:5353", "a 10.81.0.1"),
    ] {
        assert_eq!(space.ask_udp(to).map_err(|error| format!("{to}: {error}")).unwrap(), answer);
    }
    // A client that sends from one port all the time follows the port to another container.
    let socket = rig.machine.run(|| std::net::UdpSocket::bind("192.0.2.2:4000").unwrap());
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let ask = || {
        socket.send_to(b"who", "192.0.2.1:5353").unwrap();
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(ask(), "a 192.0.2.2");
    let moved = [udp("5353", "10.82.0.2:80")];
    rig.host.run(|| {
        firewall.withdraw(&ports).unwrap();
        firewall.publish(&moved).unwrap();
    });
    assert_eq!(ask(), "a 192.0.2.2");
    let forget = |address: &str, port| {
        let address = Some(address.parse().unwrap());
        rig.host.run(|| forget_connections(Proto::Udp, address, port).unwrap())
    };
    assert!(forget("10.81.0.2", 80) >= 1);
    assert_eq!(forget("10.81.0.2", 80), 0);
    assert_eq!(ask(), "c 192.0.2.2");
    // The same in one go, as the engine does it.
    rig.host.run(|| {
        firewall.withdraw(&moved).unwrap();
        assert_eq!(forget_stale(&moved).unwrap(), 1);
        firewall.publish(&ports).unwrap();
        assert_eq!(forget_stale(&moved).unwrap(), 0);
        forget_stale(&ports).unwrap();
    });
    assert_eq!(ask(), "a 192.0.2.2");
    let by_port = rig.host.run(|| forget_connections(Proto::Udp, None, 5353).unwrap());
    assert!(by_port >= 1, "{by_port}");
}

#[test]
fn publishing_is_all_or_nothing_and_can_be_repeated() {
    let rig = Rig::new(false);
    let mut firewall = rig.firewall(FirewallOptions::default());
    let mut state = State { networks: vec![network(0)], ..State::default() };
    let (first, second) = (tcp("8080", "10.81.0.2:80"), tcp("8081", "10.81.0.3:80"));
    rig.host.run(|| {
        firewall.rebuild(&state).unwrap();
        firewall.publish(&[first]).unwrap();
        firewall.publish(&[first]).unwrap();
        let other = tcp("8080", "10.81.0.3:80");
        let error = firewall.publish(&[second, other]).unwrap_err();
        assert!(matches!(error, FirewallError::Taken { .. }), "{error}");
        state.published = vec![first];
        assert_eq!(firewall.verify(&state).unwrap(), Drift::default());
        firewall.publish(&[second]).unwrap();
        firewall.withdraw(&[first, tcp("9", "10.81.0.2:9")]).unwrap();
        firewall.withdraw(&[first]).unwrap();
        state.published = vec![second];
        assert_eq!(firewall.verify(&state).unwrap(), Drift::default());
        // Networks come and go, and change.
        for _ in 0..2 {
            firewall.add_network(&network(1)).unwrap();
        }
        let internal = Network { internal: true, ..network(1) };
        firewall.add_network(&internal).unwrap();
        state.networks.push(internal);
        assert_eq!(firewall.verify(&state).unwrap(), Drift::default());
        for _ in 0..2 {
            firewall.remove_network("br1").unwrap();
        }
        state.networks.pop();
        assert_eq!(firewall.verify(&state).unwrap(), Drift::default());
        // The wrong order of things: the table went first.
        firewall.remove().unwrap();
        firewall.withdraw(&[second]).unwrap();
        firewall.remove_network("br0").unwrap();
        assert!(!firewall.is_there().unwrap());
        assert!(firewall.publish(&[second]).is_err());
    });
    rig.host.refused("127.0.0.1:8081");
}

#[test]
fn damage_by_others_is_noticed_and_put_right() {
    let rig = Rig::new(false);
    let mut firewall = rig.firewall(FirewallOptions::default());
    let state = both();
    let mut watch = rig.host.run(|| {
        firewall.rebuild(&state).unwrap();
        firewall.watch().unwrap()
    });
    rig.host.run(|| firewall.rebuild(&state).unwrap());
    assert!(!watch.is_touched().unwrap(), "our own changes are no news");
    rig.host.command("nft add table inet other");
    assert!(!watch.is_touched().unwrap(), "another table is not ours");
    for damage in [
        "nft delete element inet naru any4 { tcp . 8080 }",
        "nft add element inet naru any4 { tcp . 8081 : 10.81.0.9 . 80 }",
        "nft flush chain inet naru to-br0",
        "nft insert rule inet naru forward accept",
        "nft add chain inet naru mine",
        "nft chain inet naru forward { policy drop; }",
        "nft delete table inet naru",
        "sysctl -qw net.ipv4.conf.br0.route_localnet=0",
    ] {
        rig.host.command(damage);
        if damage.starts_with("nft") {
            watch.wait().unwrap();
        }
        rig.host.run(|| {
            let drift = firewall.verify(&state).unwrap();
            assert!(!drift.is_none(), "{damage}");
            println!("{damage}: {drift}");
            firewall.rebuild(&state).unwrap();
            assert_eq!(firewall.verify(&state).unwrap(), Drift::default(), "{damage}");
        });
    }
    assert!(!watch.is_touched().unwrap());
    assert_eq!(rig.machine.ask("192.0.2.1:8080"), "a 192.0.2.2");
}
