//! buildah, with a store of its own: it builds on what we pushed, and we run what it built.

use super::{ADDRESS, Site};
use integration_tests::own_registry::Challenge;
use integration_tests::peer_registry::{PASSWORD, USER};
use integration_tests::{Done, run};

fn builds_and_pushes(challenge: Challenge) {
    let site = Site::new(challenge);
    site.login();
    let digest = site.push("by/naru:1");
    let ours = site.name("by/naru:1");
    let certs = site.cert_dir().display().to_string();
    let certs = ["--cert-dir", certs.as_str()];
    let buildah = |words: &[&str]| -> Done { run(site.with_storage("buildah").args(words)) };
    let over = |verb: &[&str], names: &[&str]| buildah(&[verb, &certs[..], names].concat());
    assert!(over(&["pull", "-q"], &[&ours]).code != 0, "without the password");
    assert!(over(&["login", "-u", USER, "-p", "wrong"], &[ADDRESS]).code != 0);
    over(&["login", "-u", USER, "-p", PASSWORD], &[ADDRESS]).ok();
    over(&["pull", "-q"], &[&ours]).ok();
    let seen = ["inspect", "--type", "image", "--format", "{{.FromImageDigest}}", &ours];
    assert_eq!(buildah(&seen).ok().text(), digest);
    buildah(&["rmi", &ours]).ok();
    // Step by step.
    let made = over(&["from", "-q"], &[&ours]).ok().text().to_owned();
    let chroot = ["run", "--isolation", "chroot", &made, "--"];
    let on = |words: &[&str]| buildah(&[&chroot[..], words].concat()).ok();
    assert_eq!(on(&["echo", "hi"]).stdout, "hi\n");
    on(&["sh", "-c", "echo steps > /word"]);
    buildah(&["config", "--env", "WORD=steps", "--cmd", "cat /word", &made]).ok();
    let pushed = |name: &str, words: &[&str]| {
        let file = site.path("digest");
        over(&["push", "-q", "--digestfile", &file], &[words, &[&site.name(name)]].concat()).ok();
        std::fs::read_to_string(&file).expect("a digest")
    };
    for format in ["oci", "docker"] {
        let name = site.name(&format!("by/buildah:{format}"));
        buildah(&["commit", "-q", "--format", format, &made, &name]).ok();
        let digest = pushed(&format!("by/buildah:{format}"), &[]);
        assert_eq!(site.digest("by/buildah", format), digest);
        site.runs_here(&name);
        let said = site.naru(&["run", "--rm", "--network", "none", &name]).ok();
        assert_eq!(said.stdout, "steps\n");
    }
    // By a file of instructions, whose base comes from the registry.
    let context = site.daemon.dir().join("context");
    std::fs::create_dir(&context).expect("a directory");
    let text = format!("FROM {ours}\nRUN echo file > /word\nCMD cat /word\n");
    std::fs::write(context.join("Containerfile"), text).expect("a file");
    let (name, context) = (site.name("by/buildah:file"), context.display().to_string());
    over(&["bud", "-q", "--isolation", "chroot", "-t", &name], &[&context]).ok();
    pushed("by/buildah:file", &[]);
    site.runs_here(&name);
    assert_eq!(site.naru(&["run", "--rm", "--network", "none", &name]).ok().stdout, "file\n");
    // An index of both.
    let list = site.name("by/buildah:list");
    buildah(&["manifest", "create", &list]).ok();
    over(&["manifest", "add"], &[&list, &format!("docker://{name}")]).ok();
    let to = format!("docker://{list}");
    over(&["manifest", "push", "-q", "--all"], &[&list, &to]).ok();
    let index = site.get("by/buildah/manifests/list");
    assert_eq!(index["manifests"][0]["digest"], site.digest("by/buildah", "file"), "{index}");
    site.runs_here(&list);
    buildah(&["logout", ADDRESS]).ok();
    assert!(over(&["pull", "-q", "--policy", "always"], &[&ours]).code != 0, "after the logout");
}

#[test]
fn by_passwords() {
    builds_and_pushes(Challenge::Basic);
}

#[test]
fn by_tokens() {
    builds_and_pushes(Challenge::Token);
}
