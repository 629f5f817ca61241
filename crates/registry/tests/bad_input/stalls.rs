//! Clients that fall silent.

use crate::listening::{How, Listening, OCTETS};
use crate::wire::Client;
use crate::{goes_on, has_answer};
use naru_oci::Digest;
use naru_registry::edge::ServeOptions;
use std::io::Read as _;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_millis(700);

fn start(dir: &std::path::Path) -> Listening {
    let options = ServeOptions { patience: PATIENCE, silence: PATIENCE, ..ServeOptions::default() };
    Listening::at(dir, How { options, ..How::default() })
}

#[test]
fn one_that_stalls_in_a_piece_is_told_and_what_arrived_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let location = registry.begin("a");
    let mut client = registry.client();
    let mut request = Client::head("PATCH", &location, &[("Content-Length", "100000")]);
    request.extend_from_slice(&[1; 60_000]);
    client.send(&request).unwrap();
    // Others are served meanwhile.
    goes_on(&registry);
    client.answer("PATCH").unwrap().refused(408, "BLOB_UPLOAD_INVALID");
    assert!(client.is_closed());
    let standing = registry.get(&location).with(204);
    assert_eq!(standing.header("range"), Some("0-59999"));
    let headers = [OCTETS[0], ("Content-Range", "60000-99999")];
    registry.ask("PATCH", &location, &headers, &[1; 40_000]).with(202);
    let path = format!("{location}?digest={}", Digest::of(&[1; 100_000]));
    registry.ask("PUT", &path, &[], &[]).with(201);
}

#[test]
fn one_that_sends_a_byte_now_and_then_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let location = registry.begin("a");
    let mut client = registry.client();
    client.send(&Client::head("PATCH", &location, &[("Content-Length", "100000")])).unwrap();
    let since = Instant::now();
    while client.send(b"x").is_ok() && !has_answer(&client) {
        assert!(since.elapsed() < Duration::from_secs(30), "it is still waited for");
        std::thread::sleep(Duration::from_millis(20));
    }
    client.answer("PATCH").unwrap().refused(408, "BLOB_UPLOAD_INVALID");
    goes_on(&registry);
}

#[test]
fn what_arrived_is_kept_when_the_registry_ends_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let options = ServeOptions { farewell: PATIENCE, ..ServeOptions::default() };
    let registry = Listening::at(dir.path(), How { options, ..How::default() });
    let location = registry.begin("a");
    let mut client = registry.client();
    let mut request = Client::head("PATCH", &location, &[("Content-Length", "1000000")]);
    request.extend_from_slice(&[1; 300_000]);
    client.send(&request).unwrap();
    // Who writes the session has its place: nobody else gets it within the time.
    std::thread::sleep(PATIENCE);
    drop(registry);
    let registry = start(dir.path());
    let standing = registry.get(&location).with(204);
    assert_eq!(standing.header("range"), Some("0-299999"));
    let headers = [OCTETS[0], ("Content-Range", "300000-999999")];
    registry.ask("PATCH", &location, &headers, &[1; 700_000]).with(202);
    let path = format!("{location}?digest={}", Digest::of(&[1; 1_000_000]));
    registry.ask("PUT", &path, &[], &[]).with(201);
}

#[test]
fn one_that_stalls_in_a_whole_blob_or_a_manifest_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let digest = Digest::of(b"x");
    let location = registry.begin("a");
    for (method, path, code) in [
        ("PUT", format!("{location}?digest={digest}"), "BLOB_UPLOAD_INVALID"),
        ("POST", format!("/v2/a/blobs/uploads/?digest={digest}"), "BLOB_UPLOAD_INVALID"),
        ("PUT", "/v2/a/manifests/v1".to_owned(), "MANIFEST_INVALID"),
    ] {
        let mut client = registry.client();
        let mut request = Client::head(method, &path, &[("Content-Length", "100000")]);
        request.extend_from_slice(b"some");
        client.send(&request).unwrap();
        client.answer(method).unwrap().refused(408, code);
        assert!(client.is_closed(), "{method} {path}");
    }
    goes_on(&registry);
}

#[test]
fn one_that_stalls_in_the_headers_or_between_requests_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    for begun in [
        &b""[..],
        b"G",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut client = registry.client();
        client.send(begun).unwrap();
        if begun.ends_with(b"\r\n\r\n") {
            client.answer("GET").unwrap().with(200);
        }
        let since = Instant::now();
        let answer = client.answer("GET");
        assert!(answer.is_none_or(|answer| answer.status == 408));
        assert!(client.is_closed());
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    }
    goes_on(&registry);
}

#[test]
fn one_that_sends_its_headers_byte_by_byte_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let mut client = registry.client();
    let since = Instant::now();
    // Never silent, and never done: the bound is on the whole head.
    while client.send(b"x").is_ok() {
        assert!(since.elapsed() < Duration::from_secs(30), "it is still listened to");
        std::thread::sleep(Duration::from_millis(20));
    }
    goes_on(&registry);
}

#[test]
fn one_that_takes_nothing_of_an_answer_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    // More than both sockets hold.
    let bytes = vec![9; 24 << 20];
    let digest = registry.push_blob("a", &bytes);
    let mut client = registry.client();
    let path = format!("/v2/a/blobs/{digest}");
    client.send(&Client::head("GET", &path, &[])).unwrap();
    std::thread::sleep(PATIENCE * 4);
    // What is on its way is had, and then the end or a reset.
    let mut got = Vec::new();
    let ended = client.stream.read_to_end(&mut got);
    assert!(ended.is_err() || got.len() < bytes.len(), "{}", got.len());
    // One that is only slow gets everything.
    assert!(registry.get(&path).with(200).body == bytes);
    goes_on(&registry);
}
