mod hub;
mod nonsense;
mod real;
mod stand_in;

use super::*;
use crate::remote::{Credentials, Patience, RegistriesConfig, login};
use naru_errdefs::Kind;
use naru_test_support::{Item, TinyImage};
use stand_in::{Heard, React, Shelf, StandIn};
use std::sync::Mutex;
use std::time::Duration;

fn noise(seed: u32, length: u32) -> Vec<u8> {
    (0..length)
        .map(|n| (n ^ seed).wrapping_mul(2_654_435_761).wrapping_add(seed).to_be_bytes()[0])
        .scan(seed, |state, byte| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some(byte ^ state.to_be_bytes()[0])
        })
        .collect()
}

/// An image with one large layer that does not compress, and a small one.
fn image() -> TinyImage {
    TinyImage::new(
        "x:v1",
        [
            vec![Item::dir("a/"), Item::file("a/big", noise(7, 3_000_000))],
            vec![Item::file("a/small", "small")],
        ],
    )
}

fn large_blob(shelf: &Shelf) -> (String, Vec<u8>) {
    let (digest, bytes) = shelf.blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    (digest.clone(), bytes.clone())
}

/// An empty store that pulls.
struct Bench {
    dir: tempfile::TempDir,
    config: RegistriesConfig,
    credentials: Credentials,
    told: Arc<Mutex<Vec<Progress>>>,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            dir: tempfile::tempdir().unwrap(),
            config: RegistriesConfig::default(),
            credentials: Credentials::Anonymous,
            told: Arc::default(),
        }
    }

    fn knowing(user: &str, password: &str) -> Bench {
        let credentials =
            Credentials::Basic { user: user.to_owned(), password: password.to_owned() };
        Bench { credentials, ..Bench::new() }
    }

    fn registries(&self) -> Registries {
        let second = Duration::from_secs(1);
        Registries::with_patience(self.config.clone(), Patience { headers: second, stall: second })
    }

    /// Pulls as a daemon does that has just been started.
    fn pull(&self, name: &str) -> Result<Vec<PulledImage>, Fault> {
        let store = Store::open(self.dir.path()).unwrap();
        self.pull_into(&store, &self.registries(), name, 1).pop().unwrap()
    }

    fn pull_into(
        &self,
        store: &Store,
        registries: &Registries,
        name: &str,
        times: usize,
    ) -> Vec<Result<Vec<PulledImage>, Fault>> {
        let told = Arc::clone(&self.told);
        let teller: Teller = Arc::new(move |line| told.lock().unwrap().push(line));
        let request = PullRequest {
            reference: name.parse().unwrap(),
            all_tags: false,
            platform: None,
            credentials: self.credentials.clone(),
            limit_rate: None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let pulls = (0..times).map(|_| pull(store, registries, &request, &teller));
            let all = futures_util::future::join_all(pulls);
            tokio::time::timeout(Duration::from_secs(50), all).await.expect("it hangs")
        })
    }

    fn said(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().filter_map(|line| line.status.clone()).collect()
    }

    /// The image is there, whole, with the bytes that were pushed.
    fn check(&self, name: &str, shelf: &Shelf) {
        let store = Store::open(self.dir.path()).unwrap();
        let record = store.images.get(&name.parse().unwrap()).unwrap().unwrap();
        assert_eq!(record.target.digest, shelf.digest());
        for (digest, bytes) in &shelf.blobs {
            let found = store.content.read(&digest.parse().unwrap(), 1 << 30).unwrap();
            assert!(&found == bytes, "{digest} differs");
        }
        let lower = store.snapshots.lower_dirs(&record.chain.unwrap()).unwrap();
        let big = lower.iter().find_map(|dir| std::fs::read(dir.join("a/big")).ok()).unwrap();
        assert!(big == noise(7, 3_000_000));
    }

    fn has_image(&self, name: &str) -> bool {
        let store = Store::open(self.dir.path()).unwrap();
        store.images.get(&name.parse().unwrap()).unwrap().is_some()
    }
}

fn name_at(there: &StandIn) -> String {
    format!("{}/library/x:v1", there.address)
}

#[test]
fn an_image_comes_whole_and_a_second_pull_fetches_nothing() {
    let shelf = Shelf::of(&image());
    let there = StandIn::new(&shelf, |_| React::Serve);
    let bench = Bench::new();
    let name = name_at(&there);
    let pulled = bench.pull(&name).unwrap();
    assert!(pulled[0].is_new);
    bench.check(&name, &shelf);
    let said = bench.said();
    for line in [
        "Pulling from library/x",
        "Pulling fs layer",
        "Verifying Checksum",
        "Download complete",
        "Pull complete",
    ] {
        assert!(said.iter().any(|one| one == line), "{line}: {said:?}");
    }
    assert!(said.contains(&format!("Digest: {}", shelf.digest())));
    assert_eq!(said.last().unwrap(), &format!("Status: Downloaded newer image for {name}"));
    let before = there.log().len();
    assert!(!bench.pull(&name).unwrap()[0].is_new);
    let asked: Vec<Heard> = there.log().split_off(before);
    assert!(asked.iter().all(|one| one.path == "/v2/" || one.method == "HEAD"), "{asked:?}");
    assert_eq!(bench.said().last().unwrap(), &format!("Status: Image is up to date for {name}"));
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let shelf = Shelf::of(&image());
    let (big, bytes) = large_blob(&shelf);
    let total = shelf.size();
    let there = StandIn::new(&shelf, move |heard| match heard.before {
        // At odd places, and right at the beginning.
        before @ 0..7 if heard.path.ends_with(&big) => {
            React::Cut([1, 300_001, 0, 777_777, 65_536, 999, 12_345][before])
        }
        _ => React::Serve,
    });
    let bench = Bench::new();
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
    assert!(bytes.len() > 2_000_000);
    assert_eq!(there.sent(), total, "no byte is sent twice");
}

#[test]
fn a_registry_without_ranges_is_listened_to_from_the_start() {
    let shelf = Shelf::of(&image());
    let (big, _) = large_blob(&shelf);
    let there = StandIn::new(&shelf, move |heard| match heard.before {
        0 if heard.path.ends_with(&big) => React::Cut(1_000_001),
        _ => React::Whole,
    });
    let bench = Bench::new();
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
}

#[test]
fn a_stalled_connection_is_given_up_and_taken_up() {
    let shelf = Shelf::of(&image());
    let (big, _) = large_blob(&shelf);
    let there = StandIn::new(&shelf, move |heard| match heard.before {
        0 if heard.path.ends_with(&big) => React::Stall(500_000),
        _ => React::Serve,
    });
    let bench = Bench::new();
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
    let again = there.log().into_iter().filter_map(|one| one.headers.get("range").cloned());
    assert_eq!(again.collect::<Vec<_>>(), ["bytes=500000-"]);
}

#[test]
fn what_came_before_a_restart_is_not_fetched_again() {
    let shelf = Shelf::of(&image());
    let (big, _) = large_blob(&shelf);
    let open = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let first = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let there = StandIn::new(&shelf, move |heard| {
        use std::sync::atomic::Ordering::SeqCst;
        if !heard.path.ends_with(&big) || gate.load(SeqCst) {
            return React::Serve;
        }
        // The registry dies in the middle.
        if first.swap(false, SeqCst) { React::Cut(1_500_000) } else { React::Cut(0) }
    });
    let mut bench = Bench::new();
    bench.config.attempts = 2;
    let name = name_at(&there);
    let fault = bench.pull(&name).unwrap_err();
    assert_eq!(fault.kind(), Kind::Unavailable, "{fault}");
    assert!(!bench.has_image(&name));
    // What a collection of garbage takes away is not what was fetched.
    Store::open(bench.dir.path()).unwrap().collect().unwrap();
    open.store(true, std::sync::atomic::Ordering::SeqCst);
    bench.pull(&name).unwrap();
    bench.check(&name, &shelf);
    let log = there.log();
    let last = log.iter().rev().find_map(|one| one.headers.get("range").cloned());
    assert_eq!(last.as_deref(), Some("bytes=1500000-"));
}

#[test]
fn wrong_bytes_are_thrown_away_and_fetched_once_more() {
    let shelf = Shelf::of(&image());
    let (big, bytes) = large_blob(&shelf);
    let mut wrong = bytes.clone();
    wrong[1_000_000] ^= 1;
    let mut long = bytes.clone();
    long.push(0);
    for bad in [wrong.clone(), long, bytes[..bytes.len() - 1].to_vec(), b"<html>".to_vec()] {
        let ends = big.clone();
        let there = StandIn::new(&shelf, move |heard| match heard.before {
            0 if heard.path.ends_with(&ends) => React::Instead(bad.clone()),
            _ => React::Serve,
        });
        let bench = Bench::new();
        bench.pull(&name_at(&there)).unwrap();
        bench.check(&name_at(&there), &shelf);
    }
    let there = StandIn::new(&shelf, move |heard| {
        if heard.path.ends_with(&big) { React::Instead(wrong.clone()) } else { React::Serve }
    });
    let bench = Bench::new();
    let fault = bench.pull(&name_at(&there)).unwrap_err();
    assert_eq!(fault.kind(), Kind::DataLoss, "{fault}");
    assert!(!bench.has_image(&name_at(&there)));
}

#[test]
fn a_mirror_that_lies_or_lacks_is_no_reason_to_fail() {
    let shelf = Shelf::of(&image());
    let (big, bytes) = large_blob(&shelf);
    let mut wrong = bytes;
    wrong[5] ^= 1;
    let lying = StandIn::new(&shelf, move |heard| {
        if heard.path.ends_with(&big) { React::Instead(wrong.clone()) } else { React::Serve }
    });
    let lacking = StandIn::new(&Shelf::default(), |_| React::Say(404, String::new(), ""));
    let there = StandIn::new(&shelf, |_| React::Serve);
    for mirror in [&lying, &lacking] {
        let mut bench = Bench::knowing("me", "secret");
        let mirrors = vec![format!("http://{}", mirror.address)];
        bench.config.registries.insert(
            there.address.to_string(),
            crate::remote::RegistryConfig { mirrors, insecure: true },
        );
        bench.pull(&name_at(&there)).unwrap();
        bench.check(&name_at(&there), &shelf);
        assert!(!mirror.log().is_empty());
        assert!(mirror.log().iter().all(|one| one.authorization().is_empty()));
    }
}

/// A registry whose tokens come from `/token` of the same server.
fn token_registry(shelf: &Shelf, refuse_first: bool) -> StandIn {
    let issued = std::sync::atomic::AtomicUsize::new(0);
    StandIn::new(shelf, move |heard| {
        let host = &heard.headers["host"];
        if heard.path.starts_with("/token") {
            let number = issued.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            return match (heard.method.as_str(), heard.authorization()) {
                // me:secret
                ("GET", "Basic bWU6c2VjcmV0") if number == 0 => React::Say(
                    200,
                    String::new(),
                    r#"{"token":"first","access_token":"first","expires_in":300,"refresh_token":"again"}"#,
                ),
                ("GET", "Basic bWU6c2VjcmV0") => {
                    React::Say(200, String::new(), r#"{"token":"second"}"#)
                }
                ("POST", "") if heard.body.contains("refresh_token=again") => {
                    React::Say(200, String::new(), r#"{"access_token":"second"}"#)
                }
                _ => React::Say(
                    401,
                    String::new(),
                    r#"{"details":"incorrect username or password"}"#,
                ),
            };
        }
        let is_good = match heard.authorization() {
            "Bearer first" => !(refuse_first && heard.is_blob()),
            "Bearer second" => true,
            _ => false,
        };
        if is_good {
            return React::Serve;
        }
        let scope = if heard.path == "/v2/" { "" } else { ",scope=\"repository:library/x:pull\"" };
        React::Say(
            401,
            format!(
                "www-authenticate: Bearer realm=\"http://{host}/token\",service=\"the, service\"{scope}\r\n"
            ),
            "",
        )
    })
}

#[test]
fn tokens_are_fetched_kept_and_renewed() {
    let shelf = Shelf::of(&image());
    for (refuse_first, tokens) in [(false, 1), (true, 2)] {
        let there = token_registry(&shelf, refuse_first);
        let mut bench = Bench::knowing("me", "secret");
        bench.config.downloads = 1;
        bench.pull(&name_at(&there)).unwrap();
        bench.check(&name_at(&there), &shelf);
        let asked: Vec<Heard> =
            there.log().into_iter().filter(|one| one.path.starts_with("/token")).collect();
        assert!(asked.len() >= tokens && asked.len() <= tokens + 1, "{asked:?}");
        assert!(asked[0].path.contains("scope=repository%3Alibrary%2Fx%3Apull"), "{asked:?}");
        assert!(asked[0].path.contains("service=the%2C+service"), "{asked:?}");
        // The password is for the one who gives tokens only.
        let others = there.log().into_iter().filter(|one| !one.path.starts_with("/token"));
        assert!(others.into_iter().all(|one| !one.authorization().starts_with("Basic")));
    }
    let there = token_registry(&shelf, false);
    let bench =
        Bench { credentials: Credentials::IdentityToken("again".to_owned()), ..Bench::new() };
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
    let fault = Bench::knowing("me", "wrong").pull(&name_at(&there)).unwrap_err();
    assert_eq!(fault.kind(), Kind::Unauthorized, "{fault}");
}

#[test]
fn a_login_gives_a_token_for_later_or_says_that_the_password_is_wrong() {
    let there = token_registry(&Shelf::default(), false);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let try_as = |bench: &Bench| {
        let host = there.address.to_string();
        runtime.block_on(login(&bench.registries(), &host, &bench.credentials))
    };
    let fault = try_as(&Bench::knowing("me", "wrong")).unwrap_err();
    assert_eq!(fault.kind(), Kind::Unauthorized);
    assert!(fault.to_string().contains("unauthorized: incorrect username or password"), "{fault}");
    let plain = StandIn::new(&Shelf::default(), |heard| match heard.authorization() {
        "Basic bWU6c2VjcmV0" => React::Serve,
        _ => React::Say(401, "www-authenticate: Basic realm=\"x\"\r\n".to_owned(), ""),
    });
    let good = Bench::knowing("me", "secret");
    let host = plain.address.to_string();
    let answer = runtime.block_on(login(&good.registries(), &host, &good.credentials)).unwrap();
    assert_eq!((answer.status.as_str(), answer.identity_token.as_str()), ("Login Succeeded", ""));
    let bad = Bench::knowing("me", "wrong");
    let fault = runtime.block_on(login(&bad.registries(), &host, &bad.credentials)).unwrap_err();
    assert_eq!(fault.kind(), Kind::Unauthorized);
}

#[test]
fn whoever_blobs_are_sent_to_does_not_learn_who_we_are() {
    let shelf = Shelf::of(&image());
    let elsewhere = StandIn::new(&shelf, |_| React::Serve);
    let other = elsewhere.address;
    let there = StandIn::new(&shelf, move |heard| match heard.authorization() {
        "Basic bWU6c2VjcmV0" if heard.is_blob() => {
            React::Say(307, format!("location: http://{other}{}\r\n", heard.path), "")
        }
        "Basic bWU6c2VjcmV0" => React::Serve,
        _ => React::Say(401, "www-authenticate: Basic realm=\"x\"\r\n".to_owned(), ""),
    });
    let bench = Bench::knowing("me", "secret");
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
    let log = elsewhere.log();
    assert!(log.len() >= 3);
    for heard in log {
        assert!(!heard.headers.contains_key("authorization"), "{heard:?}");
        assert!(!heard.headers.contains_key("cookie"), "{heard:?}");
    }
}

#[test]
fn circles_pages_and_other_nonsense_end_with_an_error() {
    let shelf = Shelf::of(&image());
    let circle = StandIn::new(&shelf, |heard| {
        if heard.path == "/v2/" {
            return React::Serve;
        }
        React::Say(307, format!("location: {}\r\n", heard.path), "")
    });
    let fault = Bench::new().pull(&name_at(&circle)).unwrap_err();
    assert!(naru_errdefs::one_line(&fault).contains("sent elsewhere more than"), "{fault}");
    let html = StandIn::new(&shelf, |_| {
        React::Say(200, "content-type: text/html\r\n".to_owned(), "<html>Log in first</html>")
    });
    let fault = Bench::new().pull(&name_at(&html)).unwrap_err();
    assert!(naru_errdefs::one_line(&fault).contains("no valid manifest"), "{fault}");
    let unknown = StandIn::new(&shelf, |_| React::Serve);
    let name = format!("{}/library/x:v2", unknown.address);
    let fault = Bench::new().pull(&name).unwrap_err();
    assert_eq!(fault.kind(), Kind::NotFound);
    let said = format!("manifest for {name} not found: manifest unknown: manifest unknown");
    assert!(fault.to_string().contains(&said), "{fault}");
    // A page of tags that leads to itself.
    let tags = StandIn::new(&shelf, |heard| {
        if heard.path == "/v2/" {
            return React::Serve;
        }
        let link = format!("link: <{}>; rel=\"next\"\r\n", heard.path);
        React::Say(200, link, r#"{"name":"library/x","tags":["v1"]}"#)
    });
    let registries = Bench::new().registries();
    let host = tags.address.to_string();
    let there = Repository::new(&registries, &host, "library/x", &Credentials::Anonymous);
    let fault = tokio::runtime::Runtime::new().unwrap().block_on(there.tags()).unwrap_err();
    assert!(fault.to_string().contains("in a circle"), "{fault}");
}

#[test]
fn a_registry_that_is_busy_is_asked_again_when_it_says() {
    let shelf = Shelf::of(&image());
    let there = StandIn::new(&shelf, |heard| match heard.before {
        0 if heard.path != "/v2/" => React::Say(
            429,
            "retry-after: 1\r\nratelimit-limit: 100;w=21600\r\nratelimit-remaining: 0;w=21600\r\n"
                .to_owned(),
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}"#,
        ),
        1 if heard.path != "/v2/" => React::Say(503, String::new(), ""),
        _ => React::Serve,
    });
    let bench = Bench::new();
    let since = std::time::Instant::now();
    bench.pull(&name_at(&there)).unwrap();
    // The tag, the configuration, the layers: each had to wait.
    assert!(since.elapsed() >= Duration::from_secs(3), "{:?}", since.elapsed());
    bench.check(&name_at(&there), &shelf);
    let mut hasty = Bench::new();
    hasty.config.attempts = 1;
    let never = StandIn::new(&shelf, |heard| match heard.path.as_str() {
        "/v2/" => React::Serve,
        _ => React::Say(
            429,
            String::new(),
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}"#,
        ),
    });
    let fault = hasty.pull(&name_at(&never)).unwrap_err();
    let line = naru_errdefs::one_line(&fault);
    assert!(line.contains("toomanyrequests: You have reached your pull rate limit"), "{line}");
    assert_eq!(fault.kind(), Kind::ResourceExhausted);
}

#[test]
fn a_token_service_at_another_host_in_the_clear_gets_nothing() {
    let there = StandIn::new(&Shelf::default(), |_| {
        React::Say(
            401,
            "www-authenticate: Bearer realm=\"http://tokens.example/token\"\r\n".to_owned(),
            "",
        )
    });
    let fault = Bench::knowing("me", "secret").pull(&name_at(&there)).unwrap_err();
    assert_eq!(fault.kind(), Kind::Forbidden, "{fault}");
    assert!(naru_errdefs::one_line(&fault).contains("unprotected"), "{fault}");
}

#[test]
fn many_who_pull_the_same_share_one_fetch() {
    let shelf = Shelf::of(&image());
    let there = StandIn::new(&shelf, |_| React::Serve);
    let bench = Bench::new();
    let name = name_at(&there);
    let store = Store::open(bench.dir.path()).unwrap();
    let done = bench.pull_into(&store, &bench.registries(), &name, 8);
    drop(store);
    assert_eq!(done.into_iter().filter(|one| one.as_ref().unwrap()[0].is_new).count(), 1);
    let blobs = there.log().into_iter().filter(Heard::is_blob).count();
    assert_eq!(blobs, 3, "configuration and two layers, once");
    bench.check(&name, &shelf);
}
