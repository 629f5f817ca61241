//! Containers in network namespaces of their own, and many of them.

use super::*;
use naru_kernel::clone::flags::NETWORK;

/// Runs `inside` on a thread of its own in a new network namespace, which ends with it.
fn in_namespace<T: Send>(inside: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            naru_kernel::namespace::leave(NETWORK).unwrap();
            naru_kernel::namespace::loopback_up().unwrap();
            inside()
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_container_asks_at_the_usual_place_and_servers_are_asked_from_the_host() {
    let upstream = Upstream::well([1, 2, 3, 4]);
    let house = House::new();
    house.guest("first", &[]);
    let upstreams = Upstreams { servers: vec![upstream.address], options: Options::default() };
    house.table.upstreams.lock().unwrap().insert("one".into(), Arc::new(upstreams));
    in_namespace(|| {
        let place = SocketAddr::from((ADDRESS, 53));
        let (udp, tcp) = (UdpSocket::bind(place).unwrap(), TcpListener::bind(place).unwrap());
        house.resolver.serve("one", udp, tcp).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(place).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        let guest = Guest { socket, tcp: place };
        for name in ["web.", "example.com."] {
            let expected = if name == "web." { "10.0.0.2" } else { "1.2.3.4" };
            assert_eq!(texts(&guest.ask(name, RecordType::A)), [expected]);
            assert_eq!(texts(&guest.send_tcp(&query(name, RecordType::A))), [expected]);
        }
    });
}

#[test]
fn the_thread_is_not_started_elsewhere() {
    let house = House::new();
    let refused = in_namespace(|| {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        house.resolver.serve("one", udp, TcpListener::bind("127.0.0.1:0").unwrap()).unwrap_err()
    });
    assert!(refused.to_string().contains("in a network namespace of its own"), "{refused}");
}

#[test]
fn many_containers_come_ask_and_go() {
    let well = Upstream::well([1, 2, 3, 4]);
    let house = House::new();
    let guests: Vec<Guest> =
        (0..250).map(|number| house.guest(&format!("c{number}"), &[well.address])).collect();
    let began = Instant::now();
    let ours = query("web.", RecordType::A);
    let theirs = query("example.com.", RecordType::A);
    for asked in [&ours, &theirs] {
        let bytes = asked.to_vec().unwrap();
        for guest in &guests {
            guest.socket.send(&bytes).unwrap();
        }
        for guest in &guests {
            assert_eq!(texts(&check(asked, &guest.receive())).len(), 1);
        }
    }
    println!("250 containers, two questions each: {:?}", began.elapsed());
    for number in 0..250 {
        house.resolver.leave(&format!("c{number}"));
    }
    let last = house.guest("last", &[]);
    assert_eq!(texts(&last.ask("web.", RecordType::A)), ["10.0.0.2"]);
    for guest in &guests {
        drop(UdpSocket::bind(guest.socket.peer_addr().unwrap()).unwrap());
    }
}
