//! Somebody takes away what is ours behind our back: it is noticed, put right, and said.

use super::LIMIT;
use integration_tests::{Scene, until};

/// A container with a port on a network of its own, and another one there that knows it by name.
#[track_caller]
fn scene() -> Scene {
    let scene = Scene::new(&[]);
    scene.daemon.naru(&["network", "create", "--subnet", "10.9.0.0/24", "lan"]).ok();
    scene.pages("web", &["--network", "lan", "--ip", "10.9.0.9", "-p", "8080:80"]);
    scene.pages("other", &["--network", "lan"]);
    works(&scene);
    scene
}

#[track_caller]
fn works(scene: &Scene) {
    let page = until(LIMIT, || scene.fetched(8080));
    assert_eq!(page.as_deref(), Some("page of web"), "{}", scene.daemon.log());
    scene.resolves("other", "web");
    scene.resolves("web", "other");
    // Out into the world, and to where the gateway is.
    let out = || {
        let ping =
            ["exec", "web", "sh", "-c", "timeout 3 wget -q -O /dev/null http://192.0.2.2:1/ 2>&1"];
        scene.daemon.naru(&ping).stdout.contains("refused").then_some(())
    };
    assert!(until(LIMIT, out).is_some(), "no way out\n{}", scene.daemon.log());
}

/// What the daemon says of one mischief; everything works again afterwards.
#[track_caller]
fn said(scene: &Scene, before: usize, words: &str) {
    let heard = || scene.daemon.log()[before..].contains(words).then_some(());
    assert!(until(LIMIT, heard).is_some(), "`{words}` is not in\n{}", scene.daemon.log());
    works(scene);
}

fn bridge(scene: &Scene) -> String {
    let names = scene.interfaces();
    names.into_iter().find(|name| name.starts_with("br-")).expect("a bridge")
}

/// The host's end of a container's interface.
fn outer_end(scene: &Scene, address: &str) -> String {
    // The hardware address inside follows the address; the number of the outer end is what the inner one is paired with.
    let container = if address == "10.9.0.9" { "web" } else { "other" };
    let link = scene.daemon.naru(&["exec", container, "ip", "-o", "link", "show", "eth0"]).ok();
    let number = link.stdout.split("@if").nth(1).and_then(|rest| rest.split(':').next());
    let number = format!("{}: ", number.expect("a number"));
    let list = scene.host.ip("-o link");
    let line = list.lines().find(|line| line.starts_with(&number)).expect("its other end");
    line.split(": ").nth(1).and_then(|name| name.split('@').next()).expect("a name").to_owned()
}

#[test]
fn a_removed_bridge_comes_back() {
    let scene = scene();
    let name = bridge(&scene);
    let mac = |scene: &Scene| {
        let link = scene.host.ip(&format!("-o link show {name}"));
        link.split("link/ether ").nth(1).map(|rest| rest[..17].to_owned()).expect("an address")
    };
    let (before, log) = (mac(&scene), scene.daemon.log().len());
    scene.host.ip(&format!("link delete {name}"));
    said(&scene, log, "somebody removed its bridge");
    let log = scene.daemon.log().len();
    scene.host.ip(&format!("link set {name} down"));
    said(&scene, log, "somebody took its bridge down");
    // The hardware address is the same, so nobody has to learn it anew.
    assert_eq!(mac(&scene), before);
}

#[test]
fn rules_come_back() {
    let scene = scene();
    let table = scene.host.nft("list tables");
    let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
    let table = table.strip_prefix("table ").expect("a table").to_owned();
    let rules = || scene.host.nft("list ruleset");
    let before = rules();
    let chain = before
        .lines()
        .filter_map(|line| line.trim().strip_prefix("chain "))
        .filter_map(|line| line.split_whitespace().next())
        .find(|name| name.starts_with("to-br-"))
        .expect("a chain of the network")
        .to_owned();
    let element = {
        let text = before.split("map ").find(|map| map.contains("10.9.0.9")).expect("a map");
        let name = text.split_whitespace().next().expect("a name").to_owned();
        let list = text.split("elements = {").nth(1).and_then(|rest| rest.split('}').next());
        let first = list.and_then(|list| list.split(',').next()).expect("an element");
        let key = first.split(" : ").next().expect("a key").trim().to_owned();
        (name, key)
    };
    for mischief in [
        format!("delete table {table}"),
        format!("flush chain {table} {chain}"),
        format!("delete element {table} {} {{ {} }}", element.0, element.1),
        format!("flush map {table} {}", element.0),
        format!("add rule {table} {chain} drop"),
    ] {
        let log = scene.daemon.log().len();
        scene.host.nft(&mischief);
        said(&scene, log, "somebody changed our nftables table");
        assert!(until(LIMIT, || (rules() == before).then_some(())).is_some(), "{mischief}");
    }
}

#[test]
fn a_removed_interface_of_a_running_container_comes_back() {
    let scene = scene();
    let inside = || {
        let address = scene.daemon.naru(&["exec", "web", "ip", "-o", "address", "show", "eth0"]);
        let mac = scene.daemon.naru(&["exec", "web", "cat", "/sys/class/net/eth0/address"]);
        let routes = scene.daemon.naru(&["exec", "web", "ip", "route"]);
        let address = address.stdout.split_once(": ").map(|(_, rest)| rest.to_owned());
        (address, mac.stdout, routes.stdout)
    };
    let before = inside();
    let again = |mischief: &str, words: &str| {
        let log = scene.daemon.log().len();
        scene.host.ip(mischief);
        said(&scene, log, words);
        assert!(until(LIMIT, || (inside() == before).then_some(())).is_some(), "{:?}", inside());
    };
    let gone = "somebody removed the container's interface";
    again(&format!("link delete {}", outer_end(&scene, "10.9.0.9")), gone);
    again(&format!("link delete {}", outer_end(&scene, "10.9.0.9")), gone);
    let moved = "took the container's interface down or off the bridge";
    again(&format!("link set {} nomaster", outer_end(&scene, "10.9.0.9")), moved);
    again(&format!("link set {} down", outer_end(&scene, "10.9.0.9")), moved);
}

#[test]
fn what_somebody_removed_while_the_daemon_was_away_comes_back() {
    let mut scene = scene();
    for mischief in [
        format!("link delete {}", outer_end(&scene, "10.9.0.9")),
        format!("link delete {}", bridge(&scene)),
    ] {
        scene.daemon.kill();
        scene.host.ip(&mischief);
        scene.host.nft("flush ruleset");
        scene.daemon.launch();
        works(&scene);
    }
}

/// Another daemon on the same machine: it touches nothing of the first one, whatever it sweeps.
#[test]
fn daemons_side_by_side_leave_each_other_alone() {
    let scene = scene();
    let before = scene.host.shown();
    let mut second =
        integration_tests::Daemon::start_under(&scene.host.before(), &[]).with_busybox("box");
    second.naru(&["network", "create", "lan"]).ok();
    second.naru(&["run", "-d", "--name", "web", "--network", "lan", "box", "sleep", "100000"]).ok();
    for _ in 0..3 {
        second.kill();
        second.launch();
        second.naru(&["inspect", "-f", "{{.State.Running}}", "web"]).ok();
        works(&scene);
    }
    second.naru(&["rm", "-f", "web"]).ok();
    second.naru(&["network", "rm", "lan"]).ok();
    second.terminate();
    let clean = until(LIMIT, || (scene.host.shown() == before).then_some(()));
    assert!(clean.is_some(), "before:\n{before}\nafter:\n{}", scene.host.shown());
}
