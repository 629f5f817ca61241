//! Our registry asks for client certificates: foreign clients with the right one, with one of somebody else's authority, and with
//! none. Acts: certificates by `openssl`.

use super::Client;
use integration_tests::{Daemon, Done, binary, run, until};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Not loopback, where our engine takes every certificate.
const ADDRESS: &str = "10.9.9.9:5000";

/// Makes an authority (`ca.crt`, `ca.key`) in a directory.
fn authority(dir: &Path) {
    std::fs::create_dir_all(dir).expect("a directory");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout"]);
    openssl.arg(dir.join("ca.key")).arg("-out").arg(dir.join("ca.crt"));
    run(&mut openssl).ok();
}

/// Makes a client's certificate (`client.cert`, `client.key`) by an authority, beside the registry's (`ca.crt`).
fn identity(issuer: &Path, user: &str, dir: &Path) {
    std::fs::create_dir_all(dir).expect("a directory");
    let request = dir.join("request");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-subj", &format!("/CN={user}"), "-keyout"]);
    openssl.arg(dir.join("client.key")).arg("-out").arg(&request);
    run(&mut openssl).ok();
    let usage = dir.join("usage");
    std::fs::write(&usage, "extendedKeyUsage=clientAuth\n").expect("a file");
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-req", "-days", "2", "-CAcreateserial", "-in"]).arg(&request);
    openssl.arg("-CA").arg(issuer.join("ca.crt")).arg("-CAkey").arg(issuer.join("ca.key"));
    openssl.arg("-extfile").arg(&usage).arg("-out").arg(dir.join("client.cert"));
    run(&mut openssl).ok();
    for file in [request, usage] {
        std::fs::remove_file(file).expect("our own file");
    }
}

/// A registry that lets in who has a certificate.
struct Registry {
    child: Child,
    log: PathBuf,
}

impl Registry {
    #[track_caller]
    fn start(daemon: &Daemon, clients: &Path) -> Registry {
        let (config, log) = (daemon.dir().join("registry.json"), daemon.dir().join("registry.log"));
        let text = serde_json::json!({
            "root": daemon.dir().join("registry"),
            "listen": ADDRESS,
            "tls": { "auto": ["10.9.9.9"], "client-ca": clients },
            "auth": { "policy": [
                { "repositories": ["{user}/**"], "users": ["*"], "actions": ["pull", "push"] },
            ] },
            "audit": { "file": daemon.dir().join("audit") },
        });
        std::fs::write(&config, text.to_string()).expect("a file");
        let child = daemon
            .neighbour(binary().to_str().expect("a path"))
            .args(["registry", "serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("the built binary");
        let registry = Registry { child, log };
        let target: SocketAddr = ADDRESS.parse().expect("an address");
        let ready = daemon.nearby(|| {
            until(Duration::from_secs(30), || TcpStream::connect(target).ok().map(drop))
        });
        assert!(ready.is_some(), "the registry does not answer:\n{}", registry.said());
        registry
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- naru registry ---\n{}", self.said());
        }
    }
}

#[test]
fn only_who_has_a_certificate_of_the_authority_comes_in() {
    let certs = tempfile::tempdir().expect("a directory");
    let dir = certs.path().join("certs.d");
    let place = super::Place::new(&["--certs-dir", dir.to_str().expect("a path")]);
    let at = |name: &str| certs.path().join(name);
    authority(&at("ours"));
    authority(&at("theirs"));
    let registry = Registry::start(&place.daemon, &at("ours/ca.crt"));
    let server = place.daemon.dir().join("registry/registry/tls/ca.crt");
    identity(&at("ours"), "alice", &at("alice"));
    identity(&at("ours"), "bob", &at("bob"));
    identity(&at("theirs"), "alice", &at("stranger"));
    std::fs::create_dir(at("nobody")).expect("a directory");
    let who = ["alice", "bob", "stranger", "nobody"];
    for name in who {
        std::fs::copy(&server, at(name).join("ca.crt")).expect("a certificate");
    }

    // curl: the handshake is refused, and not the request.
    let curl = |name: &str, path: &str| {
        let dir = at(name);
        let mut curl = place.daemon.neighbour("curl");
        curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"]);
        curl.arg(dir.join("ca.crt"));
        if dir.join("client.cert").exists() {
            curl.arg("--cert").arg(dir.join("client.cert"));
            curl.arg("--key").arg(dir.join("client.key"));
        }
        run(curl.arg(format!("https://{ADDRESS}{path}")))
    };
    assert_eq!(curl("alice", "/v2/").ok().stdout, "200");
    assert_eq!(curl("alice", "/v2/alice/box/tags/list").ok().stdout, "404");
    assert_eq!(curl("bob", "/v2/alice/box/tags/list").ok().stdout, "403");
    for name in ["stranger", "nobody"] {
        let refused = curl(name, "/v2/");
        assert!(refused.code != 0 && refused.stdout == "000", "{name}: {refused:?}");
    }

    // skopeo, with its own directory of certificates.
    let archive = format!("docker-archive:{}", place.daemon.dir().join("box.tar").display());
    let saved = place.daemon.dir().join("box.tar");
    place.naru(&["save", "-o", saved.to_str().expect("a path"), "box"]).ok();
    let skopeo = |name: &str, words: &[&str]| {
        let mut skopeo = place.daemon.neighbour("skopeo");
        skopeo.args(["--command-timeout", "60s", words[0]]);
        skopeo.arg(if words[0] == "copy" && words[1] == archive {
            "--dest-cert-dir"
        } else {
            "--cert-dir"
        });
        run(skopeo.arg(at(name)).args(&words[1..]))
    };
    let theirs = format!("docker://{ADDRESS}/alice/skopeo:1");
    skopeo("alice", &["copy", &archive, &theirs]).ok();
    let shown = skopeo("alice", &["inspect", "--format", "{{.Digest}}", &theirs]).ok();
    assert!(shown.stdout.starts_with("sha256:"), "{}", shown.stdout);
    for name in ["bob", "stranger", "nobody"] {
        let refused = skopeo(name, &["inspect", &theirs]);
        assert!(refused.code != 0, "{name}: {refused:?}");
        let refused = skopeo(name, &["copy", &archive, &theirs]);
        assert!(refused.code != 0, "{name}: {refused:?}");
    }

    // The docker CLI and our own, through our daemon, which has the certificates in its `certs.d`.
    let own = dir.join(ADDRESS);
    let with = |name: &str| {
        std::fs::remove_dir_all(&own).ok();
        std::fs::create_dir_all(&own).expect("a directory");
        for entry in std::fs::read_dir(at(name)).expect("our own directory").flatten() {
            std::fs::copy(entry.path(), own.join(entry.file_name())).expect("a file");
        }
    };
    for client in [Client::Docker, Client::Naru] {
        let name = format!("{ADDRESS}/alice/{client:?}:1").to_lowercase();
        let on = |words: &[&str]| -> Done { place.run(client, words) };
        on(&["tag", "box", &name]).ok();
        with("alice");
        on(&["push", &name]).ok();
        on(&["rmi", &name]).ok();
        let hi = ["run", "--rm", "--network", "none", &name, "echo", "hi"];
        assert_eq!(on(&hi).ok().stdout, "hi\n");
        for who in ["bob", "stranger", "nobody"] {
            with(who);
            let pushed = on(&["push", &name]);
            let pulled = on(&["pull", &name]);
            assert!(pushed.code == 1 && pulled.code == 1, "{who}: {pushed:?} {pulled:?}");
            let words =
                if who == "bob" { ["denied", "Forbidden"] } else { ["certificate", "alert"] };
            let said = format!("{}{}", pushed.stderr, pulled.stderr);
            assert!(
                words.iter().any(|word| said.to_lowercase().contains(&word.to_lowercase())),
                "{who}: {said}"
            );
        }
        on(&["rmi", &name]).ok();
    }
    let audit = || std::fs::read_to_string(place.daemon.dir().join("audit")).unwrap_or_default();
    let wanted = [r#""user":"alice","peer":"10.9.9.9","action":"push""#, r#""user":"bob""#];
    let noted = until(Duration::from_secs(10), || {
        wanted.iter().all(|text| audit().contains(text)).then_some(())
    });
    assert!(noted.is_some(), "{}", audit());
    drop(registry);
}
