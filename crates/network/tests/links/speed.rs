use crate::fixture::{attachment, bridge, host};
use naru_network::link::Links;
use naru_network::sandbox::{Attachment, Sandbox, SandboxSpec};
use std::time::{Duration, Instant};

const TIMES: u8 = 40;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Prints what a container's network costs; refuses only what is out of all proportion, because the machine is shared.
#[test]
fn what_a_sandbox_and_an_attachment_cost() {
    host(|| {
        let links = Links::open().unwrap();
        let index = bridge(&links, "br0", &["10.1.0.1/24", "fd01::1/64"]);
        let timed = |times: &mut Vec<Duration>, from: Instant| times.push(from.elapsed());
        let [mut bare, mut whole, mut v4, mut dual, mut gone, mut make_bridge] =
            [const { Vec::new() }; 6];
        for n in 0..TIMES {
            let spec = SandboxSpec { ipv6: true, low_ports: true, resolver: false };
            let from = Instant::now();
            let (one, _) = Sandbox::make(&spec).unwrap();
            timed(&mut bare, from);
            let from = Instant::now();
            let (two, _sockets) = Sandbox::make(&SandboxSpec { resolver: true, ..spec }).unwrap();
            timed(&mut whole, from);
            let with = |addresses: &[&str]| Attachment {
                mac: Some("02:42:0a:01:00:02".parse().unwrap()),
                gateway_v4: Some("10.1.0.1".parse().unwrap()),
                ..attachment("eth0", addresses)
            };
            let (a, b, c) = (
                format!("10.1.0.{}/24", n + 2),
                format!("10.1.0.{}/24", n + 100),
                format!("fd01::{n}/64"),
            );
            let from = Instant::now();
            one.attach(&links, &format!("a{n}"), index, &with(&[&a])).unwrap();
            timed(&mut v4, from);
            let from = Instant::now();
            two.attach(&links, &format!("b{n}"), index, &with(&[&b, &c])).unwrap();
            timed(&mut dual, from);
            let from = Instant::now();
            one.detach("eth0").unwrap();
            timed(&mut gone, from);
            let from = Instant::now();
            bridge(&links, &format!("br-{n}"), &[]);
            timed(&mut make_bridge, from);
        }
        let v4 = median(v4);
        println!(
            "make: {:?}, with resolver {:?}; attach: IPv4 {v4:?}, both {:?}; detach: {:?}; bridge: {:?}",
            median(bare),
            median(whole),
            median(dual),
            median(gone),
            median(make_bridge)
        );
        assert!(v4 < Duration::from_millis(100));
    });
}
