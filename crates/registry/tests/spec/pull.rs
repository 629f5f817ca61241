//! "Pull": manifests, blobs, and whether they are there.

use crate::listening::{Listening, image, index};
use naru_oci::{Algorithm, Digest, media_type};
use serde_json::{Value, json};

#[test]
fn a_reference_is_a_digest_or_a_tag() {
    let registry = Listening::start();
    let digest = registry.push_image("a/b", "v1", json!({}));
    for reference in ["v1", &digest] {
        let answer = registry.get(&format!("/v2/a/b/manifests/{reference}")).with(200);
        assert_eq!(answer.body, image(json!({})));
    }
}

#[test]
fn a_reference_has_no_other_form() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let manifest = image(json!({}));
    let hex = "0".repeat(64);
    for (reference, status, code) in [
        (".v1".to_owned(), 400, "MANIFEST_INVALID"),
        ("-v1".to_owned(), 400, "MANIFEST_INVALID"),
        ("v1+x".to_owned(), 400, "MANIFEST_INVALID"),
        ("sha256:abc".to_owned(), 400, "DIGEST_INVALID"),
        (format!("sha256:{}G", &hex[1..]), 400, "DIGEST_INVALID"),
        (format!("SHA256:{hex}"), 400, "DIGEST_INVALID"),
        (format!("md5:{hex}"), 400, "DIGEST_INVALID"),
        (format!("sha512:{hex}"), 400, "DIGEST_INVALID"),
        (format!("v1@sha256:{hex}"), 400, "DIGEST_INVALID"),
    ] {
        registry.put("a", &reference, &manifest).refused(status, code);
        let status = registry.get(&format!("/v2/a/manifests/{reference}")).status;
        assert!(status == 404 || status == 400, "{reference}: {status}");
    }
}

#[test]
fn a_name_matches_the_expression() {
    let registry = Listening::start();
    for name in ["a", "0", "a.b", "a_b", "a__b", "a-b", "a---b", "a/b/c", "a0.b1_c2__d3-e4/f"] {
        registry.push_image(name, "v1", json!({}));
        registry.get(&format!("/v2/{name}/manifests/v1")).with(200);
    }
    for name in [
        "A", "a/B", "-a", "a-", ".a", "a.", "_a", "a_", "a..b", "a._b", "a___b", "a.-b", "/a",
        "a/", "a//b", "a b", "a+b", "a:b", "a@b", "a~b", "\u{e9}",
    ] {
        let name = name.replace(' ', "%20").replace('\u{e9}', "%C3%A9");
        registry.get(&format!("/v2/{name}/manifests/v1")).refused(400, "NAME_INVALID");
        registry
            .ask("POST", &format!("/v2/{name}/blobs/uploads/"), &[], &[])
            .refused(400, "NAME_INVALID");
    }
}

#[test]
fn a_tag_has_at_most_128_characters_and_matches_the_expression() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let manifest = image(json!({}));
    let longest = "a".repeat(128);
    for tag in ["a", "A", "0", "_", "_.-", "v1.0-rc.1_X", &longest] {
        registry.put("a", tag, &manifest).with(201);
        registry.get(&format!("/v2/a/manifests/{tag}")).with(200);
    }
    for tag in [".a", "-a", "a!", "a%20b", &format!("{longest}a")] {
        registry.put("a", tag, &manifest).refused(400, "MANIFEST_INVALID");
        registry.get(&format!("/v2/a/manifests/{tag}")).refused(404, "MANIFEST_UNKNOWN");
    }
}

#[test]
fn the_content_type_of_a_manifest_has_no_parameters_and_is_what_was_pushed() {
    let registry = Listening::start();
    registry.push_blob("a", b"{}");
    registry.push_blob("a", b"layer");
    let part = |kind: &str, bytes: &[u8]| crate::listening::descriptor(kind, bytes);
    for (tag, kind, document) in [
        ("oci", media_type::OCI_MANIFEST, image(json!({}))),
        ("list", media_type::OCI_INDEX, index(&[], json!({}))),
        (
            "docker",
            media_type::DOCKER_MANIFEST,
            image(json!({ "mediaType": media_type::DOCKER_MANIFEST })),
        ),
        (
            "dockers",
            media_type::DOCKER_LIST,
            index(&[], json!({ "mediaType": media_type::DOCKER_LIST })),
        ),
        (
            "untyped",
            media_type::OCI_MANIFEST,
            json!({ "schemaVersion": 2, "config": part("x", b"{}"), "layers": [] })
                .to_string()
                .into_bytes(),
        ),
    ] {
        let pushed = format!("{kind}; charset=utf-8");
        let path = format!("/v2/a/manifests/{tag}");
        registry.ask("PUT", &path, &[("Content-Type", &pushed)], &document).with(201);
        for method in ["GET", "HEAD"] {
            let answer = registry.ask(method, &path, &[], &[]).with(200);
            assert_eq!(answer.header("content-type"), Some(kind), "{method} {tag}");
        }
    }
}

#[test]
fn a_manifest_that_is_there_is_given_with_200_and_its_digest() {
    let registry = Listening::start();
    let digest = registry.push_image("a", "v1", json!({ "annotations": { "k": "v" } }));
    for reference in ["v1", &digest] {
        let answer = registry.get(&format!("/v2/a/manifests/{reference}")).with(200);
        assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
        assert_eq!(Digest::of(&answer.body).to_string(), digest);
    }
}

#[test]
fn the_digest_header_is_of_the_algorithm_that_was_pushed() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let manifest = image(json!({ "annotations": { "k": "sha512" } }));
    let digest = Digest::of_as(Algorithm::Sha512, &manifest).to_string();
    registry.put("a", &digest, &manifest).with(201);
    let answer = registry.get(&format!("/v2/a/manifests/{digest}")).with(200);
    assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    assert_eq!(answer.body, manifest);
}

#[test]
fn a_manifest_that_is_not_there_is_404() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let digest = Digest::of(b"nothing");
    for path in ["/v2/a/manifests/v2".to_owned(), format!("/v2/a/manifests/{digest}")] {
        registry.get(&path).refused(404, "MANIFEST_UNKNOWN");
    }
    // What another repository has is not there either, and a blob is no manifest.
    registry.push_blob("b", b"x");
    let of_a = Digest::of(&image(json!({})));
    registry.get(&format!("/v2/b/manifests/{of_a}")).refused(404, "MANIFEST_UNKNOWN");
    registry.get(&format!("/v2/b/manifests/{}", Digest::of(b"x"))).refused(404, "MANIFEST_UNKNOWN");
}

#[test]
fn a_blob_that_is_there_is_given_with_200_and_a_digest_that_matches_it() {
    let registry = Listening::start();
    let large: Vec<u8> = (0..3_000_001u32).flat_map(|n| n.to_le_bytes()).take(3_000_001).collect();
    for bytes in [&b""[..], b"x", &large] {
        let digest = registry.push_blob("a", bytes);
        let answer = registry.get(&format!("/v2/a/blobs/{digest}")).with(200);
        assert!(answer.body == bytes);
        assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    }
}

#[test]
fn a_blob_that_is_not_in_the_repository_is_404() {
    let registry = Listening::start();
    let digest = registry.push_blob("a", b"x");
    for name in ["b", "nothing/here"] {
        registry.get(&format!("/v2/{name}/blobs/{digest}")).refused(404, "BLOB_UNKNOWN");
    }
    registry.get(&format!("/v2/a/blobs/{}", Digest::of(b"y"))).refused(404, "BLOB_UNKNOWN");
}

#[test]
fn ranges_of_blobs_are_given_as_http_has_them() {
    let registry = Listening::start();
    let bytes: Vec<u8> = (0..=255u8).cycle().take(400_000).collect();
    let digest = registry.push_blob("a", &bytes);
    let path = format!("/v2/a/blobs/{digest}");
    let ask = |range: &str| registry.ask("GET", &path, &[("Range", range)], &[]);
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=100-299999", 100, 299_999),
        ("bytes=399990-", 399_990, 399_999),
        ("bytes=-7", 399_993, 399_999),
        ("bytes=10-4000000", 10, 399_999),
    ] {
        let answer = ask(range).with(206);
        assert!(answer.body == bytes[first..=last], "{range}");
        let said = format!("bytes {first}-{last}/400000");
        assert_eq!(answer.header("content-range"), Some(said.as_str()));
        assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    }
    for range in ["bytes=400000-", "bytes=500-0", "bytes=-0", "bytes=400000-400001"] {
        let answer = ask(range).refused(416, "SIZE_INVALID");
        assert_eq!(answer.header("content-range"), Some("bytes */400000"), "{range}");
    }
    // What is not understood is no range, and several may be answered with the whole.
    for range in ["lines=1-2", "bytes=a-b", "bytes=-", "bytes=0-1,3-4"] {
        assert!(ask(range).with(200).body == bytes, "{range}");
    }
    let etag = registry.get(&path).header("etag").unwrap().to_owned();
    for (condition, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
        let headers = [("Range", "bytes=0-1"), ("If-Range", condition)];
        registry.ask("GET", &path, &headers, &[]).with(status);
    }
    assert_eq!(registry.get(&path).header("accept-ranges"), Some("bytes"));
    // HEAD has no ranges.
    let head = registry.ask("HEAD", &path, &[("Range", "bytes=0-1")], &[]).with(200);
    assert_eq!(head.header("content-length"), Some("400000"));
}

#[test]
fn head_of_what_is_there_is_200_with_digest_and_size() {
    let registry = Listening::start();
    let manifest = registry.push_image("a", "v1", json!({}));
    let blob = Digest::of(b"layer").to_string();
    let size = image(json!({})).len();
    for (path, digest, size) in [
        ("/v2/a/manifests/v1".to_owned(), &manifest, size),
        (format!("/v2/a/manifests/{manifest}"), &manifest, size),
        (format!("/v2/a/blobs/{blob}"), &blob, 5),
    ] {
        let answer = registry.ask("HEAD", &path, &[], &[]).with(200);
        assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
        assert_eq!(answer.header("content-length"), Some(size.to_string().as_str()));
    }
}

#[test]
fn head_of_what_is_not_there_is_404() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let digest = Digest::of(b"nothing");
    for path in [
        "/v2/a/manifests/v2".to_owned(),
        format!("/v2/a/manifests/{digest}"),
        format!("/v2/a/blobs/{digest}"),
        "/v2/b/manifests/v1".to_owned(),
        format!("/v2/b/blobs/{}", Digest::of(b"layer")),
    ] {
        let mut client = registry.client();
        client.ask("HEAD", &path, &[], &[]).with(404);
        // The connection is not out of step.
        client.ask("GET", "/v2/", &[], &[]).with(200);
    }
}

#[test]
fn a_manifest_is_also_had_as_the_json_that_it_is() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({ "annotations": { "k": "v" } }));
    let value: Value = registry.get("/v2/a/manifests/v1").with(200).json();
    assert_eq!(value["annotations"]["k"], "v");
}
