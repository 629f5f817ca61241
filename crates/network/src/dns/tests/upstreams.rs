//! Upstream servers of all sorts.

use super::*;

fn shared<T>(value: T) -> Arc<Mutex<T>> {
    Arc::new(Mutex::new(value))
}

/// A port on which nobody listens.
fn closed() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_silent_server_is_given_up_and_the_next_one_asked() {
    let (socket, silent) = silent();
    let well = Upstream::well([1, 2, 3, 4]);
    let house = House::new();
    let guest = house.guest("one", &[silent, well.address]);
    let began = Instant::now();
    assert_eq!(texts(&guest.ask("example.com.", RecordType::A)), ["1.2.3.4"]);
    let took = began.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_millis(4500)).contains(&took), "{took:?}");
    assert!(socket.recv(&mut [0; 512]).unwrap() > 12);
}

#[test]
fn servers_that_never_answer_cost_five_seconds_and_nobody_else_waits() {
    let (_first, one) = silent();
    let (_second, two) = silent();
    let well = Upstream::well([1, 2, 3, 4]);
    let house = House::new();
    let guest = house.guest("one", &[one, two]);
    let other = house.guest("two", &[well.address]);
    let asked = query("example.com.", RecordType::A);
    let mut stream = guest.connect();
    put(&mut stream, &asked.to_vec().unwrap());
    let began = Instant::now();
    guest.socket.send(&asked.to_vec().unwrap()).unwrap();
    while began.elapsed() < Duration::from_secs(1) {
        assert_eq!(texts(&other.ask("example.com.", RecordType::A)), ["1.2.3.4"]);
        assert_eq!(texts(&other.ask("web.", RecordType::A)), ["10.0.0.2"]);
    }
    let answer = check(&asked, &guest.receive());
    let took = began.elapsed();
    assert_eq!(code(&answer), ResponseCode::ServFail);
    assert!((Duration::from_millis(4900)..Duration::from_secs(10)).contains(&took), "{took:?}");
    assert_eq!(code(&check(&asked, &take(&mut stream).unwrap())), ResponseCode::ServFail);
}

#[test]
fn servers_that_are_not_there_or_refuse_are_passed_over_at_once() {
    let failing = Upstream::new(|asked, _| {
        let mut reply = reply(asked, &[]);
        reply.metadata.response_code = ResponseCode::ServFail;
        vec![reply.to_vec().unwrap()]
    });
    let refusing = Upstream::new(|asked, _| {
        vec![
            Message::error_msg(asked.metadata.id, OpCode::Query, ResponseCode::Refused)
                .to_vec()
                .unwrap(),
        ]
    });
    let well = Upstream::well([1, 2, 3, 4]);
    let house = House::new();
    let began = Instant::now();
    let bad = [closed(), failing.address, refusing.address];
    let guest = house.guest("one", &[&bad[..], &[well.address]].concat());
    assert_eq!(texts(&guest.ask("example.com.", RecordType::A)), ["1.2.3.4"]);
    let guest = house.guest("two", &bad);
    assert_eq!(code(&guest.ask("example.com.", RecordType::A)), ResponseCode::ServFail);
    assert_eq!(
        code(&guest.send_tcp(&query("example.com.", RecordType::A))),
        ResponseCode::ServFail
    );
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn that_a_name_does_not_exist_is_an_answer() {
    let upstream = Upstream::new(|asked, _| {
        let mut reply = reply(asked, &[]);
        reply.metadata.response_code = ResponseCode::NXDomain;
        vec![reply.to_vec().unwrap()]
    });
    let other = Upstream::well([1, 2, 3, 4]);
    let house = House::new();
    let guest = house.guest("one", &[upstream.address, other.address]);
    assert_eq!(code(&guest.ask("example.com.", RecordType::A)), ResponseCode::NXDomain);
}

#[test]
fn what_is_not_the_answer_is_not_believed() {
    let upstream = Upstream::new(|asked, _| {
        let evil = [[6, 6, 6, 6]];
        let mut wrong_id = reply(asked, &evil);
        wrong_id.metadata.id = asked.metadata.id.wrapping_add(1);
        let mut wrong_name = reply(asked, &evil);
        wrong_name.queries = query("evil.example.", RecordType::A).queries;
        let mut wrong_type = reply(asked, &evil);
        wrong_type.queries = query("example.com.", RecordType::AAAA).queries;
        let mut replies: Vec<Vec<u8>> =
            [wrong_id, wrong_name, wrong_type, asked.clone(), reply(asked, &[[1, 2, 3, 4]])]
                .iter()
                .map(|message| message.to_vec().unwrap())
                .collect();
        replies.insert(0, b"garbage".to_vec());
        replies.insert(0, vec![0xff; 600]);
        replies
    });
    let house = House::new();
    let guest = house.guest("one", &[upstream.address]);
    assert_eq!(texts(&guest.ask("example.com.", RecordType::A)), ["1.2.3.4"]);
}

#[test]
fn ids_and_ports_are_fresh_and_others_cannot_answer() {
    let (server, address) = silent();
    server.set_read_timeout(Some(LONG)).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let house = House::new();
    let guest = house.guest("one", &[address]);
    let mut seen = Vec::new();
    for _ in 0..20 {
        let asked = query("example.com.", RecordType::A);
        guest.socket.send(&asked.to_vec().unwrap()).unwrap();
        let mut buffer = [0; 512];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        let forwarded = Message::from_vec(&buffer[..length]).unwrap();
        // Somebody else knows everything but is not the server.
        stranger.send_to(&reply(&forwarded, &[[6, 6, 6, 6]]).to_vec().unwrap(), from).unwrap();
        server.send_to(&reply(&forwarded, &[[1, 2, 3, 4]]).to_vec().unwrap(), from).unwrap();
        assert_eq!(texts(&check(&asked, &guest.receive())), ["1.2.3.4"]);
        seen.push((forwarded.metadata.id, from.port()));
    }
    let mut ids: Vec<u16> = seen.iter().map(|(id, _)| *id).collect();
    let mut ports: Vec<u16> = seen.iter().map(|(_, port)| *port).collect();
    ids.sort_unstable();
    ids.dedup();
    ports.sort_unstable();
    ports.dedup();
    assert!(ids.len() > 17 && ports.len() > 15, "{seen:?}");
}

/// A server with more answers than fit into a packet.
fn large(count: u8) -> Upstream {
    Upstream::new(move |asked, tcp| {
        let all: Vec<[u8; 4]> = (0..count).map(|last| [10, 9, 8, last]).collect();
        let whole = reply(asked, &all);
        let limit = usize::from(asked.edns.as_ref().map_or(512, Edns::max_payload));
        let bytes = whole.to_vec().unwrap();
        vec![if tcp || bytes.len() <= limit { bytes } else { whole.truncate().to_vec().unwrap() }]
    })
}

#[test]
fn long_answers_are_cut_for_packets_and_whole_over_tcp() {
    let upstream = large(200);
    let house = House::new();
    let guest = house.guest("one", &[upstream.address]);
    for message in [query("large.", RecordType::A), with_size("large.", RecordType::A, 1232)] {
        let answer = guest.send(&message);
        assert!(answer.metadata.truncation);
        assert_eq!(answer.answers.len(), 0);
        let answer = guest.send_tcp(&message);
        assert!(!answer.metadata.truncation);
        assert_eq!(answer.answers.len(), 200);
    }
    let answer = guest.send(&with_size("large.", RecordType::A, 4096));
    assert_eq!((answer.metadata.truncation, answer.answers.len()), (false, 200));
}

#[test]
fn a_server_that_sends_too_much_is_cut() {
    let upstream =
        Upstream::new(|asked, _| vec![reply(asked, &[[1, 2, 3, 4]; 100]).to_vec().unwrap()]);
    let house = House::new();
    let guest = house.guest("one", &[upstream.address]);
    let answer = guest.ask("large.", RecordType::A);
    assert!(answer.metadata.truncation && answer.answers.is_empty());
    assert_eq!(guest.send(&with_size("large.", RecordType::A, 4096)).answers.len(), 100);
}

#[test]
fn many_addresses_of_ours_are_cut_too() {
    let house = House::new();
    let many =
        Addresses { v4: (0..100).map(|last| [10, 0, 1, last].into()).collect(), v6: Vec::new() };
    house.table.names.lock().unwrap().insert("many".into(), many);
    let guest = house.guest("one", &[]);
    let answer = guest.ask("many.", RecordType::A);
    assert!(answer.metadata.truncation);
    assert_eq!(answer.answers.len(), (512 - 12 - 10) / 16);
    assert_eq!(guest.send(&with_size("many.", RecordType::A, 4096)).answers.len(), 100);
    assert_eq!(guest.send_tcp(&query("many.", RecordType::A)).answers.len(), 100);
}

#[test]
fn options_are_followed() {
    let asked = shared(Vec::new());
    let log = Arc::clone(&asked);
    let upstream = Upstream::new(move |asked, tcp| {
        log.lock().unwrap().push(tcp);
        vec![reply(asked, &[[1, 2, 3, 4]]).to_vec().unwrap()]
    });
    let (_socket, silent) = silent();
    let house = House::new();
    let guest = house.guest("one", &[]);
    let set = |servers: Vec<SocketAddr>, words: &[&str]| {
        let options = Options::parse(words.iter().copied());
        let upstreams = Arc::new(Upstreams { servers, options });
        house.table.upstreams.lock().unwrap().insert("one".into(), upstreams);
    };
    set(vec![upstream.address], &["ndots:3", "use-vc"]);
    assert_eq!(texts(&guest.ask("example.com.", RecordType::A)), ["1.2.3.4"]);
    assert_eq!(*asked.lock().unwrap(), [true]);
    set(vec![silent, upstream.address], &["timeout:3"]);
    let began = Instant::now();
    assert_eq!(texts(&guest.ask("example.com.", RecordType::A)), ["1.2.3.4"]);
    assert!(began.elapsed() > Duration::from_millis(2900));
    assert_eq!(*asked.lock().unwrap(), [true, false]);
    let parsed = Options::parse(["timeout:0", "timeout:x", "rotate"]);
    assert_eq!(parsed, Options { timeout: Duration::from_secs(1), rotate: true, tcp: false });
}

#[test]
fn servers_of_ipv6_are_asked_too() {
    let Ok(server) = UdpSocket::bind("[::1]:0") else {
        println!("skipped: this host has no IPv6");
        return;
    };
    let house = House::new();
    let guest = house.guest("one", &[server.local_addr().unwrap()]);
    let asked = query("example.com.", RecordType::A);
    guest.socket.send(&asked.to_vec().unwrap()).unwrap();
    let mut buffer = [0; 512];
    let (length, from) = server.recv_from(&mut buffer).unwrap();
    let forwarded = Message::from_vec(&buffer[..length]).unwrap();
    server.send_to(&reply(&forwarded, &[[1, 2, 3, 4]]).to_vec().unwrap(), from).unwrap();
    assert_eq!(texts(&check(&asked, &guest.receive())), ["1.2.3.4"]);
}
