//! A registry of a few lines that misbehaves as it is told.

use naru_oci::Digest;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What to do with a request instead of what is right.
pub(super) enum React {
    /// What is right.
    Serve,
    /// Take so many bytes of the body, then close.
    CutAfter(usize),
    /// Do it, and close without a word.
    CutBeforeAnswer,
    /// Say this.
    Say(u16, &'static str),
    /// Forget all uploads first.
    Forget,
    /// Say this, with a body.
    Tell(u16, String),
    /// Ask for a token of its own service.
    Challenge,
    /// Say that so many bytes fewer are there than are.
    Understate(usize),
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) number: usize,
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
}

#[derive(Default)]
pub(super) struct Held {
    /// By `repository@digest`.
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    /// By `repository:tag` and `repository@digest`.
    pub(super) manifests: BTreeMap<String, (String, Vec<u8>)>,
    uploads: BTreeMap<u64, Vec<u8>>,
    next: u64,
    /// Body bytes of blobs that came.
    pub(super) received: u64,
    pub(super) log: Vec<Heard>,
}

type Mind = dyn Fn(&Heard) -> React + Send + Sync;

/// How it writes locations.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Locations {
    Relative,
    Absolute,
    WithQuery,
    /// At another host.
    Elsewhere(SocketAddr),
}

pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    pub(super) held: Arc<Mutex<Held>>,
    stop: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Server {
    held: Arc<Mutex<Held>>,
    mind: Arc<Mind>,
    locations: Locations,
    lie: bool,
}

impl StandIn {
    pub(super) fn new(mind: impl Fn(&Heard) -> React + Send + Sync + 'static) -> StandIn {
        StandIn::with(Locations::Relative, false, mind)
    }

    pub(super) fn with(
        locations: Locations,
        lie: bool,
        mind: impl Fn(&Heard) -> React + Send + Sync + 'static,
    ) -> StandIn {
        StandIn::sharing(Arc::default(), locations, lie, mind)
    }

    /// One that holds what another does: the same registry under another address.
    pub(super) fn sharing(
        held: Arc<Mutex<Held>>,
        locations: Locations,
        lie: bool,
        mind: impl Fn(&Heard) -> React + Send + Sync + 'static,
    ) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let server = Server { held: Arc::clone(&held), mind: Arc::new(mind), locations, lie };
        let over = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let server = server.clone();
                // A connection that breaks is what many of the tests are about.
                std::thread::spawn(move || server.serve(&stream.unwrap()).ok());
            }
        });
        StandIn { address, held, stop }
    }

    pub(super) fn log(&self) -> Vec<Heard> {
        self.held.lock().unwrap().log.clone()
    }

    pub(super) fn received(&self) -> u64 {
        self.held.lock().unwrap().received
    }

    pub(super) fn count(&self, method: &str) -> usize {
        self.log().iter().filter(|heard| heard.method == method).count()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

impl Server {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut input = BufReader::new(stream);
        let mut first = String::new();
        input.read_line(&mut first)?;
        let mut words = first.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if method.is_empty() {
            return Ok(());
        }
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length: usize =
            headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let heard = {
            let mut held = self.held.lock().unwrap();
            let heard = Heard {
                number: held.log.len(),
                method: method.to_owned(),
                path: path.to_owned(),
                headers,
            };
            held.log.push(heard.clone());
            heard
        };
        let mut react = (self.mind)(&heard);
        if let React::Say(status, more) = react {
            io::copy(&mut input.take(length as u64), &mut io::sink())?;
            return answer(stream, status, more, b"");
        }
        if let React::Tell(status, body) = react {
            return answer(stream, status, "", body.as_bytes());
        }
        if let React::Challenge = react {
            io::copy(&mut input.take(length as u64), &mut io::sink())?;
            let host = &heard.headers["host"];
            let more = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
            return answer(stream, 401, &more, b"");
        }
        if let React::Understate(by) = react {
            let (status, more, body) = self.answer_to(&heard, &[]);
            let end = |text: &str| text.trim_start_matches("range: 0-").parse::<usize>().ok();
            let lines = more.lines().map(|line| match end(line) {
                Some(end) => format!("range: 0-{}\r\n", end.saturating_sub(by)),
                None => format!("{line}\r\n"),
            });
            return answer(stream, status, &lines.collect::<String>(), &body);
        }
        if let React::Forget = react {
            self.held.lock().unwrap().uploads.clear();
            react = React::Serve;
        }
        let cut = if let React::CutAfter(at) = react { Some(at.min(length)) } else { None };
        let upload = upload_of(path);
        if method == "PATCH" || method == "PUT" && upload.is_some() {
            return self.take(input, &heard, length, cut, &react);
        }
        let mut body = vec![0; cut.unwrap_or(length)];
        input.read_exact(&mut body)?;
        if cut.is_some() {
            return Ok(());
        }
        let (status, more, body) = self.answer_to(&heard, &body);
        match react {
            React::CutBeforeAnswer => Ok(()),
            _ => answer(stream, status, &more, &body),
        }
    }

    /// Bytes of an upload, kept as they come.
    fn take(
        &self,
        mut input: BufReader<&TcpStream>,
        heard: &Heard,
        length: usize,
        cut: Option<usize>,
        react: &React,
    ) -> io::Result<()> {
        let stream = *input.get_ref();
        let number = upload_of(&heard.path).unwrap();
        let known = self.held.lock().unwrap().uploads.get(&number).map(Vec::len);
        let mut left = cut.unwrap_or(length);
        let Some(known) = known else {
            io::copy(&mut input.take(left as u64), &mut io::sink())?;
            return answer(stream, 404, "", br#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#);
        };
        if let Some(range) = heard.headers.get("content-range") {
            let start: usize = range.split('-').next().unwrap().parse().unwrap();
            if start != known {
                io::copy(&mut input.take(left as u64), &mut io::sink())?;
                return answer(stream, 416, "", b"");
            }
        }
        let mut piece = [0; 4096];
        while left > 0 {
            let want = left.min(piece.len());
            let count = input.read(&mut piece[..want])?;
            if count == 0 {
                return Ok(());
            }
            left -= count;
            let mut held = self.held.lock().unwrap();
            held.received += count as u64;
            held.uploads.get_mut(&number).unwrap().extend_from_slice(&piece[..count]);
        }
        if cut.is_some() {
            return Ok(());
        }
        let (status, more, body) = if heard.method == "PUT" {
            self.finish(heard, number)
        } else {
            let held = self.held.lock().unwrap();
            let end = held.uploads[&number].len().saturating_sub(1);
            let more = format!("{}range: 0-{end}\r\n", self.location(heard, number));
            (202, more, Vec::new())
        };
        match react {
            React::CutBeforeAnswer => Ok(()),
            _ => answer(stream, status, &more, &body),
        }
    }

    fn finish(&self, heard: &Heard, number: u64) -> (u16, String, Vec<u8>) {
        let mut held = self.held.lock().unwrap();
        let bytes = held.uploads.remove(&number).unwrap();
        let found = Digest::of(&bytes);
        let wanted = query(&heard.path, "digest").unwrap().replace("%3A", ":");
        if found.to_string() != wanted {
            return (400, String::new(), br#"{"errors":[{"code":"DIGEST_INVALID"}]}"#.to_vec());
        }
        held.blobs.insert(format!("{}@{found}", repository(&heard.path)), bytes);
        (201, self.digest(found), Vec::new())
    }

    fn digest(&self, digest: Digest) -> String {
        let said = if self.lie { Digest::of(b"a lie") } else { digest };
        format!("docker-content-digest: {said}\r\n")
    }

    fn location(&self, heard: &Heard, number: u64) -> String {
        let path = format!("/v2/{}/blobs/uploads/{number}", repository(&heard.path));
        let host = heard.headers.get("host").unwrap();
        let at = match self.locations {
            Locations::Relative => path,
            Locations::Absolute => format!("http://{host}{path}"),
            Locations::WithQuery => format!("{path}?_state=a%3Db%2F{number}&x="),
            Locations::Elsewhere(address) => format!("http://{address}{path}"),
        };
        format!("location: {at}\r\n")
    }

    fn answer_to(&self, heard: &Heard, body: &[u8]) -> (u16, String, Vec<u8>) {
        let path = heard.path.split('?').next().unwrap().to_owned();
        let name = repository(&heard.path);
        let last = path.rsplit('/').next().unwrap();
        let mut held = self.held.lock().unwrap();
        let nothing = || (404, String::new(), br#"{"errors":[{"code":"UNKNOWN"}]}"#.to_vec());
        if heard.method == "POST" {
            if let (Some(digest), Some(from)) =
                (query(&heard.path, "mount"), query(&heard.path, "from"))
                && let Some(bytes) = held.blobs.get(&format!("{from}@{digest}")).cloned()
            {
                held.blobs.insert(format!("{name}@{digest}"), bytes);
                return (201, String::new(), Vec::new());
            }
            held.next += 1;
            let number = held.next;
            held.uploads.insert(number, Vec::new());
            return (202, self.location(heard, number), Vec::new());
        }
        if let Some(number) = upload_of(&heard.path) {
            let Some(upload) = held.uploads.get(&number) else { return nothing() };
            let end = upload.len().saturating_sub(1);
            return (
                204,
                format!("{}range: 0-{end}\r\n", self.location(heard, number)),
                Vec::new(),
            );
        }
        if path.contains("/blobs/") {
            let Some(bytes) = held.blobs.get(&format!("{name}@{last}")) else { return nothing() };
            return (200, format!("x-size: {}\r\n", bytes.len()), Vec::new());
        }
        let separator = if last.starts_with("sha256:") { '@' } else { ':' };
        let key = format!("{name}{separator}{last}");
        if heard.method == "PUT" {
            let kind = heard.headers.get("content-type").unwrap().clone();
            let digest = Digest::of(body);
            held.manifests.insert(key, (kind.clone(), body.to_vec()));
            held.manifests.insert(format!("{name}@{digest}"), (kind, body.to_vec()));
            return (201, self.digest(digest), Vec::new());
        }
        match held.manifests.get(&key) {
            Some((kind, bytes)) => {
                let digest = Digest::of(bytes);
                let more = format!("content-type: {kind}\r\ndocker-content-digest: {digest}\r\n");
                let body = if heard.method == "HEAD" { Vec::new() } else { bytes.clone() };
                (200, more, body)
            }
            None => nothing(),
        }
    }
}

fn answer(mut stream: &TcpStream, status: u16, more: &str, body: &[u8]) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\n{more}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

fn upload_of(path: &str) -> Option<u64> {
    path.split('?').next()?.split("/blobs/uploads/").nth(1)?.parse().ok()
}

fn repository(path: &str) -> String {
    let path = path.strip_prefix("/v2/").unwrap();
    let end = path.find("/blobs/").or_else(|| path.find("/manifests/")).unwrap();
    path[..end].to_owned()
}

fn query(path: &str, name: &str) -> Option<String> {
    path.split_once('?')?.1.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}
