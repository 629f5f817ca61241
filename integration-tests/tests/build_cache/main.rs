//! Build caches that travel from daemon to daemon, images of several platforms, and the documents that go along with images.
//! Acts: as root, with the built binary; Debian's docker-registry keeps what is sent, and skopeo judges it.

mod caches;
mod documents;
mod platforms;

use integration_tests::peer_registry::{Options, PeerRegistry};
use integration_tests::{Daemon, Done, context, run};
use serde_json::Value;

/// Loopback, where plain HTTP is spoken.
const ADDRESS: &str = "127.0.0.1:5000";

/// A network with a registry, a daemon with the image `box`, which the registry has too, and room for more daemons.
struct Site {
    registry: PeerRegistry,
    daemon: Daemon,
}

impl Site {
    fn new() -> Site {
        let daemon = Daemon::start_apart(&[]).with_busybox("box");
        let registry = PeerRegistry::start(&daemon, ADDRESS, Options::default());
        let name = registry.name("box");
        daemon.naru(&["tag", "box", &name]).ok();
        daemon.naru(&["push", "-q", &name]).ok();
        Site { registry, daemon }
    }

    /// A daemon that has only the image `box`.
    fn fresh(&self) -> Daemon {
        let net = format!("--net=/proc/{}/ns/net", self.daemon.pid());
        let before = ["nsenter", net.as_str(), "--"].map(str::to_owned);
        let daemon = Daemon::start_under(&before, &[]);
        let name = self.registry.name("box");
        daemon.naru(&["pull", "-q", &name]).ok();
        daemon.naru(&["tag", &name, "box"]).ok();
        daemon
    }

    fn name(&self, rest: &str) -> String {
        self.registry.name(rest)
    }

    /// What skopeo reads at the registry.
    fn raw(&self, name: &str) -> Value {
        let mut command = self.daemon.neighbour("skopeo");
        command.args(["inspect", "--raw", "--tls-verify=false"]);
        let read = run(command.arg(format!("docker://{}", self.name(name)))).ok();
        serde_json::from_str(&read.stdout).expect("a manifest")
    }
}

/// Builds the image `img`, or what is pushed under other names.
fn build(daemon: &Daemon, context: &std::path::Path, words: &[&str]) -> Done {
    let mut all = vec!["build", "--progress", "plain", "--network", "none"];
    if !words.contains(&"--push") {
        all.extend(["-t", "img"]);
    }
    all.extend(words);
    all.push(context.to_str().expect("a path"));
    daemon.naru(&all)
}

fn id(daemon: &Daemon) -> String {
    daemon.naru(&["inspect", "-f", "{{.Id}}", "img"]).ok().text().to_owned()
}
