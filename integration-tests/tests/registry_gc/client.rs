//! One of many clients: pushes images whose parts others have too, pulls its own and those of others, deletes. Acts.

use super::wire::Wire;
use naru_oci::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Repositories that all clients share.
const REPOSITORIES: u64 = 6;
/// Layers that many images have.
const COMMON: u64 = 150;
/// Images that a client keeps.
const KEPT: usize = 4;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What was acknowledged and not deleted: repository and tag, and the manifest's digest.
pub type Live = Mutex<BTreeMap<(String, String), String>>;

/// What was done.
#[derive(Debug, Default)]
pub struct Done {
    pub pushes: u64,
    pub pulls: u64,
    pub deletes: u64,
    /// Parts that a registry had already.
    pub known: u64,
    pub mounts: u64,
    /// The longest push.
    pub longest: Duration,
}

pub struct Client<'a> {
    number: u64,
    wire: Wire,
    live: &'a Live,
    chance: u64,
    own: Vec<(String, String)>,
    pub done: Done,
}

impl<'a> Client<'a> {
    pub fn new(number: u64, address: &str, live: &'a Live) -> Client<'a> {
        let chance = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let done = Done::default();
        Client { number, wire: Wire::to(address), live, chance, own: Vec::new(), done }
    }

    fn next(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }

    fn upto(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One thing after the other until the end.
    pub fn work(&mut self, until: Instant) {
        let mut round = 0;
        while Instant::now() < until {
            let begun = Instant::now();
            self.push(round);
            self.done.longest = self.done.longest.max(begun.elapsed());
            round += 1;
            self.pull_own();
            self.pull_foreign();
            while self.own.len() > KEPT {
                self.delete();
            }
        }
    }

    fn push(&mut self, round: u64) {
        let repository = format!("team/r{}", self.upto(REPOSITORIES));
        let common = bytes(self.upto(COMMON), 100_000);
        let own = bytes(1_000_000 + self.number * 100_000 + round, 30_000);
        let config = json!({
            "architecture": "amd64", "os": "linux", "author": format!("{} {round}", self.number),
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&common).to_string(), Digest::of(&own).to_string()]},
        });
        let config = config.to_string().into_bytes();
        for blob in [&common, &own, &config] {
            self.push_blob(&repository, blob);
        }
        let described = |kind: &str, blob: &[u8]| json!({"mediaType": kind, "digest": Digest::of(blob).to_string(), "size": blob.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG, &config),
            "layers": [described(LAYER, &common), described(LAYER, &own)],
        });
        let manifest = manifest.to_string().into_bytes();
        let tag = format!("c{}-{round}", self.number);
        let path = format!("/v2/{repository}/manifests/{tag}");
        let answer = self.wire.ask("PUT", &path, MANIFEST, &manifest);
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 201, "a push failed: {path}: {said}");
        let digest = Digest::of(&manifest).to_string();
        assert_eq!(answer.digest.as_deref(), Some(&*digest));
        self.live.lock().expect("a lock").insert((repository.clone(), tag.clone()), digest);
        self.own.push((repository, tag));
        self.done.pushes += 1;
    }

    fn push_blob(&mut self, repository: &str, blob: &[u8]) {
        let digest = Digest::of(blob).to_string();
        let status =
            self.wire.ask("HEAD", &format!("/v2/{repository}/blobs/{digest}"), "", b"").status;
        if status == 200 {
            self.done.known += 1;
            return;
        }
        assert_eq!(status, 404, "asked for {digest} in {repository}");
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        let octets = "application/octet-stream";
        let answer = match self.upto(3) {
            0 => self.wire.ask("POST", &format!("{uploads}?digest={digest}"), octets, blob),
            way => {
                let other = self.upto(REPOSITORIES);
                let query = match way {
                    1 => format!("?mount={digest}&from=team/r{other}"),
                    _ => String::new(),
                };
                let begun = self.wire.ask("POST", &format!("{uploads}{query}"), "", b"");
                if begun.status == 201 {
                    self.done.mounts += 1;
                    return;
                }
                assert_eq!(begun.status, 202, "{uploads}{query}");
                let at = begun.location.expect("where the upload is");
                let (first, rest) = blob.split_at(blob.len() / 2);
                let piece = self.wire.ask("PATCH", &at, octets, first);
                assert_eq!(piece.status, 202, "{at}");
                let at = piece.location.expect("where the upload is");
                self.wire.ask("PUT", &format!("{at}?digest={digest}"), octets, rest)
            }
        };
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 201, "a push failed: {digest} to {repository}: {said}");
    }

    fn pull_own(&mut self) {
        let at = usize::try_from(self.next()).expect("64 bits") % self.own.len();
        let (repository, tag) = self.own[at].clone();
        let digest = self.live.lock().expect("a lock")[&(repository.clone(), tag.clone())].clone();
        let pulled = pull(&mut self.wire, &repository, &tag);
        assert_eq!(pulled.map(|parts| parts[0].clone()), Ok(digest), "{repository}:{tag}");
        self.done.pulls += 1;
    }

    /// Somebody may delete it meanwhile; whoever has not must find it whole.
    fn pull_foreign(&mut self) {
        let picked = {
            let live = self.live.lock().expect("a lock");
            let at = usize::try_from(self.chance).expect("64 bits") % live.len().max(1);
            live.iter().nth(at).map(|(name, digest)| (name.clone(), digest.clone()))
        };
        let Some((name, digest)) = picked else { return };
        let pulled = pull(&mut self.wire, &name.0, &name.1);
        let still = self.live.lock().expect("a lock").contains_key(&name);
        if still {
            assert_eq!(pulled.map(|parts| parts[0].clone()), Ok(digest), "{name:?}");
            self.done.pulls += 1;
        }
    }

    fn delete(&mut self) {
        let name = self.own.remove(0);
        // Not acknowledged any more, from before it begins to go.
        let digest = self.live.lock().expect("a lock").remove(&name).expect("a live one");
        let what = if self.upto(2) == 0 { &name.1 } else { &digest };
        let path = format!("/v2/{}/manifests/{what}", name.0);
        assert_eq!(self.wire.ask("DELETE", &path, "", b"").status, 202, "{path}");
        self.done.deletes += 1;
    }
}

/// Pulls an image: the digests of its manifest and of its parts, all of them verified. Else, what is not there.
pub fn pull(wire: &mut Wire, repository: &str, reference: &str) -> Result<Vec<String>, String> {
    let path = format!("/v2/{repository}/manifests/{reference}");
    let answer = wire.get(&path);
    if answer.status != 200 {
        return Err(format!("{path}: {}", answer.status));
    }
    let mut parts = vec![Digest::of(&answer.body).to_string()];
    let manifest: Value = serde_json::from_slice(&answer.body).expect("a manifest");
    let layers = manifest["layers"].as_array().expect("layers").iter();
    for part in layers.chain([&manifest["config"]]) {
        let digest = part["digest"].as_str().expect("a digest").to_owned();
        let path = format!("/v2/{repository}/blobs/{digest}");
        let answer = wire.get(&path);
        if answer.status != 200 {
            return Err(format!("{path}: {}", answer.status));
        }
        assert_eq!(Digest::of(&answer.body).to_string(), digest, "{path}");
        parts.push(digest);
    }
    Ok(parts)
}

/// The same bytes for the same number.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}
