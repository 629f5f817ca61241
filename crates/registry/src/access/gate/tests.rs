use super::*;
use crate::access::Action::{self, Catalog, Delete, Pull, Push};
use crate::access::judge;
use base64::Engine as _;
use http::{Method, Request, StatusCode};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};

const SITE: &str = r#"{
    "policy": [
        {"repositories": ["library/**"], "anonymous": true, "actions": ["pull"]},
        {"repositories": ["{user}/**"], "users": ["*"], "actions": ["pull", "push", "delete"]},
        {"users": ["root"], "actions": ["catalog"]}
    ]}"#;

struct Site {
    _dir: tempfile::TempDir,
    gate: Gate,
}

fn site(config: &str) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    let text: String = ["ann", "bob", "root"]
        .map(|user| format!("{user}:{}\n", bcrypt::hash(format!("{user}-secret"), 4).unwrap()))
        .concat();
    naru_kernel::fs::write_atomic(&users, text.as_bytes(), 0o600).unwrap();
    let mut config: AccessConfig = serde_json::from_str(config).unwrap();
    config.htpasswd = Some(users);
    let gate = Gate::open(&config, &dir.path().join("registry"), false).unwrap();
    Site { _dir: dir, gate }
}

fn peer(last: u8) -> Peer {
    Peer::plain(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
}

fn parts(uri: &str, authorization: Option<&str>) -> Parts {
    let mut request = Request::builder().uri(uri).header("host", "registry.example:5000");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    request.body(()).unwrap().into_parts().0
}

fn basic(user: &str) -> String {
    let text = format!("{user}:{user}-secret");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

fn challenge(denied: Result<Identity, Denied>) -> String {
    match denied {
        Err(Denied::Unauthorized { challenge }) => challenge,
        other => panic!("{other:?}"),
    }
}

impl Site {
    async fn admit(
        &self,
        authorization: Option<&str>,
        needs: &[(&str, Action)],
    ) -> Result<Identity, Denied> {
        let needs: Vec<Need> = needs.iter().map(|it| Need::new(it.0, it.1)).collect();
        self.gate.admit(&parts("/v2/", authorization), &peer(1), &needs).await
    }

    async fn token(&self, query: &str, authorization: Option<&str>) -> (StatusCode, Value) {
        let parts = parts(&format!("/token?{query}"), authorization);
        let response = self.gate.token(&parts, b"", &peer(1)).await;
        (response.status(), serde_json::from_slice(response.body()).unwrap())
    }

    async fn post(&self, form: &str) -> (StatusCode, Value) {
        let mut parts = parts("/token", None);
        parts.method = Method::POST;
        let response = self.gate.token(&parts, form.as_bytes(), &peer(1)).await;
        (response.status(), serde_json::from_slice(response.body()).unwrap())
    }

    async fn bearer(&self, query: &str, authorization: Option<&str>) -> String {
        let (status, body) = self.token(query, authorization).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        format!("Bearer {}", body["token"].as_str().unwrap())
    }

    fn forge(&self, change: impl FnOnce(&mut Claims)) -> String {
        let mut claims = judge::claims(seconds_now());
        change(&mut claims);
        format!("Bearer {}", jwt::encode(self.gate.inner.key.as_ref().unwrap(), &claims).unwrap())
    }
}

#[tokio::test]
async fn where_there_are_no_users_everybody_may_everything() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(&AccessConfig::default(), dir.path(), false).unwrap();
    assert!(gate.is_open_to_all());
    for authorization in [None, Some("Basic eDp5"), Some("Bearer x"), Some("nonsense")] {
        let identity = gate
            .admit(&parts("/v2/", authorization), &peer(1), &[Need::new("a", Delete)])
            .await
            .unwrap();
        assert!(identity.user.is_none() && identity.may("b", Push) && identity.sees("c"));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no key is made");
}

#[tokio::test]
async fn basic_credentials_have_the_rights_of_their_user() {
    let site = site(SITE);
    let ann = basic("ann");
    let identity = site.admit(Some(&ann), &[("ann/app", Push), ("library/x", Pull)]).await.unwrap();
    assert_eq!(identity.user.as_deref(), Some("ann"));
    assert!(
        identity.may("ann/y", Delete) && !identity.may("bob/y", Pull) && identity.sees("library/x")
    );
    assert!(!identity.sees("bob/x"));
    for needs in [
        &[("bob/app", Pull)][..],
        &[("library/x", Push)],
        &[("ann/app", Pull), ("bob/app", Pull)],
        &[("", Catalog)],
    ] {
        let Err(Denied::Forbidden { user }) = site.admit(Some(&ann), needs).await else {
            panic!("{needs:?}");
        };
        assert_eq!(user.as_deref(), Some("ann"));
    }
    site.admit(Some(&basic("root")), &[("", Catalog)]).await.unwrap();
    site.admit(Some(&ann), &[]).await.unwrap();
}

#[tokio::test]
async fn anonymous_ones_may_what_they_may_and_are_asked_otherwise() {
    let site = site(SITE);
    let identity = site.admit(None, &[("library/x", Pull)]).await.unwrap();
    assert!(identity.user.is_none());
    let realm = "Bearer realm=\"http://registry.example:5000/token\",service=\"naru-registry\"";
    assert_eq!(challenge(site.admit(None, &[]).await), realm);
    assert_eq!(
        challenge(site.admit(None, &[("ann/app", Push)]).await),
        format!("{realm},scope=\"repository:ann/app:pull,push\"")
    );
    for wrong in ["Basic YW5uOndyb25n", "Basic x", "Digest x", "Bearer"] {
        let asked = challenge(site.admit(Some(wrong), &[("library/x", Pull)]).await);
        assert_eq!(asked, format!("{realm},scope=\"repository:library/x:pull\""), "{wrong}");
    }
}

#[tokio::test]
async fn the_kind_of_challenge_can_be_chosen() {
    let asked = async |config: &str| challenge(site(config).admit(None, &[]).await);
    assert!(asked("{}").await.starts_with("Basic realm="));
    assert!(asked(r#"{"anonymous": ["pull"]}"#).await.starts_with("Bearer realm="));
    assert!(asked(r#"{"challenge": "token"}"#).await.starts_with("Bearer realm="));
    assert!(asked(r#"{"challenge": "basic", "anonymous": ["pull"]}"#).await.starts_with("Basic "));
    let there = r#"{"challenge":"token","token":{"realm":"https://x/y","service":"s"}}"#;
    assert_eq!(asked(there).await, "Bearer realm=\"https://x/y\",service=\"s\"");
}

#[tokio::test]
async fn a_token_grants_what_was_asked_and_may_be() {
    let site = site(SITE);
    let ann = basic("ann");
    let query = "service=naru-registry&scope=repository:ann/app:pull,push&scope=repository:bob/app:pull&account=ann";
    let token = site.bearer(query, Some(&ann)).await;
    let identity = site.admit(Some(&token), &[("ann/app", Pull), ("ann/app", Push)]).await.unwrap();
    assert_eq!(identity.user.as_deref(), Some("ann"));
    // The user may, the token may not; what is listed is the user's right.
    assert!(!identity.may("ann/other", Pull) && identity.sees("ann/other"));
    for (needs, scope) in [
        (&[("ann/other", Pull)][..], "repository:ann/other:pull"),
        (&[("ann/app", Delete)], "repository:ann/app:delete"),
        (
            &[("ann/app", Push), ("library/x", Pull)],
            "repository:ann/app:pull,push repository:library/x:pull",
        ),
    ] {
        let asked = challenge(site.admit(Some(&token), needs).await);
        assert!(
            asked.ends_with(&format!(",scope=\"{scope}\",error=\"insufficient_scope\"")),
            "{asked}"
        );
    }
    // The user may not: a better token would not help.
    assert!(matches!(
        site.admit(Some(&token), &[("bob/app", Pull)]).await,
        Err(Denied::Forbidden { .. })
    ));
    // Nothing needed: the token is good.
    site.admit(Some(&token), &[]).await.unwrap();
    let all = site.bearer("scope=repository:ann/app:*", Some(&ann)).await;
    site.admit(Some(&all), &[("ann/app", Delete)]).await.unwrap();
    let catalog = site.bearer("scope=registry:catalog:*", Some(&basic("root"))).await;
    site.admit(Some(&catalog), &[("", Catalog)]).await.unwrap();
    let none = site.bearer("scope=registry:catalog:*", Some(&ann)).await;
    assert!(matches!(
        site.admit(Some(&none), &[("", Catalog)]).await,
        Err(Denied::Forbidden { .. })
    ));
}

#[tokio::test]
async fn an_anonymous_token_reads_what_is_public() {
    let site = site(SITE);
    let token = site.bearer("scope=repository:library/x:pull,push", None).await;
    let identity = site.admit(Some(&token), &[("library/x", Pull)]).await.unwrap();
    assert!(identity.user.is_none());
    let asked = challenge(site.admit(Some(&token), &[("library/x", Push)]).await);
    assert!(asked.ends_with("error=\"insufficient_scope\""), "{asked}");
    let closed = self::site("{}");
    assert_eq!(closed.token("scope=repository:a:pull", None).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn forged_foreign_and_expired_tokens_are_refused() {
    let site = site(SITE);
    let now = seconds_now();
    let needs = [("ann/app", Pull)];
    site.admit(Some(&site.forge(|_| {})), &needs).await.unwrap();
    let other = self::site(SITE);
    let unsigned = {
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let kid = site.gate.inner.key.as_ref().unwrap().id();
        let good = site.forge(|_| {});
        let body = good.split('.').nth(1).unwrap();
        format!(
            "Bearer {}.{body}.",
            encode(&format!(r#"{{"alg":"none","typ":"JWT","kid":"{kid}"}}"#))
        )
    };
    for (what, token) in [
        ("another key", other.forge(|_| {})),
        ("no algorithm", unsigned),
        ("audience", site.forge(|it| it.aud = "another".into())),
        ("issuer", site.forge(|it| it.iss = "another".into())),
        ("expired", site.forge(|it| it.exp = now - 60)),
        ("early", site.forge(|it| it.nbf = now + 600)),
        ("nonsense", "Bearer a.b.c".to_owned()),
        ("refresh token", {
            let (_, body) = site.token("offline_token=true", Some(&basic("ann"))).await;
            format!("Bearer {}", body["refresh_token"].as_str().unwrap())
        }),
    ] {
        let asked = challenge(site.admit(Some(&token), &needs).await);
        assert!(
            asked.ends_with(",scope=\"repository:ann/app:pull\",error=\"invalid_token\""),
            "{what}: {asked}"
        );
    }
    // Clocks differ a little.
    let late = site.forge(|it| it.exp = now - jwt::LEEWAY + 20);
    site.admit(Some(&late), &needs).await.unwrap();
    // Rights that the user does not have are not had by a token either.
    let greedy = site.forge(|it| it.access[0].name = "bob/app".into());
    assert!(matches!(
        site.admit(Some(&greedy), &[("bob/app", Pull)]).await,
        Err(Denied::Forbidden { .. })
    ));
}

#[tokio::test]
async fn the_answer_has_the_fields_of_the_specification() {
    let site = site(SITE);
    let (status, body) =
        site.token("offline_token=true&client_id=docker", Some(&basic("ann"))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], 300);
    assert!(body["issued_at"].as_str().unwrap().ends_with('Z'), "{body}");
    let refresh = body["refresh_token"].as_str().unwrap();
    let form = format!(
        "grant_type=refresh_token&service=naru-registry&client_id=x&scope=repository:ann/app:pull&refresh_token={refresh}"
    );
    let (status, again) = site.post(&form).await;
    assert_eq!(status, StatusCode::OK, "{again}");
    assert_eq!(
        (again["refresh_token"].as_str(), again["scope"].as_str()),
        (Some(refresh), Some("repository:ann/app:pull"))
    );
    let token = format!("Bearer {}", again["access_token"].as_str().unwrap());
    site.admit(Some(&token), &[("ann/app", Pull)]).await.unwrap();
    let (status, by_password) =
        site.post("grant_type=password&username=ann&password=ann-secret&access_type=offline").await;
    assert_eq!(status, StatusCode::OK);
    assert!(by_password["refresh_token"].is_string());
    // An anonymous one has nothing to refresh.
    let (_, anonymous) = site.token("offline_token=true", None).await;
    assert!(anonymous["refresh_token"].is_null());
}

#[tokio::test]
async fn what_is_no_request_for_a_token_is_refused_in_its_shape() {
    let site = site(SITE);
    let access = site.bearer("", Some(&basic("ann"))).await;
    for (query, authorization, status) in [
        ("service=another", Some(basic("ann")), StatusCode::BAD_REQUEST),
        ("account=bob", Some(basic("ann")), StatusCode::BAD_REQUEST),
        ("scope=%zz", Some(basic("ann")), StatusCode::BAD_REQUEST),
        ("", Some("Basic YW5uOndyb25n".to_owned()), StatusCode::UNAUTHORIZED),
        ("", Some(access.clone()), StatusCode::UNAUTHORIZED),
    ] {
        let (said, body) = site.token(query, authorization.as_deref()).await;
        assert_eq!(said, status, "{query}");
        assert!(body["errors"][0]["code"].is_string() && body["error"].is_null(), "{body}");
    }
    let access = access.strip_prefix("Bearer ").unwrap();
    for (form, status, code) in [
        ("grant_type=password&username=ann&password=x", StatusCode::UNAUTHORIZED, "invalid_grant"),
        ("grant_type=refresh_token&refresh_token=x", StatusCode::UNAUTHORIZED, "invalid_grant"),
        (
            &format!("grant_type=refresh_token&refresh_token={access}"),
            StatusCode::UNAUTHORIZED,
            "invalid_grant",
        ),
        ("grant_type=device", StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        ("", StatusCode::BAD_REQUEST, "invalid_request"),
    ] {
        let (said, body) = site.post(form).await;
        assert_eq!((said, body["error"].as_str()), (status, Some(code)), "{form}");
        assert!(body["errors"][0]["message"].is_string());
    }
    let long: String =
        (0..32).map(|at| format!("scope=repository:ann/{}{at}:pull&", "x".repeat(230))).collect();
    assert_eq!(site.token(&long, Some(&basic("ann"))).await.0, StatusCode::BAD_REQUEST);
    let mut delete = parts("/token", None);
    delete.method = Method::DELETE;
    let response = site.gate.token(&delete, b"", &peer(1)).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET, POST");
}

#[tokio::test(start_paused = true)]
async fn guessing_is_throttled_wherever_it_is_tried() {
    let site = site(SITE);
    let wrong = Some("Basic YW5uOndyb25n");
    challenge(site.admit(wrong, &[]).await);
    for _ in 0..2 {
        challenge(site.admit(wrong, &[]).await);
        assert_eq!(site.token("", wrong).await.0, StatusCode::UNAUTHORIZED);
    }
    assert!(matches!(site.admit(wrong, &[]).await, Err(Denied::Throttled { retry_after: 1..=2 })));
    let response = site.gate.token(&parts("/token", wrong), b"", &peer(1)).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(response.headers().contains_key("retry-after"));
    // Somebody else, elsewhere, is served.
    site.gate.admit(&parts("/v2/", Some(&basic("bob"))), &peer(2), &[]).await.unwrap();
    // Tokens that are good are good still.
    site.admit(Some(&site.forge(|_| {})), &[("ann/app", Pull)]).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_makes_a_user() {
    let dir = tempfile::tempdir().unwrap();
    let config: AccessConfig = serde_json::from_str(SITE).unwrap();
    let gate = Gate::open(&config, dir.path(), true).unwrap();
    let ann = Peer { certificate_user: Some("ann".into()), tls: true, ..peer(1) };
    let needs = [Need::new("ann/app", Push)];
    assert_eq!(
        gate.admit(&parts("/v2/", None), &ann, &needs).await.unwrap().user.as_deref(),
        Some("ann")
    );
    // Docker sends what it has; without passwords it says nothing.
    gate.admit(&parts("/v2/", Some("Basic eDp5")), &ann, &needs).await.unwrap();
    assert!(matches!(
        gate.admit(&parts("/v2/", None), &ann, &[Need::new("bob/x", Push)]).await,
        Err(Denied::Forbidden { .. })
    ));
    let response =
        gate.token(&parts("/token?scope=repository:ann/app:push", None), b"", &ann).await;
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    let token = format!("Bearer {}", body["token"].as_str().unwrap());
    gate.admit(&parts("/v2/", Some(&token)), &peer(1), &needs).await.unwrap();
}

#[test]
fn the_realm_is_where_the_client_came_by() {
    for (host, forwarded, tls, expected) in [
        (Some("r.example"), None, false, "http://r.example/token"),
        (Some("r.example:5000"), None, true, "https://r.example:5000/token"),
        (Some("[::1]:5000"), None, false, "http://[::1]:5000/token"),
        (Some("r.example"), Some("https"), false, "https://r.example/token"),
        (Some("a\"b"), None, false, "http://localhost/token"),
        (None, None, false, "http://localhost/token"),
    ] {
        let mut request = Request::builder().uri("/v2/");
        if let Some(host) = host {
            request = request.header("host", host);
        }
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-proto", forwarded);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(realm_of(&parts, tls), expected);
    }
}

#[tokio::test]
async fn a_new_password_ends_refresh_tokens() {
    let site = site(SITE);
    let (_, body) = site.token("offline_token=true", Some(&basic("ann"))).await;
    let refresh = body["refresh_token"].as_str().unwrap();
    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    assert_eq!(site.post(&form).await.0, StatusCode::OK);
    let users = site._dir.path().join("users");
    let text = format!("ann:{}\n", bcrypt::hash("new", 4).unwrap());
    naru_kernel::fs::write_atomic(&users, text.as_bytes(), 0o600).unwrap();
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    assert_eq!(site.post(&form).await.0, StatusCode::UNAUTHORIZED);
}
