//! Our own registry alone, as a site runs it: TLS by an authority of its own, and users with passwords. Acts.

use crate::Daemon;
use crate::peer_registry::{PASSWORD, USER};
use crate::run::{binary, run, until};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How clients are asked who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// By a password with each request.
    Basic,
    /// By a token of the registry's own `/token`.
    Token,
}

/// A `naru registry serve` that ends with the test. Only [`USER`] is let in, and only by TLS.
#[derive(Debug)]
pub struct OwnRegistry {
    child: Child,
    dir: tempfile::TempDir,
    address: String,
}

impl OwnRegistry {
    /// Starts one on an address of the daemon's network.
    #[track_caller]
    pub fn start(daemon: &Daemon, address: &str, challenge: Challenge) -> OwnRegistry {
        let dir =
            tempfile::Builder::new().prefix("naru-own").tempdir_in("/tmp").expect("a directory");
        let host = address.rsplit_once(':').expect("an address with a port").0;
        let users = dir.path().join("htpasswd");
        let line = run(Command::new("htpasswd").args(["-nbB", USER, PASSWORD])).ok();
        std::fs::write(&users, line.stdout).expect("a file");
        let log = std::fs::File::create(dir.path().join("log")).expect("a log");
        let asks = match challenge {
            Challenge::Basic => "basic",
            Challenge::Token => "token",
        };
        let child = daemon
            .neighbour(binary().to_str().expect("a path"))
            .args(["registry", "serve", "--listen", address, "--tls-auto", host, "--auth", asks])
            .arg("--root")
            .arg(dir.path().join("root"))
            .arg("--htpasswd")
            .arg(&users)
            .arg("--audit")
            .arg(dir.path().join("audit"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the built binary");
        let registry = OwnRegistry { child, dir, address: address.to_owned() };
        let target: SocketAddr = address.parse().expect("an address");
        let ready = daemon.nearby(|| {
            until(Duration::from_secs(30), || TcpStream::connect(target).ok().map(drop))
        });
        assert!(ready.is_some(), "the registry does not answer:\n{}", registry.log());
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

    /// Its authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("root/registry/tls/ca.crt")
    }

    /// Who did what so far, a line of JSON for each request. Lines come a moment after the answers.
    pub fn audit(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("audit")).unwrap_or_default()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for OwnRegistry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- naru registry ---\n{}\n{}", self.log(), self.audit());
        }
    }
}
