//! "Pushing a blob in chunks".

use crate::listening::{Listening, OCTETS};
use crate::wire::Answer;
use naru_oci::Digest;

fn chunk(registry: &Listening, location: &str, range: &str, bytes: &[u8]) -> Answer {
    let headers = [("Content-Type", "application/octet-stream"), ("Content-Range", range)];
    registry.ask("PATCH", location, &headers, bytes)
}

fn close(registry: &Listening, location: &str, whole: &[u8]) -> Answer {
    let path = format!("{location}?digest={}", Digest::of(whole));
    registry.ask("PUT", &path, &[], &[])
}

#[test]
fn there_is_no_smallest_chunk() {
    let registry = Listening::start();
    let begun = registry.ask("POST", "/v2/a/blobs/uploads/", &[("Content-Length", "0")], &[]);
    let begun = begun.with(202);
    assert_eq!(begun.header("oci-chunk-min-length"), None);
    let location = begun.header("location").unwrap();
    chunk(&registry, location, "0-0", b"a").with(202);
    chunk(&registry, location, "1-1", b"b").with(202);
    close(&registry, location, b"ab").with(201);
}

#[test]
fn each_chunk_gives_202_location_and_range() {
    let registry = Listening::start();
    let mut location = registry.begin("a");
    for (range, bytes, end) in
        [("0-4", "01234", "0-4"), ("5-5", "5", "0-5"), ("6-9", "6789", "0-9")]
    {
        let answer = chunk(&registry, &location, range, bytes.as_bytes()).with(202);
        assert_eq!(answer.header("range"), Some(end));
        location = answer.header("location").unwrap().to_owned();
    }
    let done = close(&registry, &location, b"0123456789").with(201);
    assert_eq!(registry.get(done.header("location").unwrap()).with(200).body, b"0123456789");
}

#[test]
fn a_range_is_two_numbers_with_a_hyphen() {
    let registry = Listening::start();
    let location = registry.begin("a");
    for range in ["0", "-4", "0-", "a-b", "0-4-5", "4-0", "0 - 4", "0x0-0x4", "+0-4"] {
        let answer = chunk(&registry, &location, range, b"01234");
        answer.refused(400, "BLOB_UPLOAD_INVALID");
    }
    chunk(&registry, &location, "0-4", b"01234").with(202);
}

#[test]
fn a_range_includes_both_its_ends() {
    let registry = Listening::start();
    let location = registry.begin("a");
    for range in ["0-3", "0-5"] {
        chunk(&registry, &location, range, b"01234").refused(400, "SIZE_INVALID");
    }
    chunk(&registry, &location, "0-4", b"01234").with(202);
}

#[test]
fn the_first_chunk_begins_with_0() {
    let registry = Listening::start();
    let location = registry.begin("a");
    chunk(&registry, &location, "1-5", b"12345").refused(416, "BLOB_UPLOAD_INVALID");
    chunk(&registry, &location, "0-4", b"01234").with(202);
}

#[test]
fn a_chunk_out_of_order_is_416_and_the_session_goes_on() {
    let registry = Listening::start();
    let location = registry.begin("a");
    chunk(&registry, &location, "0-4", b"01234").with(202);
    for range in ["6-9", "4-7", "0-3", "100-103"] {
        chunk(&registry, &location, range, b"xxxx").refused(416, "BLOB_UPLOAD_INVALID");
    }
    let path = format!("{location}?digest={}", Digest::of(b"0123456789"));
    let last = |range| registry.ask("PUT", &path, &[("Content-Range", range)], b"56789");
    last("6-10").refused(416, "BLOB_UPLOAD_INVALID");
    let standing = registry.get(&location).with(204);
    assert_eq!(standing.header("range"), Some("0-4"));
    last("5-9").with(201);
}

#[test]
fn the_last_chunk_comes_by_patch_or_by_put() {
    let registry = Listening::start();
    for by_put in [true, false] {
        let location = registry.begin("a");
        chunk(&registry, &location, "0-4", b"01234").with(202);
        let path = format!("{location}?digest={}", Digest::of(b"0123456789"));
        let done = if by_put {
            registry.ask("PUT", &path, &[OCTETS[0], ("Content-Range", "5-9")], b"56789")
        } else {
            chunk(&registry, &location, "5-9", b"56789").with(202);
            registry.ask("PUT", &path, &[], &[])
        };
        let blob = done.with(201).header("location").unwrap().to_owned();
        assert_eq!(registry.get(&blob).with(200).body, b"0123456789");
    }
}

#[test]
fn a_session_is_closed_by_put_and_by_nothing_else() {
    let registry = Listening::start();
    let location = registry.begin("a");
    chunk(&registry, &location, "0-4", b"01234").with(202);
    let blob = format!("/v2/a/blobs/{}", Digest::of(b"01234"));
    registry.get(&blob).refused(404, "BLOB_UNKNOWN");
    close(&registry, &location, b"01234").with(201);
    registry.get(&blob).with(200);
    registry.get(&location).refused(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn the_closing_put_names_the_digest_of_the_whole() {
    let registry = Listening::start();
    let location = registry.begin("a");
    chunk(&registry, &location, "0-4", b"01234").with(202);
    registry
        .ask("PUT", &location, &[("Content-Range", "5-9")], b"56789")
        .refused(400, "DIGEST_INVALID");
    let of_chunk = format!("{location}?digest={}", Digest::of(b"56789"));
    let headers = [("Content-Range", "5-9")];
    registry.ask("PUT", &of_chunk, &headers, b"56789").refused(400, "DIGEST_INVALID");
}

#[test]
fn the_standing_of_a_session_is_204_with_location_and_range() {
    let registry = Listening::start();
    let location = registry.begin("a");
    registry.get(&location).with(204);
    chunk(&registry, &location, "0-99", &[b'x'; 100]).with(202);
    let standing = registry.get(&location).with(204);
    assert_eq!(standing.header("range"), Some("0-99"));
    let location = standing.header("location").unwrap().to_owned();
    chunk(&registry, &location, "100-100", b"y").with(202);
}
