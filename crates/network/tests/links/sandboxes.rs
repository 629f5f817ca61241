use crate::fixture::{
    addresses, attachment, bridge, has_kind, host, json, judged, judged_in, run, run_in, sandbox,
};
use naru_kernel::clone::flags::NETWORK;
use naru_network::link::{Change, IpvlanMode, Layered, Links, MacvlanMode, RouteSpec, Watch};
use naru_network::sandbox::{Attachment, MovedIn, Sandbox, SandboxSpec};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

/// Does something inside a sandbox.
fn inside<T: Send>(sandbox: &Sandbox, act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                naru_kernel::namespace::join(sandbox, NETWORK).unwrap();
                act()
            })
            .join()
            .unwrap()
    })
}

#[test]
fn a_new_sandbox_has_loopback_and_dockers_settings() {
    host(|| {
        let sandbox = sandbox();
        let lo = judged_in(&sandbox, "lo");
        assert_eq!(addresses(&lo), ["127.0.0.1/8", "::1/128"]);
        let read = |path: &str| {
            run_in(&sandbox, &["cat", &format!("/proc/sys/net/{path}")]).trim().to_owned()
        };
        assert_eq!(read("ipv4/ip_unprivileged_port_start"), "0");
        assert_eq!(read("ipv4/ping_group_range"), "0\t2147483647");
        assert_eq!(read("ipv6/conf/default/disable_ipv6"), "1");
        assert_eq!(sandbox.statistics().unwrap().len(), 0);
        sandbox.set("ipv4/ip_forward", "1").unwrap();
        assert_eq!(read("ipv4/ip_forward"), "1");
        let error = sandbox.set("ipv4/no_such", "1").unwrap_err();
        assert!(error.is_absent());
    });
}

#[test]
fn a_sandbox_without_ipv6_has_none() {
    host(|| {
        let spec = SandboxSpec { ipv6: false, low_ports: false, resolver: false };
        let (sandbox, sockets) = Sandbox::make(&spec).unwrap();
        assert!(sockets.is_none());
        assert_eq!(addresses(&judged_in(&sandbox, "lo")), ["127.0.0.1/8"]);
        let read = |path: &str| {
            run_in(&sandbox, &["cat", &format!("/proc/sys/net/{path}")]).trim().to_owned()
        };
        assert_eq!(read("ipv6/conf/all/disable_ipv6"), "1");
        assert_eq!(read("ipv6/conf/default/disable_ipv6"), "1");
        assert_eq!(read("ipv4/ip_unprivileged_port_start"), "1024");
    });
}

#[test]
fn an_attached_interface_is_as_it_was_asked_for() {
    host(|| {
        let links = Links::open().unwrap();
        let bridge = bridge(&links, "br0", &["10.1.0.1/24", "fd01::1/64"]);
        let sandbox = sandbox();
        let attached = sandbox
            .attach(
                &links,
                "veth0",
                bridge,
                &Attachment {
                    mac: Some("02:42:0a:01:00:02".parse().unwrap()),
                    mtu: Some(1450),
                    gateway_v4: Some("10.1.0.1".parse().unwrap()),
                    gateway_v6: Some("fd01::1".parse().unwrap()),
                    routes: vec![RouteSpec {
                        destination: "10.9.0.0/16".parse().unwrap(),
                        gateway: Some("10.1.0.9".parse().unwrap()),
                        on_link: false,
                    }],
                    ..attachment("eth0", &["10.1.0.2/24", "fd01::2/64"])
                },
            )
            .unwrap();
        assert!(attached.forwarding);
        let inner = judged_in(&sandbox, "eth0");
        assert_eq!(inner["ifindex"], attached.inner);
        assert_eq!((&inner["address"], &inner["mtu"]), (&"02:42:0a:01:00:02".into(), &1450.into()));
        assert_eq!(addresses(&inner), ["10.1.0.2/24", "fd01::2/64"]);
        assert_eq!(inner["operstate"], "UP");
        assert!(!inner["addr_info"].to_string().contains("tentative"), "{inner}");
        let outer = judged("veth0");
        assert_eq!((&outer["ifindex"], &outer["master"]), (&attached.outer.into(), &"br0".into()));
        assert_eq!(outer["addr_info"].as_array().unwrap().len(), 0, "{outer}");
        assert_eq!(outer["linkinfo"]["info_slave_data"]["state"], "forwarding");
        let routes = run_in(&sandbox, &["ip", "route"]);
        assert!(
            routes.contains("default via 10.1.0.1 dev eth0")
                && routes.contains("10.9.0.0/16 via 10.1.0.9"),
            "{routes}"
        );
        assert!(run_in(&sandbox, &["ip", "-6", "route"]).contains("default via fd01::1 dev eth0"));
        sandbox.detach("eth0").unwrap();
        sandbox.detach("eth0").unwrap();
        assert!(links.find("veth0").unwrap_err().is_absent());
    });
}

#[test]
fn packets_pass_as_soon_as_attach_returns() {
    host(|| {
        let links = Links::open().unwrap();
        let bridge = bridge(&links, "br0", &["10.1.0.1/24", "fd01::1/64"]);
        let server = TcpListener::bind("10.1.0.1:7000").unwrap();
        let server6 = TcpListener::bind("[fd01::1]:7000").unwrap();
        for n in 2..22_u8 {
            let sandbox = sandbox();
            let (v4, v6) = (format!("10.1.0.{n}/24"), format!("fd01::{n}/64"));
            sandbox
                .attach(&links, &format!("veth{n}"), bridge, &attachment("eth0", &[&v4, &v6]))
                .unwrap();
            // A first packet that is lost would be sent again after a second.
            let bound = Duration::from_millis(900);
            let v6_first = n % 2 == 0;
            inside(&sandbox, || {
                let mut to: Vec<SocketAddr> =
                    vec![server.local_addr().unwrap(), server6.local_addr().unwrap()];
                if v6_first {
                    to.reverse();
                }
                for address in to {
                    TcpStream::connect_timeout(&address, bound).unwrap();
                }
            });
            let counters = sandbox.statistics().unwrap();
            assert_eq!(counters.len(), 1);
            assert!(
                counters["eth0"].tx_packets > 3 && counters["eth0"].rx_bytes > 100,
                "{counters:?}"
            );
            assert_eq!(counters["eth0"].tx_errors + counters["eth0"].rx_errors, 0);
        }
    });
}

#[test]
fn several_networks_and_which_of_them_leads_out() {
    host(|| {
        let links = Links::open().unwrap();
        let one = bridge(&links, "br1", &["10.1.0.1/24", "fd01::1/64"]);
        let two = bridge(&links, "br2", &["10.2.0.1/24"]);
        let sandbox = sandbox();
        let with_gateway = |name, addresses: &[&str], v4: &str| Attachment {
            gateway_v4: Some(v4.parse().unwrap()),
            ..attachment(name, addresses)
        };
        sandbox
            .attach(
                &links,
                "v1",
                one,
                &with_gateway("eth0", &["10.1.0.2/24", "fd01::2/64"], "10.1.0.1"),
            )
            .unwrap();
        sandbox.attach(&links, "v2", two, &attachment("eth1", &["10.2.0.2/24"])).unwrap();
        let default = || run_in(&sandbox, &["ip", "route", "show", "default"]).trim().to_owned();
        assert_eq!(default(), "default via 10.1.0.1 dev eth0 proto static");
        sandbox.set_gateways("eth1", Some("10.2.0.1".parse().unwrap()), None).unwrap();
        assert_eq!(default(), "default via 10.2.0.1 dev eth1 proto static");
        sandbox
            .set_gateways(
                "eth0",
                Some("10.1.0.1".parse().unwrap()),
                Some("fd01::1".parse().unwrap()),
            )
            .unwrap();
        assert_eq!(default(), "default via 10.1.0.1 dev eth0 proto static");
        // The network without IPv6 gives the interface no address of it.
        let second = judged_in(&sandbox, "eth1");
        assert_eq!(second["addr_info"].as_array().unwrap().len(), 1, "{second}");
        sandbox.detach("eth0").unwrap();
        assert_eq!(default(), "");
        assert!(sandbox.set_gateways("eth0", None, None).unwrap_err().is_absent());
        // A gateway outside of the subnet is on the link.
        sandbox.set_gateways("eth1", Some("203.0.113.1".parse().unwrap()), None).unwrap();
        assert_eq!(default(), "default via 203.0.113.1 dev eth1 proto static onlink");
    });
}

#[test]
fn a_failed_attachment_leaves_nothing() {
    host(|| {
        let links = Links::open().unwrap();
        let index = bridge(&links, "br0", &["10.1.0.1/24"]);
        let sandbox = sandbox();
        let bad = Attachment {
            routes: vec![RouteSpec {
                destination: "10.9.0.0/16".parse().unwrap(),
                gateway: Some("10.77.0.1".parse().unwrap()),
                on_link: false,
            }],
            ..attachment("eth0", &["10.1.0.2/24"])
        };
        let error = sandbox.attach(&links, "veth0", index, &bad).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot make a route to `10.9.0.0/16` over `eth0` in a container"
        );
        assert!(links.find("veth0").unwrap_err().is_absent());
        assert_eq!(sandbox.links().list().unwrap().len(), 1);
        // The bridge is gone behind our back.
        links.remove("br0").unwrap();
        let error = sandbox.attach(&links, "veth0", index, &attachment("eth0", &[])).unwrap_err();
        assert!(links.find("veth0").unwrap_err().is_absent(), "{error:?}");
        assert_eq!(sandbox.links().list().unwrap().len(), 1);
        // A name that is taken is said, and whose it is stays.
        let index = bridge(&links, "br0", &["10.1.0.1/24"]);
        links.create_isolated("outer0", "somebody").unwrap();
        let error = sandbox.attach(&links, "outer0", index, &attachment("eth0", &[])).unwrap_err();
        assert!(error.is_present(), "{error:?}");
        assert_eq!(links.find("outer0").unwrap().kind, "veth");
        sandbox.attach(&links, "veth1", index, &attachment("eth0", &[])).unwrap();
        let error = sandbox.attach(&links, "veth2", index, &attachment("eth0", &[])).unwrap_err();
        assert!(error.is_present(), "{error:?}");
        assert!(links.find("veth2").unwrap_err().is_absent());
    });
}

#[test]
fn a_bridge_that_is_down_is_told() {
    host(|| {
        let links = Links::open().unwrap();
        let index = bridge(&links, "br0", &["10.1.0.1/24"]);
        links.set_down(index).unwrap();
        let attached = sandbox().attach(&links, "veth0", index, &attachment("eth0", &[])).unwrap();
        assert!(!attached.forwarding);
    });
}

#[test]
fn interfaces_on_top_of_the_hosts() {
    host(|| {
        let links = Links::open().unwrap();
        let parent = links.create_isolated("eth9", "x").unwrap();
        let kinds = [
            (Layered::Macvlan(MacvlanMode::Bridge), "macvlan", "bridge"),
            (Layered::Macvlan(MacvlanMode::Private), "macvlan", "private"),
            (Layered::Ipvlan(IpvlanMode::L2), "ipvlan", "l2"),
            (Layered::Ipvlan(IpvlanMode::L3S), "ipvlan", "l3s"),
        ];
        for (kind, name, mode) in kinds.into_iter().filter(|(_, name, _)| has_kind(name)) {
            let sandbox = sandbox();
            let moved = MovedIn {
                kind,
                parent,
                attachment: Attachment {
                    mac: Some("02:42:0a:01:00:02".parse().unwrap()),
                    gateway_v4: Some("10.1.0.1".parse().unwrap()),
                    ..attachment("eth0", &["10.1.0.2/24", "fd01::2/64"])
                },
            };
            let index = sandbox.move_in(&links, &moved).unwrap();
            let judged = judged_in(&sandbox, "eth0");
            assert_eq!(
                (&judged["ifindex"], &judged["linkinfo"]["info_kind"]),
                (&index.into(), &name.into())
            );
            assert_eq!(judged["linkinfo"]["info_data"]["mode"], mode);
            assert_eq!(addresses(&judged), ["10.1.0.2/24", "fd01::2/64"]);
            assert_eq!(judged["address"] == "02:42:0a:01:00:02", name == "macvlan");
            assert!(run_in(&sandbox, &["ip", "route"]).contains("default via 10.1.0.1"));
            assert!(sandbox.move_in(&links, &moved).unwrap_err().is_present());
            sandbox.detach("eth0").unwrap();
        }
        let error = sandbox().move_in(
            &links,
            &MovedIn { kind: kinds[0].0, parent: 999, attachment: attachment("eth0", &[]) },
        );
        assert!(error.unwrap_err().is_absent());
    });
}

/// Asks the resolver's address as a program in the container does, over both transports, and answers as the resolver.
fn ask_and_answer(sandbox: &Sandbox, sockets: &naru_network::sandbox::ResolverSockets) {
    let to = (naru_network::dns::ADDRESS, 53);
    let bound = Some(Duration::from_secs(5));
    sockets.udp.set_nonblocking(false).unwrap();
    sockets.tcp.set_nonblocking(false).unwrap();
    sockets.udp.set_read_timeout(bound).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 16];
            let (length, from) = sockets.udp.recv_from(&mut buffer).unwrap();
            sockets.udp.send_to(&buffer[..length], from).unwrap();
            let (mut stream, _) = sockets.tcp.accept().unwrap();
            let mut buffer = [0; 4];
            stream.read_exact(&mut buffer).unwrap();
            stream.write_all(&buffer).unwrap();
        });
        inside(sandbox, || {
            let mut buffer = [0; 16];
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(bound).unwrap();
            socket.connect(to).unwrap();
            socket.send(b"udp?").unwrap();
            // A connected socket takes an answer from whom it asked only.
            assert_eq!(socket.recv(&mut buffer).unwrap(), 4);
            let mut stream = TcpStream::connect(to).unwrap();
            stream.set_read_timeout(bound).unwrap();
            stream.write_all(b"tcp?").unwrap();
            let mut buffer = [0; 4];
            stream.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"tcp?");
        });
    });
}

#[test]
fn questions_for_port_53_reach_the_resolver() {
    host(|| {
        let spec = SandboxSpec { ipv6: true, low_ports: true, resolver: true };
        let (sandbox, sockets) = Sandbox::make(&spec).unwrap();
        let sockets = sockets.unwrap();
        ask_and_answer(&sandbox, &sockets);
        // A DNS server of the container has port 53 for itself.
        inside(&sandbox, || {
            UdpSocket::bind("0.0.0.0:53").unwrap();
            TcpListener::bind("0.0.0.0:53").unwrap();
        });
        assert_eq!(run(&["nft", "list", "ruleset"]), "");
        let (udp, tcp) =
            (sockets.udp.local_addr().unwrap().port(), sockets.tcp.local_addr().unwrap().port());
        let table = run_in(&sandbox, &["nft", "list", "table", "ip", "naru-resolver"]);
        for line in [
            "type filter hook output priority raw; policy accept;".to_owned(),
            format!("ip daddr 127.0.0.11 udp dport 53 udp dport set {udp}\n"),
            format!("ip daddr 127.0.0.11 tcp dport 53 tcp dport set {tcp}\n"),
            format!("ip saddr 127.0.0.11 udp sport {udp} udp sport set 53\n"),
            format!("ip saddr 127.0.0.11 tcp sport {tcp} tcp sport set 53\n"),
        ] {
            assert!(table.contains(&line), "{line} is not in {table}");
        }
    });
}

#[test]
fn a_container_that_tracks_its_connections_is_answered_too() {
    host(|| {
        let spec = SandboxSpec { ipv6: true, low_ports: true, resolver: true };
        let (sandbox, sockets) = Sandbox::make(&spec).unwrap();
        let rules = "table ip own {
            chain input { type filter hook input priority 0; policy drop; ct state established,related,new accept; }
            chain output { type filter hook output priority 0; ct state invalid drop; }
            chain nat { type nat hook output priority -100; tcp dport 9999 redirect to :9998; }
        }";
        run_in(&sandbox, &["nft", rules]);
        ask_and_answer(&sandbox, &sockets.unwrap());
    });
}

/// A private file system hides what the kernel says of IPv6, as it is on a host that was started without it.
#[test]
fn a_host_without_ipv6() {
    host(|| {
        naru_kernel::namespace::leave(naru_kernel::clone::flags::MOUNT).unwrap();
        run(&["mount", "--make-rprivate", "/"]);
        run(&["mount", "-t", "tmpfs", "none", "/proc/sys/net"]);
        assert!(!naru_network::link::ipv6_available());
        let links = Links::open().unwrap();
        let index = bridge(&links, "br0", &["10.1.0.1/24"]);
        let spec = SandboxSpec { ipv6: true, low_ports: false, resolver: true };
        let (sandbox, sockets) = Sandbox::make(&spec).unwrap();
        ask_and_answer(&sandbox, &sockets.unwrap());
        assert!(
            sandbox
                .attach(&links, "v0", index, &attachment("eth0", &["10.1.0.2/24"]))
                .unwrap()
                .forwarding
        );
        let error =
            sandbox.attach(&links, "v1", index, &attachment("eth1", &["fd01::2/64"])).unwrap_err();
        assert_eq!(error.to_string(), "cannot enable IPv6 of `eth1` in a container");
        assert_eq!(naru_errdefs::Failure::kind(&error), naru_errdefs::Kind::Unsupported);
        assert!(links.find("v1").unwrap_err().is_absent());
    });
}

#[test]
fn an_ipv6_only_network() {
    host(|| {
        let links = Links::open().unwrap();
        let index = bridge(&links, "br0", &["fd01::1/64"]);
        let sandbox = sandbox();
        let asked = Attachment {
            gateway_v6: Some("fd01::1".parse().unwrap()),
            routes: vec![RouteSpec {
                destination: "0.0.0.0/0".parse().unwrap(),
                gateway: None,
                on_link: false,
            }],
            ..attachment("eth0", &["fd01::2/64"])
        };
        sandbox.attach(&links, "v0", index, &asked).unwrap();
        let told = judged_in(&sandbox, "eth0");
        assert_eq!(addresses(&told), ["fd01::2/64"]);
        assert_eq!(
            run_in(&sandbox, &["ip", "route"]).trim(),
            "default dev eth0 proto static scope link"
        );
        assert!(run_in(&sandbox, &["ip", "-6", "route"]).contains("default via fd01::1"));
    });
}

#[test]
fn a_new_daemon_opens_the_resolver_again() {
    host(|| {
        let spec = SandboxSpec { ipv6: true, low_ports: true, resolver: true };
        let (first, sockets) = Sandbox::make(&spec).unwrap();
        let mut child = std::process::Command::new("nsenter")
            .args([format!("--net={}", first.path().display()).as_str(), "sleep", "100"])
            .spawn()
            .unwrap();
        // `nsenter` has entered when it has become `sleep`.
        while std::fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap() != "sleep\n" {
            thread::yield_now();
        }
        let ports = |sockets: &naru_network::sandbox::ResolverSockets| {
            (sockets.udp.local_addr().unwrap(), sockets.tcp.local_addr().unwrap())
        };
        let sockets = sockets.unwrap();
        let before = ports(&sockets);
        let table =
            || json(&run_in(&first, &["nft", "-j", "list", "table", "ip", "naru-resolver"]));
        let rules = table();
        drop(sockets);
        let sandbox = Sandbox::of_process(child.id()).unwrap();
        let sockets = sandbox.open_resolver().unwrap();
        assert_eq!(ports(&sockets), before);
        assert_eq!(table(), rules);
        ask_and_answer(&sandbox, &sockets);
        // The ports are taken meanwhile: the redirection is replaced, not doubled.
        let others = sandbox.open_resolver().unwrap();
        assert_ne!(ports(&others), before);
        ask_and_answer(&sandbox, &others);
        let count = |rules: &serde_json::Value| {
            rules["nftables"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|item| item.get("rule").is_some())
                .count()
        };
        assert_eq!((count(&rules), count(&table())), (4, 4));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Sandbox::of_process(child.id()).unwrap_err().is_absent());
    });
}

#[test]
fn the_hosts_own_namespace_is_no_sandbox() {
    host(|| {
        let own = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        assert!(Sandbox::of_pidfd(&own).is_err());
        assert!(
            Sandbox::of_process(std::process::id())
                .is_ok_and(|other| other.links().find("lo").is_ok())
        );
        let error = Sandbox::of_process(u32::MAX).unwrap_err();
        assert!(error.is_absent() && error.to_string().contains("4294967295"));
    });
}

#[test]
fn a_sandbox_that_nobody_holds_leaves_nothing() {
    host(|| {
        let links = Links::open().unwrap();
        let index = bridge(&links, "br0", &["10.1.0.1/24"]);
        let spec = SandboxSpec { ipv6: true, low_ports: true, resolver: true };
        let (sandbox, sockets) = Sandbox::make(&spec).unwrap();
        sandbox.attach(&links, "veth0", index, &attachment("eth0", &["10.1.0.2/24"])).unwrap();
        let mut watch = Watch::open().unwrap();
        // The resolver's sockets hold the namespace too.
        drop(sandbox);
        links.find("veth0").unwrap();
        drop(sockets);
        let is_end =
            |change: &Change| matches!(change, Change::Gone { name, .. } if name == "veth0");
        while !watch.wait().unwrap().iter().any(is_end) {}
        assert!(links.find("veth0").unwrap_err().is_absent());
    });
}

#[test]
fn many_containers_at_once() {
    host(|| {
        let links = Links::open().unwrap();
        let index = bridge(&links, "br0", &["10.1.0.1/16"]);
        let spec = SandboxSpec { ipv6: true, low_ports: true, resolver: true };
        let made: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4_u8)
                .map(|part| {
                    let links = &links;
                    scope.spawn(move || {
                        (0..10_u8)
                            .map(|n| {
                                let (sandbox, sockets) = Sandbox::make(&spec).unwrap();
                                let address = format!("10.1.{}.{}/16", part + 1, n + 1);
                                sandbox
                                    .attach(
                                        links,
                                        &format!("v{part}-{n}"),
                                        index,
                                        &attachment("eth0", &[&address]),
                                    )
                                    .unwrap();
                                (sandbox, sockets)
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.len(), 40);
        let ports = links
            .list()
            .unwrap()
            .iter()
            .filter(|link| link.master == Some(index) && link.forwarding)
            .count();
        assert_eq!(ports, 40);
    });
}
