//! HTTP as a client of a registry needs it: one connection, kept. Acts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// An answer that waits longer than this fails the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub digest: Option<String>,
    pub body: Vec<u8>,
}

/// A connection to a registry.
pub struct Wire {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Wire {
    pub fn to(address: &str) -> Wire {
        Wire { address: address.to_owned(), stream: None }
    }

    /// Asks for something. A kept connection that was closed meanwhile is made anew, once.
    pub fn ask(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        if self.stream.is_some()
            && let Ok(answer) = self.once(method, path, kind, body)
        {
            return answer;
        }
        let stream = TcpStream::connect(&self.address).expect("the registry listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
        stream.set_nodelay(true).expect("no delay");
        self.stream = Some(BufReader::new(stream));
        self.once(method, path, kind, body)
            .unwrap_or_else(|error| panic!("{method} {path}: no answer: {error}"))
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "", b"")
    }

    fn once(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut reader = self.stream.take().expect("a connection");
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if !matches!(method, "GET" | "HEAD") {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        if !kind.is_empty() {
            text.push_str(&format!("Content-Type: {kind}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        reader.get_mut().write_all(&bytes)?;
        let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.get(9..12).and_then(|text| text.parse().ok()).ok_or_else(ended)?;
        let mut answer = Answer { status, location: None, digest: None, body: Vec::new() };
        let (mut length, mut is_chunked, mut is_over) = (0, false, false);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Err(ended());
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().expect("a length"),
                "transfer-encoding" => is_chunked = true,
                "location" => answer.location = Some(value.to_owned()),
                "docker-content-digest" => answer.digest = Some(value.to_owned()),
                "connection" => is_over = value == "close",
                _ => {}
            }
        }
        if method != "HEAD" {
            answer.body = if is_chunked {
                chunks(&mut reader)?
            } else {
                let mut body = vec![0; length];
                reader.read_exact(&mut body)?;
                body
            };
        }
        if !is_over {
            self.stream = Some(reader);
        }
        Ok(answer)
    }
}

fn chunks(reader: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).expect("a chunk's length");
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk)?;
        chunk.truncate(length);
        if length == 0 {
            return Ok(body);
        }
        body.append(&mut chunk);
    }
}
