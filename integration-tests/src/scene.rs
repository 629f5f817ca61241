//! A daemon on a machine of its own, and another machine that sees it from outside. Acts: as root.

use crate::machines::{HOST, Machine, OTHER};
use crate::run::until;
use crate::{Daemon, leftovers};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A machine with a daemon, and another one that is cabled to it.
#[derive(Debug)]
pub struct Scene {
    /// The daemon.
    pub daemon: Daemon,
    /// Where it runs: 192.0.2.1.
    pub host: Machine,
    /// Another machine: 192.0.2.2.
    pub other: Machine,
}

impl Scene {
    /// Sets it up; `extra` are options of the daemon.
    #[track_caller]
    pub fn new(extra: &[&str]) -> Scene {
        let (host, other) = (Machine::start(), Machine::start());
        host.ip(&format!("link add wire type veth peer name wire netns {}", other.pid()));
        for (machine, address) in [(&host, HOST[0]), (&other, OTHER[0])] {
            // Addresses that the kernel makes up would come a moment later.
            machine.ip("link set wire addrgenmode none");
            machine.ip(&format!("address add {address}/24 dev wire"));
            machine.ip("link set wire up");
        }
        other.ip(&format!("route add default via {}", HOST[0]));
        let daemon = Daemon::start_under(&host.before(), extra).with_busybox("box");
        Scene { daemon, host, other }
    }

    /// Runs a container in the background.
    #[track_caller]
    pub fn run(&self, name: &str, flags: &[&str], command: &[&str]) {
        let head = ["run", "-d", "--name", name];
        self.daemon.naru(&[&head, flags, &["box"], command].concat()).ok();
    }

    /// A server of pages, one connection a page.
    #[track_caller]
    pub fn pages(&self, name: &str, flags: &[&str]) {
        let serve = "echo page of $0 > /tmp/index.html; exec httpd -f -p 80 -h /tmp";
        self.run(name, flags, &["sh", "-c", serve, name]);
    }

    /// The status and the process of a container.
    #[track_caller]
    pub fn state(&self, name: &str) -> String {
        let format = "{{.State.Status}} {{.State.Pid}}";
        self.daemon.naru(&["inspect", "--format", format, name]).ok().text().to_owned()
    }

    /// The names are answered within a container, by and by.
    #[track_caller]
    pub fn resolves(&self, asker: &str, name: &str) {
        let asked = || {
            let url = format!("http://{name}/");
            let ask = ["exec", asker, "timeout", "3", "wget", "-q", "-O", "-", &url];
            let done = self.daemon.naru(&ask);
            (done.text() == format!("page of {name}")).then_some(())
        };
        assert!(until(LIMIT, asked).is_some(), "{asker} cannot find {name}\n{}", self.daemon.log());
    }

    /// Removes everything and ends the daemon: the machine is what it was before ([`Machine::shown`]).
    #[track_caller]
    pub fn nothing_is_left(self, before: &str) {
        let Scene { mut daemon, host, other } = self;
        for id in daemon.naru(&["ps", "-aq"]).ok().stdout.split_whitespace() {
            daemon.naru(&["rm", "-f", id]).ok();
        }
        for name in daemon.naru(&["network", "ls", "--format", "{{.Name}}"]).ok().stdout.lines() {
            if !matches!(name, "bridge" | "host" | "none") {
                daemon.naru(&["network", "rm", name]).ok();
            }
        }
        let dir = daemon.dir().to_string_lossy().into_owned();
        daemon.terminate();
        let log = daemon.log();
        drop(daemon);
        let clean = until(LIMIT, || (host.shown() == before).then_some(()));
        assert!(clean.is_some(), "before:\n{before}\nafter:\n{}\n{log}", host.shown());
        let left = until(LIMIT, || leftovers::mentioning(&dir).is_empty().then_some(()));
        assert!(left.is_some(), "{:?}", leftovers::mentioning(&dir));
        drop((host, other));
    }

    /// The page at a published port, asked for by the other machine.
    pub fn fetched(&self, port: u16) -> Option<String> {
        let url = format!("http://192.0.2.1:{port}/");
        let done = self.other.run(&["timeout", "3", "busybox", "wget", "-q", "-O", "-", &url]);
        (done.code == 0).then(|| done.text().to_owned())
    }

    /// Starts the daemon anew so that it dies at a failpoint while it does this, and then once more without.
    #[track_caller]
    pub fn dies_at(&mut self, failpoint: &str, args: &[&str]) {
        self.daemon.kill();
        self.daemon.arm(failpoint);
        self.daemon.launch();
        let done = self.daemon.naru(args);
        assert_ne!(done.code, 0, "{failpoint}: {args:?}\n{}", self.daemon.log());
        self.daemon.ended();
        self.daemon.launch();
    }

    /// The interfaces of the machine, without numbers.
    pub fn interfaces(&self) -> Vec<String> {
        let text = self.host.ip("-o link");
        let name = |line: &str| line.split(": ").nth(1).map(str::to_owned);
        let mut names: Vec<String> = text.lines().filter_map(name).collect();
        names.sort();
        names
    }

    /// How many bridges of networks there are, the default one left out.
    pub fn bridges(&self) -> usize {
        self.interfaces().iter().filter(|name| name.starts_with("br-")).count()
    }

    /// Waits until something is true, and tells what there is if it does not come true.
    #[track_caller]
    pub fn soon(&self, what: &str, is: impl Fn() -> bool) {
        let met = until(LIMIT, || is().then_some(()));
        assert!(
            met.is_some(),
            "{what}\n{:?}\n{}\n{}",
            self.interfaces(),
            self.host.nft("list ruleset"),
            self.daemon.log()
        );
    }
}
