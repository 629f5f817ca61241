//! Containers that flood, stall, send rubbish and break off; and how fast a well-behaved one is served.

use super::*;
use crate::dns::answer::{Desk, Transport, Turns, Verdict};
use crate::dns::connection::Connection;
use naru_kernel::poll::Interest;
use proptest::prelude::*;

#[test]
fn rubbish_is_refused_and_nothing_else_happens() {
    let house = House::new();
    let guest = house.guest("one", &[]);
    let good = query("web.", RecordType::A).to_vec().unwrap();
    // No answer to these; the answer that comes is to the good one after them.
    let mut response = good.clone();
    response[2] |= 0x80;
    for silent in [&[][..], b"short", &response] {
        guest.socket.send(silent).unwrap();
    }
    assert_eq!(guest.raw(&good)[..2], good[..2]);
    // A name of 300 bytes.
    let mut long = good[..12].to_vec();
    for _ in 0..5 {
        long.push(59);
        long.extend_from_slice(&[b'a'; 59]);
    }
    long.extend_from_slice(&[0, 0, 1, 0, 1]);
    let answer = Message::from_vec(&guest.raw(&long)).unwrap();
    assert_eq!((code(&answer), answer.queries.len()), (ResponseCode::FormErr, 0));
    // A name that points to itself.
    let answer = guest.raw(&[&good[..12], &[0xc0, 12, 0, 1, 0, 1]].concat());
    assert_eq!(code(&Message::from_vec(&answer).unwrap()), ResponseCode::FormErr);
    // An update.
    let mut update = good.clone();
    update[2] |= 5 << 3;
    let answer = Message::from_vec(&guest.raw(&update)).unwrap();
    assert_eq!((code(&answer), answer.metadata.op_code), (ResponseCode::NotImp, OpCode::Update));
    // A version of the extensions that does not exist.
    let mut future = with_size("web.", RecordType::A, 1232);
    future.edns.as_mut().unwrap().set_version(7);
    let answer = guest.send(&future);
    assert_eq!((u16::from(code(&answer)), answer.answers.len()), (16, 0));
    assert_eq!(texts(&guest.ask("web.", RecordType::A)), ["10.0.0.2"]);
}

#[test]
fn a_panic_in_the_engine_costs_one_question() {
    let house = House::new();
    let guest = house.guest("one", &[]);
    let mut stream = guest.connect();
    for _ in 0..3 {
        guest.socket.send(&query("panic.", RecordType::A).to_vec().unwrap()).unwrap();
        put(&mut stream, &query("panic.", RecordType::A).to_vec().unwrap());
    }
    assert_eq!(texts(&guest.ask("web.", RecordType::A)), ["10.0.0.2"]);
    assert_eq!(texts(&guest.send_tcp(&query("web.", RecordType::A))), ["10.0.0.2"]);
}

#[test]
fn a_flood_leaves_others_their_answers() {
    let (_socket, silent) = silent();
    let well = Upstream::well([1, 2, 3, 4]);
    let house = House::new();
    let flooder = house.guest("flooder", &[silent]);
    let guest = house.guest("one", &[well.address]);
    let began = Instant::now();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flood = query("flood.example.", RecordType::A).to_vec().unwrap();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                // What finds no room is lost.
                drop(flooder.socket.send(&flood));
            }
        });
        for _ in 0..200 {
            assert_eq!(texts(&guest.ask("web.", RecordType::A)), ["10.0.0.2"]);
            assert_eq!(texts(&guest.ask("example.com.", RecordType::A)), ["1.2.3.4"]);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    println!("400 answers beside a flood: {:?}", began.elapsed());
    // Beyond its share the flooder was told so at once, and it took no more than the share.
    let answer = Message::from_vec(&flooder.receive()).unwrap();
    assert_eq!(code(&answer), ResponseCode::ServFail);
    let sockets = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!((512..600).contains(&sockets), "{sockets} descriptors");
    assert_eq!(texts(&guest.ask("example.com.", RecordType::A)), ["1.2.3.4"]);
}

#[test]
fn a_connection_carries_many_questions() {
    let well = Upstream::well([1, 2, 3, 4]);
    let house = House::new();
    let many =
        Addresses { v4: (0..200).map(|last| [10, 0, 1, last].into()).collect(), v6: Vec::new() };
    house.table.names.lock().unwrap().insert("many".into(), many);
    let guest = house.guest("one", &[well.address]);
    let mut stream = guest.connect();
    let mut sender = stream.try_clone().unwrap();
    let asked: Vec<Message> = (0..3000)
        .map(|number| {
            let name = ["web.", "many.", "example.com."][number % 3];
            let mut message = query(name, RecordType::A);
            message.metadata.id = u16::try_from(number).unwrap();
            message
        })
        .collect();
    std::thread::scope(|scope| {
        let asked = &asked;
        scope.spawn(move || {
            for message in asked {
                // Byte by byte is as good as at once.
                let bytes = message.to_vec().unwrap();
                let (head, tail) = bytes.split_at(7);
                sender.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
                sender.write_all(head).unwrap();
                sender.write_all(tail).unwrap();
            }
            sender.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut missing: BTreeMap<u16, &Message> =
            asked.iter().map(|message| (message.metadata.id, message)).collect();
        while !missing.is_empty() {
            let bytes = take(&mut stream).unwrap();
            let id = u16::from_be_bytes([bytes[0], bytes[1]]);
            let answer = check(missing.remove(&id).unwrap(), &bytes);
            let expected = [1, 200, 1][usize::from(id) % 3];
            // What is beyond the share of a container is refused, and only what is forwarded.
            let refused = id % 3 == 2 && code(&answer) == ResponseCode::ServFail;
            assert!(refused || answer.answers.len() == expected);
        }
        // The other direction was closed, so there is nothing to wait for.
        assert!(take(&mut stream).is_err());
    });
}

#[test]
fn a_client_that_takes_no_answers_is_dropped_and_nobody_waits() {
    let house = House::new();
    let many =
        Addresses { v4: (0..=255).map(|last| [10, 0, 1, last].into()).collect(), v6: Vec::new() };
    house.table.names.lock().unwrap().insert("many".into(), many);
    let guest = house.guest("one", &[]);
    guest.ask("web.", RecordType::A);
    let mut stream = guest.connect();
    stream.set_write_timeout(Some(LONG)).unwrap();
    let bytes = query("many.", RecordType::A).to_vec().unwrap();
    let framed =
        [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat().repeat(100);
    let (before, began) = (spent(), Instant::now());
    while stream.write_all(&framed).is_ok() {
        assert!(began.elapsed() < LONG, "it is read from without end");
        assert_eq!(texts(&guest.ask("web.", RecordType::A)), ["10.0.0.2"]);
    }
    assert!(began.elapsed() > Duration::from_secs(4));
    let cpu = spent() - before;
    assert!(cpu < Duration::from_secs(2), "waiting for it took {cpu:?} of the processor");
    assert_eq!(texts(&guest.send_tcp(&query("web.", RecordType::A))), ["10.0.0.2"]);
}

#[test]
fn questions_that_had_to_wait_for_room_are_answered() {
    let house = House::new();
    let many =
        Addresses { v4: (0..=255).map(|last| [10, 0, 1, last].into()).collect(), v6: Vec::new() };
    house.table.names.lock().unwrap().insert("many".into(), many);
    let guest = house.guest("one", &[]);
    let mut stream = guest.connect();
    let asked = query("many.", RecordType::A);
    let bytes = asked.to_vec().unwrap();
    let framed = [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat();
    // All of them come in one piece, and their answers are far more than is kept unsent.
    stream.write_all(&framed.repeat(150)).unwrap();
    let began = Instant::now();
    for _ in 0..150 {
        assert_eq!(check(&asked, &take(&mut stream).unwrap()).answers.len(), 256);
    }
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[test]
fn answers_that_pile_up_are_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let mut connection = Connection::new(1, stream, Instant::now());
    let answer = vec![0; 60_000];
    let taken = (0..100).take_while(|_| connection.push(&answer).is_ok()).count();
    assert_eq!(taken, 4);
    assert_eq!(connection.wants(), Interest::Write);
    connection.flush().unwrap();
}

#[test]
fn idle_connections_end() {
    let house = House::new();
    let guest = house.guest("one", &[]);
    let (mut idle, mut half) = (guest.connect(), guest.connect());
    half.write_all(&[0]).unwrap();
    let mut wrong = guest.connect();
    wrong.write_all(&[0xff, 0xff, 0]).unwrap();
    assert!(take(&mut wrong).is_err());
    let began = Instant::now();
    for stream in [&mut idle, &mut half] {
        let error = take(stream).unwrap_err();
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
    assert!((Duration::from_secs(4)..Duration::from_secs(15)).contains(&began.elapsed()));
}

#[test]
fn connections_are_bounded() {
    let house = House::new();
    let (guest, other) = (house.guest("one", &[]), house.guest("two", &[]));
    let asked = query("web.", RecordType::A);
    let bytes = asked.to_vec().unwrap();
    let framed = [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat();
    let is_served =
        |stream: &mut TcpStream| stream.write_all(&framed).is_ok() && take(stream).is_ok();
    let mut streams: Vec<TcpStream> = (0..50).map(|_| guest.connect()).collect();
    assert_eq!(streams.iter_mut().filter_map(|stream| is_served(stream).then_some(())).count(), 32);
    assert_eq!(texts(&other.send_tcp(&asked)), ["10.0.0.2"]);
    streams.clear();
    // The places are free again as soon as the loop has seen it.
    let began = Instant::now();
    while !is_served(&mut guest.connect()) {
        assert!(began.elapsed() < LONG);
    }
}

#[test]
fn at_rest_the_thread_sleeps_and_with_the_handle_it_ends() {
    let house = House::new();
    assert_eq!(thread(), None, "nobody is served yet");
    let guest = house.guest("one", &[]);
    assert_eq!(texts(&guest.send_tcp(&query("web.", RecordType::A))), ["10.0.0.2"]);
    let thread = thread().unwrap();
    // The connection is gone, so nothing has to be waited for with a timeout.
    let began = Instant::now();
    let stack = loop {
        let call = std::fs::read_to_string(format!("{thread}/syscall")).unwrap();
        let words: Vec<&str> = call.split_whitespace().collect();
        // The fourth argument of `epoll_pwait`, the timeout: -1 for none.
        if words.get(4).is_some_and(|timeout| timeout.starts_with("0xffffffff")) {
            break call;
        }
        assert!(began.elapsed() < LONG, "{call}");
        std::thread::yield_now();
    };
    println!("at rest in {stack}");
    drop(house);
    assert!(!std::path::Path::new(&thread).exists());
}

/// The time that the resolver's thread has had on a processor.
fn spent() -> Duration {
    let text = std::fs::read_to_string(format!("{}/schedstat", thread().unwrap())).unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// The directory of the resolver's thread.
fn thread() -> Option<String> {
    std::fs::read_dir("/proc/self/task").unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        (name.trim() == "dns").then(|| path.to_str().unwrap().to_owned())
    })
}

#[test]
fn how_fast_a_name_of_ours_is_answered() {
    const QUESTIONS: u32 = 20_000;
    const WINDOW: u32 = 64;
    let house = House::new();
    let guest = house.guest("one", &[]);
    let bytes = query("web.", RecordType::A).to_vec().unwrap();
    guest.raw(&bytes);
    let (before, began) = (spent(), Instant::now());
    let mut buffer = [0; 512];
    for _ in 0..QUESTIONS / WINDOW {
        for _ in 0..WINDOW {
            guest.socket.send(&bytes).unwrap();
        }
        for _ in 0..WINDOW {
            guest.socket.recv(&mut buffer).unwrap();
        }
    }
    let (cpu, wall) = (spent() - before, began.elapsed());
    println!(
        "{:.0} answers a second of the thread, {:.0} by the clock with a client on the same machine",
        f64::from(QUESTIONS) / cpu.as_secs_f64(),
        f64::from(QUESTIONS) / wall.as_secs_f64()
    );
    let mut alone = Vec::new();
    for _ in 0..2000 {
        let began = Instant::now();
        guest.raw(&bytes);
        alone.push(began.elapsed());
    }
    alone.sort_unstable();
    println!("one at a time: {:?} in the middle, {:?} at 99 of 100", alone[1000], alone[1980]);
}

/// Messages that are nearly right.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let base = prop_oneof![
        Just(query("web.", RecordType::A)),
        Just(query("2.0.0.10.in-addr.arpa.", RecordType::PTR)),
        Just(with_size("all.", RecordType::A, 600)),
        Just(query("unknown.example.", RecordType::TXT)),
    ];
    let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6);
    (base, changes, proptest::collection::vec(any::<u8>(), 0..20)).prop_map(
        |(base, changes, tail)| {
            let mut bytes = base.to_vec().unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.extend(tail);
            bytes
        },
    )
}

fn packet() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => mutated(), 1 => proptest::collection::vec(any::<u8>(), 0..700)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_packet_gets_a_fitting_answer_or_none(packet in packet(), answer in packet(), servers in any::<bool>()) {
        let table = House::new().table;
        if servers {
            let upstreams = Upstreams { servers: vec![([127, 0, 0, 1], 9).into()], options: Options::default() };
            table.upstreams.lock().unwrap().insert("one".into(), Arc::new(upstreams));
        }
        let mut desk = Desk::new(table);
        for transport in [Transport::Udp, Transport::Tcp] {
            match desk.decide(&packet, transport, "one", &mut Turns::default()) {
                Verdict::Silence => prop_assert!(packet.len() < 12 || packet[2] & 0x80 != 0),
                Verdict::Reply => fits(&desk.reply, &packet)?,
                Verdict::Forward(_) => {
                    prop_assert!(servers);
                    desk.fail(&packet);
                    fits(&desk.reply, &packet)?;
                    desk.truncate(&packet);
                    fits(&desk.reply, &packet)?;
                    let id = u16::from_be_bytes([packet[0], packet[1]]);
                    let mut echo = packet.clone();
                    echo[2] |= 0x80;
                    for answer in [&answer, &echo] {
                        if wire::matches(answer, &packet, id) == wire::Match::Answer {
                            desk.hand_on(answer, &packet, transport);
                            fits(&desk.reply, &packet)?;
                        }
                    }
                }
            }
        }
    }
}

/// An answer has the packet's id and its question or, when that was unreadable, none; and the library reads it.
fn fits(reply: &[u8], packet: &[u8]) -> Result<(), TestCaseError> {
    prop_assert!(reply.len() >= 12 && reply[2] & 0x80 != 0);
    prop_assert_eq!(&reply[..2], &packet[..2]);
    if reply[5] == 1 {
        let end = 12 + packet[12..].iter().position(|byte| *byte == 0).unwrap();
        prop_assert!(reply.len() > end);
        let name =
            reply[12..].iter().zip(&packet[12..]).take_while(|(one, other)| one == other).count();
        prop_assert!(12 + name >= end);
        if Message::from_vec(packet).is_ok() {
            let answer = Message::from_vec(reply);
            prop_assert!(answer.is_ok(), "{answer:?}");
        }
    } else {
        prop_assert_eq!(reply.len(), 12);
        prop_assert!([1, 4].contains(&(reply[3] & 15)));
    }
    Ok(())
}
