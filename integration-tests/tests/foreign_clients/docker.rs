//! The docker CLI, through our daemon and through Debian's dockerd.

use super::{ADDRESS, Site, digest_in};
use integration_tests::Done;
use integration_tests::own_registry::Challenge;
use integration_tests::peer_docker::PeerDocker;
use integration_tests::peer_registry::{PASSWORD, USER};
use integration_tests::{image, run, run_with_input};

/// What the CLI does alike whatever daemon it speaks to.
fn comes_and_goes(site: &Site, by: &str, docker: &dyn Fn(&[&str]) -> Done) {
    let repository = site.name(&format!("by/{by}"));
    let name = format!("{repository}:1");
    docker(&["tag", "box", &name]).ok();
    let refused = docker(&["push", &name]);
    assert!(refused.code != 0, "{refused:?}");
    let wrong = docker(&["login", "-u", USER, "-p", "wrong", ADDRESS]);
    assert!(wrong.code == 1 && wrong.stderr.to_lowercase().contains("unauthorized"), "{wrong:?}");
    docker(&["pull", &name]).fails(1, "");
    let done = docker(&["login", "-u", USER, "-p", PASSWORD, ADDRESS]).ok();
    assert!(done.stdout.contains("Login Succeeded"), "{done:?}");
    let digest = digest_in(&docker(&["push", &name]).ok().stdout);
    assert_eq!(site.digest(&format!("by/{by}"), "1"), digest);
    // All tags, and a second repository of the same layers.
    for tag in ["2", "three"] {
        docker(&["tag", "box", &format!("{repository}:{tag}")]).ok();
    }
    docker(&["push", "-a", &repository]).ok();
    let other = site.name(&format!("by/{by}-too:1"));
    docker(&["tag", "box", &other]).ok();
    let mounted = docker(&["push", &other]).ok().stdout;
    assert!(
        mounted.contains("Mounted from") || mounted.contains("Layer already exists"),
        "{mounted}"
    );
    for gone in [&name, &other, &format!("{repository}:2"), &format!("{repository}:three")] {
        docker(&["rmi", gone]).ok();
    }
    docker(&["rmi", "box"]).ok();
    // Back again: by tag, all of them, by digest; and it runs.
    let pulled = docker(&["pull", &name]).ok().stdout;
    assert!(pulled.contains(&format!("Digest: {digest}")), "{pulled}");
    docker(&["pull", "-q", "-a", &repository]).ok();
    let tags = docker(&["images", "--format", "{{.Tag}}", &repository]).ok().stdout;
    assert_eq!(tags.lines().filter(|tag| *tag != "<none>").count(), 3, "{tags}");
    let by_digest = format!("{repository}@{digest}");
    docker(&["pull", "-q", &by_digest]).ok();
    let said = docker(&["run", "--rm", "--network", "none", &by_digest, "echo", "hi"]).ok();
    assert_eq!(said.stdout, "hi\n");
    docker(&["pull", &format!("{repository}:none")]).fails(1, "not found");
    docker(&["logout", ADDRESS]).ok();
    assert!(docker(&["pull", &name]).code != 0);
    docker(&["login", "-u", USER, "-p", PASSWORD, ADDRESS]).ok();
}

fn through_our_daemon(challenge: Challenge) {
    let site = Site::new(challenge);
    comes_and_goes(&site, "docker", &|words| site.docker(words));
    site.runs_here(&site.name("by/docker:1"));
}

#[test]
fn through_our_daemon_by_passwords() {
    through_our_daemon(Challenge::Basic);
}

#[test]
fn through_our_daemon_by_tokens() {
    through_our_daemon(Challenge::Token);
}

fn through_dockerd(challenge: Challenge) {
    let site = Site::new(challenge);
    let dockerd = PeerDocker::start(&site.daemon, ADDRESS, &site.registry.authority());
    let docker = |words: &[&str]| run(&mut dockerd.command(words));
    let import = ["import", "-c", "CMD [\"sh\"]", "-", "box"];
    run_with_input(&mut dockerd.command(&import), &image::busybox_tar()).ok();
    comes_and_goes(&site, "dockerd", &docker);
    // Theirs runs here, ours runs there.
    site.login();
    site.runs_here(&site.name("by/dockerd:1"));
    let digest = site.push("by/naru:1");
    let name = site.name("by/naru:1");
    let pulled = docker(&["pull", &name]).ok().stdout;
    assert!(pulled.contains(&format!("Digest: {digest}")), "{pulled}");
    let said = docker(&["run", "--rm", "--network", "none", &name, "echo", "hi"]).ok();
    assert_eq!(said.stdout, "hi\n");
    // The CLI itself speaks to the registry for manifests.
    let shown = docker(&["manifest", "inspect", "-v", &name]).ok().stdout;
    assert!(shown.contains(&digest), "{shown}");
    let list = site.name("by/dockerd:list");
    docker(&["manifest", "create", &list, &site.name("by/dockerd:1")]).ok();
    let pushed = digest_in(&docker(&["manifest", "push", &list]).ok().stdout);
    assert_eq!(site.digest("by/dockerd", "list"), pushed);
    site.runs_here(&list);
}

#[test]
fn through_dockerd_by_passwords() {
    through_dockerd(Challenge::Basic);
}

#[test]
fn through_dockerd_by_tokens() {
    through_dockerd(Challenge::Token);
}
