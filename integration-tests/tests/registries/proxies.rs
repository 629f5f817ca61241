//! Pull and push through a proxy that the environment names: by CONNECT for TLS, by whole addresses for plain HTTP, past it for whom
//! `NO_PROXY` lists. Acts: the proxy is a few lines beside the daemon.

use super::Place;
use integration_tests::own_registry::{Challenge, OwnRegistry};
use integration_tests::peer_registry::{Options, PASSWORD, PeerRegistry, USER};
use integration_tests::{Daemon, run, run_with_input};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const PROXY: &str = "127.0.0.1:3128";
/// Registries behind the proxy, and one before it.
const SECURE: &str = "10.9.9.9:5000";
const PLAIN: &str = "10.9.9.9:5001";
const NEAR: &str = "10.9.9.8:5000";

/// A proxy that notes the head of what it is asked, and takes one request a connection.
struct Proxy {
    heads: Arc<Mutex<Vec<String>>>,
    clients: Arc<Mutex<Vec<TcpStream>>>,
    stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    fn start(daemon: &Daemon) -> Proxy {
        let listener = daemon.nearby(|| TcpListener::bind(PROXY).expect("a free port"));
        // Threads that connect are to be where the daemon is.
        let heads = Arc::new(Mutex::new(Vec::new()));
        let clients = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (noted, stop, kept) = (Arc::clone(&heads), Arc::clone(&stopped), Arc::clone(&clients));
        let accepting = daemon.nearby(move || {
            std::thread::spawn(move || {
                for client in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let Ok(client) = client else { continue };
                    kept.lock().expect("clients").extend(client.try_clone());
                    let noted = Arc::clone(&noted);
                    // A client that goes away is no failure of the proxy's.
                    std::thread::spawn(move || forward(client, &noted).ok());
                }
            })
        });
        Proxy { heads, clients, stopped, accepting: Some(accepting) }
    }

    /// What was asked since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().expect("heads"))
    }

    /// Nobody listens there any more.
    fn stop(&mut self, daemon: &Daemon) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the one who accepts.
        drop(daemon.nearby(|| TcpStream::connect(PROXY)));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("the proxy");
        }
        // Tunnels that are kept for the next request end, too.
        for client in self.clients.lock().expect("clients").drain(..) {
            client.shutdown(Shutdown::Both).ok();
        }
    }
}

/// Forwards one request and its answer.
fn forward(client: TcpStream, noted: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 0 && !head.ends_with("\r\n\r\n") {}
    noted.lock().expect("heads").push(head.clone());
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    let line = head.lines().next().ok_or_else(wrong)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().ok_or_else(wrong)?, words.next().ok_or_else(wrong)?);
    let mut client = client;
    let server = if method == "CONNECT" {
        let server = TcpStream::connect(target)?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        server
    } else {
        let (host, path) = target
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(wrong)?;
        let mut server = TcpStream::connect(host)?;
        let rest = head.split_once("\r\n").ok_or_else(wrong)?.1;
        // Whoever asks again asks us again.
        let asked = format!("{method} /{path} HTTP/1.1\r\nConnection: close\r\n{rest}");
        server.write_all(asked.as_bytes())?;
        server
    };
    let (mut up, mut down) = (server.try_clone()?, server);
    let sending = std::thread::spawn(move || {
        copy(&mut reader, &mut up).ok();
        up.shutdown(Shutdown::Write).ok();
    });
    copy(&mut down, &mut client).ok();
    client.shutdown(Shutdown::Both).ok();
    sending.join().ok();
    Ok(())
}

/// Forwards what there is as soon as it is there.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..count])?;
    }
}

#[test]
fn registries_are_reached_through_the_proxy_of_the_environment() {
    let certs = tempfile::tempdir().expect("a directory");
    let proxy = format!("http://ann:pw@{PROXY}");
    let variables = [
        ("HTTP_PROXY", proxy.as_str()),
        ("HTTPS_PROXY", proxy.as_str()),
        ("NO_PROXY", "other.example,10.9.9.8"),
    ];
    let options = [
        "--certs-dir",
        certs.path().to_str().expect("a path"),
        "--insecure-registry",
        PLAIN,
        "--insecure-registry",
        NEAR,
    ];
    let daemon = Daemon::start_apart_with(&variables, &options).with_busybox("box");
    for address in ["10.9.9.9/32", "10.9.9.8/32"] {
        run(daemon.neighbour("ip").args(["addr", "add", address, "dev", "lo"])).ok();
    }
    let config = daemon.dir().join("docker-config");
    std::fs::create_dir(&config).expect("a directory");
    let mut proxy = Proxy::start(&daemon);
    let secure = OwnRegistry::start(&daemon, SECURE, Challenge::Token);
    let own = certs.path().join(SECURE);
    std::fs::create_dir(&own).expect("a directory");
    std::fs::copy(secure.authority(), own.join("ca.crt")).expect("a certificate");
    let open = Options { password: false, tls: false };
    let plain = PeerRegistry::start(&daemon, PLAIN, open);
    let near = PeerRegistry::start(&daemon, NEAR, open);
    let place = Place { daemon, config };
    let words = ["login", "-u", USER, "--password-stdin", SECURE];
    run_with_input(&mut place.command(super::Client::Naru, &words), PASSWORD.as_bytes()).ok();
    // What the engine pushed it does not fetch again: names go first.
    let come_and_go = |name: &str| {
        place.push(name);
        place.naru(&["rmi", "box"]).ok();
        place.naru(&["pull", name]).ok();
        place.naru(&["tag", name, "box"]).ok();
        let said = place.naru(&["run", "--rm", "--network", "none", name, "echo", "hi"]).ok();
        assert_eq!(said.stdout, "hi\n");
        place.naru(&["rmi", name]).ok();
    };

    come_and_go(&secure.name("team/box:1"));
    let asked = proxy.asked();
    assert!(!asked.is_empty());
    for head in &asked {
        assert!(head.starts_with(&format!("CONNECT {SECURE} HTTP/1.1\r\n")), "{head}");
        // The proxy is told who we are to it, and nothing of who we are to the registry.
        let head = head.to_ascii_lowercase();
        assert!(head.contains("proxy-authorization: basic yw5uonb3\r\n"), "{head}");
        assert!(!head.contains("\r\nauthorization:"), "{head}");
    }
    assert!(!secure.audit().contains("YW5uOnB3"));

    come_and_go(&plain.name("team/box:1"));
    let asked = proxy.asked();
    for method in ["GET", "HEAD", "POST", "PUT"] {
        let start = format!("{method} http://{PLAIN}/v2/");
        assert!(asked.iter().any(|head| head.starts_with(&start)), "{method}: {asked:#?}");
    }

    come_and_go(&near.name("team/box:1"));
    assert_eq!(proxy.asked(), [""; 0], "whom `NO_PROXY` lists is asked directly");

    // Nothing goes past a proxy that is away.
    proxy.stop(&place.daemon);
    for name in [secure.name("team/box:1"), plain.name("team/box:1")] {
        let failed = place.naru(&["pull", &name]);
        assert_eq!(failed.code, 1, "{failed:?}");
        assert!(failed.stderr.contains("10.9.9.9"), "{}", failed.stderr);
    }
    place.naru(&["pull", &near.name("team/box:1")]).ok();
}
