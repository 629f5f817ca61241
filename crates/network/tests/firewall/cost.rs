//! What changes cost, and that nobody notices them. Acts.

use crate::rig::{Rig, Space, network, tcp};
use naru_network::firewall::{Drift, Firewall, FirewallOptions, Published, State};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn ports(count: u16) -> Vec<Published> {
    (0..count)
        .flat_map(|n| {
            let port = format!("{}", 10000 + n);
            [tcp(&port, "10.81.0.2:80"), tcp(&port, "[fd81::2]:80")]
        })
        .collect()
}

#[test]
fn a_thousand_ports_cost_like_one() {
    let rig = Rig::new(false);
    let mut firewall = rig.firewall(FirewallOptions::default());
    let mut state = State { networks: vec![network(0)], ..State::default() };
    rig.host.run(|| firewall.rebuild(&state).unwrap());
    let all = ports(1000);
    let mut publish: Vec<Duration> = rig.host.run(|| {
        all.chunks(2)
            .map(|pair| {
                let begin = Instant::now();
                firewall.publish(pair).unwrap();
                begin.elapsed()
            })
            .collect()
    });
    let median = |times: &mut [Duration]| {
        times.sort();
        times[times.len() / 2]
    };
    let (first, last) = publish.split_at_mut(500);
    let (first, last) = (median(&mut first[..100]), median(&mut last[400..]));
    state.published = all.clone();
    let timed = |name: &str, act: &mut (dyn FnMut() + Send)| {
        let begin = Instant::now();
        rig.host.run(act);
        println!("{name}: {:?}", begin.elapsed());
    };
    println!("publish one, of the first hundred: {first:?}, of the last hundred: {last:?}");
    // Machines that do other things at the same time are not to fail this; a list would take ten times as long.
    assert!(last < first * 4 + Duration::from_micros(300), "{first:?} {last:?}");
    timed("rebuild with 1,000 ports", &mut || firewall.rebuild(&state).unwrap());
    timed("verify", &mut || {
        assert_eq!(firewall.verify(&state).unwrap(), Drift::default());
    });
    timed("withdraw 1,000", &mut || firewall.withdraw(&all).unwrap());
    timed("publish 1,000", &mut || firewall.publish(&all).unwrap());
    let mut withdraw: Vec<Duration> = rig.host.run(|| {
        let pairs = all.chunks(2).take(100);
        pairs
            .map(|pair| {
                let begin = Instant::now();
                firewall.withdraw(pair).unwrap();
                begin.elapsed()
            })
            .collect()
    });
    println!("withdraw one: {:?}", median(&mut withdraw));
    assert_eq!(rig.machine.ask("192.0.2.1:10999"), "a 192.0.2.2");
    assert_eq!(rig.host.ask("[::1]:10999"), "a fd81::1");
    timed("remove", &mut || firewall.remove().unwrap());
}

#[test]
fn many_networks_come_and_go() {
    let rig = Rig::new(false);
    let mut firewall = rig.firewall(FirewallOptions::default());
    let mut state = State::default();
    let before = rig.host.command("nft list ruleset");
    for number in 0..200 {
        let mut net = network(0);
        net.bridge = format!("many{number}");
        net.subnets = vec![format!("10.90.{number}.0/24").parse().unwrap()];
        state.networks.push(net);
    }
    rig.host.run(|| {
        let begin = Instant::now();
        firewall.rebuild(&state).unwrap();
        println!("rebuild with 200 networks: {:?}", begin.elapsed());
        assert_eq!(firewall.verify(&state).unwrap(), Drift::default());
        let begin = Instant::now();
        for net in &state.networks {
            firewall.remove_network(&net.bridge).unwrap();
        }
        println!("remove one of them: {:?}", begin.elapsed() / 200);
        assert_eq!(firewall.verify(&State::default()).unwrap(), Drift::default());
        let begin = Instant::now();
        for _ in 0..100 {
            firewall.add_network(&network(1)).unwrap();
        }
        println!("add or change one: {:?}", begin.elapsed() / 100);
        firewall.remove().unwrap();
    });
    assert_eq!(rig.host.command("nft list ruleset"), before);
}

const CHILD: &str = "NARU_TEST_FIREWALL_CHILD";

/// Two states that differ in everything.
fn two_states() -> [State; 2] {
    let one = State { networks: vec![network(0)], published: ports(100), ..State::default() };
    let published = vec![tcp("80", "10.82.0.2:80")];
    let other = State { networks: vec![network(1), network(2)], published, ..State::default() };
    [one, other]
}

/// What the next test runs as a process of its own; without it there is nothing to do.
#[test]
fn a_process_that_changes_the_table_until_it_is_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut firewall = Firewall::open("naru", FirewallOptions::default()).unwrap();
    loop {
        for state in two_states() {
            firewall.rebuild(&state).unwrap();
        }
        println!("changed");
    }
}

#[test]
fn whoever_is_killed_leaves_one_state_or_the_other() {
    let host = Space::new();
    let mut firewall = host.run(|| Firewall::open("naru", FirewallOptions::default()).unwrap());
    let mut seen = [0, 0];
    for round in 0..30 {
        let mut child = host.run(|| {
            Command::new(std::env::current_exe().unwrap())
                .args(["a_process_that_changes_the_table_until_it_is_killed", "--nocapture"])
                .env(CHILD, "1")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Kills it somewhere else each time: after another number of rounds, and a little later.
        let mut changed = lines.map_while(Result::ok).filter(|line| line.contains("changed"));
        changed.nth(round % 3).unwrap();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(170) * u32::try_from(round).unwrap() {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let drifts = two_states().map(|state| host.run(|| firewall.verify(&state).unwrap()));
        let [one, other] = drifts.each_ref().map(Drift::is_none);
        assert!(one ^ other, "round {round}: {} / {}", drifts[0], drifts[1]);
        seen[usize::from(other)] += 1;
    }
    println!("left: {seen:?}");
}

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nobody_is_refused_while_the_table_is_replaced() {
    let rig = Rig::new(false);
    let mut firewall = rig.firewall(FirewallOptions::default());
    let mut state = State { networks: vec![network(0), network(1)], ..State::default() };
    state.published = ports(50);
    let more = State { published: ports(80), ..state.clone() };
    rig.host.run(|| firewall.rebuild(&state).unwrap());
    let done = AtomicBool::new(false);
    let mut rebuilt = 0;
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            // Also when it fails, or the others would go on for ever.
            let _end = SetAtEnd(&done);
            for _ in 0..100 {
                assert_eq!(rig.machine.ask("192.0.2.1:10007"), "a 192.0.2.2");
                assert_eq!(rig.host.ask("[::1]:10007"), "a fd81::1");
                assert_eq!(rig.host.ask("127.0.0.1:10007"), "a 10.81.0.1");
            }
        });
        // What is kept apart stays so, too: not one packet gets through.
        let kept = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let attempt = rig.c.try_ask("10.81.0.2:80", Duration::from_millis(20));
                assert!(attempt.is_err(), "{attempt:?}");
            }
        });
        rig.host.run(|| {
            while !asked.is_finished() {
                // In turn, so that each time something else is added and taken away.
                firewall.rebuild(if rebuilt % 2 == 0 { &more } else { &state }).unwrap();
                rebuilt += 1;
            }
        });
        asked.join().unwrap();
        kept.join().unwrap();
    });
    println!("rebuilt {rebuilt} times");
    assert!(rebuilt > 3);
}
