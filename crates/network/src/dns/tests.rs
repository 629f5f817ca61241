//! The resolver over real sockets, with upstream servers that are well, slow, silent, wrong and hostile.

use super::*;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Instant;

const LONG: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Table {
    names: Mutex<BTreeMap<String, Addresses>>,
    upstreams: Mutex<BTreeMap<String, Arc<Upstreams>>>,
}

impl Names for Table {
    fn lookup(&self, asker: &str, name: &str) -> Lookup {
        assert_ne!(name, "panic", "this name makes the engine panic");
        let names = self.names.lock().unwrap();
        let addresses = names.get(name).or_else(|| names.get(&format!("{asker}:{name}")));
        addresses.map_or(Lookup::NotOurs, |addresses| Lookup::Ours(addresses.clone()))
    }

    fn reverse(&self, _: &str, address: IpAddr) -> Option<String> {
        let names = self.names.lock().unwrap();
        names
            .iter()
            .find(|(_, of)| {
                of.v4.iter().any(|v4| *v4 == address) || of.v6.iter().any(|v6| *v6 == address)
            })
            .map(|(name, _)| format!("{name}.net"))
    }

    fn upstreams(&self, asker: &str) -> Arc<Upstreams> {
        self.upstreams.lock().unwrap().get(asker).cloned().unwrap_or_default()
    }
}

/// A resolver and what it is told.
struct House {
    resolver: Resolver,
    table: Arc<Table>,
}

impl House {
    fn new() -> House {
        let table = Arc::new(Table::default());
        table.names.lock().unwrap().extend([
            ("web".to_owned(), addresses(&["10.0.0.2"])),
            ("six".to_owned(), addresses(&["fd00::6"])),
            ("both".to_owned(), addresses(&["10.0.0.3", "fd00::3"])),
            ("none".to_owned(), addresses(&[])),
            ("all".to_owned(), addresses(&["10.0.0.7", "10.0.0.8", "10.0.0.9"])),
            ("one:own".to_owned(), addresses(&["10.0.0.1"])),
        ]);
        House { resolver: Resolver::new(Arc::clone(&table) as Arc<dyn Names>), table }
    }

    /// A container that is served.
    fn guest(&self, id: &str, servers: &[SocketAddr]) -> Guest {
        let upstreams = Upstreams { servers: servers.to_vec(), options: Options::default() };
        self.table.upstreams.lock().unwrap().insert(id.to_owned(), Arc::new(upstreams));
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(udp.local_addr().unwrap()).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        let guest = Guest { socket, tcp: tcp.local_addr().unwrap() };
        self.resolver.serve(id, udp, tcp).unwrap();
        guest
    }
}

fn addresses(list: &[&str]) -> Addresses {
    let mut addresses = Addresses::default();
    for address in list {
        match address.parse().unwrap() {
            IpAddr::V4(address) => addresses.v4.push(address),
            IpAddr::V6(address) => addresses.v6.push(address),
        }
    }
    addresses
}

/// A container that asks.
struct Guest {
    socket: UdpSocket,
    tcp: SocketAddr,
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn with_size(name: &str, kind: RecordType, size: u16) -> Message {
    let mut message = query(name, kind);
    let mut edns = Edns::new();
    edns.set_max_payload(size);
    message.set_edns(edns);
    message
}

impl Guest {
    fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        self.socket.send(bytes).unwrap();
        self.receive()
    }

    fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65536];
        let length = self.socket.recv(&mut buffer).expect("no answer");
        buffer.truncate(length);
        buffer
    }

    fn send(&self, message: &Message) -> Message {
        check(message, &self.raw(&message.to_vec().unwrap()))
    }

    fn ask(&self, name: &str, kind: RecordType) -> Message {
        self.send(&query(name, kind))
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.tcp).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    fn send_tcp(&self, message: &Message) -> Message {
        let mut stream = self.connect();
        put(&mut stream, &message.to_vec().unwrap());
        check(message, &take(&mut stream).unwrap())
    }
}

fn check(asked: &Message, bytes: &[u8]) -> Message {
    let answer = Message::from_vec(bytes).unwrap();
    assert_eq!(answer.metadata.id, asked.metadata.id);
    assert_eq!(answer.metadata.message_type, MessageType::Response);
    assert_eq!(answer.queries, asked.queries);
    assert!(answer.metadata.recursion_available);
    assert_eq!(answer.edns.is_some(), asked.edns.is_some());
    answer
}

fn put(stream: &mut TcpStream, bytes: &[u8]) {
    let mut framed = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).unwrap();
}

fn take(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn texts(answer: &Message) -> Vec<String> {
    answer.answers.iter().map(|record| record.data.to_string()).collect()
}

fn code(answer: &Message) -> ResponseCode {
    answer.metadata.response_code
}

/// An upstream server on the loopback; it ends with this value.
struct Upstream {
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Upstream {
    /// It sends for each question all messages that `answer` makes of it.
    fn new(answer: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Upstream {
        // The number that is free for packets may be taken for connections.
        let (udp, tcp) = std::iter::repeat_with(|| UdpSocket::bind("127.0.0.1:0").unwrap())
            .find_map(|udp| Some((TcpListener::bind(udp.local_addr().unwrap()).ok()?, udp)))
            .map(|(tcp, udp)| (udp, tcp))
            .unwrap();
        let address = udp.local_addr().unwrap();
        let answer = Arc::new(answer);
        let other = Arc::clone(&answer);
        let packets = std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            loop {
                let (length, client) = udp.recv_from(&mut buffer).unwrap();
                if length == 0 {
                    return;
                }
                for reply in answer(&Message::from_vec(&buffer[..length]).unwrap(), false) {
                    udp.send_to(&reply, client).unwrap();
                }
            }
        });
        let streams = std::thread::spawn(move || {
            loop {
                let (mut stream, _) = tcp.accept().unwrap();
                let Ok(bytes) = take(&mut stream) else { return };
                for reply in other(&Message::from_vec(&bytes).unwrap(), true) {
                    put(&mut stream, &reply);
                }
            }
        });
        Upstream { address, threads: vec![packets, streams] }
    }

    /// It answers every name with this address.
    fn well(address: [u8; 4]) -> Upstream {
        Upstream::new(move |asked, _| vec![reply(asked, &[address]).to_vec().unwrap()])
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], self.address).unwrap();
        drop(TcpStream::connect(self.address).unwrap());
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// A server that takes questions and says nothing.
fn silent() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn reply(asked: &Message, addresses: &[[u8; 4]]) -> Message {
    let mut message = Message::response(asked.metadata.id, OpCode::Query);
    message.metadata.recursion_available = true;
    message.add_query(asked.queries[0].clone());
    if let Some(edns) = &asked.edns {
        message.set_edns(edns.clone());
    }
    for address in addresses {
        let data = RData::A(A(Ipv4Addr::from(*address)));
        message.add_answer(Record::from_rdata(asked.queries[0].name().clone(), 60, data));
    }
    message
}

#[test]
fn our_names_need_no_upstream() {
    let house = House::new();
    let guest = house.guest("one", &[]);
    let answer = guest.ask("web.", RecordType::A);
    assert_eq!((code(&answer), texts(&answer)), (ResponseCode::NoError, vec!["10.0.0.2".into()]));
    assert_eq!(answer.answers[0].ttl, 600);
    assert_eq!(answer.answers[0].name, Name::from_ascii("web.").unwrap());
    assert_eq!(texts(&guest.ask("six.", RecordType::AAAA)), ["fd00::6"]);
    assert_eq!(texts(&guest.ask("both.", RecordType::AAAA)), ["fd00::3"]);
    assert_eq!(texts(&guest.ask("WeB.", RecordType::A)), ["10.0.0.2"]);
    assert_eq!(texts(&guest.ask("own.", RecordType::A)), ["10.0.0.1"]);
    for (name, kind) in [
        ("web.", RecordType::AAAA),
        ("six.", RecordType::A),
        ("none.", RecordType::A),
        ("web.", RecordType::TXT),
        ("web.", RecordType::MX),
        ("web.", RecordType::ANY),
    ] {
        let answer = guest.ask(name, kind);
        assert_eq!(
            (code(&answer), texts(&answer).len()),
            (ResponseCode::NoError, 0),
            "{name} {kind}"
        );
    }
    let mut chaos = query("web.", RecordType::A);
    chaos.queries[0].set_query_class(hickory_proto::rr::DNSClass::CH);
    assert_eq!(texts(&guest.send(&chaos)), [""; 0]);
    assert_eq!(code(&guest.ask("unknown.", RecordType::A)), ResponseCode::ServFail);
    assert_eq!(texts(&guest.send_tcp(&query("web.", RecordType::A))), ["10.0.0.2"]);
    assert_eq!(texts(&guest.send(&with_size("web.", RecordType::A, 1232))), ["10.0.0.2"]);
    // Names are those of the asker's networks.
    let other = house.guest("two", &[]);
    assert_eq!(code(&other.ask("own.", RecordType::A)), ResponseCode::ServFail);
}

#[test]
fn addresses_have_names() {
    let house = House::new();
    let guest = house.guest("one", &[]);
    assert_eq!(texts(&guest.ask("2.0.0.10.in-addr.arpa.", RecordType::PTR)), ["web.net."]);
    let six = format!("6.{}0.0.d.f.ip6.arpa.", "0.".repeat(27));
    assert_eq!(texts(&guest.ask(&six, RecordType::PTR)), ["six.net."]);
    assert_eq!(code(&guest.ask("9.9.9.9.in-addr.arpa.", RecordType::PTR)), ResponseCode::ServFail);
}

#[test]
fn several_addresses_take_turns() {
    let house = House::new();
    let guest = house.guest("one", &[]);
    let mut firsts = BTreeMap::new();
    for _ in 0..9 {
        let answer = texts(&guest.ask("all.", RecordType::A));
        assert_eq!(answer.len(), 3);
        *firsts.entry(answer[0].clone()).or_insert(0) += 1;
        guest.ask("all.", RecordType::AAAA);
        guest.ask("web.", RecordType::A);
    }
    assert_eq!(firsts.into_values().collect::<Vec<_>>(), [3, 3, 3]);
}

#[test]
fn the_rest_is_forwarded() {
    let upstream = Upstream::well([1, 2, 3, 4]);
    let house = House::new();
    let guest = house.guest("one", &[upstream.address]);
    for name in ["example.com.", "single.", "ExAmPle.CoM."] {
        assert_eq!(texts(&guest.ask(name, RecordType::A)), ["1.2.3.4"]);
        assert_eq!(texts(&guest.send_tcp(&query(name, RecordType::A))), ["1.2.3.4"]);
        assert_eq!(texts(&guest.send(&with_size(name, RecordType::A, 4096))), ["1.2.3.4"]);
    }
    // What is ours is never forwarded.
    assert_eq!(texts(&guest.ask("web.", RecordType::AAAA)), [""; 0]);
    assert_eq!(texts(&guest.ask("9.9.9.9.in-addr.arpa.", RecordType::PTR)), ["1.2.3.4"]);
}

#[test]
fn a_container_that_leaves_is_forgotten() {
    let (_socket, address) = silent();
    let house = House::new();
    let guest = house.guest("one", &[address]);
    let stay = house.guest("two", &[]);
    let mut stream = guest.connect();
    put(&mut stream, &query("web.", RecordType::A).to_vec().unwrap());
    take(&mut stream).unwrap();
    guest.socket.send(&query("lost.", RecordType::A).to_vec().unwrap()).unwrap();
    house.resolver.leave("one");
    house.resolver.leave("one");
    house.resolver.leave("unknown");
    assert!(take(&mut stream).is_err());
    assert_eq!(texts(&stay.ask("web.", RecordType::A)), ["10.0.0.2"]);
    // The port is free again, and the ID can come back, even twice.
    drop(UdpSocket::bind(guest.socket.peer_addr().unwrap()).unwrap());
    let again = house.guest("one", &[]);
    assert_eq!(texts(&again.ask("web.", RecordType::A)), ["10.0.0.2"]);
    let twice = house.guest("one", &[]);
    assert_eq!(texts(&twice.ask("web.", RecordType::A)), ["10.0.0.2"]);
}

mod hostile;
mod namespace;
mod upstreams;
