mod stand_in;

use super::deliver::Delivery;
use super::exchange::{Ask, Exchange, PIECE, Payload, Target};
use super::plan::{Documents, Plan};
use super::{deliver, memory};
use crate::progress::Progress;
use crate::remote::{Credentials, Registries, RegistriesConfig, Repository, Teller, Writer};
use futures_util::future::BoxFuture;
use naru_errdefs::{Fault, Kind};
use naru_oci::{Config, Descriptor, Digest, Manifest, RootFs, media_type};
use naru_store::{Lease, Store};
use reqwest::Response;
use stand_in::{Locations, React, StandIn};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The way to a registry that trusts everybody.
struct Plain {
    client: reqwest::Client,
    registry: String,
    repository: String,
}

impl Plain {
    fn new(address: SocketAddr, repository: &str) -> Plain {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Plain { client, registry: address.to_string(), repository: repository.to_owned() }
    }
}

impl Exchange for Plain {
    fn registry(&self) -> &str {
        &self.registry
    }

    fn repository(&self) -> &str {
        &self.repository
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Response, Fault>> {
        Box::pin(async move {
            let url = match ask.target {
                Target::Path(path) => {
                    format!("http://{}/v2/{}/{path}", self.registry, self.repository)
                        .parse()
                        .unwrap()
                }
                Target::At(url) => url,
            };
            let mut request = self.client.request(ask.method, url);
            for (name, value) in ask.headers {
                request = request.header(name, value);
            }
            let request = match ask.payload {
                Payload::Empty => request,
                Payload::Bytes(bytes) => request.body(bytes),
                Payload::Part(part) => request.body(reqwest::Body::wrap_stream(part.stream(PIECE))),
            };
            request
                .send()
                .await
                .map_err(|error| Fault::new(Kind::Unavailable, "lost").with_source(error))
        })
    }
}

/// A store with one image in it: a layer larger than what goes in one request, and one that is smaller.
struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    _lease: Lease,
    plan: Plan,
    root: Descriptor,
    big: Digest,
    bytes: u64,
    told: Arc<Mutex<Vec<Progress>>>,
    teller: Teller,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let lease = store.leases.create(Duration::from_secs(600));
        let put = |kind: &str, bytes: &[u8]| {
            let blob = store.content.put(lease.id(), bytes).unwrap();
            Descriptor::new(kind, blob.digest, blob.size)
        };
        let noise: Vec<u8> =
            (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let layers = vec![put(media_type::OCI_LAYER, &noise), put(media_type::OCI_LAYER, b"small")];
        let config = Config {
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
            ..serde_json::from_str(
                r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#,
            )
            .unwrap()
        };
        let config = put(media_type::OCI_CONFIG, &serde_json::to_vec(&config).unwrap());
        let manifest = serde_json::to_vec(&Manifest::oci(config.clone(), layers.clone())).unwrap();
        let root = put(media_type::OCI_MANIFEST, &manifest);
        let documents = Documents::from([(root.digest, manifest)]);
        let plan = Plan::of(std::slice::from_ref(&root), &documents).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller: Teller = Arc::new({
            let told = Arc::clone(&told);
            move |progress| told.lock().unwrap().push(progress)
        });
        let bytes = layers.iter().map(|layer| layer.size).sum::<u64>() + config.size;
        let big = layers[0].digest;
        Bench { _dir: dir, store, _lease: lease, plan, root, big, bytes, told, teller }
    }

    fn push_to(&self, there: &StandIn, repository: &str) -> Result<(), Fault> {
        self.push_by(&Plain::new(there.address, repository))
    }

    /// The same by the wire that says who we are.
    fn push_as(&self, who: &Credentials, there: &StandIn) -> Result<(), Fault> {
        let registries = Registries::new(RegistriesConfig::default());
        let repository = Repository::new(&registries, &there.address.to_string(), "a", who);
        self.push_by(&Writer::new(repository, None))
    }

    /// The same, no faster than so many bytes a second.
    fn push_at(&self, rate: u64, there: &StandIn) -> Result<(), Fault> {
        let registries = Registries::new(RegistriesConfig::default());
        let who = Credentials::Anonymous;
        let repository = Repository::new(&registries, &there.address.to_string(), "a", &who);
        self.push_by(&Writer::new(repository, Some(rate)))
    }

    fn push_by(&self, wire: &dyn Exchange) -> Result<(), Fault> {
        let delivery =
            Delivery { store: &self.store, wire, uploads: 3, attempts: 5, teller: &self.teller };
        let named = [("v1".to_owned(), self.root.clone())];
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let push = deliver(&delivery, &self.plan, &named, &self.store.content);
            tokio::time::timeout(Duration::from_secs(50), push).await.expect("it hangs")
        })
    }

    /// Everything is there, byte for byte.
    fn check(&self, there: &StandIn, repository: &str) {
        let held = there.held.lock().unwrap();
        for blob in &self.plan.blobs {
            let found = held.blobs.get(&format!("{repository}@{}", blob.digest)).unwrap();
            assert_eq!(Digest::of(found), blob.digest);
        }
        let (kind, bytes) = &held.manifests[&format!("{repository}:v1")];
        assert_eq!(
            (kind.as_str(), Digest::of(bytes)),
            (media_type::OCI_MANIFEST, self.root.digest)
        );
    }

    fn said(&self, digest: Digest) -> Vec<String> {
        let mut lines: Vec<String> = self
            .told
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.id.as_deref() == Some(&digest.short()))
            .filter_map(|line| line.status.clone())
            .collect();
        lines.dedup();
        lines
    }
}

#[test]
fn every_form_of_location_is_followed_and_nothing_is_sent_twice() {
    for form in [Locations::Relative, Locations::Absolute, Locations::WithQuery] {
        let bench = Bench::new();
        let there = StandIn::with(form, false, |_| React::Serve);
        bench.push_to(&there, "a/b").unwrap();
        bench.check(&there, "a/b");
        assert_eq!(there.received(), bench.bytes);
        assert_eq!(bench.said(bench.big), ["Preparing", "Pushing", "Pushed"]);
        // Again: nothing but questions.
        bench.told.lock().unwrap().clear();
        let before = there.received();
        let asked = there.count("PUT");
        bench.push_to(&there, "a/b").unwrap();
        assert_eq!(there.received(), before);
        assert_eq!((there.count("PUT"), there.count("POST")), (asked, 3));
        assert_eq!(bench.said(bench.big), ["Preparing", "Layer already exists"]);
    }
}

#[test]
fn a_push_keeps_to_its_rate() {
    let bench = Bench::new();
    let there = StandIn::new(|heard| match heard.path.as_str() {
        "/v2/" => React::Say(200, ""),
        _ => React::Serve,
    });
    let begun = std::time::Instant::now();
    bench.push_at(bench.bytes / 2, &there).unwrap();
    // But for a fifth of a second's worth that may come at once.
    assert!(begun.elapsed() > Duration::from_millis(1700), "{:?}", begun.elapsed());
    bench.check(&there, "a");
}

#[test]
fn uploads_at_another_host_are_followed() {
    let bench = Bench::new();
    let other = StandIn::new(|_| React::Serve);
    let there = StandIn::sharing(
        Arc::clone(&other.held),
        Locations::Elsewhere(other.address),
        false,
        |_| React::Serve,
    );
    bench.push_to(&there, "a").unwrap();
    bench.check(&there, "a");
}

#[test]
fn a_blob_is_mounted_where_the_registry_has_it() {
    let bench = Bench::new();
    let there = StandIn::new(|_| React::Serve);
    bench.push_to(&there, "first").unwrap();
    bench.told.lock().unwrap().clear();
    bench.push_to(&there, "second").unwrap();
    bench.check(&there, "second");
    assert_eq!(there.received(), bench.bytes, "the second took no bytes");
    assert_eq!(bench.said(bench.big), ["Preparing", "Mounted from first"]);
    // What is gone there meanwhile is sent.
    there.held.lock().unwrap().blobs.clear();
    bench.push_to(&there, "third").unwrap();
    bench.check(&there, "third");
    assert_eq!(there.received(), 2 * bench.bytes);
}

#[test]
fn a_mount_that_is_forbidden_is_an_upload() {
    let bench = Bench::new();
    let blobs: Vec<Digest> = bench.plan.blobs.iter().map(|blob| blob.digest).collect();
    let there = StandIn::new(|heard| match heard.path.contains("mount=") {
        true => React::Say(403, ""),
        false => React::Serve,
    });
    memory::remember_blobs(&bench.store, &there.address.to_string(), "secret", &blobs);
    bench.push_to(&there, "a").unwrap();
    bench.check(&there, "a");
}

#[test]
fn a_dropped_upload_goes_on_where_it_was() {
    for seed in 0..6_usize {
        let bench = Bench::new();
        // Cut more often than attempts are allowed in a row; each time some bytes get through.
        let there = StandIn::new(move |heard| match (heard.method.as_str(), heard.number) {
            ("PATCH", number) if number < 40 => {
                React::CutAfter(1 + (number + seed) * 7919 % 200_000)
            }
            _ => React::Serve,
        });
        bench.push_to(&there, "a").unwrap();
        bench.check(&there, "a");
        assert_eq!(there.received(), bench.bytes, "no byte twice");
        assert!(there.count("PATCH") > 5);
    }
}

#[test]
fn an_answer_that_is_lost_is_asked_for() {
    for method in ["PATCH", "PUT", "POST", "HEAD"] {
        let bench = Bench::new();
        let lost = Arc::new(Mutex::new(false));
        let there = StandIn::new(move |heard| {
            let mut lost = lost.lock().unwrap();
            if heard.method == method && !*lost {
                *lost = true;
                return React::CutBeforeAnswer;
            }
            React::Serve
        });
        bench.push_to(&there, "a").unwrap();
        bench.check(&there, "a");
    }
}

#[test]
fn an_upload_that_the_registry_forgot_begins_anew() {
    let bench = Bench::new();
    let there = StandIn::new(|heard| match (heard.method.as_str(), heard.number) {
        ("PATCH", number) if number < 9 => React::CutAfter(100_000),
        ("GET", _) => React::Forget,
        _ => React::Serve,
    });
    bench.push_to(&there, "a").unwrap();
    bench.check(&there, "a");
}

#[test]
fn a_restarted_daemon_goes_on_with_the_upload() {
    let bench = Bench::new();
    let there = StandIn::new(|heard| match heard.method.as_str() {
        "PATCH" if heard.number < 20 => React::CutAfter(1_000_000),
        // As if the daemon died: whatever is asked after the first cut fails for good.
        "GET" if heard.number < 20 => React::Say(403, ""),
        _ => React::Serve,
    });
    assert_eq!(bench.push_to(&there, "a").unwrap_err().kind(), Kind::Forbidden);
    // A refusal forgets the upload, a death does not.
    let at = format!("http://{}/v2/a/blobs/uploads/1", there.address).parse().unwrap();
    let upload = there
        .log()
        .iter()
        .find(|heard| heard.method == "PATCH")
        .map(|heard| heard.path.clone())
        .unwrap();
    let at: reqwest::Url = reqwest::Url::join(&at, &upload).unwrap();
    memory::remember_upload(&bench.store, (&there.address.to_string(), "a"), &bench.big, Some(&at));
    let again = there.log()[0].clone();
    while there.log().len() < 20 {
        there.held.lock().unwrap().log.push(again.clone());
    }
    bench.push_to(&there, "a").unwrap();
    bench.check(&there, "a");
    assert_eq!(there.received(), bench.bytes, "no byte twice");
    let (registry, blob) = (there.address.to_string(), bench.big);
    assert_eq!(memory::open_upload(&bench.store, &registry, "a", &blob), None);
}

#[test]
fn a_busy_registry_is_asked_again() {
    let bench = Bench::new();
    let there = StandIn::new(|heard| match heard.number {
        0 | 4 | 8 => React::Say(429, "retry-after: 0\r\n"),
        2 | 9 => React::Say(503, ""),
        _ => React::Serve,
    });
    bench.push_to(&there, "a").unwrap();
    bench.check(&there, "a");
}

#[test]
fn a_registry_that_lies_is_not_believed() {
    let bench = Bench::new();
    let there = StandIn::with(Locations::Relative, true, |_| React::Serve);
    let fault = bench.push_to(&there, "a").unwrap_err();
    assert_eq!(fault.kind(), Kind::DataLoss, "{fault}");
    assert!(!there.held.lock().unwrap().manifests.contains_key("a:v1"));
}

#[test]
fn refusals_say_why() {
    for (status, kind) in [
        (401, Kind::Unauthorized),
        (403, Kind::Forbidden),
        (404, Kind::NotFound),
        (405, Kind::Unsupported),
        (413, Kind::ResourceExhausted),
    ] {
        let bench = Bench::new();
        let there = StandIn::new(move |heard| match heard.method.as_str() {
            "POST" => React::Say(status, ""),
            _ => React::Serve,
        });
        let fault = bench.push_to(&there, "a").unwrap_err();
        assert_eq!(fault.kind(), kind, "{fault}");
        assert!(fault.hint().is_some());
    }
}

fn me() -> Credentials {
    Credentials::Basic { user: "me".to_owned(), password: "secret".to_owned() }
}

fn authorization(heard: &stand_in::Heard) -> &str {
    heard.headers.get("authorization").map_or("", String::as_str)
}

#[test]
fn uploads_at_another_host_do_not_tell_it_who_we_are() {
    let bench = Bench::new();
    let other = StandIn::new(|_| React::Serve);
    let there = StandIn::sharing(
        Arc::clone(&other.held),
        Locations::Elsewhere(other.address),
        false,
        |heard| match authorization(heard) {
            "Basic bWU6c2VjcmV0" => React::Serve,
            _ => React::Say(401, "www-authenticate: Basic realm=\"x\"\r\n"),
        },
    );
    bench.push_as(&me(), &there).unwrap();
    bench.check(&there, "a");
    let uploads: Vec<stand_in::Heard> = there
        .log()
        .into_iter()
        .filter(|heard| matches!(heard.method.as_str(), "PATCH" | "PUT"))
        .filter(|heard| heard.path.contains("/uploads/"))
        .collect();
    assert!(uploads.len() >= 3);
    assert!(uploads.iter().all(|heard| authorization(heard).is_empty()), "{uploads:?}");
}

#[test]
fn a_token_that_ends_in_the_middle_of_a_push_is_renewed() {
    let bench = Bench::new();
    // Tokens that were issued, requests with one, and the last token that has ended.
    let state = Arc::new(Mutex::new((0_usize, 0_usize, 0_usize)));
    let there = StandIn::new(move |heard| {
        let (issued, used, ended) = &mut *state.lock().unwrap();
        if heard.path.starts_with("/token") {
            let scoped = heard.path.contains("scope=repository%3Aa%3Apull%2Cpush");
            assert!(scoped, "{}", heard.path);
            *issued += 1;
            return React::Tell(200, format!(r#"{{"token":"{issued}","expires_in":60}}"#));
        }
        let Some(token) = authorization(heard).strip_prefix("Bearer ") else {
            return React::Challenge;
        };
        *used += 1;
        // In the middle, all that there are end, whatever was promised.
        if *used == 6 {
            *ended = *issued;
        }
        if token.parse::<usize>().unwrap() > *ended { React::Serve } else { React::Challenge }
    });
    bench.push_as(&me(), &there).unwrap();
    bench.check(&there, "a");
    let log = there.log();
    let first_use = log.iter().position(|heard| authorization(heard).starts_with("Bearer"));
    let last_token = log.iter().rposition(|heard| heard.path.starts_with("/token"));
    assert!(first_use < last_token, "{log:?}");
}

#[test]
fn an_upload_that_is_refused_in_the_middle_says_why_and_leaves_nothing_to_go_on_with() {
    for (status, kind, said) in [
        (413, Kind::ResourceExhausted, "limit of size"),
        (401, Kind::Unauthorized, "naru login"),
        (403, Kind::Forbidden, "naru login"),
        (507, Kind::ResourceExhausted, "no room left"),
    ] {
        let bench = Bench::new();
        let there = StandIn::new(move |heard| match heard.method.as_str() {
            "PATCH" => React::Say(status, ""),
            _ => React::Serve,
        });
        let fault = bench.push_to(&there, "a").unwrap_err();
        assert_eq!(fault.kind(), kind, "{fault}");
        assert!(fault.hint().unwrap().contains(said), "{fault}");
        assert!(there.held.lock().unwrap().manifests.is_empty());
        let (registry, blob) = (there.address.to_string(), bench.big);
        assert_eq!(memory::open_upload(&bench.store, &registry, "a", &blob), None);
    }
    // By HEAD there are no words; docker's are said.
    let bench = Bench::new();
    let there = StandIn::new(|_| React::Say(401, ""));
    let fault = bench.push_to(&there, "a").unwrap_err();
    let said = "repository does not exist or may require 'docker login': unauthorized: authentication required";
    assert!(fault.message().contains(said), "{fault}");
}

#[test]
fn an_upload_that_stands_elsewhere_is_asked_and_goes_on() {
    // What was under way when the connection broke arrives after the question how far it got: 416 at the next piece.
    let bench = Bench::new();
    let there = StandIn::new(|heard| match (heard.method.as_str(), heard.number) {
        ("PATCH", number) if number < 9 => React::CutAfter(1_000_000),
        ("GET", number) if number < 11 => React::Understate(50_000),
        _ => React::Serve,
    });
    bench.push_to(&there, "a").unwrap();
    bench.check(&there, "a");
    let begun = there.log().iter().filter(|heard| heard.method == "POST").count();
    assert_eq!(begun, bench.plan.blobs.len(), "none was begun anew");
    // Cut, refused, taken; and asked twice.
    assert_eq!((there.count("PATCH"), there.count("GET")), (3, 2));
}

#[test]
fn a_layer_that_is_not_here_is_named() {
    let mut bench = Bench::new();
    let gone = Descriptor::new(media_type::OCI_LAYER, Digest::of(b"gone"), 4);
    bench.plan.blobs.push(gone.clone());
    let there = StandIn::new(|_| React::Serve);
    let fault = bench.push_to(&there, "a").unwrap_err();
    assert_eq!(fault.kind(), Kind::NotFound);
    assert!(fault.message().contains(&gone.digest.to_string()), "{fault}");
    // One that the registry has is not needed here.
    there.held.lock().unwrap().blobs.insert(format!("a@{}", gone.digest), b"gone".to_vec());
    bench.push_to(&there, "a").unwrap();
}
