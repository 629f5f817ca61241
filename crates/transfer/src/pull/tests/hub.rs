//! Docker Hub and registries with a token service, answering as they do: challenges, scopes, tokens that end, redirects of blobs,
//! limits of rate.

use super::stand_in::{Heard, React, Shelf, StandIn};
use super::*;
use std::collections::BTreeMap;

const UNAUTHORIZED: &str = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[{"Type":"repository","Class":"","Name":"library/x","Action":"pull"}]}]}"#;
const TOO_MANY: &str = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"}]}"#;
/// `me:secret`.
const PASSWORD: &str = "Basic bWU6c2VjcmV0";

/// How it behaves beyond what is usual.
#[derive(Clone, Copy)]
struct Hub {
    /// How many requests a token is good for.
    lasts: usize,
    /// The scope that it wants, whatever the repository is.
    scope: &'static str,
    /// Where blobs are.
    storage: Option<std::net::SocketAddr>,
}

impl Default for Hub {
    fn default() -> Hub {
        Hub { lasts: usize::MAX, scope: "repository:library/x:pull", storage: None }
    }
}

fn decoded(text: &str) -> String {
    text.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",").replace('+', " ")
}

impl Hub {
    fn open(self, shelf: &Shelf) -> StandIn {
        // How often each token was used.
        let issued: Mutex<BTreeMap<String, usize>> = Mutex::default();
        StandIn::new(shelf, move |heard| {
            if heard.path.starts_with("/token") {
                return self.token(heard, &issued);
            }
            let host = &heard.headers["host"];
            let refuse = |error: &str| {
                let scope = match heard.path.as_str() {
                    "/v2/" => String::new(),
                    _ => format!(",scope=\"{}\"", self.scope),
                };
                let head = format!(
                    "content-type: application/json\r\ndocker-distribution-api-version: registry/2.0\r\nwww-authenticate: Bearer realm=\"http://{host}/token\",service=\"registry.docker.io\"{scope}{error}\r\n"
                );
                React::Say(401, head, UNAUTHORIZED)
            };
            let Some(token) = heard.authorization().strip_prefix("Bearer ") else {
                return refuse("");
            };
            let mut issued = issued.lock().unwrap();
            match issued.get_mut(token) {
                Some(_) if token.ends_with("-other") => {
                    return refuse(",error=\"insufficient_scope\"");
                }
                Some(used) if *used < self.lasts => *used += 1,
                _ => return refuse(",error=\"invalid_token\""),
            }
            match self.storage {
                Some(storage) if heard.is_blob() => React::Say(
                    307,
                    format!("location: http://{storage}{}?X-Amz-Signature=0a\r\n", heard.path),
                    "<a href=\"elsewhere\">Temporary Redirect</a>",
                ),
                _ => React::Serve,
            }
        })
    }

    fn token(&self, heard: &Heard, issued: &Mutex<BTreeMap<String, usize>>) -> React {
        let asked = decoded(match heard.method.as_str() {
            "POST" => &heard.body,
            _ => &heard.path,
        });
        let known = match (heard.method.as_str(), heard.authorization()) {
            ("GET", "" | PASSWORD) => true,
            ("POST", "") => {
                asked.contains("grant_type=refresh_token") && asked.contains("refresh_token=good")
            }
            _ => false,
        };
        if !known || !asked.contains("service=registry.docker.io") {
            let body = r#"{"details":"incorrect username or password"}"#;
            return React::Say(401, String::new(), body);
        }
        let mut issued = issued.lock().unwrap();
        let other = if asked.contains(self.scope) { "" } else { "-other" };
        let token = format!("token-{}{other}", issued.len());
        issued.insert(token.clone(), 0);
        React::Tell(
            200,
            "content-type: application/json\r\n".to_owned(),
            format!(
                r#"{{"token":"{token}","access_token":"{token}","expires_in":300,"issued_at":"2026-01-02T03:04:05.678901234Z"}}"#
            ),
        )
    }
}

fn tokens(there: &StandIn) -> Vec<Heard> {
    there.log().into_iter().filter(|one| one.path.starts_with("/token")).collect()
}

#[test]
fn docker_hub_is_understood_and_its_storage_learns_nothing() {
    let shelf = Shelf::of(&image());
    let storage = StandIn::new(&shelf, |_| React::Serve);
    let hub = Hub { storage: Some(storage.address), ..Hub::default() };
    for credentials in [
        Credentials::Anonymous,
        Credentials::Basic { user: "me".to_owned(), password: "secret".to_owned() },
        Credentials::IdentityToken("good".to_owned()),
    ] {
        let there = hub.open(&shelf);
        let bench = Bench { credentials: credentials.clone(), ..Bench::new() };
        bench.pull(&name_at(&there)).unwrap();
        bench.check(&name_at(&there), &shelf);
        let asked = tokens(&there);
        assert_eq!(asked.len(), 1, "one token does for all: {asked:?}");
        match credentials {
            Credentials::IdentityToken(_) => {
                assert_eq!(asked[0].method, "POST");
                let form = decoded(&asked[0].body);
                assert!(form.contains("scope=repository:library/x:pull"), "{form}");
                assert!(form.contains("client_id=naru"), "{form}");
            }
            _ => assert!(decoded(&asked[0].path).contains("scope=repository:library/x:pull")),
        }
        // Passwords go to who gives tokens, and nowhere else.
        let others = there.log().into_iter().filter(|one| !one.path.starts_with("/token"));
        assert!(others.into_iter().all(|one| !one.authorization().starts_with("Basic")));
    }
    let log = storage.log();
    assert!(log.len() >= 9 && log.iter().all(|one| one.path.contains("X-Amz-Signature=0a")));
    for heard in log {
        assert!(!heard.headers.contains_key("authorization"), "{heard:?}");
        assert!(!heard.headers.contains_key("cookie"), "{heard:?}");
    }
}

#[test]
fn many_pulls_at_once_ask_for_one_token() {
    let shelf = Shelf::of(&image());
    let there = Hub::default().open(&shelf);
    let bench = Bench::new();
    let store = Store::open(bench.dir.path()).unwrap();
    let pulls = bench.pull_into(&store, &bench.registries(), &name_at(&there), 12);
    assert!(pulls.iter().all(Result::is_ok), "{pulls:?}");
    assert_eq!(tokens(&there).len(), 1, "{:?}", there.log());
}

#[test]
fn a_token_that_ends_in_the_middle_of_a_pull_is_renewed() {
    let shelf = Shelf::of(&image());
    let (big, bytes) = large_blob(&shelf);
    // Two requests a token, and a connection that breaks in the large layer: so what is taken up needs another token, too.
    let there = Hub { lasts: 2, ..Hub::default() }.open(&shelf);
    let mut bench = Bench::knowing("me", "secret");
    bench.config.downloads = 1;
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
    assert!(tokens(&there).len() >= 2, "{:?}", tokens(&there));
    assert!(there.log().iter().any(|one| one.path.ends_with(&big)) && bytes.len() > 2_000_000);
}

#[test]
fn a_scope_that_was_not_asked_for_is_asked_for_once() {
    let shelf = Shelf::of(&image());
    let there = Hub { scope: "repository:mirrored/library/x:pull", ..Hub::default() }.open(&shelf);
    let bench = Bench::new();
    bench.pull(&name_at(&there)).unwrap();
    bench.check(&name_at(&there), &shelf);
    // One that wants what nobody can have is not asked for ever.
    let never = StandIn::new(&shelf, |heard| {
        if heard.path.starts_with("/token") {
            return React::Say(200, String::new(), r#"{"token":"poor"}"#);
        }
        let number = heard.before;
        let head = format!(
            "www-authenticate: Bearer realm=\"http://{}/token\",service=\"s\",scope=\"repository:other/{number}:pull\",error=\"insufficient_scope\"\r\n",
            heard.headers["host"]
        );
        React::Say(401, head, UNAUTHORIZED)
    });
    let fault = Bench::new().pull(&name_at(&never)).unwrap_err();
    assert_eq!(fault.kind(), Kind::Unauthorized, "{fault}");
    assert!(fault.to_string().contains("pull access denied for"), "{fault}");
    assert!(never.log().len() < 16, "{}", never.log().len());
}

#[test]
fn who_is_not_known_is_told_where_to_log_in() {
    let there = Hub::default().open(&Shelf::of(&image()));
    for credentials in [
        Credentials::Basic { user: "me".to_owned(), password: "wrong".to_owned() },
        Credentials::IdentityToken("ended".to_owned()),
    ] {
        let fault = Bench { credentials, ..Bench::new() }.pull(&name_at(&there)).unwrap_err();
        assert_eq!(fault.kind(), Kind::Unauthorized, "{fault}");
        let hint = fault.hint().unwrap();
        assert!(hint.contains(&format!("naru login {}", there.address)), "{hint}");
    }
}

#[test]
fn a_token_service_that_answers_nonsense_ends_with_an_error() {
    for (body, said) in [
        ("<html>Sign in</html>", "gave no token"),
        ("{}", "without a token"),
        (r#"{"token":""}"#, "without a token"),
        (r#"{"token":"a b\nc"}"#, "without a token"),
        (r#"{"token":"x","expires_in":"soon"}"#, "gave no token"),
    ] {
        let there = StandIn::new(&Shelf::default(), move |heard| {
            if heard.path.starts_with("/token") {
                return React::Say(200, String::new(), body);
            }
            let host = &heard.headers["host"];
            let head = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
            React::Say(401, head, "")
        });
        let fault = Bench::new().pull(&name_at(&there)).unwrap_err();
        let line = naru_errdefs::one_line(&fault);
        assert!(line.contains(said), "{body}: {line}");
    }
    // One that says nothing is given up.
    let silent = StandIn::new(&Shelf::default(), |heard| {
        if heard.path.starts_with("/token") {
            return React::Silence;
        }
        let host = &heard.headers["host"];
        let head = format!("www-authenticate: Bearer realm=\"http://{host}/token\"\r\n");
        React::Say(401, head, "")
    });
    let mut hasty = Bench::new();
    hasty.config.attempts = 2;
    let fault = hasty.pull(&name_at(&silent)).unwrap_err();
    assert_eq!(fault.kind(), Kind::Unavailable, "{fault}");
}

/// A date of HTTP so many seconds from now.
fn date_in(seconds: i64) -> String {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let then = time::OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
    then.format(format).unwrap()
}

#[test]
fn limits_of_rate_are_waited_for_and_shown() {
    let shelf = Shelf::of(&image());
    let limits = "ratelimit-limit: 100;w=21600\r\nratelimit-remaining: 0;w=21600\r\ndocker-ratelimit-source: 192.0.2.1\r\n";
    // A pause until a date: three seconds are two at least, since dates have whole ones.
    let there = StandIn::new(&shelf, move |heard| {
        if heard.method == "HEAD" && heard.before == 0 {
            let head = format!("retry-after: {}\r\n{limits}", date_in(3));
            return React::Say(429, head, "");
        }
        React::Serve
    });
    let bench = Bench::new();
    let since = std::time::Instant::now();
    bench.pull(&name_at(&there)).unwrap();
    assert!(since.elapsed() >= Duration::from_secs(2), "{:?}", since.elapsed());
    bench.check(&name_at(&there), &shelf);
    let never = StandIn::new(&shelf, move |heard| match heard.path.as_str() {
        "/v2/" => React::Serve,
        _ => React::Say(429, limits.to_owned(), TOO_MANY),
    });
    let mut hasty = Bench::new();
    hasty.config.attempts = 1;
    let fault = hasty.pull(&name_at(&never)).unwrap_err();
    let line = naru_errdefs::one_line(&fault);
    assert!(line.contains("toomanyrequests: You have reached your unauthenticated"), "{line}");
    assert!(line.contains("(0 of 100 requests in 6 h are left)"), "{line}");
    assert_eq!(fault.kind(), Kind::ResourceExhausted);
}
