//! Machines of a test, played by network namespaces: a host with a daemon, and another one on the same wire. Acts.
//!
//! A namespace has no name and no mount: a process that waits for this test's end holds it.

use crate::{Daemon, Done, dns, image, run, until};
use rustix::thread::LinkNameSpaceType;
use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The host's addresses on the wire.
pub const HOST: [&str; 2] = ["192.0.2.1", "2001:db8:1::1"];
/// The other machine's.
pub const OTHER: [&str; 2] = ["192.0.2.2", "2001:db8:1::2"];
/// How long a test waits for what must happen.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// How long a connection may take that is not refused.
const PATIENCE: Duration = Duration::from_secs(3);

/// A network namespace.
#[derive(Debug)]
pub struct Machine {
    holder: Child,
}

impl Machine {
    /// One with nothing but its loopback.
    #[track_caller]
    pub fn start() -> Machine {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux is installed");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("piped");
        std::io::BufReader::new(stdout).read_line(&mut line).expect("a pipe");
        assert_eq!(line, "ready\n", "a network namespace");
        Machine { holder }
    }

    /// A process that is in it.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// The words before a command that runs there.
    pub fn before(&self) -> Vec<String> {
        let net = format!("--net=/proc/{}/ns/net", self.pid());
        ["nsenter".to_owned(), net, "--".to_owned()].into()
    }

    /// Runs a command there.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Done {
        run(&mut self.command(words))
    }

    /// A command that runs there.
    pub fn command(&self, words: &[&str]) -> Command {
        let before = self.before();
        let mut command = Command::new("nsenter");
        command.args(before.iter().skip(1)).args(words);
        command
    }

    /// Runs `ip` there, with its words in one text; it must succeed.
    #[track_caller]
    pub fn ip(&self, words: &str) -> String {
        let words: Vec<&str> = ["ip"].into_iter().chain(words.split_whitespace()).collect();
        self.run(&words).ok().stdout
    }

    /// Runs `nft` there, with a text of its language; it must succeed.
    #[track_caller]
    pub fn nft(&self, text: &str) -> String {
        self.run(&["nft", text]).ok().stdout
    }

    /// Everything that a daemon could leave there: interfaces with addresses, routes, rules of packets and of routing.
    #[track_caller]
    pub fn shown(&self) -> String {
        [
            self.ip("-o address"),
            self.ip("-o link"),
            self.ip("-o -4 route show table all"),
            self.ip("-o -6 route show table all"),
            self.ip("rule"),
            self.nft("list ruleset"),
            self.run(&["cat", "/proc/net/route"]).ok().stdout,
        ]
        .join("---\n")
    }

    /// What a server answers to `GET`, or nothing when it cannot be reached. The host in the URL is an address.
    pub fn get(&self, url: &str) -> Option<String> {
        get(self.pid(), url)
    }
}

/// The same, from the network namespace of a process.
fn get(pid: u32, url: &str) -> Option<String> {
    let (host, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
    let is_bare = host.ends_with(']') || !host.contains(':');
    let server = if is_bare { format!("{host}:80") } else { host.to_owned() };
    let server: SocketAddr = server.parse().expect("an address");
    let request = format!("GET /{path} HTTP/1.0\r\n\r\n");
    let answer = inside(pid, move || exchange(server, &request).ok())?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| plain(body.trim()))
}

fn exchange(server: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// Runs something on a thread in the network namespace of a process.
#[track_caller]
pub fn inside<T: Send>(pid: u32, act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(move || enter_and(pid, act)).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Enters the network namespace of a process, for good. Only for threads that end afterwards.
#[track_caller]
pub fn enter_and<T>(pid: u32, act: impl FnOnce() -> T) -> T {
    let namespace = std::fs::File::open(format!("/proc/{pid}/ns/net")).expect("a live process");
    let kind = Some(LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), kind)
        .expect("the tests run as root");
    act()
}

/// A daemon on a host of its own, which has files of its own for names, and another machine that reaches the host.
#[derive(Debug)]
pub struct Town {
    /// The daemon.
    pub daemon: Daemon,
    /// The host.
    pub host: Machine,
    /// The other machine: it believes that the host leads everywhere.
    pub other: Machine,
    files: tempfile::TempDir,
}

/// What makes a mount namespace in which the host's files are those of the test.
const OWN_FILES: &str = "mount --bind \"$0/resolv.conf\" /etc/resolv.conf && mkdir -p /run/systemd && \
     mount --bind \"$0/systemd\" /run/systemd && exec \"$@\"";

impl Town {
    /// A daemon with these further words.
    #[track_caller]
    pub fn start(extra: &[&str]) -> Town {
        Town::start_with_names("", extra)
    }

    /// The same on a host whose `resolv.conf` has this text.
    #[track_caller]
    pub fn start_with_names(resolv_conf: &str, extra: &[&str]) -> Town {
        let (host, other) = (Machine::start(), Machine::start());
        host.ip(&format!("link add lan0 type veth peer name lan0 netns {}", other.pid()));
        for (machine, [four, six]) in [(&host, HOST), (&other, OTHER)] {
            machine.ip(&format!("address add {four}/24 dev lan0"));
            machine.ip(&format!("address add {six}/64 dev lan0 nodad"));
            machine.ip("link set lan0 up");
        }
        let [four, six] = HOST;
        other.ip(&format!("route add default via {four}"));
        other.ip(&format!("-6 route add default via {six}"));
        let files = tempfile::Builder::new()
            .prefix("naru-town")
            .tempdir_in("/tmp")
            .expect("a directory under /tmp");
        std::fs::create_dir_all(files.path().join("systemd/resolve")).expect("a directory");
        std::fs::write(files.path().join("resolv.conf"), resolv_conf).expect("a file");
        let mut before = host.before();
        let mount = ["unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_FILES];
        before.extend(mount.map(str::to_owned));
        before.push(files.path().display().to_string());
        let daemon = Daemon::start_under(&before, extra);
        let town = Town { daemon, host, other, files };
        town.daemon
            .naru_with_input(&["import", "-c", "CMD [\"sh\"]", "-", "box"], &image::who_tar())
            .ok();
        town
    }

    /// Changes the host's `resolv.conf`.
    pub fn set_resolv_conf(&self, text: &str) {
        std::fs::write(self.files.path().join("resolv.conf"), text).expect("a file");
    }

    /// Changes what systemd-resolved says is behind its stub.
    pub fn set_behind_stub(&self, text: &str) {
        std::fs::write(self.files.path().join("systemd/resolve/resolv.conf"), text)
            .expect("a file");
    }

    /// Runs a container that tells who asks it, on port 80.
    #[track_caller]
    pub fn server(&self, name: &str, flags: &[&str]) {
        let tail = ["box", "httpd", "-f", "-p", "80", "-h", "/www"];
        self.daemon.naru(&[&["run", "-d", "--name", name], flags, &tail].concat()).ok();
    }

    /// Runs a container that only waits.
    #[track_caller]
    pub fn idler(&self, name: &str, flags: &[&str]) {
        let tail = ["box", "sleep", "1000"];
        self.daemon.naru(&[&["run", "-d", "--name", name], flags, &tail].concat()).ok();
    }

    /// What `inspect` says.
    #[track_caller]
    pub fn inspect(&self, name: &str, format: &str) -> String {
        self.daemon.naru(&["inspect", "-f", format, name]).ok().text().to_owned()
    }

    /// A process of a container.
    #[track_caller]
    pub fn pid(&self, name: &str) -> u32 {
        self.inspect(name, "{{.State.Pid}}").parse().expect("a running container")
    }

    /// The address of a container in a network.
    #[track_caller]
    pub fn address(&self, name: &str, network: &str) -> String {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
        self.inspect(name, &format)
    }

    /// The IPv6 address of a container in a network.
    #[track_caller]
    pub fn address6(&self, name: &str, network: &str) -> String {
        let format =
            format!("{{{{(index .NetworkSettings.Networks \"{network}\").GlobalIPv6Address}}}}");
        self.inspect(name, &format)
    }

    /// The gateway of a network.
    #[track_caller]
    pub fn gateway(&self, network: &str) -> String {
        let format = "{{(index .IPAM.Config 0).Gateway}}";
        self.daemon.naru(&["network", "inspect", "-f", format, network]).ok().text().to_owned()
    }

    /// What a container gets from a server.
    #[track_caller]
    pub fn get(&self, container: &str, url: &str) -> Option<String> {
        get(self.pid(container), url)
    }

    /// What a container hears about a name.
    #[track_caller]
    pub fn ask(&self, container: &str, name: &str, kind: u16) -> Option<dns::Answer> {
        let pid = self.pid(container);
        inside(pid, || dns::ask(dns::RESOLVER, name, kind))
    }

    /// The IPv4 addresses that a name has for a container, in order; none when the name is unknown.
    #[track_caller]
    pub fn addresses_of(&self, container: &str, name: &str) -> Vec<String> {
        let answer = self.ask(container, name, dns::A).expect("the resolver answers");
        answer.addresses.iter().map(ToString::to_string).collect()
    }

    /// Waits until a server is there.
    #[track_caller]
    pub fn wait_for(&self, mut ask: impl FnMut() -> Option<String>) -> String {
        match until(DEADLINE, &mut ask) {
            Some(answer) => answer,
            None => panic!("no answer"),
        }
    }

    /// Where the files of the test are.
    pub fn files(&self) -> &Path {
        self.files.path()
    }
}

/// Addresses of IPv4 as a server that listens on IPv6 sees them.
fn plain(text: &str) -> String {
    text.trim_start_matches("[").trim_end_matches("]").trim_start_matches("::ffff:").to_owned()
}
