//! Names as programs see them: the C library in a sandbox, with the files that a container gets.

#![cfg(test)]

use naru_network::dns::{Addresses, Lookup, Names, Resolver, Upstreams};
use naru_network::hosts::{self, Entry};
use naru_network::resolv_conf::{self, HostDns, ResolvConf, Wishes};
use naru_network::sandbox::{Sandbox, SandboxSpec};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

struct Table;

impl Names for Table {
    fn lookup(&self, asker: &str, name: &str) -> Lookup {
        match (asker, name) {
            ("box", "web" | "web.net") => Lookup::Ours(Addresses {
                v4: vec![[10, 0, 0, 2].into()],
                v6: vec!["fd00::2".parse().unwrap()],
            }),
            _ => Lookup::NotOurs,
        }
    }

    fn reverse(&self, _: &str, address: IpAddr) -> Option<String> {
        (address == IpAddr::from([10, 0, 0, 2])).then(|| "web.net".to_owned())
    }

    fn upstreams(&self, _: &str) -> Arc<Upstreams> {
        Arc::default()
    }
}

/// Runs the C library's resolver in the sandbox, with `directory`'s files in the place of those in `/etc`.
fn getent(sandbox: &Sandbox, directory: &Path, words: &str) -> (bool, String) {
    let directory = directory.display();
    let script = format!(
        "mount --bind {directory}/resolv.conf /etc/resolv.conf && mount --bind {directory}/hosts /etc/hosts && exec getent {words}"
    );
    let output = Command::new("nsenter")
        .arg(format!("--net={}", sandbox.path().display()))
        .args(["unshare", "--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    (output.status.success(), words.join(" "))
}

#[test]
fn the_c_library_finds_names_in_a_sandbox() {
    let spec = SandboxSpec { ipv6: true, low_ports: true, resolver: true };
    let (sandbox, sockets) = Sandbox::make(&spec).unwrap();
    let sockets = sockets.unwrap();
    let resolver = Resolver::new(Arc::new(Table));
    resolver.serve("box", sockets.udp, sockets.tcp).unwrap();

    let files = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        naru_kernel::fs::write_replace(&files.path().join(name), text.as_bytes(), 0o644).unwrap();
    };
    let mut entries = hosts::extra("db:10.0.0.9", &[]).unwrap();
    entries.push(Entry::own([10, 0, 0, 1].into(), "box", "lan"));
    put("hosts", &hosts::text(&entries));
    let host = HostDns::new(&ResolvConf::parse("nameserver 127.0.0.53\nsearch lan\n"), None);
    for options in [vec![], vec!["use-vc".to_owned()]] {
        let wishes = Wishes { options, ..Wishes::default() };
        put("resolv.conf", &resolv_conf::on_user_network(&wishes, &host));
        let check = |words: &str, expected: &str| {
            assert_eq!(
                getent(&sandbox, files.path(), words),
                (true, expected.to_owned()),
                "{words}"
            );
        };
        check("--no-addrconfig ahostsv4 web", "10.0.0.2 STREAM web 10.0.0.2 DGRAM 10.0.0.2 RAW");
        check(
            "--no-addrconfig ahostsv6 web.net",
            "fd00::2 STREAM web.net fd00::2 DGRAM fd00::2 RAW",
        );
        check("hosts 10.0.0.2", "10.0.0.2 web.net");
        check("hosts db", "10.0.0.9 db");
        check("hosts box", "10.0.0.1 box.lan box");
        assert!(!getent(&sandbox, files.path(), "hosts unknown").0);
    }
}
