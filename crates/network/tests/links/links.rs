use crate::fixture::{addresses, bridge, has_kind, host, judged, run};
use ipnet::IpNet;
use naru_errdefs::{Failure, Kind};
use naru_network::ipam::Mac;
use naru_network::link::sysctl::{self, Protocol};
use naru_network::link::{BridgeSpec, Change, HostSubnets, Links, RouteSpec, SubnetLock, Watch};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_bridge_is_ready_for_containers() {
    host(|| {
        let links = Links::open().unwrap();
        let index = links
            .create_bridge(&BridgeSpec {
                name: "br-test".to_owned(),
                mac: "02:42:00:00:00:07".parse().unwrap(),
                mtu: Some(1400),
                addresses: vec!["10.1.0.1/16".parse().unwrap(), "fd01::1/64".parse().unwrap()],
                alias: Some("naru abc".to_owned()),
            })
            .unwrap();
        let judged = judged("br-test");
        assert_eq!(judged["ifindex"], index);
        assert_eq!(judged["mtu"], 1400);
        assert_eq!(judged["address"], "02:42:00:00:00:07");
        assert_eq!(judged["ifalias"], "naru abc");
        assert!(judged["flags"].as_array().unwrap().contains(&"UP".into()));
        assert_eq!(judged["linkinfo"]["info_data"]["forward_delay"], 0);
        assert_eq!(judged["linkinfo"]["info_data"]["stp_state"], 0);
        assert_eq!(addresses(&judged), ["10.1.0.1/16", "fd01::1/64"]);
        let tentative =
            judged["addr_info"].as_array().unwrap().iter().any(|a| a["tentative"] == true);
        assert!(!tentative, "{judged}");
        // Usable at once.
        std::net::TcpListener::bind("[fd01::1]:0").unwrap();
        assert_eq!(sysctl::read_interface("br-test", Protocol::V6, "accept_ra").unwrap(), "0");

        let again = links.create_bridge(&BridgeSpec {
            name: "br-test".to_owned(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: None,
            addresses: Vec::new(),
            alias: None,
        });
        assert!(again.unwrap_err().is_present());
        let link = links.find("br-test").unwrap();
        assert_eq!((link.kind.as_str(), link.alias.as_deref()), ("bridge", Some("naru abc")));
        links.remove("br-test").unwrap();
        links.remove("br-test").unwrap();
        assert!(links.find("br-test").unwrap_err().is_absent());
    });
}

#[test]
fn a_bridge_is_put_right_with_its_ports() {
    host(|| {
        let links = Links::open().unwrap();
        let spec = BridgeSpec {
            name: "br0".to_owned(),
            mac: "02:42:00:00:00:07".parse().unwrap(),
            mtu: None,
            addresses: vec!["10.1.0.1/24".parse().unwrap(), "fd01::1/64".parse().unwrap()],
            alias: Some("naru".to_owned()),
        };
        let (index, made) = links.ensure_bridge(&spec).unwrap();
        assert!(made);
        let port = links.create_isolated("port", "x").unwrap();
        links.set_master(port, Some(index)).unwrap();
        run(&["ip", "address", "flush", "dev", "br0"]);
        run(&["ip", "link", "set", "br0", "down"]);
        assert_eq!(links.ensure_bridge(&spec).unwrap(), (index, false));
        let judged = judged("br0");
        assert_eq!(addresses(&judged), ["10.1.0.1/24", "fd01::1/64"]);
        assert!(judged["flags"].as_array().unwrap().contains(&"UP".into()));
        assert_eq!(links.at(port).unwrap().master, Some(index));
        let error =
            links.ensure_bridge(&BridgeSpec { name: "port".to_owned(), ..spec }).unwrap_err();
        assert!(error.is_present());
    });
}

#[test]
fn a_bridge_without_an_ipv6_address_takes_no_part_in_it() {
    host(|| {
        let links = Links::open().unwrap();
        bridge(&links, "br-v4", &["10.1.0.1/24"]);
        let judged = judged("br-v4");
        assert_eq!(judged["addr_info"].as_array().unwrap().len(), 1, "{judged}");
    });
}

#[test]
fn a_bridge_that_cannot_get_its_address_is_not_left() {
    host(|| {
        let links = Links::open().unwrap();
        let spec = BridgeSpec {
            name: "br-bad".to_owned(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: None,
            addresses: vec!["ff02::1/64".parse().unwrap()],
            alias: None,
        };
        let error = links.create_bridge(&spec).unwrap_err();
        assert_eq!(error.to_string(), "cannot set up the bridge `br-bad`");
        assert!(links.find("br-bad").unwrap_err().is_absent());
    });
}

#[test]
fn properties_of_links_change() {
    host(|| {
        let links = Links::open().unwrap();
        let index = links.create_isolated("lone-a", "mark").unwrap();
        let port_of = bridge(&links, "br-a", &[]);
        links.set_down(index).unwrap();
        links.set_name(index, "lone-b").unwrap();
        links.set_mac(index, "02:00:00:00:00:05".parse().unwrap()).unwrap();
        links.set_mtu(index, 1300).unwrap();
        links.set_master(index, Some(port_of)).unwrap();
        links.set_alias(index, "other").unwrap();
        links.set_up(index).unwrap();
        let link = links.find("lone-b").unwrap();
        assert_eq!(link, links.at(index).unwrap());
        assert_eq!(link.mac.unwrap().to_string(), "02:00:00:00:00:05");
        assert_eq!((link.mtu, link.up, link.master), (1300, true, Some(port_of)));
        assert_eq!(judged("lone-b")["master"], "br-a");
        assert!(!links.remove_marked("lone-b", "mark").unwrap());
        assert!(links.remove_marked("lone-b", "other").unwrap());
        assert!(!links.remove_marked("lone-b", "other").unwrap());
    });
}

#[test]
fn names_with_tricks_reach_neither_the_kernel_nor_a_path() {
    host(|| {
        let links = Links::open().unwrap();
        for name in ["", ".", "..", "a/b", "../../x", "a b", "0123456789abcdef", "a\0b", "a:1"] {
            assert!(links.find(name).is_err(), "{name:?}");
            assert!(links.create_isolated(name, "x").is_err(), "{name:?}");
            assert!(links.remove(name).is_err(), "{name:?}");
            assert!(sysctl::write_interface(name, Protocol::V4, "forwarding", "1").is_err());
        }
        assert!(sysctl::write_interface("lo", Protocol::V4, "../../x", "1").is_err());
    });
}

#[test]
fn addresses_and_routes_come_and_go() {
    host(|| {
        let links = Links::open().unwrap();
        let index = links.create_isolated("d0", "x").unwrap();
        let v4 = "10.5.0.2/24".parse().unwrap();
        let v6 = "fd05::2/64".parse().unwrap();
        for address in [v4, v6] {
            links.add_address(index, address).unwrap();
            links.add_address(index, address).unwrap();
        }
        let routes = [
            RouteSpec::default_by("10.5.0.1".parse().unwrap()),
            RouteSpec::default_by("fd05::1".parse().unwrap()),
            RouteSpec {
                destination: "10.6.0.0/16".parse().unwrap(),
                gateway: Some("10.5.0.9".parse().unwrap()),
                on_link: false,
            },
            RouteSpec {
                destination: "10.7.0.0/16".parse().unwrap(),
                gateway: None,
                on_link: false,
            },
            RouteSpec {
                destination: "10.8.0.0/16".parse().unwrap(),
                gateway: Some("203.0.113.9".parse().unwrap()),
                on_link: true,
            },
        ];
        for route in &routes {
            links.add_route(index, route).unwrap();
            links.add_route(index, route).unwrap();
        }
        let told = run(&["ip", "route"]);
        for line in [
            "default via 10.5.0.1 dev d0",
            "10.6.0.0/16 via 10.5.0.9",
            "10.7.0.0/16 dev d0 proto static scope link",
            "10.8.0.0/16 via 203.0.113.9",
        ] {
            assert!(told.contains(line), "{told}");
        }
        assert!(run(&["ip", "-6", "route"]).contains("default via fd05::1"));
        let taken: Vec<String> = links.taken().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            taken,
            ["10.5.0.0/24", "10.6.0.0/16", "10.7.0.0/16", "10.8.0.0/16", "fd05::/64"]
        );
        let all = links.list().unwrap();
        assert_eq!(all.iter().find(|link| link.name == "d0").unwrap().addresses[0], v4);
        for route in &routes {
            links.remove_route(index, route).unwrap();
            links.remove_route(index, route).unwrap();
        }
        for address in [v4, v6] {
            links.remove_address(index, address).unwrap();
            links.remove_address(index, address).unwrap();
        }
        assert_eq!(links.taken().unwrap(), []);
        let error = links.add_address(999, v4).unwrap_err();
        assert!(error.is_absent() && error.to_string().contains("`10.5.0.2/24`"));
    });
}

#[test]
fn subnets_of_the_host_are_remembered_until_somebody_changes_them() {
    host(|| {
        let links = Links::open().unwrap();
        let index = links.create_isolated("d0", "x").unwrap();
        let own: Vec<IpNet> = vec!["10.64.0.0/24".parse().unwrap()];
        let mut subnets = HostSubnets::default();
        let mut check = |expected: &[&str]| {
            let found = subnets.beside(&links, &own).unwrap();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(&[]);
        links.add_address(index, "10.64.0.1/24".parse().unwrap()).unwrap();
        check(&[]);
        links.add_address(index, "10.5.0.1/24".parse().unwrap()).unwrap();
        check(&["10.5.0.0/24"]);
        run(&["ip", "route", "add", "10.9.0.0/16", "via", "10.5.0.9", "table", "77"]);
        check(&["10.5.0.0/24", "10.9.0.0/16"]);
        run(&["ip", "route", "del", "10.9.0.0/16", "table", "77"]);
        check(&["10.5.0.0/24"]);
        run(&["ip", "address", "del", "10.5.0.1/24", "dev", "d0"]);
        check(&[]);
    });
}

#[test]
fn an_administrators_table_counts_and_a_vpns_default_route_does_not() {
    host(|| {
        let links = Links::open().unwrap();
        links.create_isolated("d0", "x").unwrap();
        run(&["ip", "route", "add", "172.17.0.0/24", "dev", "d0", "table", "1234"]);
        run(&["ip", "route", "add", "0.0.0.0/1", "dev", "d0"]);
        run(&["ip", "route", "add", "128.0.0.0/1", "dev", "d0"]);
        run(&["ip", "route", "add", "2000::/3", "dev", "d0"]);
        run(&["ip", "route", "add", "blackhole", "172.18.0.0/24"]);
        assert_eq!(links.taken().unwrap(), ["172.17.0.0/24".parse().unwrap()]);
    });
}

#[test]
fn a_vlan_is_made_when_missing_and_only_ours_is_removed() {
    host(|| {
        let links = Links::open().unwrap();
        links.create_isolated("eth0", "x").unwrap();
        for absent in ["eth9", "eth9.10", "eth0.0", "eth0.4095", "eth0.x"] {
            let error = links.parent(absent, "naru vlan").unwrap_err();
            assert!(error.is_absent(), "{absent}: {error:?}");
        }
        if !has_kind("vlan") {
            let error = links.parent("eth0.10", "naru vlan").unwrap_err();
            assert_eq!(Failure::kind(&error), Kind::Unsupported);
            return;
        }
        let index = links.parent("eth0.10", "naru vlan").unwrap();
        assert_eq!(links.parent("eth0.10", "naru vlan").unwrap(), index);
        let judged = judged("eth0.10");
        assert_eq!(judged["linkinfo"]["info_data"]["id"], 10);
        assert!(judged["flags"].as_array().unwrap().contains(&"UP".into()));
        run(&["ip", "link", "add", "link", "eth0", "name", "eth0.11", "type", "vlan", "id", "11"]);
        links.parent("eth0.11", "naru vlan").unwrap();
        assert!(!links.remove_marked("eth0.11", "naru vlan").unwrap());
        assert!(links.remove_marked("eth0.10", "naru vlan").unwrap());
    });
}

#[test]
fn somebody_who_deletes_our_bridge_is_noticed() {
    host(|| {
        let links = Links::open().unwrap();
        let index = bridge(&links, "br-watch", &["10.1.0.1/24"]);
        let mut watch = Watch::open().unwrap();
        assert_eq!(watch.take().unwrap(), []);
        run(&["ip", "link", "delete", "br-watch"]);
        let end = Instant::now() + Duration::from_secs(10);
        let gone = Change::Gone { index, name: "br-watch".to_owned() };
        let mut heard = Vec::new();
        while !heard.contains(&gone) && Instant::now() < end {
            naru_kernel::poll::readable(watch.as_fd(), Some(Duration::from_secs(1))).unwrap();
            heard.extend(watch.take().unwrap());
        }
        assert!(heard.contains(&gone), "{heard:?}");
    });
}

#[test]
fn one_daemon_at_a_time_chooses_a_subnet() {
    host(|| {
        let held = SubnetLock::take(Duration::ZERO).unwrap();
        let error = SubnetLock::take(Duration::from_millis(5)).unwrap_err();
        assert_eq!(error.to_string(), "cannot take the lock on the host's subnets");
        let namespace = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let (began, waits) = mpsc::channel();
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                naru_kernel::namespace::join(&namespace, naru_kernel::clone::flags::NETWORK)
                    .unwrap();
                began.send(()).unwrap();
                SubnetLock::take(Duration::from_secs(20)).unwrap();
            });
            waits.recv().unwrap();
            drop(held);
            other.join().unwrap();
        });
        SubnetLock::take(Duration::ZERO).unwrap();
    });
}

#[test]
fn a_list_is_whole_while_links_come_and_go() {
    host(|| {
        let links = Links::open().unwrap();
        for n in 0..60 {
            links.create_isolated(&format!("keep{n}"), "x").unwrap();
        }
        let namespace = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        thread::scope(|scope| {
            let churn = scope.spawn(|| {
                naru_kernel::namespace::join(&namespace, naru_kernel::clone::flags::NETWORK)
                    .unwrap();
                let links = Links::open().unwrap();
                for _ in 0..20 {
                    links.create_isolated("churn", "x").unwrap();
                    links.remove("churn").unwrap();
                }
            });
            while !churn.is_finished() {
                let kept = links
                    .list()
                    .unwrap()
                    .iter()
                    .filter(|link| link.name.starts_with("keep"))
                    .count();
                assert_eq!(kept, 60);
            }
        });
    });
}
