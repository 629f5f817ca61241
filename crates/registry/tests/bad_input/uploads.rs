//! Uploads with wrong sizes and ranges, out of order, abandoned, and finished twice.

use crate::goes_on;
use crate::listening::{How, Listening, OCTETS};
use crate::wire::{Answer, Client};
use naru_oci::Digest;
use naru_registry::Registry;
use naru_registry::upkeep::Quotas;
use naru_registry::upkeep::rules::QuotaRule;
use naru_store::Store;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn piece(registry: &Listening, location: &str, range: &str, bytes: &[u8]) -> Answer {
    registry.ask("PATCH", location, &[OCTETS[0], ("Content-Range", range)], bytes)
}

/// How many bytes a session has.
fn standing(registry: &Listening, location: &str) -> u64 {
    let answer = registry.get(location).with(204);
    let end: u64 = answer.header("range").unwrap().strip_prefix("0-").unwrap().parse().unwrap();
    if end == 0 { 0 } else { end + 1 }
}

#[test]
fn sizes_and_ranges_that_do_not_fit_change_nothing() {
    let registry = Listening::start();
    let location = registry.begin("a");
    piece(&registry, &location, "0-9", b"0123456789").with(202);
    for (range, status, code) in [
        ("10-12", 400, "SIZE_INVALID"),
        ("10-14", 400, "SIZE_INVALID"),
        ("9-12", 416, "BLOB_UPLOAD_INVALID"),
        ("11-14", 416, "BLOB_UPLOAD_INVALID"),
        ("0-3", 416, "BLOB_UPLOAD_INVALID"),
        ("18446744073709551614-18446744073709551615", 416, "BLOB_UPLOAD_INVALID"),
        ("10-18446744073709551615", 400, "SIZE_INVALID"),
        ("0-18446744073709551615", 416, "BLOB_UPLOAD_INVALID"),
        ("10-99999999999999999999999", 400, "BLOB_UPLOAD_INVALID"),
        ("13-10", 400, "BLOB_UPLOAD_INVALID"),
        ("10", 400, "BLOB_UPLOAD_INVALID"),
        ("bytes 10", 400, "BLOB_UPLOAD_INVALID"),
        ("", 400, "BLOB_UPLOAD_INVALID"),
    ] {
        let refused = piece(&registry, &location, range, b"abcd").refused(status, code);
        if status == 416 {
            // It is told where to go on.
            assert_eq!(refused.header("range"), Some("0-9"));
            assert_eq!(refused.header("location"), Some(location.as_str()));
        }
        assert_eq!(standing(&registry, &location), 10, "{range}");
    }
    piece(&registry, &location, "10-13", b"abcd").with(202);
    let path = format!("{location}?digest={}", Digest::of(b"0123456789abcd"));
    registry.ask("PUT", &path, &[], &[]).with(201);
    goes_on(&registry);
}

#[test]
fn lengths_at_the_end_of_all_numbers_are_no_trouble() {
    let registry = Listening::start();
    let location = registry.begin("a");
    piece(&registry, &location, "0-18446744073709551615", b"abcd").refused(400, "SIZE_INVALID");
    assert_eq!(standing(&registry, &location), 0);
    piece(&registry, &location, "0-9", b"0123456789").with(202);
    // The largest length that HTTP's parser takes: with what is there it is more than a number can be.
    let path = format!("{location}?digest={}", Digest::of(b"x"));
    for (method, path, stands) in [("PATCH", &location, 14), ("PUT", &path, 18)] {
        let mut client = registry.client();
        let mut request = Client::head(method, path, &[("Content-Length", "18446744073709551613")]);
        request.extend_from_slice(b"abcd");
        client.send(&request).unwrap();
        drop(client);
        let begun = Instant::now();
        while standing(&registry, &location) < stands {
            assert!(begun.elapsed() < Duration::from_secs(20), "{method}: the bytes are not there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    goes_on(&registry);
}

#[test]
fn a_body_without_length_that_is_longer_or_shorter_than_its_range_is_refused() {
    let registry = Listening::start();
    let location = registry.begin("a");
    let headers = [("Transfer-Encoding", "chunked"), ("Content-Range", "0-9")];
    for chunks in ["5\r\nabcde\r\n0\r\n\r\n", "b\r\nabcdefghijk\r\n0\r\n\r\n"] {
        let mut client = registry.client();
        let mut request = Client::head("PATCH", &location, &headers);
        request.extend_from_slice(chunks.as_bytes());
        client.send(&request).unwrap();
        client.answer("PATCH").unwrap().refused(400, "SIZE_INVALID");
        let stands = standing(&registry, &location);
        if stands > 0 {
            // What came before it was too short is there, and it is said.
            assert_eq!(stands, 5);
            registry.ask("DELETE", &location, &[], &[]).with(204);
            break;
        }
    }
    goes_on(&registry);
}

#[test]
fn a_quota_holds_while_bytes_arrive_whoever_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let bounded = |registry: Registry, store: &Store| {
        let rule = QuotaRule {
            repositories: vec!["a".to_owned()],
            bytes: Some(100_000),
            ..QuotaRule::default()
        };
        registry.bounded(Arc::new(Quotas::new(store, vec![rule])))
    };
    let registry = Listening::at(dir.path(), How { change: &bounded, ..How::default() });
    // With the empty blob in it, as it is in many repositories.
    registry.push_blob("a", b"");
    let chunked = |method: &str, path: &str, pieces: usize| {
        let mut client = registry.client();
        let mut request = Client::head(method, path, &[("Transfer-Encoding", "chunked")]);
        for _ in 0..pieces {
            request.extend_from_slice(b"3e8\r\n");
            request.extend_from_slice(&[1; 1000]);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        // What refuses may not read to the end.
        client.send(&request).ok();
        client.answer(method).unwrap()
    };
    let location = registry.begin("a");
    registry.ask("PATCH", &location, OCTETS, &[1; 100_001]).refused(403, "DENIED");
    assert_eq!(standing(&registry, &location), 0);
    chunked("PATCH", &location, 200).refused(403, "DENIED");
    let stands = standing(&registry, &location);
    assert!(stands <= 100_000, "{stands}");
    registry.ask("DELETE", &location, &[], &[]).with(204);
    let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::of(&[1; 200_000]));
    chunked("POST", &path, 200).refused(403, "DENIED");
    // What fits comes in, in a body that says nothing of its length too; and again, since it is there.
    let digest = Digest::of(&[1; 100_000]);
    for _ in 0..2 {
        chunked("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), 100).with(201);
    }
    let location = registry.begin("a");
    chunked("PUT", &format!("{location}?digest={digest}"), 100).with(201);
    goes_on(&registry);
}

#[test]
fn what_is_no_chunk_ends_the_connection() {
    let registry = Listening::start();
    let location = registry.begin("a");
    let mut client = registry.client();
    let mut request = Client::head("PATCH", &location, &[("Transfer-Encoding", "chunked")]);
    request.extend_from_slice(b"4\r\nabcd\r\nzz\r\n");
    client.send(&request).unwrap();
    client.answer("PATCH").unwrap().refused(400, "BLOB_UPLOAD_INVALID");
    assert!(client.is_closed());
    assert_eq!(standing(&registry, &location), 4);
    goes_on(&registry);
}

#[test]
fn an_upload_that_broke_off_keeps_every_byte_that_arrived() {
    let registry = Listening::start();
    let whole: Vec<u8> = (0..1_500_000u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    // Below a piece, between pieces, above several.
    for arrived in [2, 1000, 300_000, 524_288, 700_001, 1_400_000] {
        let location = registry.begin("a");
        let range = format!("0-{}", whole.len() - 1);
        let length = whole.len().to_string();
        let headers = [("Content-Length", length.as_str()), ("Content-Range", &range)];
        let mut client = registry.client();
        let mut request = Client::head("PATCH", &location, &headers);
        request.extend_from_slice(&whole[..arrived]);
        client.send(&request).unwrap();
        drop(client);
        let begun = Instant::now();
        while standing(&registry, &location) < arrived as u64 {
            assert!(begun.elapsed() < Duration::from_secs(20), "{arrived} bytes are not there");
            std::thread::sleep(Duration::from_millis(5));
        }
        let range = format!("{arrived}-{}", whole.len() - 1);
        piece(&registry, &location, &range, &whole[arrived..]).with(202);
        let path = format!("{location}?digest={}", Digest::of(&whole));
        let done = registry.ask("PUT", &path, &[], &[]).with(201);
        let blob = done.header("location").unwrap().to_owned();
        assert!(registry.get(&blob).with(200).body == whole);
        registry.ask("DELETE", &blob, &[], &[]).with(202);
    }
    goes_on(&registry);
}

#[test]
fn an_upload_that_is_closed_by_force_keeps_what_was_read() {
    let registry = Listening::start();
    let location = registry.begin("a");
    let mut client = registry.client();
    let request = Client::head("PATCH", &location, &[("Content-Length", "100000")]);
    client.send(&request).unwrap();
    client.send(&[1; 50_000]).unwrap();
    // Bytes that nobody reads any more: the end is a reset.
    client.send(b"").unwrap();
    drop(client);
    let stands = standing(&registry, &location);
    assert!(stands <= 50_000, "{stands}");
    // The session can be taken up at once, whoever wrote it before.
    registry.ask("PATCH", &location, OCTETS, b"more").with(202);
    registry.ask("DELETE", &location, &[], &[]).with(204);
    registry.get(&location).refused(404, "BLOB_UPLOAD_UNKNOWN");
    goes_on(&registry);
}

#[test]
fn an_upload_is_finished_once() {
    let registry = Listening::start();
    let location = registry.begin("a");
    registry.ask("PATCH", &location, OCTETS, b"blob").with(202);
    let path = format!("{location}?digest={}", Digest::of(b"blob"));
    registry.ask("PUT", &path, &[], &[]).with(201);
    registry.ask("PUT", &path, &[], &[]).refused(404, "BLOB_UPLOAD_UNKNOWN");
    registry.ask("PATCH", &location, OCTETS, b"x").refused(404, "BLOB_UPLOAD_UNKNOWN");
    registry.ask("DELETE", &location, &[], &[]).refused(404, "BLOB_UPLOAD_UNKNOWN");
    registry.get(&location).refused(404, "BLOB_UPLOAD_UNKNOWN");
    registry.get(&format!("/v2/a/blobs/{}", Digest::of(b"blob"))).with(200);
    goes_on(&registry);
}

#[test]
fn an_upload_belongs_to_its_repository_and_ids_are_no_paths() {
    let registry = Listening::start();
    let location = registry.begin("a/b");
    let id = location.rsplit('/').next().unwrap();
    let others = [
        format!("/v2/a/blobs/uploads/{id}"),
        format!("/v2/a/c/blobs/uploads/{id}"),
        format!("/v2/a/b/blobs/uploads/{}", id.to_uppercase()),
        format!("/v2/a/b/blobs/uploads/{}", &id[1..]),
        "/v2/a/b/blobs/uploads/..".to_owned(),
        "/v2/a/b/blobs/uploads/%2e%2e".to_owned(),
        "/v2/a/b/blobs/uploads/..%2f..%2fstore".to_owned(),
        format!("/v2/a/b/blobs/uploads/{}", "0".repeat(5000)),
    ];
    for path in others {
        for method in ["GET", "PATCH", "DELETE"] {
            registry.ask(method, &path, &[], &[]).refused(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    registry.ask("PATCH", &location, OCTETS, b"x").with(202);
    goes_on(&registry);
}
