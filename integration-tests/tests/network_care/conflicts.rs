//! What cannot be had: docker's words and exit codes, and nothing is left of the attempt.

use integration_tests::{Scene, until};
use std::process::{Child, Stdio};

/// A program of the machine that listens.
struct Listener(Child);

impl Listener {
    #[track_caller]
    fn on(scene: &Scene, port: &str) -> Listener {
        let child = scene
            .host
            .command(&["busybox", "nc", "-ll", "-p", port, "-e", "cat"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("busybox is installed");
        let listens = || {
            let list = scene.host.run(&["ss", "-Hltn"]).ok().stdout;
            list.contains(&format!(":{port} ")).then_some(())
        };
        assert!(until(super::LIMIT, listens).is_some());
        Listener(child)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Something fails with the first of these words in docker's client and ours alike, and with all of them in ours, and
/// changes nothing of the machine.
#[track_caller]
fn fails(scene: &Scene, code: i32, args: &[&str], words: &[&str]) {
    let before = (scene.host.nft("list ruleset"), scene.bridges());
    for (done, words) in
        [(scene.daemon.docker(args), &words[..1]), (scene.daemon.naru(args), words)]
    {
        assert_eq!(done.code, code, "{args:?}\n{}", done.stderr);
        for word in words {
            assert!(done.stderr.contains(word), "{args:?}: no `{word}` in\n{}", done.stderr);
        }
        for id in
            scene.daemon.naru(&["ps", "-aq", "--filter", "status=created"]).ok().stdout.lines()
        {
            scene.daemon.naru(&["rm", id]).ok();
        }
    }
    assert_eq!((scene.host.nft("list ruleset"), scene.bridges()), before, "{args:?}");
}

#[test]
fn ports_that_somebody_has() {
    let scene = Scene::new(&[]);
    let before = scene.host.shown();
    scene.daemon.naru(&["network", "create", "lan"]).ok();
    scene.pages("web", &["--network", "lan", "-p", "8080:80", "-p", "8100-8101:81-82"]);
    let run = |ports: &'static str| ["run", "--network", "lan", "-p", ports, "box", "true"];
    let allocated = "Bind for 0.0.0.0:8080 failed: port is already allocated";
    fails(&scene, 125, &run("8080:80"), &[allocated, "`web`"]);
    fails(
        &scene,
        125,
        &run("127.0.0.1:8080:80"),
        &["127.0.0.1:8080 failed: port is already allocated"],
    );
    fails(&scene, 125, &run("8100-8101:80"), &["port is already allocated"]);
    fails(
        &scene,
        125,
        &["run", "--network", "lan", "-p", "9:9", "-p", "9:10", "box", "true"],
        &["port is already allocated"],
    );
    let listener = Listener::on(&scene, "8090");
    fails(
        &scene,
        125,
        &run("8090:80"),
        &["8090 failed: port is already allocated", "a program of the host"],
    );
    // The next of a range is free.
    scene
        .daemon
        .naru(&["run", "--rm", "--network", "lan", "-p", "8090-8091:80", "box", "true"])
        .ok();
    drop(listener);
    let free = || {
        (scene.daemon.naru(&["run", "--rm", "-p", "8090:80", "box", "true"]).code == 0)
            .then_some(())
    };
    assert!(until(super::LIMIT, free).is_some());
    // A restart changes nothing of who has what.
    scene.daemon.naru(&["rm", "-f", "web"]).ok();
    scene.daemon.naru(&["run", "--rm", "--network", "lan", "-p", "8080:80", "box", "true"]).ok();
    scene.nothing_is_left(&before);
}

#[test]
fn addresses_and_subnets_that_somebody_has() {
    let scene = Scene::new(&["--default-address-pool", "base=10.64.0.0/23,size=24"]);
    let before = scene.host.shown();
    let create = |flags: &[&'static str]| [&["network", "create"], flags].concat();
    scene.daemon.naru(&create(&["--subnet", "10.9.0.0/29", "lan"])).ok();
    scene.run("web", &["--network", "lan", "--ip", "10.9.0.2"], &["sleep", "100000"]);
    let ip = |address: &'static str| ["run", "--network", "lan", "--ip", address, "box", "true"];
    fails(&scene, 125, &ip("10.9.0.2"), &["Address already in use"]);
    fails(&scene, 125, &ip("10.9.0.1"), &["Address already in use"]);
    fails(&scene, 125, &ip("10.8.0.1"), &["no configured subnet"]);
    let overlaps = "Pool overlaps with other one on this address space";
    fails(&scene, 1, &create(&["--subnet", "10.9.0.0/24", "wide"]), &[overlaps]);
    // The cable's own subnet.
    fails(&scene, 1, &create(&["--subnet", "192.0.2.0/25", "wire"]), &[overlaps]);
    fails(&scene, 1, &create(&["lan"]), &["network with name lan already exists"]);
    fails(&scene, 1, &["network", "rm", "lan"], &["network lan has active endpoints", "web"]);
    // Six addresses: one is the gateway's, one is `web`'s.
    let mut names = Vec::new();
    while names.len() < 4 {
        let name = format!("full{}", names.len());
        scene.run(&name, &["--network", "lan"], &["sleep", "100000"]);
        names.push(name);
    }
    let full = ["run", "--network", "lan", "box", "true"];
    fails(
        &scene,
        125,
        &full,
        &["no available IPv4 addresses on this network's address pools: lan"],
    );
    for name in &names {
        scene.daemon.naru(&["rm", "-f", name]).ok();
    }
    scene.daemon.naru(&["run", "--rm", "--network", "lan", "box", "true"]).ok();
    for name in ["one", "two"] {
        scene.daemon.naru(&["network", "create", name]).ok();
    }
    fails(
        &scene,
        1,
        &create(&["three"]),
        &["all predefined address pools have been fully subnetted"],
    );
    scene.daemon.naru(&["network", "rm", "one"]).ok();
    scene.daemon.naru(&create(&["three"])).ok();
    scene.nothing_is_left(&before);
}
