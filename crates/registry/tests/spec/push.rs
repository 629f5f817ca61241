//! "Push": blobs in one piece, and blobs of other repositories.

use crate::listening::{Listening, OCTETS};
use naru_oci::{Algorithm, Digest};
use std::collections::BTreeSet;

#[test]
fn post_gives_202_and_a_location_with_a_uuid_of_its_own() {
    let registry = Listening::start();
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let answer = registry.ask("POST", "/v2/a/b/blobs/uploads/", &[], &[]).with(202);
        let location = answer.header("location").unwrap().to_owned();
        let uuid = location.rsplit('/').next().unwrap();
        let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{location}");
        assert!(uuid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
        assert!(seen.insert(location));
    }
}

#[test]
fn put_to_the_location_gives_201_and_a_location_that_can_be_pulled() {
    let registry = Listening::start();
    for bytes in [&b""[..], b"blob", &vec![7; 2_000_000]] {
        let location = registry.begin("a/b");
        let digest = Digest::of(bytes);
        let done = registry.ask("PUT", &format!("{location}?digest={digest}"), OCTETS, bytes);
        let blob = done.with(201).header("location").unwrap().to_owned();
        assert!(registry.get(&blob).with(200).body == bytes);
    }
}

#[test]
fn a_single_post_gives_201_and_a_location_that_can_be_pulled() {
    let registry = Listening::start();
    // Short ones, those that come in pieces, and those whose length is not known before.
    for (bytes, algorithm) in [
        (vec![], Algorithm::Sha256),
        (b"blob".to_vec(), Algorithm::Sha512),
        (vec![8; 2_000_000], Algorithm::Sha256),
        (vec![9; 2_000_000], Algorithm::Sha512),
    ] {
        let digest = Digest::of_as(algorithm, &bytes);
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        let done = registry.ask("POST", &path, OCTETS, &bytes).with(201);
        let blob = done.header("location").unwrap().to_owned();
        assert!(registry.get(&blob).with(200).body == bytes);
    }
}

#[test]
fn the_digest_of_a_single_post_matches_the_blob() {
    let registry = Listening::start();
    let digest = Digest::of(b"another");
    for bytes in [b"blob".to_vec(), vec![1; 2_000_000]] {
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        registry.ask("POST", &path, OCTETS, &bytes).refused(400, "DIGEST_INVALID");
        registry.get(&format!("/v2/a/blobs/{digest}")).refused(404, "BLOB_UNKNOWN");
        registry.get(&format!("/v2/a/blobs/{}", Digest::of(&bytes))).refused(404, "BLOB_UNKNOWN");
    }
}

#[test]
fn the_content_length_of_a_single_post_matches_the_blob() {
    let registry = Listening::start();
    let digest = Digest::of(b"blob");
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    // One byte less than the blob: another digest. One more: the body breaks off.
    registry.ask("POST", &path, OCTETS, b"blo").refused(400, "DIGEST_INVALID");
    let mut client = registry.client();
    let mut request = crate::wire::Client::head("POST", &path, &[("Content-Length", "5")]);
    request.extend_from_slice(b"blob");
    client.send(&request).unwrap();
    client.stop_sending();
    if let Some(answer) = client.answer("POST") {
        answer.refused(400, "BLOB_UPLOAD_INVALID");
    }
    assert!(client.is_closed());
    registry.get(&format!("/v2/a/blobs/{digest}")).refused(404, "BLOB_UNKNOWN");
}

#[test]
fn a_mount_gives_201_and_a_location_that_can_be_pulled() {
    let registry = Listening::start();
    let digest = registry.push_blob("from/here", b"blob");
    let path = format!("/v2/to/there/blobs/uploads/?mount={digest}&from=from/here");
    let answer = registry.ask("POST", &path, &[], &[]).with(201);
    assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    let blob = answer.header("location").unwrap().to_owned();
    assert!(blob.contains("/to/there/"), "{blob}");
    assert_eq!(registry.get(&blob).with(200).body, b"blob");
}

#[test]
fn a_mount_without_from_finds_the_blob() {
    let registry = Listening::start();
    let digest = registry.push_blob("from/here", b"blob");
    let path = format!("/v2/to/there/blobs/uploads/?mount={digest}");
    let answer = registry.ask("POST", &path, &[], &[]).with(201);
    assert_eq!(registry.get(answer.header("location").unwrap()).with(200).body, b"blob");
}

#[test]
fn a_mount_that_cannot_be_is_a_session() {
    let registry = Listening::start();
    let there = registry.push_blob("from/here", b"blob");
    let absent = Digest::of(b"absent").to_string();
    for (digest, from, bytes) in [
        (&there, "&from=somewhere/else", &b"blob"[..]),
        (&absent, "&from=from/here", b"absent"),
        (&absent, "", b"absent"),
        (&there, "&from=Not%20A%20Name", b"blob"),
    ] {
        let path = format!("/v2/to/there/blobs/uploads/?mount={digest}{from}");
        let answer = registry.ask("POST", &path, &[], &[]).with(202);
        let location = answer.header("location").unwrap();
        let done = registry.ask("PUT", &format!("{location}?digest={digest}"), OCTETS, bytes);
        registry.get(done.with(201).header("location").unwrap()).with(200);
        let path = format!("/v2/to/there/blobs/{digest}");
        registry.ask("DELETE", &path, &[], &[]).with(202);
    }
}
