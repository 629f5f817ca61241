//! Digests that are none, or of other bytes.

use crate::goes_on;
use crate::listening::{Listening, OCTETS, image};
use naru_oci::{Algorithm, Digest};
use serde_json::json;

/// Texts that are no digests.
fn bad() -> Vec<String> {
    let hex = "0".repeat(64);
    vec![
        String::new(),
        "x".to_owned(),
        "sha256".to_owned(),
        "sha256:".to_owned(),
        hex.clone(),
        format!(":{hex}"),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}0"),
        format!("sha256:{}", "A".repeat(64)),
        format!("sha256:{}", "g".repeat(64)),
        format!("sha512:{hex}"),
        format!("sha256:{}", "0".repeat(128)),
        format!("md5:{}", "0".repeat(32)),
        format!("sha256:sha256:{hex}"),
        format!("sha256:{}/", &hex[1..]),
        format!("sha256:{hex}%00"),
        format!("sha256:{hex}%0a"),
        format!("sha256:..%2F..%2F..%2Fetc%2Fpasswd{}", "0".repeat(40)),
        format!("sha256%253A{hex}"),
        "x".repeat(4000),
    ]
}

#[test]
fn what_is_no_digest_is_refused_everywhere() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    for digest in bad() {
        let location = registry.begin("a");
        registry
            .ask("PUT", &format!("{location}?digest={digest}"), OCTETS, b"x")
            .refused(400, "DIGEST_INVALID");
        if digest.is_empty() {
            continue;
        }
        for kind in ["digest", "mount"] {
            let path = format!("/v2/a/blobs/uploads/?{kind}={digest}");
            registry.ask("POST", &path, OCTETS, b"x").refused(400, "DIGEST_INVALID");
        }
        // A slash makes another path of it, which leads nowhere either.
        for path in [format!("/v2/a/blobs/{digest}"), format!("/v2/a/referrers/{digest}")] {
            let answer = registry.get(&path);
            let code = if digest.ends_with('/') { "UNSUPPORTED" } else { "DIGEST_INVALID" };
            let status = if digest.ends_with('/') { 404 } else { 400 };
            answer.refused(status, code);
        }
    }
    goes_on(&registry);
}

#[test]
fn bytes_of_another_digest_are_given_up() {
    let registry = Listening::start();
    let wrong = Digest::of(b"wrong");
    for (length, algorithm) in [(1, Algorithm::Sha256), (1 << 20, Algorithm::Sha512)] {
        let bytes = vec![5; length];
        let wrong = Digest::of_as(algorithm, b"wrong");
        let right = Digest::of_as(algorithm, &bytes);
        let location = registry.begin("a");
        registry.ask("PATCH", &location, OCTETS, &bytes).with(202);
        let path = format!("{location}?digest={wrong}");
        let refused = registry.ask("PUT", &path, &[], &[]).refused(400, "DIGEST_INVALID");
        assert_eq!(refused.json()["errors"][0]["detail"]["expected"], wrong.to_string());
        registry.get(&location).refused(404, "BLOB_UPLOAD_UNKNOWN");
        let path = format!("/v2/a/blobs/uploads/?digest={wrong}");
        registry.ask("POST", &path, OCTETS, &bytes).refused(400, "DIGEST_INVALID");
        for digest in [wrong, right] {
            registry.get(&format!("/v2/a/blobs/{digest}")).refused(404, "BLOB_UNKNOWN");
        }
    }
    registry.put("a", &wrong.to_string(), &image(json!({}))).refused(400, "DIGEST_INVALID");
    goes_on(&registry);
}

#[test]
fn an_algorithm_that_is_not_known_is_refused() {
    let registry = Listening::start();
    for algorithm in ["md5", "sha1", "SHA256", "..", "blake3"] {
        let path = format!("/v2/a/blobs/uploads/?digest-algorithm={algorithm}");
        registry.ask("POST", &path, &[], &[]).refused(400, "DIGEST_INVALID");
    }
    goes_on(&registry);
}
