//! A load client: raw HTTP/1.1 on one connection that is kept. Acts.

use rustix::net::RecvFlags;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a server may be silent.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the bytes that nobody wants are read to: whole pages, as in clients written in Go (docker, podman, skopeo). The kernel of
/// some processors copies several times slower to memory that begins a few bytes further within a page than the source.
#[derive(Debug)]
#[repr(align(4096))]
struct Pages([u8; 256 << 10]);

/// One connection to a registry.
#[derive(Debug)]
pub struct Connection {
    address: String,
    stream: BufReader<TcpStream>,
    buffer: Box<Pages>,
    copies: bool,
}

/// What came back; the body only where it was asked for.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: String,
    pub link: String,
    pub length: u64,
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(address: &str) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        stream.set_read_timeout(Some(LIMIT)).map_err(text)?;
        stream.set_write_timeout(Some(LIMIT)).map_err(text)?;
        Ok(Connection {
            address: address.to_owned(),
            // For heads and the bodies that are wanted; the others pass it by.
            stream: BufReader::with_capacity(8 << 10, stream),
            buffer: Box::new(Pages([0; 256 << 10])),
            copies: false,
        })
    }

    /// Reads also the bodies that are not wanted, as a client does that shares the server's processors. Otherwise they stay in
    /// the kernel, so that it is the server that is measured.
    pub fn copying(mut self, copies: bool) -> Connection {
        self.copies = copies;
        self
    }

    /// Sends a request whose body is the parts in turn, and reads the answer, dropping its body unless `keep`.
    pub fn ask(
        &mut self,
        method: &str,
        target: &str,
        kind: &str,
        parts: &[&[u8]],
        keep: bool,
    ) -> Result<Answer, String> {
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nAccept: */*\r\nContent-Length: {size}\r\n\r\n",
            self.address
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).map_err(text)?;
        for part in parts {
            stream.write_all(part).map_err(text)?;
        }
        self.answer(keep).map_err(|error| format!("{method} {target}: {error}"))
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(text)?;
        if line.is_empty() {
            return Err("the connection ended".to_owned());
        }
        Ok(line.trim_end().to_owned())
    }

    fn answer(&mut self, keep: bool) -> Result<Answer, String> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let mut answer = Answer {
            status: status.ok_or_else(|| format!("no status in `{first}`"))?,
            location: String::new(),
            link: String::new(),
            length: 0,
            body: Vec::new(),
        };
        let mut chunked = false;
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => answer.length = value.parse().map_err(text)?,
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "location" => value.clone_into(&mut answer.location),
                "link" => value.clone_into(&mut answer.link),
                _ => {}
            }
        }
        if !chunked {
            self.body(answer.length, keep, &mut answer.body)?;
            return Ok(answer);
        }
        loop {
            let size = u64::from_str_radix(&self.line()?, 16).map_err(text)?;
            self.body(size, keep, &mut answer.body)?;
            self.line_end()?;
            if size == 0 {
                return Ok(answer);
            }
            answer.length += size;
        }
    }

    fn line_end(&mut self) -> Result<(), String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).map(drop).map_err(text)
    }

    fn body(&mut self, mut left: u64, keep: bool, body: &mut Vec<u8>) -> Result<(), String> {
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.0.len());
            let space = self.buffer.0.get_mut(..most).ok_or("no space")?;
            let got = match keep || self.copies || !self.stream.buffer().is_empty() {
                true => self.stream.read(space).map_err(text)?,
                false => {
                    let (_, got) =
                        rustix::net::recv(self.stream.get_ref(), space, RecvFlags::TRUNC)
                            .map_err(text)?;
                    got
                }
            };
            if got == 0 {
                return Err(format!("the body ended {left} bytes early"));
            }
            if keep {
                body.extend_from_slice(self.buffer.0.get(..got).unwrap_or_default());
            }
            left -= got as u64;
        }
        Ok(())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
