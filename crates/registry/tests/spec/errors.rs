//! "Error Codes". The shape and that a code is one of the table is checked by every `refused` of these tests.

use crate::listening::{Listening, OCTETS, image};
use naru_oci::Digest;
use naru_registry::edge::ServeOptions;
use serde_json::json;

#[test]
fn each_failure_has_its_code_in_the_shape() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let location = registry.begin("a");
    let nothing = Digest::of(b"nothing");
    let blobs = "/v2/a/blobs";
    for (method, path, status, code) in [
        ("GET", format!("{blobs}/{nothing}"), 404, "BLOB_UNKNOWN"),
        ("PUT", format!("{location}?digest={nothing}"), 400, "DIGEST_INVALID"),
        ("PUT", format!("{location}?digest={nothing}"), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PATCH", format!("{blobs}/uploads/x"), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("GET", format!("{blobs}/uploads/x"), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("DELETE", format!("{blobs}/uploads/x"), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("GET", format!("{blobs}/sha256:x"), 400, "DIGEST_INVALID"),
        ("POST", format!("{blobs}/uploads/?digest=x"), 400, "DIGEST_INVALID"),
        ("POST", format!("{blobs}/uploads/?mount=x"), 400, "DIGEST_INVALID"),
        ("PUT", "/v2/a/manifests/v2".to_owned(), 400, "MANIFEST_INVALID"),
        ("GET", "/v2/a/manifests/v2".to_owned(), 404, "MANIFEST_UNKNOWN"),
        ("DELETE", "/v2/a/manifests/v2".to_owned(), 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/A/manifests/v1".to_owned(), 400, "NAME_INVALID"),
        ("GET", "/v2/b/tags/list".to_owned(), 404, "NAME_UNKNOWN"),
        ("POST", "/v2/a/manifests/v1".to_owned(), 405, "UNSUPPORTED"),
        ("PUT", "/v2/".to_owned(), 405, "UNSUPPORTED"),
        ("GET", "/v2/a/nothing".to_owned(), 404, "UNSUPPORTED"),
        ("GET", "/elsewhere".to_owned(), 404, "UNSUPPORTED"),
    ] {
        registry.ask(method, &path, &[], &[]).refused(status, code);
    }
    let location = registry.begin("a");
    let headers = [OCTETS[0], ("Content-Range", "0-9")];
    registry.ask("PATCH", &location, &headers, b"x").refused(400, "SIZE_INVALID");
    let headers = [OCTETS[0], ("Content-Range", "9-9")];
    registry.ask("PATCH", &location, &headers, b"x").refused(416, "BLOB_UPLOAD_INVALID");
    registry
        .put("new", "v1", &image(json!({ "layers": [] })))
        .refused(400, "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn who_may_not_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    let line = format!("ann:{}\n", bcrypt::hash("secret", 4).unwrap());
    naru_kernel::fs::write_atomic(&users, line.as_bytes(), 0o600).unwrap();
    let config = naru_registry::config::RegistryConfig::parse(
        &json!({ "auth": {
            "htpasswd": users,
            "policy": [{ "repositories": ["hers/**"], "users": ["ann"], "actions": ["pull"] }],
        } })
        .to_string(),
    )
    .unwrap();
    let how = crate::listening::How {
        config,
        options: ServeOptions::default(),
        change: &|registry, _| registry,
    };
    let registry = Listening::at(dir.path(), how);
    let ask = |user: &str, path: &str| {
        let login = format!("Basic {user}");
        registry.ask("GET", path, &[("Authorization", &login)], &[])
    };
    let (ann, wrong) = ("YW5uOnNlY3JldA==", "YW5uOndyb25n");
    let refused = registry.get("/v2/hers/x/manifests/v1").refused(401, "UNAUTHORIZED");
    assert!(refused.header("www-authenticate").is_some());
    ask(ann, "/v2/hers/x/manifests/v1").refused(404, "MANIFEST_UNKNOWN");
    ask(ann, "/v2/his/x/manifests/v1").refused(403, "DENIED");
    let throttled = (0..20).find_map(|_| {
        let answer = ask(wrong, "/v2/hers/x/manifests/v1");
        (answer.status != 401).then_some(answer)
    });
    throttled.unwrap().refused(429, "TOOMANYREQUESTS");
}
