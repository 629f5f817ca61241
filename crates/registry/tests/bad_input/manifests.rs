//! Manifests that are none, too long, or name what cannot be.

use crate::goes_on;
use crate::listening::{Listening, descriptor, image, index};
use crate::wire::Client;
use naru_oci::{Digest, media_type};
use serde_json::{Value, json};

const PATH: &str = "/v2/a/manifests/v1";
const KIND: (&str, &str) = ("Content-Type", media_type::OCI_MANIFEST);

fn layer(digest: &str) -> Value {
    json!({ "mediaType": "", "digest": digest, "size": 5 })
}

#[test]
fn what_is_no_manifest_is_refused() {
    let registry = Listening::start();
    registry.push_blob("a", b"{}");
    let good = String::from_utf8(image(json!({ "layers": [] }))).unwrap();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let annotated = |value: &str| good.replacen('{', &format!("{{\"annotations\":{value},"), 1);
    for document in [
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        "<html></html>".to_owned(),
        good[..good.len() - 1].to_owned(),
        good.clone() + "x",
        format!("{good}{good}"),
        deep.clone(),
        annotated(&deep),
        annotated("[]"),
        annotated("{\"a\":1}"),
        good.replace("\"schemaVersion\":2", "\"schemaVersion\":1"),
        good.replace("\"schemaVersion\":2", "\"schemaVersion\":\"2\""),
        good.replace("\"size\":2", "\"size\":-1"),
        good.replace("\"size\":2", "\"size\":1e99"),
        good.replace("\"size\":2", "\"size\":18446744073709551616"),
        good.replace("sha256:", "sha256:../../"),
        good.replace("sha256:", "md5:"),
        good.replace("sha256:", ""),
        good.replace("\"layers\":[]", "\"layers\":{}"),
        good.replace("\"layers\":[]", "\"layers\":[null]"),
        good.replace("\"layers\":[]", "\"manifests\":[]"),
    ] {
        registry.ask("PUT", PATH, &[KIND], document.as_bytes()).refused(400, "MANIFEST_INVALID");
    }
    for bytes in [&b"\xff\xfe{\0}\0"[..], b"\xef\xbb\xbf{}", b"\x1f\x8b\x08", b"{\"a\":\"\xff\"}"] {
        registry.ask("PUT", PATH, &[KIND], bytes).refused(400, "MANIFEST_INVALID");
    }
    for kind in [
        "text/html",
        "application/json",
        "application/vnd.docker.distribution.manifest.v1+json",
        "\u{7f}",
    ] {
        let refused = registry.ask("PUT", PATH, &[("Content-Type", kind)], good.as_bytes());
        assert_eq!(refused.status, 400, "{kind}");
    }
    registry.get(PATH).refused(404, "MANIFEST_UNKNOWN");
    goes_on(&registry);
}

#[test]
fn a_size_that_is_another_is_refused() {
    let registry = Listening::start();
    registry.push_image("a", "good", json!({}));
    let wrong = json!({ "layers": [{ "mediaType": "x", "digest": Digest::of(b"layer").to_string(), "size": 6 }] });
    registry.put("a", "v1", &image(wrong)).refused(400, "SIZE_INVALID");
    goes_on(&registry);
}

#[test]
fn a_part_that_is_not_there_is_named() {
    let registry = Listening::start();
    registry.push_image("a", "good", json!({}));
    let absent = Digest::of(b"absent").to_string();
    let refused = registry.put("a", "v1", &image(json!({ "layers": [layer(&absent)] })));
    let refused = refused.refused(400, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(refused.json()["errors"][0]["detail"]["digest"], absent);
    // A blob is no manifest.
    let list = index(&[descriptor(media_type::OCI_MANIFEST, b"layer")], json!({}));
    registry.put("a", "v1", &list).refused(400, "MANIFEST_BLOB_UNKNOWN");
    registry.get(PATH).refused(404, "MANIFEST_UNKNOWN");
    goes_on(&registry);
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_manifest_of_100_mb_is_refused_without_being_read_into_memory() {
    const SIZE: usize = 100_000_000;
    const NAME: &str = "manifests::a_manifest_of_100_mb_is_refused_without_being_read_into_memory";
    const ALONE: &str = "NARU_TEST_ALONE";
    // Memory is a process's: what other tests take at the same time must not count.
    if std::env::var_os(ALONE).is_none() {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let done = again.args(["--exact", NAME]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let registry = Listening::start();
    goes_on(&registry);
    let before = peak();
    let piece = [b' '; 65536];
    let length = SIZE.to_string();
    for chunked in [false, true] {
        let mut client = registry.client();
        let headers = match chunked {
            false => [KIND, ("Content-Length", length.as_str())],
            true => [KIND, ("Transfer-Encoding", "chunked")],
        };
        client.send(&Client::head("PUT", PATH, &headers)).unwrap();
        for _ in 0..SIZE / piece.len() {
            let sent = match chunked {
                false => client.send(&piece),
                true => client
                    .send(b"10000\r\n")
                    .and_then(|()| client.send(&piece))
                    .and_then(|()| client.send(b"\r\n")),
            };
            // The answer is there, and the other end does not wait for ever.
            if sent.is_err() {
                break;
            }
        }
        client.answer("PUT").unwrap().refused(413, "MANIFEST_INVALID");
        assert!(client.is_closed());
    }
    // Who asks first is told before it sends anything.
    let mut client = registry.client();
    let headers = [KIND, ("Content-Length", length.as_str()), ("Expect", "100-continue")];
    client.send(&Client::head("PUT", PATH, &headers)).unwrap();
    client.answer("PUT").unwrap().refused(413, "MANIFEST_INVALID");
    let grown = peak() - before;
    assert!(grown < 40 << 10, "{grown} KiB");
    goes_on(&registry);
}

#[test]
fn a_manifest_of_100_000_layers_is_too_long() {
    let registry = Listening::start();
    registry.push_image("a", "good", json!({}));
    let here = layer(&Digest::of(b"layer").to_string());
    let manifest = image(json!({ "layers": vec![here; 100_000] }));
    registry.put("a", "v1", &manifest).refused(413, "MANIFEST_INVALID");
    goes_on(&registry);
}

#[test]
fn as_many_layers_as_fit_are_looked_at_and_the_answer_is_short() {
    let registry = Listening::start();
    registry.push_image("a", "good", json!({}));
    let here = layer(&Digest::of(b"layer").to_string());
    let manifest = image(json!({ "layers": vec![here; 38_000] }));
    assert!(manifest.len() > 4_000_000);
    registry.put("a", "v1", &manifest).with(201);
    let absent: Vec<Value> =
        (0..38_000u32).map(|n| layer(&Digest::of(&n.to_le_bytes()).to_string())).collect();
    let refused = registry.put("a", "v2", &image(json!({ "layers": absent }))).with(400);
    assert!(refused.codes().iter().all(|code| code == "MANIFEST_BLOB_UNKNOWN"));
    assert!(refused.body.len() < 64 << 10, "{}", refused.body.len());
    goes_on(&registry);
}

#[test]
fn an_index_that_contains_itself_cannot_be() {
    let registry = Listening::start();
    registry.push_image("a", "good", json!({}));
    // One that names the digest under which it is put: it has another.
    let own = Digest::of(b"own").to_string();
    let entry = json!({ "mediaType": media_type::OCI_INDEX, "digest": own, "size": 100 });
    let list = index(&[entry], json!({}));
    registry.put("a", &own, &list).refused(400, "DIGEST_INVALID");
    registry.put("a", "v1", &list).refused(400, "MANIFEST_BLOB_UNKNOWN");
    // One about itself, and one that contains what was under its tag before, are in order.
    let first = index(&[], json!({}));
    registry.put("a", "v1", &first).with(201);
    let second = index(&[descriptor(media_type::OCI_INDEX, &first)], json!({}));
    registry.put("a", "v1", &second).with(201);
    assert_eq!(registry.get(PATH).with(200).body, second);
    goes_on(&registry);
}

#[test]
fn a_long_chain_of_indexes_is_no_trouble() {
    let registry = Listening::start();
    let mut list = index(&[], json!({}));
    registry.put("a", "v1", &list).with(201);
    for _ in 0..200 {
        list = index(&[descriptor(media_type::OCI_INDEX, &list)], json!({}));
        registry.put("a", "v1", &list).with(201);
    }
    registry.ask("DELETE", &format!("/v2/a/manifests/{}", Digest::of(&list)), &[], &[]).with(202);
    goes_on(&registry);
}
