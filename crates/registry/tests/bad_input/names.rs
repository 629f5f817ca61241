//! Names at the grammar's limits and past them, and paths that try to lead somewhere else.

use crate::goes_on;
use crate::listening::{Listening, image};
use crate::wire::Client;
use naru_oci::{Digest, media_type};
use serde_json::json;

#[test]
fn names_at_their_limit_are_taken_and_past_it_refused() {
    let registry = Listening::start();
    for name in ["a".repeat(255), "a/".repeat(127) + "b", "a".repeat(127) + "/" + &"b".repeat(127)]
    {
        assert_eq!(name.len(), 255);
        registry.push_image(&name, "v1", json!({}));
        registry.get(&format!("/v2/{name}/manifests/v1")).with(200);
        let long = format!("{name}c");
        for (method, path) in [
            ("GET", format!("/v2/{long}/manifests/v1")),
            ("GET", format!("/v2/{long}/tags/list")),
            ("POST", format!("/v2/{long}/blobs/uploads/")),
            ("PUT", format!("/v2/{long}/manifests/v1")),
        ] {
            registry.ask(method, &path, &[], &[]).refused(400, "NAME_INVALID");
        }
    }
    let longest = "t".repeat(128);
    registry.push_image("a", &longest, json!({}));
    registry.put("a", &format!("{longest}t"), &image(json!({}))).refused(400, "MANIFEST_INVALID");
    let huge = "n".repeat(20_000);
    registry.get(&format!("/v2/{huge}/tags/list")).refused(400, "NAME_INVALID");
    goes_on(&registry);
}

#[test]
fn paths_lead_nowhere_but_into_the_protocol() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let hex = "0".repeat(64);
    for path in [
        "/v2/../v2/a/manifests/v1".to_owned(),
        "/v2/b/../a/manifests/v1".to_owned(),
        "/v2/./a/manifests/v1".to_owned(),
        "/v2//a/manifests/v1".to_owned(),
        "//v2/a/manifests/v1".to_owned(),
        "/v2/b/%2e%2e/a/manifests/v1".to_owned(),
        "/v2/b%2f..%2fa/manifests/v1".to_owned(),
        "/v2/b%252f..%252fa/manifests/v1".to_owned(),
        "/v2/..%5ca/manifests/v1".to_owned(),
        "/v2/a\\b/manifests/v1".to_owned(),
        "/v2/a%00/manifests/v1".to_owned(),
        "/v2/a%0d%0aX:%20y/manifests/v1".to_owned(),
        "/v2/%ff/manifests/v1".to_owned(),
        "/v2/%c0%ae%c0%ae/manifests/v1".to_owned(),
        "/v2/%/manifests/v1".to_owned(),
        "/v2/a/manifests/..".to_owned(),
        "/v2/a/manifests/%2e%2e".to_owned(),
        "/v2/a/manifests/..%2f..%2fv1".to_owned(),
        "/v2/a/manifests/v1%00".to_owned(),
        "/v2/a/manifests/".to_owned(),
        "/v2/a/blobs/".to_owned(),
        "/v2/a/blobs/..".to_owned(),
        format!("/v2/a/blobs/sha256:{hex}/../../manifests/v1"),
        format!("/v2/a/blobs/sha256%3A..%2F{hex}"),
        format!("/v2/a/blobs/sha256:{}%2e%2e%2f", &hex[..61]),
        "/v2/a/blobs//etc/passwd".to_owned(),
        "/etc/passwd".to_owned(),
        "/v2/%2fetc%2fpasswd/manifests/v1".to_owned(),
        "/".to_owned(),
        "/V2/".to_owned(),
        "*".to_owned(),
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let mut client = registry.client();
            client.send(&Client::head(method, &path, &[("Content-Length", "0")])).unwrap();
            let answer = client.answer(method).unwrap_or_else(|| panic!("{method} {path}"));
            assert!(matches!(answer.status, 400 | 404 | 405), "{method} {path}: {}", answer.status);
            if method != "HEAD" && !answer.body.is_empty() {
                answer.codes();
                let body = String::from_utf8(answer.body).unwrap();
                assert!(!body.contains("root:"), "{path}: {body}");
            }
        }
    }
    registry.get("/v2/a/manifests/v1").with(200);
    goes_on(&registry);
}

#[test]
fn bytes_that_no_path_has_are_refused_and_the_connection_closed() {
    let registry = Listening::start();
    for path in [
        &b"/v2/\xff\xfe/manifests/v1"[..],
        b"/v2/a\0/manifests/v1",
        b"/v2/a b/manifests/v1",
        b"\xe2\x80\xae",
        b"",
    ] {
        let mut client = registry.client();
        client.send(b"GET ").unwrap();
        client.send(path).unwrap();
        client.send(b" HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let answer = client.answer("GET").unwrap();
        assert_eq!(answer.status, 400, "{path:?}");
        if answer.body.is_empty() {
            assert!(client.is_closed(), "{path:?}");
        } else {
            answer.codes();
        }
    }
    goes_on(&registry);
}

#[test]
fn what_a_client_said_comes_back_only_within_bounds() {
    let registry = Listening::start();
    let long = "x".repeat(30_000);
    let digest = Digest::of(b"x");
    for (method, path) in [
        ("GET", format!("/v2/a/manifests/{long}")),
        ("PUT", format!("/v2/a/manifests/{long}")),
        ("GET", format!("/v2/{}/tags/list", "X".repeat(30_000))),
        ("GET", format!("/v2/a/blobs/sha256:{long}")),
        ("POST", format!("/v2/a/blobs/uploads/?mount={long}")),
        ("POST", format!("/v2/a/blobs/uploads/?digest-algorithm={long}")),
        ("PUT", format!("/v2/a/manifests/{digest}?tag={long}")),
        ("GET", format!("/v2/a/tags/list?n={long}")),
    ] {
        let headers = [("Content-Type", media_type::OCI_MANIFEST)];
        let answer = registry.ask(method, &path, &headers, &[]);
        answer.codes();
        assert!(answer.body.len() < 1024, "{method} {}", &path[..40]);
    }
    goes_on(&registry);
}
