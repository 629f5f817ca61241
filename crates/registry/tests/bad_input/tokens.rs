//! Tokens that are expired, forged, for another repository, for somebody else, or no tokens at all.

use crate::listening::{How, Listening, OCTETS, descriptor};
use crate::wire::Answer;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use naru_oci::{Digest, media_type};
use naru_registry::config::RegistryConfig;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use std::path::Path;

const LOGIN: &str = "Basic YW5uOnNlY3JldA==";
const BLOB: &str = "/v2/a/x/blobs/uploads/";

fn start(dir: &Path) -> Listening {
    let users = dir.join("users");
    let line = format!("ann:{}\n", bcrypt::hash("secret", 4).unwrap());
    naru_kernel::fs::write_atomic(&users, line.as_bytes(), 0o600).unwrap();
    let text = json!({ "auth": {
        "htpasswd": users,
        "challenge": "token",
        "policy": [{ "repositories": ["a/**", "b/**"], "users": ["ann"], "actions": ["pull", "push"] }],
    } });
    let config = RegistryConfig::parse(&text.to_string()).unwrap();
    Listening::at(dir, How { config, ..How::default() })
}

fn token(registry: &Listening, scope: &str) -> String {
    let path = format!("/token?service=naru-registry&scope={scope}");
    let answer = registry.ask("GET", &path, &[("Authorization", LOGIN)], &[]).with(200);
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn ask(registry: &Listening, method: &str, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    registry.ask(method, path, &[("Authorization", &bearer)], &[])
}

/// A refusal that says where a good token is to be had, and why this one is none.
fn challenged(answer: Answer, error: &str) {
    let answer = answer.refused(401, "UNAUTHORIZED");
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer realm=\"http://registry.example/token\""), "{challenge}");
    assert!(challenge.contains(&format!("error=\"{error}\"")), "{challenge}");
}

/// Header and claims of a token.
fn taken_apart(token: &str) -> [Value; 2] {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}

/// A token with a key's signature.
fn signed(key: &EcdsaKeyPair, [header, claims]: &[Value; 2]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn key_of(pkcs8: &[u8]) -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new()).unwrap()
}

/// The registry's own key.
fn own_key(dir: &Path) -> EcdsaKeyPair {
    let pem = std::fs::read(dir.join("root/registry/token.key")).unwrap();
    key_of(PrivatePkcs8KeyDer::from_pem_slice(&pem).unwrap().secret_pkcs8_der())
}

/// The right token still serves.
fn goes_on(registry: &Listening) {
    let token = token(registry, "repository:a/x:pull,push");
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), OCTETS[0]];
    let digest = Digest::of(b"{}");
    registry.ask("POST", &format!("{BLOB}?digest={digest}"), &headers, b"{}").with(201);
    ask(registry, "GET", &format!("/v2/a/x/blobs/{digest}"), &token).with(200);
}

#[test]
fn an_expired_or_early_token_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let [header, claims] = taken_apart(&token(&registry, "repository:a/x:pull,push"));
    let key = own_key(dir.path());
    // What we sign here is what the registry signs.
    ask(&registry, "POST", BLOB, &signed(&key, &[header.clone(), claims.clone()])).with(202);
    for (field, by) in [("exp", -400), ("nbf", 400)] {
        let mut changed = claims.clone();
        changed[field] = json!(changed[field].as_i64().unwrap() + by);
        let token = signed(&key, &[header.clone(), changed]);
        challenged(ask(&registry, "POST", BLOB, &token), "invalid_token");
    }
    for (field, value) in [
        ("exp", json!("never")),
        ("exp", json!(-1)),
        ("aud", json!("another")),
        ("iss", json!("another")),
        ("access", json!("all")),
    ] {
        let mut changed = claims.clone();
        changed[field] = value;
        let token = signed(&key, &[header.clone(), changed]);
        challenged(ask(&registry, "POST", BLOB, &token), "invalid_token");
    }
    goes_on(&registry);
}

#[test]
fn a_forged_token_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let good = token(&registry, "repository:a/x:pull,push");
    let [header, claims] = taken_apart(&good);
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let other = key_of(pkcs8.as_ref());
    let mut more = claims.clone();
    more["access"][0]["name"] = json!("b/y");
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = good.rsplit('.').next().unwrap();
    let headed = |change: Value| {
        let mut header = header.clone();
        header.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        header
    };
    let key = own_key(dir.path());
    for forged in [
        signed(&other, &[header.clone(), claims.clone()]),
        format!("{}.{}.{signature}", part(&header), part(&more)),
        format!("{}.{}.", part(&headed(json!({ "alg": "none" }))), part(&claims)),
        format!("{}.{}.{signature}", part(&headed(json!({ "alg": "HS256" }))), part(&claims)),
        signed(&key, &[headed(json!({ "alg": "none" })), claims.clone()]),
        signed(&key, &[headed(json!({ "kid": "../../etc/passwd" })), claims.clone()]),
        signed(&key, &[headed(json!({ "crit": ["x"] })), claims.clone()]),
        good[..good.len() - 2].to_owned(),
        good[..good.rfind('.').unwrap()].to_owned(),
        format!("{good}.{signature}"),
        "x".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
    ] {
        challenged(ask(&registry, "POST", BLOB, &forged), "invalid_token");
    }
    // Longer than any that was issued: it is not even looked at.
    ask(&registry, "POST", BLOB, &"x".repeat(60_000)).refused(401, "UNAUTHORIZED");
    goes_on(&registry);
}

#[test]
fn a_token_for_another_repository_or_action_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    goes_on(&registry);
    let digest = Digest::of(b"{}");
    let token = token(&registry, "repository:a/x:pull");
    ask(&registry, "GET", &format!("/v2/a/x/blobs/{digest}"), &token).with(200);
    for (method, path) in [
        ("GET", format!("/v2/b/y/blobs/{digest}")),
        ("GET", "/v2/a/xx/tags/list".to_owned()),
        ("GET", "/v2/a/x/x/tags/list".to_owned()),
        ("POST", "/v2/a/x/blobs/uploads/".to_owned()),
        ("POST", "/v2/b/y/blobs/uploads/".to_owned()),
        ("PUT", "/v2/b/y/manifests/v1".to_owned()),
    ] {
        challenged(ask(&registry, method, &path, &token), "insufficient_scope");
    }
    // What nobody gave her is denied, whatever the token says.
    ask(&registry, "GET", "/v2/c/z/tags/list", &token).refused(403, "DENIED");
    ask(&registry, "DELETE", "/v2/a/x/manifests/v1", &token).refused(403, "DENIED");
    goes_on(&registry);
}

#[test]
fn a_mount_gives_no_blob_that_the_token_is_not_for() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    goes_on(&registry);
    let digest = Digest::of(b"{}");
    let token = token(&registry, "repository:b/y:pull,push");
    for from in ["&from=a/x", ""] {
        let path = format!("/v2/b/y/blobs/uploads/?mount={digest}{from}");
        // A session like any other: it is not even said that the blob is there.
        ask(&registry, "POST", &path, &token).with(202);
    }
    ask(&registry, "GET", &format!("/v2/b/y/blobs/{digest}"), &token).refused(404, "BLOB_UNKNOWN");
    // Nor does a manifest.
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", media_type::OCI_MANIFEST)];
    let manifest = json!({ "schemaVersion": 2, "config": descriptor("x", b"{}"), "layers": [] });
    let path = "/v2/b/y/manifests/v1";
    registry
        .ask("PUT", path, &headers, manifest.to_string().as_bytes())
        .refused(400, "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn credentials_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let without_colon = format!("Basic {}", STANDARD.encode("ann"));
    let binary = format!("Basic {}", STANDARD.encode([0xff, 0, b':', 0xfe]));
    for header in
        ["", "Basic", "Basic !!!", "Bearer", "Digest x", "Basic Og==", &without_colon, &binary]
    {
        let answer = registry.ask("POST", BLOB, &[("Authorization", header)], &[]);
        if answer.status == 429 {
            answer.refused(429, "TOOMANYREQUESTS");
        } else {
            answer.refused(401, "UNAUTHORIZED");
        }
    }
}
