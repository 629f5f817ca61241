//! A registry of a few lines that hands out one image, and misbehaves as it is told.

use naru_oci::Digest;
use naru_test_support::TinyImage;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What to do with a request.
pub(super) enum React {
    /// What is right.
    Serve,
    /// What is right, but the connection ends after so many bytes of the body.
    Cut(usize),
    /// What is right, but after so many bytes of the body nothing more comes.
    Stall(usize),
    /// What is right when nobody asks for a range.
    Whole,
    /// The right head, with other bytes.
    Instead(Vec<u8>),
    /// This: a status, lines of the head, a body.
    Say(u16, String, &'static str),
    /// The same with a body that was made up just now.
    Tell(u16, String, String),
    /// Nothing at all, until the other side has had enough.
    Silence,
    /// What is right, but in chunks, so that nobody knows its length.
    Chunked,
    /// What begins so many bytes earlier (or later) than was asked for, and says so.
    Shifted(isize),
    /// A body in chunks that is longer than any manifest.
    Endless,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
    /// How many requests for the same came before it.
    pub(super) before: usize,
}

impl Heard {
    pub(super) fn is_blob(&self) -> bool {
        self.path.contains("/blobs/")
    }

    pub(super) fn authorization(&self) -> &str {
        self.headers.get("authorization").map_or("", String::as_str)
    }
}

/// An image as a registry holds it.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    pub(super) manifest: Vec<u8>,
}

impl Shelf {
    pub(super) fn of(image: &TinyImage) -> Shelf {
        let mut shelf = Shelf::default();
        for (name, bytes) in image.oci_files() {
            if name.starts_with("blobs/") {
                shelf.blobs.insert(Digest::of(&bytes).to_string(), bytes.clone());
                // The manifest is the last of them.
                shelf.manifest = bytes;
            }
        }
        shelf
    }

    /// Bytes of everything but the manifest.
    pub(super) fn size(&self) -> u64 {
        let all: u64 = self.blobs.values().map(|blob| blob.len() as u64).sum();
        all - self.manifest.len() as u64
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

/// Which part of a blob is given.
enum Reading {
    AsAsked,
    Whole,
    Shifted(isize),
}

type Mind = dyn Fn(&Heard) -> React + Send + Sync;

pub(super) struct StandIn {
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Vec<Heard>>>,
    sent: Arc<Mutex<u64>>,
    stop: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Server {
    shelf: Arc<Shelf>,
    mind: Arc<Mind>,
    log: Arc<Mutex<Vec<Heard>>>,
    sent: Arc<Mutex<u64>>,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl StandIn {
    pub(super) fn new(
        shelf: &Shelf,
        mind: impl Fn(&Heard) -> React + Send + Sync + 'static,
    ) -> StandIn {
        StandIn::with_tls(shelf, None, mind)
    }

    /// One that speaks TLS.
    pub(super) fn with_tls(
        shelf: &Shelf,
        tls: Option<Arc<rustls::ServerConfig>>,
        mind: impl Fn(&Heard) -> React + Send + Sync + 'static,
    ) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, log, sent) = (Arc::<AtomicBool>::default(), Arc::default(), Arc::default());
        let server = Server {
            shelf: Arc::new(shelf.clone()),
            mind: Arc::new(mind),
            log: Arc::clone(&log),
            sent: Arc::clone(&sent),
            tls,
        };
        let over = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let server = server.clone();
                // A connection that breaks is what many of the tests are about.
                std::thread::spawn(move || server.greet(&stream.unwrap()).ok());
            }
        });
        StandIn { address, log, sent, stop }
    }

    pub(super) fn log(&self) -> Vec<Heard> {
        self.log.lock().unwrap().clone()
    }

    /// Bytes of blobs that went out.
    pub(super) fn sent(&self) -> u64 {
        *self.sent.lock().unwrap()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

impl Server {
    fn greet(&self, stream: &TcpStream) -> io::Result<()> {
        match &self.tls {
            None => self.serve(stream),
            Some(tls) => {
                let connection = rustls::ServerConnection::new(Arc::clone(tls)).unwrap();
                self.serve(rustls::StreamOwned::new(connection, stream))
            }
        }
    }

    fn serve(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut input = BufReader::new(stream);
        let mut first = String::new();
        input.read_line(&mut first)?;
        let mut words = first.split_whitespace();
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let heard = {
            let mut log = self.log.lock().unwrap();
            let before =
                log.iter().filter(|one: &&Heard| one.method == method && one.path == path).count();
            let heard = Heard {
                method: method.to_owned(),
                path: path.to_owned(),
                headers,
                body: String::from_utf8(body).unwrap_or_default(),
                before,
            };
            log.push(heard.clone());
            heard
        };
        let react = (self.mind)(&heard);
        let (status, head, mut bytes) = match &react {
            React::Say(status, head, body) => (*status, head.clone(), body.as_bytes().to_vec()),
            React::Tell(status, head, body) => (*status, head.clone(), body.as_bytes().to_vec()),
            React::Shifted(by) => self.right(&heard, Reading::Shifted(*by)),
            React::Whole => self.right(&heard, Reading::Whole),
            _ => self.right(&heard, Reading::AsAsked),
        };
        if let React::Instead(other) = &react {
            bytes = other.clone();
        }
        if let React::Silence = react {
            io::copy(&mut input, &mut io::sink())?;
            return Ok(());
        }
        let in_chunks = matches!(react, React::Chunked | React::Endless);
        let length = match in_chunks {
            true => "transfer-encoding: chunked".to_owned(),
            false => format!("content-length: {}", bytes.len()),
        };
        let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n{head}{length}\r\n\r\n");
        let stream = input.get_mut();
        stream.write_all(head.as_bytes())?;
        if heard.method == "HEAD" {
            return stream.flush();
        }
        if let React::Endless = react {
            loop {
                // Until the other side has had enough.
                stream.write_all(format!("8000\r\n{:32768}\r\n", "").as_bytes())?;
            }
        }
        if in_chunks {
            for piece in bytes.chunks(50_000) {
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
                stream.write_all(piece)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n\r\n")?;
            return stream.flush();
        }
        let most = match &react {
            React::Cut(most) | React::Stall(most) => *most,
            _ => usize::MAX,
        };
        let out = &bytes[..most.min(bytes.len())];
        if heard.is_blob() {
            *self.sent.lock().unwrap() += out.len() as u64;
        }
        stream.write_all(out)?;
        stream.flush()?;
        if let React::Stall(_) = react {
            // Until the other side has had enough.
            io::copy(&mut input, &mut io::sink())?;
        }
        Ok(())
    }

    fn right(&self, heard: &Heard, reading: Reading) -> (u16, String, Vec<u8>) {
        let path = heard.path.split('?').next().unwrap();
        if path == "/v2/" {
            return (200, String::new(), Vec::new());
        }
        let last = path.rsplit('/').next().unwrap();
        let digest = self.shelf.digest();
        if path.contains("/manifests/") && (last == "v1" || last == digest.to_string()) {
            let head = format!(
                "content-type: application/vnd.oci.image.manifest.v1+json\r\ndocker-content-digest: {digest}\r\n"
            );
            return (200, head, self.shelf.manifest.clone());
        }
        if let Some(blob) = self.shelf.blobs.get(last).filter(|_| heard.is_blob()) {
            let from = heard.headers.get("range").map(|range| {
                range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
            });
            let from = match reading {
                Reading::AsAsked => from,
                Reading::Whole => None,
                Reading::Shifted(by) => from.map(|from: usize| from.saturating_add_signed(by)),
            };
            return match from {
                Some(from) => {
                    let from: usize = from;
                    let (end, total) = (blob.len() - 1, blob.len());
                    let head = format!("content-range: bytes {from}-{end}/{total}\r\n");
                    (206, head, blob[from..].to_vec())
                }
                None => (200, String::new(), blob.clone()),
            };
        }
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        (404, "content-type: application/json\r\n".to_owned(), body.to_vec())
    }
}
