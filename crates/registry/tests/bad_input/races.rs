//! Many at once for one thing.

use crate::goes_on;
use crate::listening::{Listening, OCTETS, image};
use naru_oci::Digest;
use serde_json::json;
use std::sync::Barrier;

const CLIENTS: usize = 16;

/// What each of many clients gets that begin at once.
fn at_once<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        let run = |n| {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || {
                barrier.wait();
                work(n)
            })
        };
        let threads: Vec<_> = (0..CLIENTS).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn many_uploads_of_one_digest_all_succeed() {
    let registry = Listening::start();
    for length in [100, 900_000] {
        let bytes = vec![4; length];
        let digest = Digest::of(&bytes);
        at_once(|n| {
            // By session and by single POST, into one repository and into others.
            let name = format!("a{}", n % 3);
            if n % 2 == 0 {
                let path = format!("{}?digest={digest}", registry.begin(&name));
                registry.ask("PUT", &path, OCTETS, &bytes).with(201);
            } else {
                registry.push_blob(&name, &bytes);
            }
            let blob = registry.get(&format!("/v2/{name}/blobs/{digest}")).with(200);
            assert!(blob.body == bytes);
        });
    }
    goes_on(&registry);
}

#[test]
fn one_session_that_many_finish_is_finished_once() {
    let registry = Listening::start();
    let bytes = vec![6; 900_000];
    let location = registry.begin("a");
    registry.ask("PATCH", &location, OCTETS, &bytes).with(202);
    let path = format!("{location}?digest={}", Digest::of(&bytes));
    let answers = at_once(|_| registry.ask("PUT", &path, &[], &[]));
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|it| it.status == 201);
    assert_eq!(done.len(), 1);
    for answer in refused {
        answer.refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
    assert!(registry.get(done[0].header("location").unwrap()).with(200).body == bytes);
    goes_on(&registry);
}

#[test]
fn of_many_that_write_the_same_piece_one_does() {
    let registry = Listening::start();
    let location = registry.begin("a");
    let bytes = vec![7; 300_000];
    let headers = [OCTETS[0], ("Content-Range", "0-299999")];
    let answers = at_once(|_| registry.ask("PATCH", &location, &headers, &bytes));
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|it| it.status == 202);
    assert_eq!(done.len(), 1);
    for answer in refused {
        answer.refused(416, "BLOB_UPLOAD_INVALID");
    }
    let path = format!("{location}?digest={}", Digest::of(&bytes));
    registry.ask("PUT", &path, &[], &[]).with(201);
    goes_on(&registry);
}

#[test]
fn pushes_and_deletions_of_what_they_need_have_their_answers() {
    let registry = Listening::start();
    let digest = registry.push_image("a", "v1", json!({}));
    let layer = format!("/v2/a/blobs/{}", Digest::of(b"layer"));
    // Some take the layer away and push it again, others push a manifest that needs it.
    let answers = at_once(|n| match n % 3 {
        0 => registry.ask("DELETE", &layer, &[], &[]),
        1 => registry.ask(
            "POST",
            &format!("/v2/a/blobs/uploads/?digest={}", Digest::of(b"layer")),
            OCTETS,
            b"layer",
        ),
        _ => registry.put("a", &format!("t{n}"), &image(json!({}))),
    });
    for answer in answers {
        match answer.status {
            201 | 202 => {}
            404 => drop(answer.refused(404, "BLOB_UNKNOWN")),
            _ => drop(answer.refused(400, "MANIFEST_BLOB_UNKNOWN")),
        }
    }
    registry.get(&format!("/v2/a/manifests/{digest}")).with(200);
    goes_on(&registry);
}

#[test]
fn many_mounts_of_one_blob_all_succeed_and_a_manifest_stays_one() {
    let registry = Listening::start();
    let manifest = image(json!({ "layers": [] }));
    let digest = registry.push_blob("from", &manifest);
    registry.push_blob("to", b"{}");
    // The bytes of a manifest as a blob, beside the manifest itself.
    let answers = at_once(|n| match n % 2 {
        0 => registry.ask(
            "POST",
            &format!("/v2/to/blobs/uploads/?mount={digest}&from=from"),
            &[],
            &[],
        ),
        _ => registry.put("to", &digest, &manifest),
    });
    for answer in answers {
        answer.with(201);
    }
    for kind in ["manifests", "blobs"] {
        assert_eq!(registry.get(&format!("/v2/to/{kind}/{digest}")).with(200).body, manifest);
    }
    goes_on(&registry);
}
