//! "Content Management": tags, manifests and blobs go.

use crate::listening::{Listening, image};
use naru_oci::Digest;
use serde_json::json;

#[test]
fn a_tag_is_deleted_with_202_and_is_404_then() {
    let registry = Listening::start();
    let digest = registry.push_image("a", "v1", json!({}));
    registry.put("a", "v2", &image(json!({}))).with(201);
    registry.ask("DELETE", "/v2/a/manifests/v1", &[], &[]).with(202);
    registry.get("/v2/a/manifests/v1").refused(404, "MANIFEST_UNKNOWN");
    // The manifest and its other tag stay.
    registry.get(&format!("/v2/a/manifests/{digest}")).with(200);
    registry.get("/v2/a/manifests/v2").with(200);
    registry.ask("DELETE", "/v2/a/manifests/v1", &[], &[]).refused(404, "MANIFEST_UNKNOWN");
}

#[test]
fn a_manifest_is_deleted_with_202_and_is_404_then_with_its_tags() {
    let registry = Listening::start();
    let digest = registry.push_image("a", "v1", json!({}));
    registry.put("a", "v2", &image(json!({}))).with(201);
    let other = image(json!({ "annotations": { "n": "2" } }));
    registry.put("a", "other", &other).with(201);
    let path = format!("/v2/a/manifests/{digest}");
    registry.ask("DELETE", &path, &[], &[]).with(202);
    for path in [&path, "/v2/a/manifests/v1", "/v2/a/manifests/v2"] {
        registry.get(path).refused(404, "MANIFEST_UNKNOWN");
    }
    registry.get("/v2/a/manifests/other").with(200);
    registry.ask("DELETE", &path, &[], &[]).refused(404, "MANIFEST_UNKNOWN");
}

#[test]
fn a_deletion_in_a_repository_that_is_not_there_is_404() {
    let registry = Listening::start();
    let digest = registry.push_image("a", "v1", json!({}));
    for path in ["/v2/b/manifests/v1".to_owned(), format!("/v2/b/manifests/{digest}")] {
        registry.ask("DELETE", &path, &[], &[]).refused(404, "MANIFEST_UNKNOWN");
    }
    registry
        .ask("DELETE", &format!("/v2/b/blobs/{}", Digest::of(b"layer")), &[], &[])
        .refused(404, "BLOB_UNKNOWN");
    registry.get("/v2/a/manifests/v1").with(200);
}

#[test]
fn a_blob_is_deleted_with_202_and_is_404_then() {
    let registry = Listening::start();
    let digest = registry.push_blob("a", b"blob");
    registry.push_blob("b", b"blob");
    let path = format!("/v2/a/blobs/{digest}");
    registry.ask("DELETE", &path, &[], &[]).with(202);
    registry.get(&path).refused(404, "BLOB_UNKNOWN");
    // In another repository it stays, and here it can come back.
    registry.get(&format!("/v2/b/blobs/{digest}")).with(200);
    registry.push_blob("a", b"blob");
    registry.get(&path).with(200);
}

#[test]
fn deleting_a_blob_that_is_not_there_is_404() {
    let registry = Listening::start();
    registry.push_blob("a", b"blob");
    let path = format!("/v2/a/blobs/{}", Digest::of(b"another"));
    registry.ask("DELETE", &path, &[], &[]).refused(404, "BLOB_UNKNOWN");
}
