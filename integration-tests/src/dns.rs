//! Questions to resolvers, and servers that play the host's upstreams. Acts: sockets, in the namespace of the caller.

use crate::machines::enter_and;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where containers ask.
pub const RESOLVER: &str = "127.0.0.11:53";
/// Longer than the resolver lets anybody wait.
const PATIENCE: Duration = Duration::from_secs(8);
/// An IPv4 address.
pub const A: u16 = 1;
/// A name of an address.
pub const PTR: u16 = 12;
/// An IPv6 address.
pub const AAAA: u16 = 28;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 0: it is known; 2: the server failed; 3: there is no such name.
    pub code: u8,
    /// Addresses, in order.
    pub addresses: Vec<IpAddr>,
    /// Names, of `PTR`.
    pub names: Vec<String>,
}

/// A question, with the number 0x1234. The name's labels are taken as they are, however long.
pub fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(u8::try_from(label.len()).expect("a short label"));
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message
}

/// Asks a server; nothing when it does not answer in time.
#[track_caller]
pub fn ask(server: &str, name: &str, kind: u16) -> Option<Answer> {
    Some(parse(&exchange(server, &question(name, kind), PATIENCE)?))
}

/// Sends a message and waits for what comes back.
#[track_caller]
pub fn exchange(server: &str, message: &[u8], patience: Duration) -> Option<Vec<u8>> {
    let server: SocketAddr = server.parse().expect("an address");
    let own: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((own, 0)).expect("a socket");
    socket.set_read_timeout(Some(patience)).expect("a socket");
    socket.connect(server).expect("a socket");
    socket.send(message).expect("a socket");
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer).ok()?;
    answer.truncate(length);
    Some(answer)
}

/// Reads an answer.
#[track_caller]
pub fn parse(message: &[u8]) -> Answer {
    let count = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let mut answer = Answer { code: message[3] & 15, addresses: Vec::new(), names: Vec::new() };
    let mut at = 12;
    for _ in 0..count(4) {
        at = name_at(message, at).1 + 4;
    }
    for _ in 0..count(6) {
        at = name_at(message, at).1;
        let (kind, length) = (count(at), usize::from(count(at + 8)));
        let data = &message[at + 10..at + 10 + length];
        match kind {
            A => answer.addresses.push(IpAddr::from(<[u8; 4]>::try_from(data).expect("four"))),
            AAAA => answer.addresses.push(IpAddr::from(<[u8; 16]>::try_from(data).expect("16"))),
            PTR => answer.names.push(name_at(message, at + 10).0),
            _ => {}
        }
        at += 10 + length;
    }
    answer
}

fn name_at(message: &[u8], mut at: usize) -> (String, usize) {
    let mut labels = Vec::new();
    let mut end = None;
    loop {
        let length = usize::from(message[at]);
        if length == 0 {
            return (labels.join("."), end.unwrap_or(at + 1));
        }
        if length & 0xc0 == 0xc0 {
            end = end.or(Some(at + 2));
            at = (length & 0x3f) << 8 | usize::from(message[at + 1]);
            continue;
        }
        labels.push(String::from_utf8_lossy(&message[at + 1..at + 1 + length]).into_owned());
        at += 1 + length;
    }
}

/// The name that is asked for the name of an address.
pub fn reverse(address: &str) -> String {
    match address.parse().expect("an address") {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", address.to_bits());
            let labels: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    }
}

/// A server that knows every name.
#[derive(Debug)]
pub struct Upstream {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Listens at `at` in the network namespace of a process, and answers with this address; or never.
    #[track_caller]
    pub fn start(pid: u32, at: &str, answer: Option<Ipv4Addr>) -> Upstream {
        let (stop, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let at = SocketAddr::new(at.parse().expect("an address"), 53);
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&asked));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            enter_and(pid, || {
                let socket = UdpSocket::bind(at).expect("the port is free");
                socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket");
                ready.send(()).expect("the test waits");
                while !stopped.load(Ordering::Relaxed) {
                    let mut message = [0; 1500];
                    let Ok((length, from)) = socket.recv_from(&mut message) else { continue };
                    counted.fetch_add(1, Ordering::Relaxed);
                    if let Some(address) = answer {
                        let reply = reply(&message[..length], address);
                        socket.send_to(&reply, from).expect("a socket");
                    }
                }
            });
        });
        is_ready.recv().expect("a server");
        Upstream { stop, asked, thread: Some(thread) }
    }

    /// How many questions came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn reply(question: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let (_, end) = name_at(question, 12);
    let mut reply = question[..end + 4].to_vec();
    let is_a = reply[end..end + 2] == A.to_be_bytes();
    reply[2] |= 0x80;
    reply[3] = 0x80;
    reply[6..12].copy_from_slice(&[0, u8::from(is_a), 0, 0, 0, 0]);
    if is_a {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address.octets());
    }
    reply
}
