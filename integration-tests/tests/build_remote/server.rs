//! A web server of a few lines, whose answers are what a function makes of the requests. Acts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    pub(crate) method: String,
    /// With its query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// An answer as it goes over the wire.
pub(crate) fn said(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A server; its threads wait for nobody and end with the test.
#[derive(Debug)]
pub(crate) struct Server {
    place: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Heard) -> Vec<u8> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let place = listener.local_addr().expect("a port of loopback");
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let (log, answer) = (Arc::clone(&heard), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || one(stream, &log, &*answer));
            }
        });
        Server { place, heard }
    }

    /// The address of a path on it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.place)
    }

    /// What it was asked so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no test failed in it").clone()
    }
}

fn one(stream: TcpStream, log: &Mutex<Vec<Heard>>, answer: &dyn Fn(&Heard) -> Vec<u8>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let mut heard = Heard {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        ..Heard::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        heard.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    if let Some(length) = heard.header("content-length").and_then(|text| text.parse().ok()) {
        heard.body = vec![0; length];
        reader.read_exact(&mut heard.body).ok()?;
    }
    log.lock().ok()?.push(heard.clone());
    stream.write_all(&answer(&heard)).ok()
}
