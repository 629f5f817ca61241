//! Debian's docker-registry (distribution 2.8) beside a daemon, with a user and a certificate where asked. Acts.

use crate::Daemon;
use crate::run::{run, until};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The user that an access-controlled registry knows.
pub const USER: &str = "alice";
/// Her password.
pub const PASSWORD: &str = "secret";

/// A registry that ends with the test.
#[derive(Debug)]
pub struct PeerRegistry {
    child: Child,
    dir: tempfile::TempDir,
    address: String,
}

/// Whom a registry lets in, and how it is reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only [`USER`] is let in.
    pub password: bool,
    /// It speaks TLS, by a certificate that nobody knows.
    pub tls: bool,
}

impl PeerRegistry {
    /// Starts one on an address of the daemon's network.
    #[track_caller]
    pub fn start(daemon: &Daemon, address: &str, options: Options) -> PeerRegistry {
        let dir =
            tempfile::Builder::new().prefix("naru-reg").tempdir_in("/tmp").expect("a directory");
        let host = address.rsplit_once(':').expect("an address with a port").0;
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {dir}/data}}\n  delete: {{enabled: true}}\nhttp:\n  addr: {address}\n",
            dir = dir.path().display()
        );
        if options.tls {
            certificate(dir.path(), host);
            let dir = dir.path().display();
            config
                .push_str(&format!("  tls: {{certificate: {dir}/cert.pem, key: {dir}/key.pem}}\n"));
        }
        if options.password {
            let file = dir.path().join("htpasswd");
            let line = run(Command::new("htpasswd").args(["-nbB", USER, PASSWORD])).ok();
            std::fs::write(&file, line.stdout).expect("a file");
            config.push_str(&format!(
                "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                file.display()
            ));
        }
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config).expect("a file");
        let log = std::fs::File::create(dir.path().join("log")).expect("a log");
        let child = daemon
            .neighbour("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("docker-registry is installed");
        let registry = PeerRegistry { child, dir, address: address.to_owned() };
        let target: SocketAddr = address.parse().expect("an address");
        let ready = daemon.nearby(|| {
            until(Duration::from_secs(30), || TcpStream::connect(target).ok().map(drop))
        });
        assert!(ready.is_some(), "docker-registry does not answer:\n{}", registry.log());
        registry
    }

    /// A name in it.
    pub fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// Its host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// A certificate that signs itself.
fn certificate(dir: &Path, host: &str) {
    run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=test"])
        .args(["-addext", &format!("subjectAltName=IP:{host}")])
        .arg("-keyout")
        .arg(dir.join("key.pem"))
        .arg("-out")
        .arg(dir.join("cert.pem")))
    .ok();
}

impl Drop for PeerRegistry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- docker-registry ---\n{}", self.log());
        }
    }
}
