//! What is counted and noted of clients that promise more than they send, take less than they asked for, or go away.

use super::{Served, start};
use crate::access::audit::AuditConfig;
use naru_oci::Digest;
use naru_store::{Batch, Member};
use serde_json::Value;
use std::io::Write as _;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

fn figure(served: &Served, line: &str) -> u64 {
    let text = served.edge.metrics.text(&crate::metrics::Seen::default());
    let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().unwrap())
}

const IN: &str = "naru_registry_bytes_total{direction=\"in\"}";
const OUT: &str = "naru_registry_bytes_total{direction=\"out\"}";

/// Waits until so many requests of an operation have come to nothing.
async fn gone(served: &Served, operation: &str, count: u64) {
    let line = format!("naru_registry_requests_total{{operation=\"{operation}\",status=\"4xx\"}}");
    let since = Instant::now();
    while figure(served, &line) < count {
        let text = served.edge.metrics.text(&crate::metrics::Seen::default());
        assert!(since.elapsed() < Duration::from_secs(20), "{operation} never ends:\n{text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Stores a blob as a member of `a/b`.
fn blob(served: &Served, bytes: &[u8]) -> Digest {
    let store = &served.edge.store;
    let lease = store.leases.create(Duration::from_secs(60));
    let mut ingest = store.content.ingest(lease.id()).unwrap();
    ingest.write_all(bytes).unwrap();
    let blob = ingest.commit(None).unwrap();
    let mut batch = Batch::new();
    batch.put_member("a/b", &blob.digest, &Member::blob(blob.size));
    store.commit(batch).unwrap();
    blob.digest
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_count_that_came_and_not_those_that_were_announced() {
    let served = start(|_, _| {}).await;
    let begun = "POST /v2/a/b/blobs/uploads/ HTTP/1.1\r\nContent-Length: 0\r\n";
    let (head, _) = served.get(begun).await;
    let location = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    let before = (figure(&served, IN), figure(&served, OUT));
    assert_eq!(before, (0, 0));
    let mut client = TcpStream::connect(served.address).await.unwrap();
    let head =
        format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&[1; 1000]).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.ok();
    let since = Instant::now();
    while figure(&served, IN) == 0 {
        assert!(since.elapsed() < Duration::from_secs(20), "nothing is counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(figure(&served, IN), 1000);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_count_that_were_sent_and_not_those_that_could_have_been() {
    let served = start(|_, _| {}).await;
    let small = blob(&served, b"0123456789");
    served.get(&format!("HEAD /v2/a/b/blobs/{small} HTTP/1.1\r\n")).await;
    assert_eq!(figure(&served, OUT), 0);
    let (_, body) = served.get(&format!("GET /v2/a/b/blobs/{small} HTTP/1.1\r\n")).await;
    assert_eq!((body.as_str(), figure(&served, OUT)), ("0123456789", 10));
    let large = blob(&served, &vec![1; 24 << 20]);
    let socket = TcpSocket::new_v4().unwrap();
    // What the system takes in for a client that reads nothing is bounded.
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut client = socket.connect(served.address).await.unwrap();
    let head = format!("GET /v2/a/b/blobs/{large} HTTP/1.1\r\nHost: x\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut some = vec![0; 100_000];
    client.read_exact(&mut some).await.unwrap();
    drop(client);
    let metrics = std::sync::Arc::clone(&served.edge.metrics);
    served.end().await;
    let text = metrics.text(&crate::metrics::Seen::default());
    let sent = text.lines().find_map(|line| line.strip_prefix(OUT)).unwrap();
    let sent: u64 = sent.trim().parse().unwrap();
    assert!((90_000..20 << 20).contains(&sent), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_nobody_waited_for_are_noted() {
    let served = start(|config, dir| {
        let path = dir.join("slow");
        // It takes long enough for the client to be gone first.
        let text = format!("ann:{}\n", bcrypt::hash("ann-secret", 12).unwrap());
        naru_kernel::fs::write_atomic(&path, text.as_bytes(), 0o600).unwrap();
        config.auth.htpasswd = Some(path);
        let file = dir.join("audit.log");
        config.audit = Some(AuditConfig { file, max_size: None, max_files: None });
    })
    .await;
    for request in [
        "GET /token HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YW5uOmFubi1zZWNyZXQ=\r\n\r\n",
        "POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\ngrant_type=password&",
    ] {
        let mut client = TcpStream::connect(served.address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        drop(client);
    }
    gone(&served, "token", 2).await;
    let dir = served.end().await;
    let text = std::fs::read_to_string(dir.path().join("audit.log")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for line in lines {
        assert_eq!((&line["action"], &line["status"]), (&"token".into(), &499.into()), "{text}");
        assert_eq!(line["peer"], "127.0.0.1");
    }
}
