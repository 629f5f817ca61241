//! The transport by itself: a handler that answers simply, raw bytes on a real socket.

use crate::connection::Handler;
use crate::detach_keys::DetachKeys;
use crate::error::Refusal;
use crate::hijack::{Hijack, Input};
use crate::listener::Listening;
use crate::reply::{self, Reply};
use crate::serve::{ServeOptions, serve_with};
use crate::{body, listener};
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use naru_api_types::frame::Splitter;
use naru_engine::StreamKind;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(20);

const OPTIONS: ServeOptions = ServeOptions {
    patience: Duration::from_millis(200),
    connections: 2048,
    farewell: Duration::from_millis(200),
};

/// Counts the requests that were dropped before they were answered.
#[derive(Default)]
struct Fake {
    cancelled: Arc<AtomicUsize>,
    /// Streams without output that were given up.
    silenced: Arc<AtomicUsize>,
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Input comes back as output, and its end as the end.
struct Echo(mpsc::Sender<Bytes>);

impl Input for Echo {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.0.send(bytes).await.map_err(|_closed| io::ErrorKind::BrokenPipe.into())
        })
    }
    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { drop(self) })
    }
}

impl Handler for Fake {
    fn call(&self, request: Request<Incoming>) -> BoxFuture<'static, Reply> {
        let cancelled = OnDrop(Arc::clone(&self.cancelled));
        let silenced = Arc::clone(&self.silenced);
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let reply = match path.as_str() {
                "/_ping" => reply::ping(true),
                "/json" => {
                    let (parts, incoming) = request.into_parts();
                    let (unread, mut left) = body::Unread::new(incoming);
                    let read = async {
                        let bytes = body::whole(unread, OPTIONS.patience).await?;
                        body::parse::<Value>(&parts.headers, &bytes, body::Presence::Required)
                    };
                    let read = read.await;
                    if let Ok(rest) = left.try_recv() {
                        body::drain(rest, OPTIONS.patience).await;
                    }
                    match read {
                        Ok(value) => reply::ok(&value),
                        Err(refusal) => reply::refusal(&refusal),
                    }
                }
                "/never" => std::future::pending().await,
                "/tty" | "/frames" => {
                    let (sender, receiver) = mpsc::channel(4);
                    let output = futures_util::stream::unfold(receiver, |mut receiver| async {
                        receiver.recv().await.map(|bytes| ((StreamKind::Stderr, bytes), receiver))
                    });
                    Reply::Hijack(Hijack {
                        output: output.boxed(),
                        stdin: Some(Box::new(Echo(sender))),
                        framed: path == "/frames",
                        names_frames: true,
                        detach_keys: if path == "/tty" {
                            DetachKeys::parse("").unwrap()
                        } else {
                            DetachKeys::none()
                        },
                    })
                }
                "/silent" => {
                    let held = OnDrop(silenced);
                    let output = futures_util::stream::unfold(held, |held| async move {
                        std::future::pending::<()>().await;
                        Some(((StreamKind::Stdout, Bytes::new()), held))
                    });
                    Reply::Hijack(Hijack {
                        output: output.boxed(),
                        stdin: None,
                        framed: false,
                        names_frames: true,
                        detach_keys: DetachKeys::none(),
                    })
                }
                "/lines" => {
                    let lines = futures_util::stream::iter(["a\n", "b\n"])
                        .map(|line| Ok::<_, io::Error>(Bytes::from(line)));
                    reply::with_type(StatusCode::OK, "application/json", Body::from_stream(lines))
                }
                _ => reply::refusal(&Refusal::Fault(naru_errdefs::Fault::not_found(
                    "page not found",
                ))),
            };
            drop(cancelled);
            reply
        })
    }
}

struct Server {
    path: PathBuf,
    cancelled: Arc<AtomicUsize>,
    silenced: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

fn server() -> Server {
    server_with(OPTIONS)
}

fn server_with(options: ServeOptions) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    let listening: Listening = listener::bind_unix(&path).unwrap();
    let fake = Fake::default();
    let cancelled = Arc::clone(&fake.cancelled);
    let silenced = Arc::clone(&fake.silenced);
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve_with(vec![listening], Arc::new(fake), options, async {
        drop(stopped.await);
    }));
    Server { path, cancelled, silenced, stop: Some(stop), task, _dir: dir }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("did not happen in time")
}

/// Sends bytes, reads until the server closes.
async fn exchange(path: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    drop(within(stream.read_to_end(&mut answer)).await);
    String::from_utf8(answer).unwrap()
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn every_answer_names_the_api() {
    let server = server();
    let answer =
        exchange(&server.path, b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await;
    let lower = answer.to_ascii_lowercase();
    for want in [
        "http/1.1 200 ok",
        "api-version: 1.51",
        "ostype: linux",
        "docker-experimental: false",
        "server: naru/",
        "builder-version: 1",
    ] {
        assert!(lower.contains(want), "{want} in {answer}");
    }
    assert!(answer.ends_with("\r\n\r\nOK"));
}

#[tokio::test]
async fn bodies_that_are_not_json_are_refused_with_the_known_texts() {
    let server = server();
    for (headers, body, status, text) in [
        (JSON, "{\"a\":1}", "200", "{\"a\":1}"),
        (JSON, "{\"a\":", "400", "invalid JSON: EOF while parsing a value"),
        (JSON, "", "400", "invalid JSON: got EOF while reading request body"),
        (JSON, "{} {}", "400", "unexpected content after JSON"),
        ("", "{}", "400", "malformed Content-Type header (): mime: no media type"),
        (
            "Content-Type: text/plain\r\n",
            "{}",
            "400",
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        ("Content-Type: Application/JSON; charset=utf-8\r\n", "[]", "200", "[]"),
    ] {
        let answer = exchange(&server.path, &post("/json", headers, body)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{body}: {answer}");
        assert!(answer.contains(text), "{body}: {answer}");
    }
    let deep = "[".repeat(100_000);
    assert!(exchange(&server.path, &post("/json", JSON, &deep)).await.contains("recursion limit"));
}

#[tokio::test]
async fn an_oversized_body_is_refused_before_it_is_read() {
    let server = server();
    let head = format!(
        "POST /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{JSON}Content-Length: {}\r\n\r\n",
        1u64 << 40
    );
    let answer = exchange(&server.path, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("request body is larger than 4194304 bytes"), "{answer}");
    let mut chunked =
        format!("POST /json HTTP/1.1\r\nHost: x\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    for _ in 0..80 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b' '; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    let (mut read, mut write) = stream.split();
    let mut answer = vec![0; 4096];
    let got = within(async {
        tokio::join!(async { drop(write.write_all(&chunked).await) }, read.read(&mut answer)).1
    })
    .await
    .unwrap();
    assert!(answer[..got].starts_with(b"HTTP/1.1 413 "));
}

#[tokio::test]
async fn half_a_request_and_then_silence_is_ended() {
    let server = server();
    assert_eq!(exchange(&server.path, b"GET /_pi").await, "");
    let half_body =
        format!("POST /json HTTP/1.1\r\nHost: x\r\n{JSON}Content-Length: 100\r\n\r\n{{");
    let answer = exchange(&server.path, half_body.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let garbage = exchange(&server.path, b"\x16\x03\x01\x02\x00 what\r\n\r\n").await;
    assert!(garbage.starts_with("HTTP/1.1 400 ") || garbage.is_empty(), "{garbage}");
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    let server = server();
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    stream.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // The request is under way once another one, sent later, is answered.
    exchange(&server.path, b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let before = server.cancelled.load(Ordering::SeqCst);
    drop(stream);
    within(async {
        while server.cancelled.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_at_once_are_all_answered() {
    // As long as a daemon has: a machine with other work may leave a client without its turn for a while.
    let server = server_with(ServeOptions { patience: Duration::from_secs(60), ..OPTIONS });
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let path = server.path.clone();
        clients.spawn(async move {
            // The queue of the socket may be full for a moment; the kernel then says so.
            let mut stream = loop {
                match UnixStream::connect(&path).await {
                    Ok(stream) => break stream,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        tokio::task::yield_now().await;
                    }
                    Err(error) => return Err(error),
                }
            };
            stream
                .write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer.ends_with("OK"))
        });
    }
    let answers = within(clients.join_all()).await;
    let bad: Vec<_> = answers.iter().filter(|answer| !matches!(answer, Ok(true))).collect();
    assert!(bad.is_empty(), "{} of 1000: {bad:?}", bad.len());
}

/// Reads the head of an answer.
async fn head(stream: &mut UnixStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn an_upgrade_becomes_a_stream_and_half_close_ends_the_input() {
    let server = server();
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    // Input right behind the request must not be lost.
    stream
        .write_all(
            b"POST /tty HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly ",
        )
        .await
        .unwrap();
    let head = head(&mut stream).await;
    assert!(
        head.starts_with("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"),
        "{head}"
    );
    assert!(head.contains("Content-Type: application/vnd.docker.raw-stream\r\n"), "{head}");
    stream.write_all(b"late").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut echo = String::new();
    within(stream.read_to_string(&mut echo)).await.unwrap();
    assert_eq!(echo, "early late");
}

#[tokio::test]
async fn a_client_without_upgrade_gets_200_and_frames() {
    let server = server();
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    stream
        .write_all(b"POST /frames HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}hello")
        .await
        .unwrap();
    let head = head(&mut stream).await;
    assert!(
        head.starts_with(
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
        ),
        "{head}"
    );
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"));
    stream.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    within(stream.read_to_end(&mut bytes)).await.unwrap();
    let mut splitter = Splitter::new();
    // The body of the request is not part of the stream, what follows it is.
    let mut text = Vec::new();
    let mut rest: &[u8] = &bytes;
    while let Some((_, payload, behind)) = splitter.next(rest).unwrap() {
        text.extend_from_slice(payload);
        rest = behind;
    }
    assert!(text.ends_with(b"hello"), "{text:?}");
}

#[tokio::test]
async fn detach_keys_end_the_attachment() {
    let server = server();
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    stream.write_all(b"POST /tty HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\n\r\n").await.unwrap();
    head(&mut stream).await;
    stream.write_all(b"x\x10\x11").await.unwrap();
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty() || rest == b"x");
}

#[tokio::test]
async fn a_silent_stream_ends_when_its_client_is_gone() {
    let server = server();
    for (path, half_closes_first) in [("/silent", true), ("/silent", false)] {
        let mut stream = UnixStream::connect(&server.path).await.unwrap();
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        head(&mut stream).await;
        let before = server.silenced.load(Ordering::SeqCst);
        if half_closes_first {
            stream.shutdown().await.unwrap();
            // A request that goes the whole way shows that the half close was not taken for the end.
            exchange(&server.path, b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await;
            assert_eq!(server.silenced.load(Ordering::SeqCst), before);
        }
        drop(stream);
        within(async {
            while server.silenced.load(Ordering::SeqCst) == before {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_connection_carries_many_requests() {
    let server = server();
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /lines HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let head = head(&mut stream).await;
        assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(within(stream.read_u8()).await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_shutdown_ends_streams_and_frees_the_socket() {
    let mut server = server();
    let mut attached = UnixStream::connect(&server.path).await.unwrap();
    attached.write_all(b"POST /tty HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\n\r\n").await.unwrap();
    head(&mut attached).await;
    drop(server.stop.take());
    within(&mut server.task).await.unwrap();
    let mut rest = Vec::new();
    within(attached.read_to_end(&mut rest)).await.unwrap();
    assert!(listener::bind_unix(&server.path).is_ok(), "what a dead daemon left is replaced");
}

#[tokio::test]
async fn a_socket_that_answers_is_not_taken() {
    let server = server();
    let refused = listener::bind_unix(&server.path).unwrap_err();
    assert!(refused.message().contains("another daemon answers there"), "{refused}");
    let file = server.path.with_extension("txt");
    std::fs::File::create(&file).unwrap();
    assert!(listener::bind_unix(&file).unwrap_err().message().contains("it is no socket"));
}
