//! The registry of the daemon itself, by the names that lead to it: nothing is pulled, and nothing is sent.

use super::{Client, Place};

const OWN: [&str; 2] = ["--registry-name", "hub.site:5000"];

#[test]
fn what_is_pushed_to_it_runs_without_a_pull() {
    let place = Place::new(&OWN);
    let name = "hub.site:5000/team/box:1";
    for client in [Client::Docker, Client::Naru] {
        let on = |words: &[&str]| place.run(client, words);
        on(&["tag", "box", name]).ok();
        let pushed = on(&["push", name]).ok();
        assert!(
            pushed.stdout.starts_with("The push refers to repository [hub.site:5000/team/box]\n")
        );
        assert!(pushed.stdout.contains("\n1: digest: sha256:"), "{}", pushed.stdout);
        // The engine's name goes, the registry's stays.
        on(&["rmi", name]).ok();
        let done = on(&["run", "--rm", "--network", "none", name, "echo", "hi"]).ok();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("hi\n", ""));
        let listed =
            on(&["images", "--format", "{{.Repository}}:{{.Tag}}", "hub.site:5000/team/box"]).ok();
        assert_eq!(listed.stdout, format!("{name}\n"));
        on(&["rmi", name]).ok();
        on(&["inspect", "--type", "image", name]).ok();
        let pulled = on(&["pull", name]).ok();
        assert!(
            pulled.stdout.contains(&format!("Status: Image is up to date for {name}")),
            "{}",
            pulled.stdout
        );
        on(&["rmi", name]).ok();
        on(&["pull", "hub.site:5000/team/box:2"]).fails(1, "not found");
        on(&["push", "hub.site:5000/team/other:1"]).fails(1, "An image does not exist locally");
    }
}
