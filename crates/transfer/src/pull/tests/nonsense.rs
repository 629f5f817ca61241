//! Registries, and what stands before them, that answer what nobody should: pulls end within bounds of time and size, with a word,
//! and nothing wrong is kept.

use super::stand_in::{React, Shelf, StandIn};
use super::*;
use std::process::Command;
use std::time::Instant;

fn word_of(bench: &Bench, there: &StandIn) -> (Kind, String) {
    let fault = bench.pull(&name_at(there)).unwrap_err();
    assert!(!bench.has_image(&name_at(there)));
    (fault.kind(), naru_errdefs::one_line(&fault))
}

#[test]
fn a_part_that_was_not_asked_for_is_not_taken() {
    let shelf = Shelf::of(&image());
    let (big, _) = large_blob(&shelf);
    // What begins earlier and says so is as good; what begins later is not.
    for shift in [-1000, 1000] {
        let ends = big.clone();
        let there = StandIn::new(&shelf, move |heard| match heard.before {
            0 if heard.path.ends_with(&ends) => React::Cut(1_000_000),
            1 if heard.path.ends_with(&ends) => React::Shifted(shift),
            _ => React::Serve,
        });
        let bench = Bench::new();
        bench.pull(&name_at(&there)).unwrap();
        bench.check(&name_at(&there), &shelf);
    }
    // For ever, it is a failure.
    let ends = big.clone();
    let there = StandIn::new(&shelf, move |heard| match heard.before {
        0 if heard.path.ends_with(&ends) => React::Cut(1_000_000),
        _ if heard.path.ends_with(&ends) => React::Shifted(7),
        _ => React::Serve,
    });
    let mut hasty = Bench::new();
    hasty.config.attempts = 2;
    let (kind, line) = word_of(&hasty, &there);
    assert_eq!(kind, Kind::Unavailable);
    assert!(line.contains("another part of the blob"), "{line}");
    // One that says the right part and gives another is found out by the digest.
    let ends = big.clone();
    let there = StandIn::new(&shelf, move |heard| match heard.before {
        0 if heard.path.ends_with(&ends) => React::Cut(1_000_000),
        1 if heard.path.ends_with(&ends) => {
            let size = large_blob(&Shelf::of(&image())).1.len();
            React::Tell(
                206,
                format!("content-range: bytes 1000000-{}/{size}\r\n", size - 1),
                "x".repeat(size - 1_000_000),
            )
        }
        _ => React::Serve,
    });
    let bench = Bench::new();
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
}

#[test]
fn a_range_that_cannot_be_had_is_fetched_from_the_start() {
    let shelf = Shelf::of(&image());
    let (big, _) = large_blob(&shelf);
    let there = StandIn::new(&shelf, move |heard| match heard.before {
        0 if heard.path.ends_with(&big) => React::Cut(1_000_000),
        _ if heard.headers.contains_key("range") => {
            React::Say(416, "content-range: bytes */5\r\n".to_owned(), "")
        }
        _ => React::Serve,
    });
    let bench = Bench::new();
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
}

#[test]
fn what_comes_without_a_length_is_taken_up_to_the_length_it_should_have() {
    let shelf = Shelf::of(&image());
    let there = StandIn::new(&shelf, |_| React::Chunked);
    let bench = Bench::new();
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
    let endless = StandIn::new(&shelf, |heard| match heard.is_blob() {
        true => React::Endless,
        false => React::Serve,
    });
    let since = Instant::now();
    let (kind, line) = word_of(&Bench::new(), &endless);
    assert_eq!(kind, Kind::DataLoss, "{line}");
    assert!(since.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_manifest_without_end_or_of_a_hundred_megabytes_is_refused() {
    let shelf = Shelf::of(&image());
    let endless = StandIn::new(&shelf, |heard| match heard.path.as_str() {
        "/v2/" => React::Serve,
        _ if heard.method == "HEAD" => React::Say(405, String::new(), ""),
        _ => React::Endless,
    });
    let large = StandIn::new(&shelf, |heard| match heard.path.as_str() {
        "/v2/" => React::Serve,
        _ => React::Tell(200, String::new(), " ".repeat(100 << 20)),
    });
    for there in [endless, large] {
        let (kind, line) = word_of(&Bench::new(), &there);
        assert_eq!(kind, Kind::InvalidInput, "{line}");
        assert!(line.contains("longer than"), "{line}");
    }
    // One that lies about the length of what it gives is found out by HEAD's digest.
    let shelf_again = Shelf::of(&image());
    let lying = StandIn::new(&shelf_again, |heard| match heard.method.as_str() {
        "GET" if heard.path.contains("/manifests/") => React::Instead(b"{}".to_vec()),
        _ => React::Serve,
    });
    assert_eq!(word_of(&Bench::new(), &lying).0, Kind::DataLoss);
}

#[test]
fn whoever_says_nothing_is_given_up() {
    let shelf = Shelf::of(&image());
    let since = Instant::now();
    for part in ["/manifests/", "/blobs/"] {
        let there = StandIn::new(&shelf, move |heard| match heard.path.contains(part) {
            true => React::Silence,
            false => React::Serve,
        });
        let mut hasty = Bench::new();
        hasty.config.attempts = 2;
        let (kind, line) = word_of(&hasty, &there);
        assert_eq!(kind, Kind::Unavailable, "{line}");
        assert!(line.contains("no answer within 1 s"), "{line}");
    }
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
}

#[test]
fn pages_for_people_are_no_blobs() {
    let shelf = Shelf::of(&image());
    let there = StandIn::new(&shelf, |heard| match heard.is_blob() {
        true => React::Say(
            200,
            "content-type: text/html\r\n".to_owned(),
            "<html>This network wants you to log in</html>",
        ),
        false => React::Serve,
    });
    let (kind, line) = word_of(&Bench::new(), &there);
    assert!(matches!(kind, Kind::DataLoss | Kind::Unavailable), "{line}");
}

#[test]
fn two_hosts_that_send_us_to_each_other_are_left() {
    let shelf = Shelf::of(&image());
    let first = Arc::new(Mutex::new(None));
    let back = Arc::clone(&first);
    let second = StandIn::new(&shelf, move |heard| {
        let first: std::net::SocketAddr = back.lock().unwrap().unwrap();
        React::Say(302, format!("location: http://{first}{}\r\n", heard.path), "")
    });
    let other = second.address;
    let there = StandIn::new(&shelf, move |heard| match heard.is_blob() {
        true => React::Say(307, format!("location: //{other}{}\r\n", heard.path), ""),
        false => React::Serve,
    });
    *first.lock().unwrap() = Some(there.address);
    let mut hasty = Bench::new();
    hasty.config.attempts = 1;
    let (_, line) = word_of(&hasty, &there);
    assert!(line.contains("sent elsewhere more than 10 times"), "{line}");
    assert!(second.log().len() <= 3 * 10, "{}", second.log().len());
    for location in ["ftp://x.example/y", "file:///etc/passwd", "http://"] {
        let there = StandIn::new(&shelf, move |heard| match heard.is_blob() {
            true => React::Say(307, format!("location: {location}\r\n"), ""),
            false => React::Serve,
        });
        let (_, line) = word_of(&hasty, &there);
        assert!(line.contains("no web address") || line.contains("no valid address"), "{line}");
    }
}

/// A certificate for loopback that signs itself.
fn tls(dir: &std::path::Path) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let path = |name: &str| dir.join(name).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-keyout", &path("key.pem"), "-out", &path("cert.pem")])
        .output()
        .unwrap();
    assert!(made.status.success());
    let certificate = CertificateDer::from_pem_file(path("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(path("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    Arc::new(config.unwrap())
}

#[test]
fn nobody_is_sent_from_tls_into_the_clear() {
    let shelf = Shelf::of(&image());
    let dir = tempfile::tempdir().unwrap();
    let there = StandIn::with_tls(&shelf, Some(tls(dir.path())), |heard| match heard.is_blob() {
        true => React::Say(307, "location: http://storage.example/blob\r\n".to_owned(), ""),
        false => React::Serve,
    });
    let (kind, line) = word_of(&Bench::new(), &there);
    assert_eq!(kind, Kind::Forbidden, "{line}");
    assert!(line.contains("from TLS to `storage.example` in the clear"), "{line}");
    // Where it was said that this is fine (loopback always is), it is followed.
    let storage = StandIn::new(&shelf, |_| React::Serve);
    let other = storage.address;
    let there =
        StandIn::with_tls(&shelf, Some(tls(dir.path())), move |heard| match heard.is_blob() {
            true => React::Say(307, format!("location: http://{other}{}\r\n", heard.path), ""),
            false => React::Serve,
        });
    let bench = Bench::new();
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
    assert_eq!(storage.sent(), shelf.size());
}
