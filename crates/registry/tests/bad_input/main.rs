//! Bad input at a registry that listens: the specification's error in its shape, a connection that goes on or is closed
//! properly, and a store that is whole afterwards (each registry's end looks at it, see [`listening`]). Acts; `full_disk` as root.
#![cfg(test)]

mod damaged_disk;
mod digests;
mod full_disk;
mod http;
#[path = "../spec/listening.rs"]
mod listening;
mod manifests;
mod names;
mod quotas;
mod races;
mod stalls;
mod tokens;
mod uploads;
#[path = "../spec/wire.rs"]
mod wire;

use listening::{Listening, image};
use naru_oci::Digest;
use serde_json::json;

/// Whoever does it right is served as before.
fn goes_on(registry: &Listening) {
    let bytes = vec![3; 600_000];
    let location = registry.begin("good");
    let path = format!("{location}?digest={}", Digest::of(&bytes));
    let done = registry.ask("PUT", &path, listening::OCTETS, &bytes).with(201);
    assert!(registry.get(done.header("location").unwrap()).with(200).body == bytes);
    let digest = registry.push_image("good", "v1", json!({}));
    let answer = registry.get(&format!("/v2/good/manifests/{digest}")).with(200);
    assert_eq!(answer.body, image(json!({})));
}

/// Whether something has come.
fn has_answer(client: &wire::Client) -> bool {
    client.stream.set_nonblocking(true).unwrap();
    let seen = client.stream.peek(&mut [0]);
    client.stream.set_nonblocking(false).unwrap();
    seen.is_ok()
}
