//! The daemon dies in the middle of something: nothing half is left after the next start.

use super::LIMIT;
use integration_tests::{Scene, until};

#[test]
fn no_half_network_after_a_death_in_create_or_remove() {
    let mut scene = Scene::new(&[]);
    let before = scene.host.shown();
    let create = ["network", "create", "--subnet", "10.9.0.0/24", "lan"];
    for point in ["network.after-bridge", "network.before-record"] {
        scene.dies_at(point, &create);
        scene.soon(point, || scene.bridges() == 0 && scene.host.nft("list ruleset").is_empty());
        scene.daemon.naru(&["network", "inspect", "lan"]).fails(1, "not found");
    }
    scene.dies_at("network.after-record", &create);
    scene.soon("it is there", || scene.bridges() == 1);
    scene.run("one", &["--network", "lan", "--ip", "10.9.0.2"], &["sleep", "100000"]);
    scene.daemon.naru(&["rm", "-f", "one"]).ok();
    for point in ["network.after-forget", "network.after-rules"] {
        scene.dies_at(point, &["network", "rm", "lan"]);
        scene.soon(point, || scene.bridges() == 0 && scene.host.nft("list ruleset").is_empty());
        scene.daemon.naru(&create).ok();
    }
    // The default network: its bridge is there before its subnet is recorded.
    scene.daemon.naru(&["network", "rm", "lan"]).ok();
    scene.dies_at("network.after-bridge", &["run", "--rm", "box", "true"]);
    scene.daemon.naru(&["run", "--rm", "box", "true"]).ok();
    scene.nothing_is_left(&before);
}

#[test]
fn no_half_place_after_a_death_in_connect_or_disconnect() {
    let mut scene = Scene::new(&[]);
    let before = scene.host.shown();
    for (name, subnet) in [("lan", "10.9.0.0/24"), ("far", "10.9.1.0/24")] {
        scene.daemon.naru(&["network", "create", "--subnet", subnet, name]).ok();
    }
    scene.pages("web", &["--network", "lan", "-p", "8080:80"]);
    scene.pages("other", &["--network", "far"]);
    scene.resolves("web", "web");
    let inside = |scene: &Scene| {
        let done = scene.daemon.naru(&["exec", "web", "ip", "-o", "-4", "address"]).ok();
        done.stdout.matches("inet 10.").count()
    };
    let recorded = |scene: &Scene| {
        let format = "{{len .NetworkSettings.Networks}}";
        scene.daemon.naru(&["inspect", "-f", format, "web"]).ok().text().to_owned()
    };
    let plain = scene.interfaces().len();
    for point in ["connect.before-note", "connect.after-note"] {
        scene.dies_at(point, &["network", "connect", "--ip", "10.9.1.9", "far", "web"]);
        assert_eq!(recorded(&scene), "1", "{point}");
        scene.soon(point, || inside(&scene) == 1);
        scene.daemon.naru(&["network", "connect", "--ip", "10.9.1.9", "far", "web"]).ok();
        scene.resolves("other", "web");
        scene.daemon.naru(&["network", "disconnect", "far", "web"]).ok();
    }
    scene.daemon.naru(&["network", "connect", "--ip", "10.9.1.9", "far", "web"]).ok();
    for point in ["disconnect.before-unplug", "disconnect.before-note", "disconnect.after-note"] {
        scene.dies_at(point, &["network", "disconnect", "far", "web"]);
        assert_eq!(recorded(&scene), "2", "{point}");
        scene.soon(point, || inside(&scene) == 2);
        scene.resolves("other", "web");
        scene.resolves("web", "other");
    }
    scene.daemon.naru(&["network", "disconnect", "far", "web"]).ok();
    assert_eq!(scene.fetched(8080).as_deref(), Some("page of web"));
    scene.daemon.naru(&["rm", "-f", "other"]).ok();
    scene.daemon.naru(&["network", "rm", "far"]).ok();
    scene.soon("interfaces", || scene.interfaces().len() < plain);
    scene.nothing_is_left(&before);
}

#[test]
fn no_port_or_address_is_lost_by_a_death_in_start() {
    let mut scene = Scene::new(&[]);
    let before = scene.host.shown();
    scene.daemon.naru(&["network", "create", "--subnet", "10.9.0.0/24", "lan"]).ok();
    let flags = ["--network", "lan", "--ip", "10.9.0.9", "-p", "8080:80"];
    let create = |scene: &Scene, name: &str| {
        scene
            .daemon
            .naru(&[&["create", "--name", name], &flags[..], &["box", "sleep", "100000"]].concat())
            .ok();
    };
    create(&scene, "victim");
    for point in ["enter.before-ports", "enter.before-note", "enter.after-note"] {
        scene.dies_at(point, &["start", "victim"]);
        let listed = || scene.host.nft("list ruleset");
        scene.soon(point, || !listed().contains("10.9.0.9"));
        // Address and port are free for another.
        scene.pages("heir", &flags);
        assert_eq!(
            until(LIMIT, || scene.fetched(8080)).as_deref(),
            Some("page of heir"),
            "{point}"
        );
        scene.daemon.naru(&["rm", "-f", "heir"]).ok();
    }
    scene.daemon.naru(&["start", "victim"]).ok();
    scene.nothing_is_left(&before);
}
