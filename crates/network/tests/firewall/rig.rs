//! A host, its containers and another machine: network namespaces of this test process, which end with it.

use ipnet::IpNet;
use naru_kernel::namespace;
use naru_network::firewall::{Firewall, FirewallOptions, Network, Proto, Published};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Duration;

const NEW_NET: u64 = 0x4000_0000;

/// A network namespace.
pub struct Space {
    file: File,
}

impl Space {
    pub fn new() -> Space {
        let enter = || {
            namespace::leave(NEW_NET).unwrap();
            namespace::loopback_up().unwrap();
            // Addresses are ready at once; nobody else has them.
            for name in ["all", "default"] {
                set(&format!("/proc/sys/net/ipv6/conf/{name}/accept_dad"), "0");
            }
            File::open("/proc/thread-self/ns/net").unwrap()
        };
        Space { file: std::thread::spawn(enter).join().unwrap() }
    }

    /// Runs this in the namespace, in a thread of its own.
    pub fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let file = &self.file;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                namespace::join(file, NEW_NET).unwrap();
                act()
            });
            match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Goes on with this in the namespace for as long as the process lives.
    fn stay(&self, act: impl FnOnce() + Send + 'static) {
        let file = self.file.try_clone().unwrap();
        std::thread::spawn(move || {
            namespace::join(&file, NEW_NET).unwrap();
            act();
        });
    }

    pub fn command(&self, line: &str) -> String {
        self.run(|| {
            let mut words = line.split_whitespace();
            let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "`{line}`: {}", text(&output.stderr));
            text(&output.stdout)
        })
    }

    pub fn commands(&self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.command(line);
        }
    }

    /// Has `nft` take rules.
    pub fn nft(&self, rules: &str) {
        self.run(|| {
            let mut nft = Command::new("nft")
                .args(["-f", "-"])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
            assert!(nft.wait().unwrap().success(), "{rules}");
        });
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// A server that tells each client by TCP and by UDP what its address is, and its own name first.
    pub fn serve(&self, name: &'static str, port: u16) {
        for any in ["0.0.0.0", "::"] {
            let address = SocketAddr::new(any.parse().unwrap(), port);
            let (tcp, udp) = self.run(|| (listen(address), datagrams(address)));
            self.stay(move || {
                for stream in tcp.incoming() {
                    let mut stream = stream.unwrap();
                    let peer = stream.peer_addr().unwrap().ip();
                    // The client may have gone.
                    drop(write!(stream, "{name} {peer}"));
                }
            });
            self.stay(move || {
                let mut buffer = [0; 64];
                loop {
                    let (_, peer) = udp.recv_from(&mut buffer).unwrap();
                    drop(udp.send_to(format!("{name} {}", peer.ip()).as_bytes(), peer));
                }
            });
        }
    }

    /// A server that sends back what it gets.
    pub fn echo(&self, port: u16) {
        for any in ["0.0.0.0", "::"] {
            let tcp = self.run(|| listen(SocketAddr::new(any.parse().unwrap(), port)));
            self.stay(move || {
                for stream in tcp.incoming() {
                    let (mut from, mut to) = (stream.as_ref().unwrap(), stream.as_ref().unwrap());
                    io::copy(&mut from, &mut to).unwrap();
                }
            });
        }
    }

    /// Sends bytes and reads them back, at the same time.
    pub fn send_through(&self, to: &str, bytes: &[u8]) -> Vec<u8> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(|| {
            let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    (&stream).write_all(bytes).unwrap();
                    stream.shutdown(std::net::Shutdown::Write).unwrap();
                });
                let mut back = Vec::new();
                (&stream).read_to_end(&mut back).unwrap();
                back
            })
        })
    }

    /// What the server at this address says, over TCP.
    pub fn ask(&self, to: &str) -> String {
        self.try_ask(to, Duration::from_secs(5)).unwrap_or_else(|error| panic!("{to}: {error}"))
    }

    /// That nobody answers at this address.
    pub fn refused(&self, to: &str) -> io::Error {
        match self.try_ask(to, Duration::from_millis(400)) {
            Ok(answer) => panic!("{to} answers `{answer}`"),
            Err(error) => error,
        }
    }

    pub fn try_ask(&self, to: &str, patience: Duration) -> io::Result<String> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(|| {
            let mut stream = TcpStream::connect_timeout(&to, patience)?;
            stream.set_read_timeout(Some(patience))?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        })
    }

    /// What the server at this address says, over UDP.
    pub fn ask_udp(&self, to: &str) -> io::Result<String> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(|| {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.connect(to)?;
            socket.set_read_timeout(Some(Duration::from_millis(300)))?;
            let mut buffer = [0; 64];
            let mut tries = 0;
            let length = loop {
                socket.send(b"who")?;
                tries += 1;
                match socket.recv(&mut buffer) {
                    // Packets may be lost, the first ones above all.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < 30 => {}
                    length => break length?,
                }
            };
            Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
    }
}

pub fn set(path: &str, value: &str) {
    File::options().write(true).open(path).unwrap().write_all(value.as_bytes()).unwrap();
}

fn listen(address: SocketAddr) -> TcpListener {
    use rustix::net::{AddressFamily, SocketType, sockopt};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::STREAM, None).unwrap();
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true).unwrap();
    }
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    rustix::net::bind(&socket, &address).unwrap();
    rustix::net::listen(&socket, 128).unwrap();
    socket.into()
}

fn datagrams(address: SocketAddr) -> UdpSocket {
    use rustix::net::{AddressFamily, SocketType, sockopt};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::DGRAM, None).unwrap();
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true).unwrap();
    }
    rustix::net::bind(&socket, &address).unwrap();
    socket.into()
}

/// The host with three bridges, containers on them, and another machine.
///
/// ```text
/// machine 192.0.2.2 ---- 192.0.2.1 host  br0 10.81.0.1  a .2, b .3
///                                        br1 10.82.0.1  c .2
///                                        br2 10.83.0.1  d .2 (internal where a test says so)
/// ```
///
/// IPv6 likewise: `2001:db8::1`, `fd81::1` and so on. The machine routes everything by the host.
pub struct Rig {
    pub host: Space,
    pub machine: Space,
    pub a: Space,
    pub b: Space,
    pub c: Space,
    pub d: Space,
}

impl Rig {
    /// A host where bridged frames pass the rules, too, or do not, as `br_netfilter` has it.
    pub fn new(bridged_pass: bool) -> Rig {
        let rig = Rig {
            host: Space::new(),
            machine: Space::new(),
            a: Space::new(),
            b: Space::new(),
            c: Space::new(),
            d: Space::new(),
        };
        rig.host.command(&format!(
            "ip link add eth0 type veth peer name eth0 netns {}",
            rig.machine.path()
        ));
        rig.host.commands(
            "ip address add 192.0.2.1/24 dev eth0
            ip address add 2001:db8::1/64 dev eth0 nodad
            ip link set eth0 up",
        );
        rig.machine.commands(
            "ip address add 192.0.2.2/24 dev eth0
            ip address add 2001:db8::2/64 dev eth0 nodad
            ip link set eth0 up
            ip route add default via 192.0.2.1
            ip route add default via 2001:db8::1",
        );
        let pass = if bridged_pass { "1" } else { "0" };
        let hairpin = if bridged_pass { "on" } else { "off" };
        rig.host.run(|| {
            for name in ["iptables", "ip6tables"] {
                let path = format!("/proc/sys/net/bridge/bridge-nf-call-{name}");
                // Without the module there is nothing to switch, and frames do not pass.
                if std::path::Path::new(&path).exists() {
                    File::options()
                        .write(true)
                        .open(path)
                        .unwrap()
                        .write_all(pass.as_bytes())
                        .unwrap();
                }
            }
        });
        for net in 81..84 {
            let bridge = format!("br{}", net - 81);
            rig.host.commands(&format!(
                "ip link add {bridge} type bridge
                ip address add 10.{net}.0.1/24 dev {bridge}
                ip address add fd{net}::1/64 dev {bridge} nodad
                ip link set {bridge} up"
            ));
        }
        let all = [(&rig.a, 81, 2), (&rig.b, 81, 3), (&rig.c, 82, 2), (&rig.d, 83, 2)];
        for (space, net, host) in all {
            let bridge = format!("br{}", net - 81);
            let veth = format!("veth{net}{host}");
            rig.host.commands(&format!(
                "ip link add {veth} type veth peer name eth0 netns {}
                ip link set {veth} master {bridge} up
                ip link set {veth} type bridge_slave hairpin {hairpin}",
                space.path()
            ));
            space.commands(&format!(
                "ip address add 10.{net}.0.{host}/24 dev eth0
                ip address add fd{net}::{host}/64 dev eth0 nodad
                ip link set eth0 up
                ip route add default via 10.{net}.0.1
                ip route add default via fd{net}::1"
            ));
        }
        for (space, name) in [(&rig.a, "a"), (&rig.b, "b"), (&rig.c, "c"), (&rig.d, "d")] {
            space.serve(name, 80);
        }
        rig.machine.serve("machine", 80);
        rig.host.run(|| naru_network::firewall::enable_forwarding(true, true).unwrap());
        rig
    }

    /// Our table on the host.
    pub fn firewall(&self, options: FirewallOptions) -> Firewall {
        self.host.run(|| Firewall::open("naru", options).unwrap())
    }
}

/// The network of a bridge of the rig.
pub fn network(number: u8) -> Network {
    let net = 81 + number;
    let subnets: [IpNet; 2] =
        [format!("10.{net}.0.0/24").parse().unwrap(), format!("fd{net}::/64").parse().unwrap()];
    let gateways: [IpAddr; 2] =
        [format!("10.{net}.0.1").parse().unwrap(), format!("fd{net}::1").parse().unwrap()];
    Network::new(&format!("br{number}"), subnets.to_vec(), gateways.to_vec())
}

/// A published port: `HOST:PORT` or `PORT`, and the container's address and port.
pub fn published(proto: Proto, host: &str, to: &str) -> Published {
    let to: SocketAddr = to.parse().unwrap();
    match host.parse::<u16>() {
        Ok(port) => Published { host: None, port, proto, to },
        Err(_) => {
            let host: SocketAddr = host.parse().unwrap();
            Published { host: Some(host.ip()), port: host.port(), proto, to }
        }
    }
}

pub fn tcp(host: &str, to: &str) -> Published {
    published(Proto::Tcp, host, to)
}
