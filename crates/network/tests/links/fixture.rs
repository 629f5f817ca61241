use naru_kernel::clone::flags::NETWORK;
use naru_network::link::{BridgeSpec, Links};
use naru_network::sandbox::{Attachment, Sandbox, SandboxSpec};
use serde_json::Value;
use std::process::Command;
use std::thread;

/// Runs a test on a thread whose network namespace plays the host. It goes with the thread and what the test opened.
pub fn host(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            naru_kernel::namespace::leave(NETWORK).unwrap();
            naru_kernel::namespace::loopback_up().unwrap();
            test();
        });
        if let Err(panic) = run.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs a program in this thread's network namespace.
pub fn run(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The same in a sandbox.
pub fn run_in(sandbox: &Sandbox, words: &[&str]) -> String {
    let namespace = format!("--net={}", sandbox.path().display());
    let mut all = vec!["nsenter", namespace.as_str()];
    all.extend_from_slice(words);
    run(&all)
}

pub fn json(text: &str) -> Value {
    if text.trim().is_empty() {
        Value::Array(Vec::new())
    } else {
        serde_json::from_str(text).unwrap()
    }
}

/// What `ip -d -j addr` says of a link.
pub fn judged(name: &str) -> Value {
    json(&run(&["ip", "-d", "-j", "addr", "show", "dev", name]))[0].clone()
}

pub fn judged_in(sandbox: &Sandbox, name: &str) -> Value {
    json(&run_in(sandbox, &["ip", "-d", "-j", "addr", "show", "dev", name]))[0].clone()
}

/// Addresses with prefix that `ip` told of a link; what the kernel makes up is left out.
pub fn addresses(link: &Value) -> Vec<String> {
    link["addr_info"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|address| address["scope"] != "link")
        .map(|address| format!("{}/{}", address["local"].as_str().unwrap(), address["prefixlen"]))
        .collect()
}

pub fn bridge(links: &Links, name: &str, addresses: &[&str]) -> u32 {
    links
        .create_bridge(&BridgeSpec {
            name: name.to_owned(),
            mac: "02:42:0a:01:00:01".parse().unwrap(),
            mtu: None,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            alias: Some("naru test".to_owned()),
        })
        .unwrap()
}

pub fn sandbox() -> Sandbox {
    Sandbox::make(&SandboxSpec { ipv6: true, low_ports: true, resolver: false }).unwrap().0
}

pub fn attachment(name: &str, addresses: &[&str]) -> Attachment {
    Attachment {
        name: name.to_owned(),
        mac: None,
        mtu: None,
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        gateway_v4: None,
        gateway_v6: None,
        routes: Vec::new(),
    }
}

/// Whether this kernel has links of a kind; told when not, because a part of a test is then not done.
pub fn has_kind(kind: &str) -> bool {
    let words = ["link", "add", "link", "lo", "name", "probe", "type", kind];
    let more: &[&str] = if kind == "vlan" { &["id", "5"] } else { &[] };
    let output = Command::new("ip").args(words).args(more).output().unwrap();
    let absent = String::from_utf8_lossy(&output.stderr).contains("Unknown device type");
    if absent {
        println!("this kernel has no links of the kind {kind}: skipped");
    } else if output.status.success() {
        run(&["ip", "link", "delete", "probe"]);
    }
    !absent
}
