//! The host beside us: its ports, its settings, its own firewall. Acts.

use crate::rig::{Rig, Space, network, set, tcp};
use naru_network::firewall::{
    Drift, Firewall, FirewallOptions, Proto, State, enable_forwarding, is_bound_on_host,
    local_port_range, pick_ephemeral, prepare_bridge, reserve,
};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};

const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
const LOOPBACK4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn a_port_is_kept_from_others_and_refuses_by_itself() {
    Space::new().run(|| {
        let bound = |address, proto, port| is_bound_on_host(address, proto, port).unwrap();
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        assert!(bound(ANY4, Proto::Tcp, 8080));
        assert!(bound(LOOPBACK4, Proto::Tcp, 8080));
        assert!(!bound("127.0.0.2".parse().unwrap(), Proto::Tcp, 8080));
        assert!(!bound(ANY6, Proto::Tcp, 8080));
        assert!(!bound(ANY4, Proto::Udp, 8080));
        // A server that ended leaves connections behind that wait; its port is free.
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        drop(server.accept().unwrap());
        drop(server);
        drop(client);
        let kept = reserve(ANY4, Proto::Tcp, 8080).unwrap();
        assert_eq!(TcpListener::bind("127.0.0.1:8080").unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(TcpListener::bind("0.0.0.0:8080").unwrap_err().kind(), ErrorKind::AddrInUse);
        let error = TcpStream::connect("127.0.0.1:8080").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // Both families side by side, and the other protocol.
        let kept6 = reserve(ANY6, Proto::Tcp, 8080).unwrap();
        let udp = reserve(ANY4, Proto::Udp, 8080).unwrap();
        assert_eq!(UdpSocket::bind("127.0.0.1:8080").unwrap_err().kind(), ErrorKind::AddrInUse);
        drop((kept, kept6, udp));
        TcpListener::bind("127.0.0.1:8080").unwrap();
        UdpSocket::bind("127.0.0.1:8080").unwrap();
        assert!(!bound(ANY4, Proto::Sctp, 8080));
        let absent = reserve("192.0.2.77".parse().unwrap(), Proto::Tcp, 80).unwrap_err();
        assert_eq!(absent.kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn ephemeral_ports_go_round_past_those_that_are_taken() {
    Space::new().run(|| {
        set("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003");
        let range = local_port_range();
        assert_eq!(range, 40000..=40003);
        let _server = TcpListener::bind("[::1]:40001").unwrap();
        let pick = |after, taken: &[u16]| {
            let taken = |port| taken.contains(&port);
            pick_ephemeral(&range, after, &[ANY4, ANY6], Proto::Tcp, taken).unwrap()
        };
        let (port, _kept) = pick(None, &[]).unwrap();
        assert_eq!(port, 40000);
        let (port, _kept) = pick(Some(port), &[]).unwrap();
        assert_eq!(port, 40002);
        assert!(pick(Some(port), &[40003]).is_none());
        let (port, _kept) = pick(Some(40003), &[]).unwrap();
        assert_eq!(port, 40003);
    });
}

#[test]
fn forwarding_is_enabled_and_routers_are_still_listened_to() {
    let space = Space::new();
    space.command("ip link add eth0 type bridge");
    space.run(|| {
        set("/proc/sys/net/ipv4/ip_forward", "0");
        for name in ["all", "default", "eth0"] {
            set(&format!("/proc/sys/net/ipv6/conf/{name}/forwarding"), "0");
        }
        set("/proc/sys/net/ipv6/conf/eth0/accept_ra", "1");
        let changes = enable_forwarding(true, true).unwrap();
        let names: Vec<&str> = changes.iter().map(|change| &*change.name).collect();
        assert_eq!(
            names[..3],
            ["net.ipv4.ip_forward", "net.ipv6.conf.eth0.accept_ra", "net.ipv6.conf.all.forwarding"]
        );
        assert_eq!((&*changes[1].before, &*changes[1].after), ("1", "2"));
        assert_eq!(enable_forwarding(true, true).unwrap(), []);
    });
}

#[test]
fn a_host_without_ipv6_is_served() {
    let space = Space::new();
    space.run(|| set("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
    space.commands("ip link add br0 type bridge");
    space.run(|| {
        let mut firewall = Firewall::open("naru", FirewallOptions::default()).unwrap();
        let state = State { networks: vec![network(0)], ..State::default() };
        firewall.rebuild(&state).unwrap();
        assert_eq!(firewall.verify(&state).unwrap(), Drift::default());
        enable_forwarding(true, true).unwrap();
        firewall.remove().unwrap();
        // A bridge that is not there.
        assert!(prepare_bridge(&network(1)).is_err());
    });
}

/// A host that takes in only what it asked for sees the answers of published ports as such, on loopback too.
#[test]
fn a_strict_host_reaches_its_published_ports() {
    for bridged_pass in [false, true] {
        let rig = Rig::new(bridged_pass);
        rig.host.serve("host", 81);
        rig.host.nft(
            "table inet site {
                chain in {
                    type filter hook input priority 0; policy drop;
                    ct state invalid drop
                    ct state established,related accept
                    iifname lo accept
                    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
                }
                chain check {
                    type filter hook prerouting priority -10; policy accept;
                    fib saddr . iif oif missing drop
                }
            }",
        );
        let mut firewall = rig.firewall(FirewallOptions::default());
        let mut state = State { networks: vec![network(0)], ..State::default() };
        state.published = vec![tcp("8080", "10.81.0.2:80"), tcp("8080", "[fd81::2]:80")];
        rig.host.run(|| firewall.rebuild(&state).unwrap());
        assert_eq!(rig.host.ask("127.0.0.1:8080"), "a 10.81.0.1");
        assert_eq!(rig.host.ask("[::1]:8080"), "a fd81::1");
        assert_eq!(rig.machine.ask("192.0.2.1:8080"), "a 192.0.2.2");
        assert_eq!(rig.host.ask("[::1]:81"), "host ::1");
        // The addresses that stand for `::1` outside let nobody in, on a host that takes everything, too.
        rig.host.command("nft delete table inet site");
        let route = rig.host.command("ip -6 route show table local dev lo proto static");
        let prefix = route.split_whitespace().find(|word| word.contains("/112")).unwrap();
        let stem = prefix.strip_suffix("0/112").unwrap();
        for from in [&rig.b, &rig.machine] {
            from.refused(&format!("[{stem}1f90]:81"));
            from.refused(&format!("[{stem}51]:81"));
        }
        assert_eq!(rig.host.ask("[::1]:8080"), "a fd81::1");
        rig.host.run(|| firewall.remove().unwrap());
        assert_eq!(rig.host.command("ip -6 route show table local dev lo proto static"), "");
        let error = rig.host.refused("[::1]:8080");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}
