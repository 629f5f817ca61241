//! A disk that is full in the middle of an upload. Acts: as root, on a small tmpfs in a mount namespace of its own, which goes with
//! the process that has it.

use crate::has_answer;
use crate::listening::{How, Listening, OCTETS, image};
use crate::wire::Client;
use bytes::Bytes;
use futures_util::stream;
use naru_errdefs::Fault;
use naru_oci::Digest;
use naru_registry::cache::{Cache, CacheConfig, UpstreamConfig};
use naru_registry::upstream::{Answer, Upstream, UpstreamBlob, UpstreamManifest};
use serde_json::json;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Where the inner one finds its small disk.
const DISK: &str = "NARU_TEST_SMALL_DISK";

/// Runs a test once more, by its name, with a disk of 48 MB.
fn with_small_disk(name: &str, test: impl FnOnce(&Path)) {
    if let Some(disk) = std::env::var_os(DISK) {
        return test(&PathBuf::from(disk));
    }
    let dir = tempfile::tempdir().unwrap();
    let mounted = "mount -t tmpfs -o size=48m,mode=700 small \"$0\" && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", mounted])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(DISK, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{error}");
    assert!(said.contains("1 passed"), "{said}");
}

/// A refusal that says that there is no room.
fn no_room(answer: crate::wire::Answer) {
    assert_eq!(answer.status, 507, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.codes(), ["UNAVAILABLE"]);
}

#[test]
fn an_upload_that_finds_no_room_is_refused_and_smaller_ones_go_on() {
    with_small_disk(
        "full_disk::an_upload_that_finds_no_room_is_refused_and_smaller_ones_go_on",
        |disk| {
            let registry = Listening::at(disk, How::default());
            let large = vec![1; 64 << 20];
            let digest = Digest::of(&large);
            // By a piece, by the last piece, and by a single request.
            let location = registry.begin("a");
            no_room(registry.ask("PATCH", &location, OCTETS, &large));
            registry.ask("DELETE", &location, &[], &[]).with(204);
            let location = registry.begin("a");
            no_room(registry.ask("PUT", &format!("{location}?digest={digest}"), OCTETS, &large));
            registry.ask("DELETE", &location, &[], &[]).with(204);
            no_room(registry.ask(
                "POST",
                &format!("/v2/a/blobs/uploads/?digest={digest}"),
                OCTETS,
                &large,
            ));
            // Without a length said before.
            let location = registry.begin("a");
            let mut client = registry.client();
            client
                .send(&Client::head("PATCH", &location, &[("Transfer-Encoding", "chunked")]))
                .unwrap();
            while client
                .send(b"10000\r\n")
                .and_then(|()| client.send(&[b'x'; 65536]))
                .and_then(|()| client.send(b"\r\n"))
                .is_ok()
            {
                if has_answer(&client) {
                    break;
                }
            }
            no_room(client.answer("PATCH").unwrap());
            registry.ask("DELETE", &location, &[], &[]).with(204);
            registry.get(&format!("/v2/a/blobs/{digest}")).refused(404, "BLOB_UNKNOWN");
            crate::goes_on(&registry);
        },
    );
}

#[test]
fn an_upload_goes_on_when_there_is_room_again() {
    with_small_disk("full_disk::an_upload_goes_on_when_there_is_room_again", |disk| {
        let registry = Listening::at(disk, How::default());
        let filler = fill(disk, 4 << 20);
        let whole: Vec<u8> = (0..8u32 << 20).map(|n| n.to_le_bytes()[1]).collect();
        let location = registry.begin("a");
        no_room(registry.ask("PATCH", &location, OCTETS, &whole));
        let standing = registry.get(&location).with(204);
        let end: usize = standing.header("range").unwrap()[2..].parse().unwrap();
        std::fs::remove_file(filler).unwrap();
        let range = format!("{}-{}", end + 1, whole.len() - 1);
        let headers = [OCTETS[0], ("Content-Range", range.as_str())];
        registry.ask("PATCH", &location, &headers, &whole[end + 1..]).with(202);
        let done =
            registry.ask("PUT", &format!("{location}?digest={}", Digest::of(&whole)), &[], &[]);
        assert!(registry.get(done.with(201).header("location").unwrap()).with(200).body == whole);
        crate::goes_on(&registry);
    });
}

#[test]
fn a_disk_without_any_room_gives_what_it_has_and_takes_again_later() {
    with_small_disk(
        "full_disk::a_disk_without_any_room_gives_what_it_has_and_takes_again_later",
        |disk| {
            let registry = Listening::at(disk, How::default());
            let digest = registry.push_image("a", "v1", json!({}));
            let filler = fill(disk, 0);
            // Every kind of write, until each of them finds no room.
            let mut refused = 0;
            for n in 0..200u32 {
                let bytes = [&n.to_le_bytes()[..], &[7; 3000]].concat();
                let blob = Digest::of(&bytes);
                let manifest = image(json!({ "annotations": { "n": n.to_string().repeat(1000) } }));
                let begun = registry.ask("POST", "/v2/a/blobs/uploads/", &[], &[]);
                let posted = registry.ask(
                    "POST",
                    &format!("/v2/a/blobs/uploads/?digest={blob}"),
                    OCTETS,
                    &bytes,
                );
                for answer in [begun, posted, registry.put("a", &format!("t{n}"), &manifest)] {
                    if answer.status >= 400 {
                        no_room(answer);
                        refused += 1;
                    }
                }
            }
            assert!(refused > 0);
            registry.get(&format!("/v2/a/manifests/{digest}")).with(200);
            registry.get(&format!("/v2/a/blobs/{}", Digest::of(b"layer"))).with(200);
            registry.get("/v2/a/tags/list").with(200);
            std::fs::remove_file(filler).unwrap();
            crate::goes_on(&registry);
            drop(registry);
            // And after a restart.
            let registry = Listening::at(disk, How::default());
            registry.get(&format!("/v2/a/manifests/{digest}")).with(200);
            crate::goes_on(&registry);
        },
    );
}

/// Fills a disk but for so many bytes.
fn fill(disk: &Path, but: usize) -> PathBuf {
    use std::io::Write as _;
    let path = disk.join("filler");
    let mut file = std::fs::File::create_new(&path).unwrap();
    let piece = vec![0; 64 << 10];
    while file.write_all(&piece).is_ok() {}
    // Smaller ones go where the large one did not.
    while file.write_all(&[0; 512]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(but as u64)).unwrap();
    path
}

/// A registry with one large blob and one small one.
struct Other;

const LARGE: usize = 64 << 20;

impl Upstream for Other {
    fn manifest<'a>(&'a self, _: &'a str, _: &'a str, _: bool) -> Answer<'a, UpstreamManifest> {
        Box::pin(async { Err(Fault::not_found("no manifests here")) })
    }

    fn blob<'a>(&'a self, _: &'a str, digest: &'a Digest, at: u64) -> Answer<'a, UpstreamBlob> {
        let length = if *digest == Digest::of(b"small") { 5 } else { LARGE };
        let bytes: Bytes = if length == 5 { "small".into() } else { vec![0; length].into() };
        let rest = bytes.slice(usize::try_from(at).unwrap()..);
        let pieces: Vec<_> = rest.chunks(65536).map(|it| Ok(rest.slice_ref(it))).collect();
        let answer: UpstreamBlob = (Some(length as u64), Box::pin(stream::iter(pieces)));
        Box::pin(async { Ok(answer) })
    }

    fn tags<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[test]
fn a_blob_of_another_registry_that_finds_no_room_breaks_off_and_smaller_ones_come() {
    with_small_disk(
        "full_disk::a_blob_of_another_registry_that_finds_no_room_breaks_off_and_smaller_ones_come",
        |disk| {
            let there = UpstreamConfig {
                prefix: Some("there".to_owned()),
                ..UpstreamConfig::new("registry.example")
            };
            let config = CacheConfig {
                upstreams: vec![there],
                local: vec![],
                names: vec![],
                max_size: None,
                max_age: None,
            };
            let how = How {
                change: &|registry, store| {
                    let connect = |_: &UpstreamConfig| Ok(Arc::new(Other) as Arc<dyn Upstream>);
                    registry.caching(Cache::new(store, &config, connect).unwrap())
                },
                ..How::default()
            };
            let registry = Listening::at(disk, how);
            let path = format!("/v2/there/a/blobs/{}", Digest::of(&vec![0; LARGE]));
            let mut client = registry.client();
            client.send(&Client::head("GET", &path, &[])).unwrap();
            // Refused or broken off: never as if that were all of it.
            let mut got = Vec::new();
            client.stream.read_to_end(&mut got).ok();
            assert!(got.len() < LARGE, "{}", got.len());
            let path = format!("/v2/there/a/blobs/{}", Digest::of(b"small"));
            assert_eq!(registry.get(&path).with(200).body, b"small");
            crate::goes_on(&registry);
        },
    );
}
