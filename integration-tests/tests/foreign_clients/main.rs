//! Foreign clients against our registry as a site runs it: TLS by an authority of its own, and passwords or tokens. What they push
//! runs here, and what runs here they pull. Acts: as root, with the built binary; every test has a network of its own.

mod attested;
mod buildah;
mod docker;
mod embedded;
mod oci_client;
mod oras;
mod podman;
mod skopeo;

use integration_tests::own_registry::{Challenge, OwnRegistry};
use integration_tests::peer_registry::{PASSWORD, USER};
use integration_tests::{Daemon, Done, run, run_with_input};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Not loopback, where clients want neither certificates nor TLS.
const ADDRESS: &str = "10.9.9.9:5000";

/// A daemon that trusts a registry, and what clients need to know of it.
struct Site {
    registry: OwnRegistry,
    daemon: Daemon,
    certs: tempfile::TempDir,
}

impl Site {
    #[track_caller]
    fn new(challenge: Challenge) -> Site {
        let certs = tempfile::tempdir().expect("a directory");
        let trusted = certs.path().to_str().expect("a path");
        let daemon = Daemon::start_apart(&["--certs-dir", trusted]).with_busybox("box");
        let host = ADDRESS.split(':').next().expect("a host");
        let mut address = daemon.neighbour("ip");
        run(address.args(["addr", "add", &format!("{host}/32"), "dev", "lo"])).ok();
        let registry = OwnRegistry::start(&daemon, ADDRESS, challenge);
        let own = certs.path().join(ADDRESS);
        std::fs::create_dir(&own).expect("a directory");
        std::fs::copy(registry.authority(), own.join("ca.crt")).expect("a certificate");
        let site = Site { registry, daemon, certs };
        // One that is named must be there.
        std::fs::write(site.auth_file(), "{}").expect("a file");
        site
    }

    /// The directory with the registry's authority, as `--cert-dir` takes it.
    fn cert_dir(&self) -> PathBuf {
        self.certs.path().join(ADDRESS)
    }

    fn name(&self, rest: &str) -> String {
        self.registry.name(rest)
    }

    fn path(&self, name: &str) -> String {
        self.daemon.dir().join(name).display().to_string()
    }

    /// The docker CLI or our own with our daemon, which share a configuration.
    fn docker(&self, words: &[&str]) -> Done {
        self.daemon.docker(words)
    }

    #[track_caller]
    fn naru(&self, words: &[&str]) -> Done {
        let config = self.daemon.dir().join("docker-config");
        run(self.daemon.command(words).env("DOCKER_CONFIG", config))
    }

    /// Our own client knows the password.
    #[track_caller]
    fn login(&self) {
        let config = self.daemon.dir().join("docker-config");
        let words = ["login", "-u", USER, "--password-stdin", ADDRESS];
        let mut command = self.daemon.command(&words);
        run_with_input(command.env("DOCKER_CONFIG", config), PASSWORD.as_bytes()).ok();
    }

    /// Our engine pulls what is under a name now, and runs it.
    #[track_caller]
    fn runs_here(&self, name: &str) {
        let run = ["run", "--rm", "--network", "none", "--pull", "always", name, "echo", "hi"];
        assert_eq!(self.naru(&run).ok().stdout, "hi\n", "{name}");
    }

    /// Our client pushes the busybox image.
    #[track_caller]
    fn push(&self, rest: &str) -> String {
        let name = self.name(rest);
        self.naru(&["tag", "box", &name]).ok();
        let pushed = self.naru(&["push", &name]).ok();
        self.naru(&["rmi", &name]).ok();
        digest_in(&pushed.stdout)
    }

    /// What a GET of the registry answers to somebody with the password.
    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let mut curl = self.daemon.neighbour("curl");
        curl.args(["-sS", "--fail", "-u", &format!("{USER}:{PASSWORD}"), "--cacert"]);
        curl.arg(self.registry.authority()).arg(format!("https://{ADDRESS}/v2/{path}"));
        serde_json::from_str(&run(&mut curl).ok().stdout).expect("JSON")
    }

    /// The digest of a tag.
    #[track_caller]
    fn digest(&self, repository: &str, reference: &str) -> String {
        let mut curl = self.daemon.neighbour("curl");
        curl.args(["-sS", "--fail", "--head", "-u", &format!("{USER}:{PASSWORD}"), "--cacert"]);
        curl.args([self.registry.authority()]);
        curl.arg(format!("https://{ADDRESS}/v2/{repository}/manifests/{reference}"));
        let head = run(&mut curl).ok().stdout.to_ascii_lowercase();
        let line = head.lines().find_map(|line| line.strip_prefix("docker-content-digest: "));
        line.expect("a digest").trim().to_owned()
    }

    /// A client of a foreign storage (podman, buildah), with a store of the test's own.
    fn with_storage(&self, program: &str) -> Command {
        // Their own default is above what a process without CAP_SYS_RESOURCE may set.
        let config = self.daemon.dir().join("containers.conf");
        let limits =
            "[containers]\ndefault_ulimits = [\"nofile=1024:4096\", \"nproc=4096:4096\"]\n";
        std::fs::write(&config, limits).expect("a file");
        let mut command = self.daemon.neighbour(program);
        command.env("CONTAINERS_CONF", config).env("REGISTRY_AUTH_FILE", self.auth_file());
        command.arg("--root").arg(self.path("storage")).arg("--runroot").arg(self.path("run"));
        command.args(["--storage-driver", "vfs"]);
        command
    }

    /// Where podman, skopeo and buildah keep the password.
    fn auth_file(&self) -> PathBuf {
        self.daemon.dir().join("auth.json")
    }
}

/// The digest in what a client says.
#[track_caller]
fn digest_in(text: &str) -> String {
    let at = text.rfind("sha256:").expect("a digest");
    text[at..].chars().take("sha256:".len() + 64).collect()
}

/// Whoever has no or a wrong password gets nothing, and the registry says how it wants to be asked.
#[test]
fn nobody_comes_in_without_the_password_and_the_certificate() {
    for challenge in [Challenge::Basic, Challenge::Token] {
        let site = Site::new(challenge);
        let url = format!("https://{ADDRESS}/v2/");
        let head = |more: &[&str]| {
            let mut curl = site.daemon.neighbour("curl");
            run(curl.args(["-sS", "--head"]).args(more).arg(&url))
        };
        head(&[]).fails(60, "certificate");
        let authority = site.registry.authority();
        let trusting = ["--cacert", authority.to_str().expect("a path")];
        let asked = head(&trusting).ok().stdout.to_ascii_lowercase();
        assert!(asked.starts_with("http/1.1 401") || asked.starts_with("http/2 401"), "{asked}");
        let wanted = match challenge {
            Challenge::Basic => "www-authenticate: basic ".to_owned(),
            Challenge::Token => {
                format!("www-authenticate: bearer realm=\"https://{ADDRESS}/token\"")
            }
        };
        assert!(asked.contains(&wanted), "{asked}");
        let wrong = format!("{USER}:wrong");
        assert!(head(&[&trusting[..], &["-u", &wrong]].concat()).ok().stdout.contains(" 401"));
    }
}
