//! Pushes side by side against a quota: what is on its way counts, whoever sends it, and until it ends.

use crate::listening::{How, Listening, OCTETS};
use crate::wire::Client;
use naru_oci::Digest;
use naru_registry::Registry;
use naru_registry::upkeep::Quotas;
use naru_registry::upkeep::rules::QuotaRule;
use naru_store::Store;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMIT: usize = 100_000;

/// A registry in which `a` and all below may hold so many bytes each.
fn start(dir: &Path) -> Listening {
    let bounded = |registry: Registry, store: &Store| {
        let rule = QuotaRule {
            repositories: vec!["a/**".to_owned()],
            bytes: Some(LIMIT as u64),
            ..QuotaRule::default()
        };
        registry.bounded(Arc::new(Quotas::new(store, vec![rule])))
    };
    Listening::at(dir, How { change: &bounded, ..How::default() })
}

fn stands(registry: &Listening, location: &str) -> usize {
    let answer = registry.get(location).with(204);
    let last: usize = answer.header("range").unwrap().rsplit('-').next().unwrap().parse().unwrap();
    if last == 0 { 0 } else { last + 1 }
}

fn finish(registry: &Listening, location: &str, bytes: &[u8]) -> u16 {
    let path = format!("{location}?digest={}", Digest::of(bytes));
    registry.ask("PUT", &path, &[], &[]).status
}

#[test]
fn sessions_of_one_repository_count_together_and_end_together_with_what_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let (one, two, elsewhere) = (registry.begin("a"), registry.begin("a"), registry.begin("a/b"));
    let bytes = vec![1; 60_000];
    registry.ask("PATCH", &one, OCTETS, &bytes).with(202);
    let refused = registry.ask("PATCH", &two, OCTETS, &bytes);
    let why = String::from_utf8_lossy(&refused.body).into_owned();
    refused.refused(403, "DENIED");
    assert!(why.contains("60000 are on their way in other uploads"), "{why}");
    assert_eq!(stands(&registry, &two), 0);
    // A quota is that of one repository.
    registry.ask("PATCH", &elsewhere, OCTETS, &bytes).with(202);
    // What fits beside it comes in.
    registry.ask("PATCH", &two, OCTETS, &[2; 40_000]).with(202);
    registry.ask("PATCH", &two, OCTETS, &[2; 1]).refused(403, "DENIED");
    let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::of(b"x"));
    registry.ask("POST", &path, OCTETS, b"x").refused(403, "DENIED");
    // A session that is cancelled gives back what it held; one that ends becomes what it brought and no more.
    registry.ask("DELETE", &two, &[], &[]).with(204);
    assert_eq!(finish(&registry, &one, &bytes), 201);
    let three = registry.begin("a");
    registry.ask("PATCH", &three, OCTETS, &[3; 40_000]).with(202);
    assert_eq!(finish(&registry, &three, &[3; 40_000]), 201);
    registry.ask("POST", &path, OCTETS, b"x").refused(403, "DENIED");
}

#[test]
fn sessions_of_an_earlier_process_count_until_they_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let one = registry.begin("a");
    registry.ask("PATCH", &one, OCTETS, &[1; 60_000]).with(202);
    drop(registry);
    let registry = start(dir.path());
    let two = registry.begin("a");
    registry.ask("PATCH", &two, OCTETS, &[2; 60_000]).refused(403, "DENIED");
    assert_eq!(stands(&registry, &one), 60_000);
    // Its own bytes are no obstacle to itself.
    registry.ask("PATCH", &one, OCTETS, &[1; 30_000]).with(202);
    registry.store.content.sweep_uploads(Duration::ZERO).unwrap();
    registry.get(&one).refused(404, "BLOB_UPLOAD_UNKNOWN");
    let three = registry.begin("a");
    registry.ask("PATCH", &three, OCTETS, &[3; LIMIT]).with(202);
    registry.ask("DELETE", &three, &[], &[]).with(204);
}

#[test]
fn what_a_body_says_it_brings_is_kept_free_while_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let (one, two) = (registry.begin("a"), registry.begin("a"));
    let mut slow = registry.client();
    slow.send(&Client::head("PATCH", &one, &[("Content-Length", "60000")])).unwrap();
    let begun = Instant::now();
    // What waits to be written is written with the next bytes, after a moment.
    while stands(&registry, &one) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(2), "nothing comes");
        slow.send(&[1; 10]).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    registry.ask("PATCH", &two, OCTETS, &[2; 60_000]).refused(403, "DENIED");
    // When it breaks off, only what came counts.
    drop(slow);
    let begun = Instant::now();
    while registry.ask("PATCH", &two, OCTETS, &[2; 60_000]).status != 202 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the room is not given back");
        std::thread::sleep(Duration::from_millis(5));
    }
    registry.ask("PATCH", &two, OCTETS, &[2; 40_000]).refused(403, "DENIED");
}

#[test]
fn a_blob_in_one_piece_that_breaks_off_leaves_nothing_that_counts() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    let bytes = vec![7; LIMIT];
    let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::of(&bytes));
    let chunked = [("Transfer-Encoding", "chunked")];
    for _ in 0..3 {
        let mut client = registry.client();
        client.send(&Client::head("POST", &path, &chunked)).unwrap();
        client.send(b"ea60\r\n").unwrap();
        client.send(&bytes[..60_000]).unwrap();
        drop(client);
    }
    let begun = Instant::now();
    while registry.ask("POST", &path, OCTETS, &bytes).status != 201 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the room is not given back");
        std::thread::sleep(Duration::from_millis(5));
    }
    while !registry.store.content.uploads().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "sessions that nobody knows are left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn many_who_push_at_once_fill_a_quota_and_never_pass_it() {
    let dir = tempfile::tempdir().unwrap();
    let registry = start(dir.path());
    for round in 0..3u8 {
        let repository = format!("a/{round}");
        let done: usize = std::thread::scope(|scope| {
            let pushes: Vec<_> = (0..6u8)
                .map(|number| {
                    let (registry, repository) = (&registry, repository.as_str());
                    scope.spawn(move || {
                        // In one piece, short or not, through a session, and with a length that nobody says.
                        let bytes = vec![number; 30_000];
                        let digest = Digest::of(&bytes);
                        match number % 3 {
                            0 => {
                                let path =
                                    format!("/v2/{repository}/blobs/uploads/?digest={digest}");
                                registry.ask("POST", &path, OCTETS, &bytes).status
                            }
                            1 => {
                                let location = registry.begin(repository);
                                let path = format!("{location}?digest={digest}");
                                registry.ask("PUT", &path, OCTETS, &bytes).status
                            }
                            _ => {
                                let location = registry.begin(repository);
                                let mut client = registry.client();
                                let chunked = [("Transfer-Encoding", "chunked")];
                                let mut request = Client::head("PATCH", &location, &chunked);
                                request.extend_from_slice(b"7530\r\n");
                                request.extend_from_slice(&bytes);
                                request.extend_from_slice(b"\r\n0\r\n\r\n");
                                client.send(&request).ok();
                                match client.answer("PATCH").unwrap().status {
                                    202 => finish(registry, &location, &bytes),
                                    status => {
                                        registry.ask("DELETE", &location, &[], &[]).with(204);
                                        status
                                    }
                                }
                            }
                        }
                    })
                })
                .collect();
            let statuses: Vec<u16> = pushes.into_iter().map(|push| push.join().unwrap()).collect();
            assert!(statuses.iter().all(|it| [201, 403].contains(it)), "{statuses:?}");
            statuses.iter().filter(|it| **it == 201).count()
        });
        let members = registry.store.repositories.members(&repository).unwrap();
        let bytes: u64 = members.iter().map(|(_, member)| member.size).sum();
        assert!((1..=3).contains(&done) && bytes == done as u64 * 30_000, "{done}: {bytes}");
        // Who was refused has left nothing that counts.
        let push = |number: usize| {
            let bytes = vec![u8::try_from(100 + number).unwrap(); 30_000];
            let path = format!("/v2/{repository}/blobs/uploads/?digest={}", Digest::of(&bytes));
            registry.ask("POST", &path, OCTETS, &bytes)
        };
        for number in done..3 {
            push(number).with(201);
        }
        push(3).refused(403, "DENIED");
    }
}
