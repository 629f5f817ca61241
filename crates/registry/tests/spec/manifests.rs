//! "Pushing Manifests", and those with a subject.

use crate::listening::{Listening, descriptor, image, index};
use naru_oci::{Algorithm, Digest, media_type};
use serde_json::json;

#[test]
fn a_manifest_whose_subject_is_not_there_is_taken() {
    let registry = Listening::start();
    let subject = descriptor(media_type::OCI_MANIFEST, &image(json!({})));
    let referrer = registry.push_image("a", "sig", json!({ "subject": subject }));
    registry.get(&format!("/v2/a/manifests/{referrer}")).with(200);
    // In either order.
    registry.push_image("a", "v1", json!({}));
    registry.get("/v2/a/manifests/v1").with(200);
}

#[test]
fn a_manifest_that_names_what_is_not_there_gets_manifest_blob_unknown() {
    let registry = Listening::start();
    let manifest = image(json!({}));
    let answer = registry.put("a", "v1", &manifest);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.codes(), ["MANIFEST_BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"]);
    registry.push_blob("a", b"{}");
    registry.put("a", "v1", &manifest).refused(400, "MANIFEST_BLOB_UNKNOWN");
    // What another repository has is not there.
    registry.push_blob("b", b"layer");
    registry.put("a", "v1", &manifest).refused(400, "MANIFEST_BLOB_UNKNOWN");
    let list = index(&[descriptor(media_type::OCI_MANIFEST, &manifest)], json!({}));
    registry.put("a", "list", &list).refused(400, "MANIFEST_BLOB_UNKNOWN");
    registry.get("/v2/a/manifests/v1").with(404);
}

#[test]
fn parameters_of_the_content_type_are_ignored() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let kind = format!("{}; charset=utf-8;x=\"y\"", media_type::OCI_MANIFEST);
    let path = "/v2/a/manifests/v2";
    registry.ask("PUT", path, &[("Content-Type", &kind)], &image(json!({}))).with(201);
}

#[test]
fn the_content_type_is_the_media_type_of_the_manifest() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let path = "/v2/a/manifests/v2";
    for kind in [media_type::DOCKER_MANIFEST, media_type::OCI_INDEX] {
        registry
            .ask("PUT", path, &[("Content-Type", kind)], &image(json!({})))
            .refused(400, "MANIFEST_INVALID");
    }
}

#[test]
fn a_manifest_is_put_by_tag_or_by_its_digest() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let manifest = image(json!({ "annotations": { "n": "2" } }));
    let digest = Digest::of(&manifest).to_string();
    registry.put("a", &digest, &manifest).with(201);
    registry.get(&format!("/v2/a/manifests/{digest}")).with(200);
    registry.put("a", &Digest::of(b"x").to_string(), &manifest).refused(400, "DIGEST_INVALID");
}

#[test]
fn the_list_of_blobs_may_be_empty() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    registry.put("a", "v2", &image(json!({ "layers": [] }))).with(201);
    registry.put("a", "list", &index(&[], json!({}))).with(201);
}

#[test]
fn a_manifest_is_kept_byte_for_byte() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let tidy = String::from_utf8(image(json!({ "unknown": [1.0, 1e3, "\u{e9}"] }))).unwrap();
    let untidy = tidy.replacen('{', "\r\n {\t", 1).replace(":2", ": 2") + " \n\n";
    let answer = registry.put("a", "odd", untidy.as_bytes()).with(201);
    let digest = Digest::of(untidy.as_bytes()).to_string();
    assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    for reference in ["odd", &digest] {
        let path = format!("/v2/a/manifests/{reference}");
        assert_eq!(registry.get(&path).with(200).body, untidy.as_bytes());
    }
}

#[test]
fn a_push_gives_201_and_a_location_that_can_be_pulled() {
    let registry = Listening::start();
    registry.push_image("a/b", "v1", json!({}));
    let manifest = image(json!({}));
    let digest = Digest::of(&manifest).to_string();
    for reference in ["v2", &digest] {
        let answer = registry.put("a/b", reference, &manifest).with(201);
        let location = answer.header("location").unwrap();
        assert_eq!(registry.get(location).with(200).body, manifest);
    }
}

#[test]
fn the_digest_header_is_the_digest_that_was_given() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let manifest = image(json!({}));
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of_as(algorithm, &manifest).to_string();
        let answer = registry.put("a", &digest, &manifest).with(201);
        assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    }
}

#[test]
fn a_pull_from_a_repository_that_is_not_there_is_404() {
    let registry = Listening::start();
    let digest = Digest::of(b"x");
    for path in [
        "/v2/nothing/here/manifests/v1".to_owned(),
        format!("/v2/nothing/here/manifests/{digest}"),
        format!("/v2/nothing/here/blobs/{digest}"),
        "/v2/nothing/here/tags/list".to_owned(),
    ] {
        let answer = registry.get(&path).with(404);
        answer.codes();
    }
}

#[test]
fn a_manifest_has_a_largest_size_beyond_which_it_is_413() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let long = image(json!({ "annotations": { "k": "x".repeat(4 << 20) } }));
    registry.put("a", "long", &long).refused(413, "MANIFEST_INVALID");
    registry.get("/v2/a/manifests/long").with(404);
    registry.put("a", "v2", &image(json!({}))).with(201);
}

#[test]
fn a_manifest_of_4_megabytes_is_taken() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let around = image(json!({ "annotations": { "k": "" } })).len();
    for size in [4_000_000, 4 << 20] {
        let fill = "x".repeat(size - around);
        let long = image(json!({ "annotations": { "k": fill } }));
        assert_eq!(long.len(), size);
        registry.put("a", "long", &long).with(201);
        assert!(registry.get("/v2/a/manifests/long").with(200).body == long);
    }
}

#[test]
fn a_manifest_with_a_subject_is_answered_with_oci_subject() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let of_nothing = descriptor(media_type::OCI_MANIFEST, b"nothing");
    let of_image = descriptor(media_type::OCI_MANIFEST, &image(json!({})));
    for subject in [of_nothing, of_image] {
        for document in
            [image(json!({ "subject": subject })), index(&[], json!({ "subject": subject }))]
        {
            let answer = registry.put("a", "sig", &document).with(201);
            assert_eq!(answer.header("oci-subject"), subject["digest"].as_str());
        }
    }
    let without = registry.put("a", "v2", &image(json!({}))).with(201);
    assert_eq!(without.header("oci-subject"), None);
}
