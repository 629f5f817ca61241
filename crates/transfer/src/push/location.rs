//! Pure: where an upload goes on: the `Location` of an answer, which may be relative, absolute, with a query, or elsewhere.

use naru_errdefs::{Fault, Kind};
use naru_oci::Digest;
use reqwest::Url;

/// The longest location that is taken; real ones carry a signed state of a few hundred bytes.
const LONGEST: usize = 8 << 10;

/// Resolves a `Location` against the address that was asked.
///
/// A registry behind a proxy that ends TLS often says `http` of itself; at the same host we stay with TLS. Elsewhere, a
/// step down from TLS is refused.
pub(crate) fn resolve(asked: &Url, location: &str) -> Result<Url, Fault> {
    let bad = |why: &str| {
        Fault::new(
            Kind::Unavailable,
            format!("the registry {} sends the upload to an address that {why}", host(asked)),
        )
        .with_hint("the registry, or a proxy before it, is set up wrongly")
    };
    if location.len() > LONGEST {
        return Err(bad("is too long"));
    }
    let mut url = asked.join(location).map_err(|error| bad("is none").with_source(error))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("is not HTTP"));
    }
    // Credentials in an address would be sent on by whoever logs it.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("has credentials in it"));
    }
    if asked.scheme() == "https" && url.scheme() == "http" {
        if url.host_str() != asked.host_str() {
            return Err(bad("gives up TLS"));
        }
        let port = url.port().or(asked.port());
        let upgraded = url.set_scheme("https").and_then(|()| url.set_port(port));
        if upgraded.is_err() {
            return Err(bad("gives up TLS"));
        }
    }
    url.set_fragment(None);
    Ok(url)
}

/// The address that ends an upload: the query that came with it stays as it is.
pub(crate) fn finish(location: &Url, digest: Digest) -> Url {
    let mut url = location.clone();
    url.query_pairs_mut().append_pair("digest", &digest.to_string());
    url
}

/// Host and port, as messages show them.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("`{host}:{port}`"),
        None => format!("`{host}`"),
    }
}

/// How many bytes a registry has, by the `Range` of an upload (`0-1023`, with or without a unit). `0-0` is said of nothing
/// and of one byte alike; then nothing is assumed, and a registry that has the byte says so at the next request.
pub(crate) fn offset(range: Option<&str>) -> Option<u64> {
    let range = range?.trim();
    let range =
        range.strip_prefix("bytes=").or_else(|| range.strip_prefix("bytes ")).unwrap_or(range);
    let (start, end) = range.split_once('-')?;
    if start.parse::<u64>().ok()? != 0 {
        return None;
    }
    match end.parse::<u64>().ok()? {
        0 => Some(0),
        end => end.checked_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn every_form_of_a_location() {
        let asked = "https://r.example:5000/v2/a/b/blobs/uploads/?mount=x";
        for (location, expected) in [
            ("/v2/a/b/blobs/uploads/1", "https://r.example:5000/v2/a/b/blobs/uploads/1"),
            ("1?_state=a%3D%3D", "https://r.example:5000/v2/a/b/blobs/uploads/1?_state=a%3D%3D"),
            ("//other.example/x", "https://other.example/x"),
            ("https://other.example/x?sig=1%2F2", "https://other.example/x?sig=1%2F2"),
            ("http://r.example:5000/x", "https://r.example:5000/x"),
            ("http://r.example/x", "https://r.example:5000/x"),
            ("https://r.example:5000/x#y", "https://r.example:5000/x"),
        ] {
            assert_eq!(resolve(&url(asked), location).unwrap().as_str(), expected, "{location}");
        }
        for location in [
            "http://other.example/x",
            "ftp://r.example/x",
            "file:///etc/passwd",
            "https://user:secret@r.example/x",
            "https://",
        ] {
            let fault = resolve(&url(asked), location).unwrap_err();
            assert!(!fault.message().contains("secret"), "{}", fault.message());
        }
        assert!(resolve(&url(asked), &"x".repeat(LONGEST + 1)).is_err());
        let plain = resolve(&url("http://r.example/v2/"), "http://other.example/x").unwrap();
        assert_eq!(plain.as_str(), "http://other.example/x");
    }

    #[test]
    fn the_query_of_a_location_stays() {
        let digest = Digest::of(b"");
        let ended = finish(&url("http://r/u?_state=a%3D&b=c+d"), digest);
        assert!(ended.as_str().starts_with("http://r/u?_state=a%3D&b=c+d&digest=sha256%3A"));
        assert!(finish(&url("http://r/u"), digest).as_str().contains("u?digest=sha256%3A"));
    }

    #[test]
    fn ranges_say_how_far_an_upload_got() {
        for (range, expected) in [
            (Some("0-0"), Some(0)),
            (Some("0-1023"), Some(1024)),
            (Some("bytes=0-9"), Some(10)),
            (Some("5-9"), None),
            (Some("0-"), None),
            (Some("x"), None),
            (Some("0-18446744073709551615"), None),
            (None, None),
        ] {
            assert_eq!(offset(range), expected, "{range:?}");
        }
    }
}
