//! "API": whether this is a registry, and every endpoint with the status that the table has for it.

use crate::listening::{Listening, OCTETS, image};
use naru_oci::{Digest, media_type};
use serde_json::json;

#[test]
fn v2_is_200() {
    let registry = Listening::start();
    for method in ["GET", "HEAD"] {
        registry.ask(method, "/v2/", &[], &[]).with(200);
    }
}

#[test]
fn every_endpoint_of_every_category_is_there() {
    let registry = Listening::start();
    let mut client = registry.client();
    let mut ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8], status| {
        client.ask(method, path, headers, body).with(status)
    };
    let (config, layer) = (Digest::of(b"{}"), Digest::of(b"layer"));
    // Push: 4a, 5, 13, 6, 4b, 11, 7.
    let begun = ask("POST", "/v2/a/blobs/uploads/", &[], &[], 202);
    let location = begun.header("location").unwrap().to_owned();
    ask("PATCH", &location, &[OCTETS[0], ("Content-Range", "0-1")], b"{}", 202);
    ask("GET", &location, &[], &[], 204);
    ask("PUT", &format!("{location}?digest={config}"), &[], &[], 201);
    ask("POST", &format!("/v2/b/blobs/uploads/?digest={layer}"), OCTETS, b"layer", 201);
    ask("POST", &format!("/v2/a/blobs/uploads/?mount={layer}&from=b"), &[], &[], 201);
    let manifest = image(json!({}));
    let digest = Digest::of(&manifest);
    let kind = [("Content-Type", media_type::OCI_MANIFEST)];
    ask("PUT", "/v2/a/manifests/v1", &kind, &manifest, 201);
    ask("PUT", &format!("/v2/a/manifests/{digest}"), &kind, &manifest, 201);
    // Pull: 2, 3. Discovery: 8a, 8b, 12a, 12b.
    for method in ["GET", "HEAD"] {
        ask(method, &format!("/v2/a/blobs/{layer}"), &[], &[], 200);
        ask(method, "/v2/a/manifests/v1", &[], &[], 200);
        ask(method, &format!("/v2/a/manifests/{digest}"), &[], &[], 200);
    }
    ask("GET", "/v2/a/tags/list", &[], &[], 200);
    ask("GET", "/v2/a/tags/list?n=1&last=u", &[], &[], 200);
    ask("GET", &format!("/v2/a/referrers/{digest}"), &[], &[], 200);
    ask("GET", &format!("/v2/a/referrers/{digest}?artifactType=x"), &[], &[], 200);
    // Management: 9, 10.
    ask("DELETE", "/v2/a/manifests/v1", &[], &[], 202);
    ask("DELETE", &format!("/v2/a/manifests/{digest}"), &[], &[], 202);
    ask("DELETE", &format!("/v2/a/blobs/{layer}"), &[], &[], 202);
}
