//! Places in networks with real bridges and namespaces.

use crate::house::{House, sh, soon, with};
use naru_engine::{
    CreateRequest, EndpointRequest, HostConfig, NetworkRequest, PoolRequest, PortBinding,
    StopOptions,
};
use naru_errdefs::{Fault, Kind};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::Duration;

/// A network with a subnet that the daemon chooses; its third byte.
async fn network(house: &House, name: &str) -> [u8; 4] {
    let request = NetworkRequest { name: name.to_owned(), ..NetworkRequest::default() };
    house.engine().networks.create(request).await.unwrap();
    let view = house.engine().networks.inspect(name).await.unwrap();
    let subnet = view.ipam[0].subnet.split('/').next().unwrap().parse::<Ipv4Addr>().unwrap();
    subnet.octets()
}

/// A container in networks, the first one named by its mode.
async fn create(
    house: &House,
    script: &str,
    networks: &[(&str, EndpointRequest)],
    host: HostConfig,
) -> Result<String, Fault> {
    let request = CreateRequest {
        name: None,
        config: sh(script),
        host: HostConfig { network_mode: networks[0].0.to_owned(), ..host },
        networks: networks.iter().map(|(name, asked)| ((*name).into(), asked.clone())).collect(),
    };
    Ok(house.engine().containers.create(request).await?.id)
}

async fn start(
    house: &House,
    networks: &[(&str, EndpointRequest)],
    script: &str,
) -> Result<String, Fault> {
    let id = create(house, script, networks, HostConfig::default()).await?;
    soon("the start", house.engine().containers.start(&id)).await?;
    Ok(id)
}

fn plain() -> EndpointRequest {
    EndpointRequest::default()
}

fn fixed(address: Ipv4Addr) -> EndpointRequest {
    EndpointRequest { ipv4: Some(address), ..plain() }
}

/// How many datagrams came to ports without a listener, as a copy of `/proc/net/snmp` says.
fn arrived(path: &Path) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().filter(|line| line.starts_with("Udp: ")).nth(1).unwrap_or_default();
    line.split(' ').nth(2).and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Waits until a file that the container writes again and again says this.
async fn says(path: &Path, what: &str) {
    let wait = async {
        while !std::fs::read_to_string(path).unwrap_or_default().contains(what) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(what, wait).await;
}

pub(crate) fn addresses_that_only_wait_are_given_to_who_asks() {
    with(async |house: House| {
        let [a, b, c, _] = network(&house, "lan").await;
        // The first start has namespaces made ready, which take addresses beside its own.
        let first = start(&house, &[("lan", plain())], "sleep 100").await.unwrap();
        let view = house.engine().containers.inspect(&first, false).await.unwrap();
        let own = view.networks["lan"].ipv4.unwrap().0;
        for last in [2, 3, 4, 5] {
            let address = Ipv4Addr::new(a, b, c, last);
            let started = start(&house, &[("lan", fixed(address))], "sleep 100").await;
            if address == own {
                let fault = started.unwrap_err();
                assert!(format!("{fault:?}").contains("Address already in use"), "{fault:?}");
                continue;
            }
            let view = house.engine().containers.inspect(&started.unwrap(), false).await.unwrap();
            assert_eq!(view.networks["lan"].ipv4.map(|(ip, _)| ip), Some(address));
        }

        // A subnet of five: each of them for a container.
        let mut made = Err(Fault::internal("not tried"));
        for third in 0..=255 {
            let pool =
                PoolRequest { subnet: format!("10.213.{third}.248/29"), ..PoolRequest::default() };
            let small = NetworkRequest {
                name: "small".into(),
                ipam: vec![pool],
                ..NetworkRequest::default()
            };
            made = house.engine().networks.create(small).await;
            if made.is_ok() {
                break;
            }
        }
        made.unwrap();
        start(&house, &[("small", plain())], "sleep 100").await.unwrap();
        for last in 1..=4_u8 {
            let own = EndpointRequest { mac: format!("02:42:00:00:00:0{last}"), ..plain() };
            start(&house, &[("small", own)], "sleep 100").await.unwrap();
        }
        let fault = start(&house, &[("small", plain())], "sleep 100").await.unwrap_err();
        assert!(format!("{fault:?}").contains("no available IPv4 addresses"), "{fault:?}");
        house
    });
}

pub(crate) fn the_default_route_follows_priorities() {
    with(async |house: House| {
        let gateway = |[a, b, c, _]: [u8; 4]| format!("default via {a}.{b}.{c}.1 ");
        let (zoo, ape) = (network(&house, "zoo").await, network(&house, "ape").await);
        let pit = network(&house, "pit").await;
        let script =
            "while :; do busybox ip route > /next; busybox mv /next /route; sleep 0.05; done";
        let id = start(&house, &[("zoo", plain()), ("ape", plain())], script).await.unwrap();
        let route = house.appears(&id, "route").await;
        says(&route, &gateway(ape)).await;
        let containers = &house.engine().containers;
        let first = EndpointRequest { gw_priority: 5, ..plain() };
        containers.connect("pit", &id, first).await.unwrap();
        says(&route, &gateway(pit)).await;
        containers.disconnect("pit", &id, false).await.unwrap();
        says(&route, &gateway(ape)).await;
        containers.disconnect("ape", &id, false).await.unwrap();
        says(&route, &gateway(zoo)).await;
        house
    });
}

pub(crate) fn who_comes_from_the_default_network_asks_our_resolver() {
    with(async |house: House| {
        network(&house, "lan").await;
        let script = "until busybox grep -q 127.0.0.11 /etc/resolv.conf; do sleep 0.05; done; touch /led; sleep 100";
        let id = start(&house, &[("bridge", plain())], script).await.unwrap();
        house.engine().containers.connect("lan", &id, plain()).await.unwrap();
        house.appears(&id, "led").await;
        house
    });
}

pub(crate) fn datagrams_find_a_container_that_was_started_again() {
    with(async |house: House| {
        network(&house, "lan").await;
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let binding = PortBinding { host_ip: String::new(), host_port: free.to_string() };
        let host = HostConfig {
            port_bindings: [("5000/udp".into(), vec![binding])].into(),
            ..HostConfig::default()
        };
        // Nobody listens inside, and the kernel counts what arrives all the same.
        let script =
            "while :; do cat /proc/net/snmp > /next; busybox mv /next /got; sleep 0.02; done";
        let id = create(&house, script, &[("lan", plain())], host).await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Before the port is published, too: that way leads to nobody.
        socket.send_to(b"early\n", ("127.0.0.1", free)).unwrap();
        house.start(&id).await;
        let view = house.engine().containers.inspect(&id, false).await.unwrap();
        let got = view.upper_dir.join("got");
        let arrives = async || {
            while arrived(&got) == 0 {
                socket.send_to(b"late\n", ("127.0.0.1", free)).unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon("a datagram", arrives()).await;
        let before = view.networks["lan"].ipv4;
        let options = StopOptions { timeout: Some(0), ..StopOptions::default() };
        house.engine().containers.stop(&id, options).await.unwrap();
        std::fs::remove_file(&got).unwrap();
        house.start(&id).await;
        let view = house.engine().containers.inspect(&id, false).await.unwrap();
        assert_ne!(view.networks["lan"].ipv4, before);
        soon("a datagram after the restart", arrives()).await;
        house
    });
}

pub(crate) fn a_network_is_removed_or_entered() {
    with(async |house: House| {
        for round in 0..8 {
            let name = format!("lan{round}");
            network(&house, &name).await;
            let places = [(name.as_str(), plain())];
            let id = create(&house, "sleep 100", &places, HostConfig::default()).await.unwrap();
            let (networks, containers) = (&house.engine().networks, &house.engine().containers);
            let (removed, started) = tokio::join!(networks.remove(&name), containers.start(&id));
            match (removed, started) {
                (Ok(()), Err(fault)) => assert_eq!(fault.kind(), Kind::NotFound, "{fault:?}"),
                (Err(fault), Ok(())) => {
                    assert_eq!(fault.kind(), Kind::Forbidden, "{fault:?}");
                    let view = networks.inspect(&name).await.unwrap();
                    assert_eq!(view.containers.len(), 1);
                }
                both => panic!("{both:?}"),
            }
        }
        house
    });
}

pub(crate) fn a_port_at_an_address_of_the_wrong_family_is_refused() {
    with(async |house: House| {
        network(&house, "lan").await;
        let binding = PortBinding { host_ip: "::1".into(), host_port: String::new() };
        let host = HostConfig {
            port_bindings: [("80/tcp".into(), vec![binding])].into(),
            ..HostConfig::default()
        };
        let id = create(&house, "sleep 100", &[("lan", plain())], host).await.unwrap();
        let fault = house.engine().containers.start(&id).await.unwrap_err();
        assert_eq!(fault.kind(), Kind::InvalidInput);
        assert!(format!("{fault:?}").contains("the container has no IPv6 address"), "{fault:?}");
        house
    });
}
