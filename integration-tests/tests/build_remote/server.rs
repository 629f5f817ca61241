//! A web server of a few lines, whose answers are what a function makes of the requests; and one that serves repositories
//! with the real `git`. Acts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
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

fn one(
    stream: TcpStream,
    log: &Mutex<Vec<Heard>>,
    answer: &dyn Fn(&Heard) -> Vec<u8>,
) -> Option<()> {
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

/// What `git http-backend` answers for the repositories below a directory.
pub(crate) fn git_backend(root: &Path, heard: &Heard) -> Vec<u8> {
    let (path, query) = heard.target.split_once('?').unwrap_or((&heard.target, ""));
    let header = |name: &str| heard.header(name).unwrap_or_default().to_owned();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &heard.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", heard.body.len().to_string())
        .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Debian's package git is installed");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(&heard.body).ok();
    drop(input);
    let output = child.wait_with_output().expect("our own child").stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("a head of CGI");
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let headers: String = head
        .lines()
        .filter(|line| !line.starts_with("Status: "))
        .map(|line| format!("{line}\r\n"))
        .collect();
    said(status, &headers, &output[end + 4..])
}
