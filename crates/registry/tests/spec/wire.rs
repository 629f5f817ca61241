//! A client that sends what it is told, byte for byte, and takes answers apart. Acts.

use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// The codes that an answer below 500 may have (distribution-spec, "Error Codes").
const CODES: [&str; 14] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
];

/// One connection.
pub struct Client {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Headers of a request.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        Client { stream, unread: Vec::new() }
    }

    /// Sends bytes as they are; the other end may have closed.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends no more.
    pub fn stop_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).ok();
    }

    /// The head of a request, with what every request has.
    pub fn head(method: &str, path: &str, headers: Headers<'_>) -> Vec<u8> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: registry.example\r\n");
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// One request with its length, and its answer.
    pub fn ask(&mut self, method: &str, path: &str, headers: Headers<'_>, body: &[u8]) -> Answer {
        let length = body.len().to_string();
        let mut headers = headers.to_vec();
        if !matches!(method, "GET" | "HEAD") || !body.is_empty() {
            headers.push(("Content-Length", &length));
        }
        let mut bytes = Client::head(method, path, &headers);
        bytes.extend_from_slice(body);
        // What refuses may not read to the end.
        self.send(&bytes).ok();
        self.answer(method).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// The next answer, to a request of a method; none when the connection ends before one.
    pub fn answer(&mut self, method: &str) -> Option<Answer> {
        loop {
            let end = loop {
                if let Some(at) = self.unread.windows(4).position(|it| it == b"\r\n\r\n") {
                    break at;
                }
                if !self.more() {
                    assert!(self.unread.is_empty(), "half an answer: {:?}", self.unread);
                    return None;
                }
            };
            let head = String::from_utf8(self.unread.drain(..end + 4).collect()).unwrap();
            let mut lines = head.trim_end().split("\r\n");
            let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            let headers = lines.map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                (name.to_ascii_lowercase(), value.trim().to_owned())
            });
            let mut answer = Answer { status, headers: headers.collect(), body: Vec::new() };
            if status == 100 {
                continue;
            }
            if method != "HEAD" && status != 204 && status != 304 {
                answer.body = self.body(answer.header("content-length").unwrap().parse().unwrap());
            }
            return Some(answer);
        }
    }

    fn body(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert!(self.more(), "the body ends after {} of {length} bytes", self.unread.len());
        }
        self.unread.drain(..length).collect()
    }

    /// Reads something; not when the other end has closed.
    fn more(&mut self) -> bool {
        let mut bytes = [0; 65536];
        match self.stream.read(&mut bytes) {
            Ok(count) => {
                self.unread.extend_from_slice(&bytes[..count]);
                count > 0
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the connection is silent: {error}"),
        }
    }

    /// Whether the other end closes without another word.
    pub fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && !self.more()
    }
}

impl Answer {
    /// The one header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} is there {} times", all.len());
        all.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The same, which must have this status.
    pub fn with(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// The codes of a refusal, in the shape that the specification gives.
    pub fn codes(&self) -> Vec<String> {
        assert!(self.status >= 400, "{} is no refusal", self.status);
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        let errors = body["errors"].as_array().unwrap();
        assert!(!errors.is_empty(), "{body}");
        let code = |error: &Value| {
            for (key, value) in error.as_object().unwrap() {
                match key.as_str() {
                    "code" | "message" => assert!(value.is_string(), "{error}"),
                    "detail" => {}
                    _ => panic!("{key} is no field of an error"),
                }
            }
            let code = error["code"].as_str().unwrap().to_owned();
            assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
            assert!(self.status >= 500 || CODES.contains(&code.as_str()), "{code}");
            code
        };
        errors.iter().map(code).collect()
    }

    /// Must be a refusal with this status and code alone.
    pub fn refused(self, status: u16, code: &str) -> Answer {
        let answer = self.with(status);
        assert_eq!(answer.codes(), [code], "{}", String::from_utf8_lossy(&answer.body));
        answer
    }
}
