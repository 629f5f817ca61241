//! Acts: Debian's `docker-registry` as the judge: it takes the same file of users and our tokens, and asks with the same challenges.

use super::gate::seconds_now;
use super::jwt::{self, Claims};
use super::signing_key::SigningKey;
use super::{Action, Gate, Grant, Need, Peer};
use crate::access::{AccessConfig, Denied};
use base64::Engine as _;
use http::Request;
use rcgen::{CertificateParams, KeyPair};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Judge {
    child: Child,
    address: SocketAddr,
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts it with some `auth`; none when it is not installed.
async fn judge(dir: &Path, auth: &str) -> Option<Judge> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let config = dir.join("config.yml");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n{auth}",
        dir.join("content").display()
    );
    naru_kernel::fs::write_atomic(&config, text.as_bytes(), 0o600).unwrap();
    let started = Command::new("docker-registry")
        .arg("serve")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = started else {
        eprintln!("skipped: no docker-registry here");
        return None;
    };
    let judge = Judge { child, address };
    for _ in 0..300 {
        if TcpStream::connect(address).await.is_ok() {
            return Some(judge);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("docker-registry does not answer");
}

impl Judge {
    /// The status and the challenge of a GET.
    async fn get(&self, path: &str, authorization: Option<&str>) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let header = authorization.map(|it| format!("Authorization: {it}\r\n")).unwrap_or_default();
        let text =
            format!("GET {path} HTTP/1.1\r\nHost: r.example\r\nConnection: close\r\n{header}\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let challenge = answer
            .lines()
            .find_map(|line| line.strip_prefix("Www-Authenticate: "))
            .unwrap_or_default();
        (status, challenge.to_owned())
    }
}

/// What our gate says of the same request.
async fn ours(gate: &Gate, needs: &[Need], authorization: Option<&str>) -> (u16, String) {
    let mut request = Request::builder().uri("/v2/").header("host", "r.example");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let parts = request.body(()).unwrap().into_parts().0;
    let peer = Peer::plain(IpAddr::V4(Ipv4Addr::LOCALHOST));
    match gate.admit(&parts, &peer, needs).await {
        Ok(_) => (200, String::new()),
        Err(Denied::Unauthorized { challenge }) => (401, challenge),
        Err(Denied::Forbidden { .. }) => (403, String::new()),
        Err(Denied::Throttled { .. }) => (429, String::new()),
    }
}

fn basic(user: &str, password: &str) -> String {
    let text = format!("{user}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// What a token for `ann` to pull `ann/app` says.
pub(super) fn claims(now: u64) -> Claims {
    Claims {
        iss: "naru".into(),
        sub: "ann".into(),
        aud: "naru-registry".into(),
        exp: now + 300,
        nbf: now,
        iat: now,
        jti: "x".into(),
        access: vec![Grant {
            kind: "repository".into(),
            name: "ann/app".into(),
            actions: vec!["pull".into()],
        }],
        bound: None,
    }
}

#[tokio::test]
async fn the_same_file_of_users_lets_the_same_in() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    let long = "p".repeat(72);
    let hash = |password: &str, kind: &str| {
        bcrypt::hash_with_result(password, 4).unwrap().format_for_version(match kind {
            "2a" => bcrypt::Version::TwoA,
            "2b" => bcrypt::Version::TwoB,
            _ => bcrypt::Version::TwoY,
        })
    };
    let text = format!(
        "# users\nann:{}\nbob:{}\n\neve:{}\nlong:{}\n",
        hash("a", "2a"),
        hash("b:b", "2b"),
        hash("é", "2y"),
        hash(&long, "2y")
    );
    naru_kernel::fs::write_atomic(&users, text.as_bytes(), 0o600).unwrap();
    let auth = format!("auth:\n  htpasswd:\n    realm: x\n    path: {}\n", users.display());
    let Some(judge) = judge(dir.path(), &auth).await else { return };
    let config = AccessConfig { htpasswd: Some(users), ..AccessConfig::default() };
    let gate = Gate::open(&config, &dir.path().join("own"), false).unwrap();
    for (user, password, status) in [
        ("ann", "a", 200),
        ("bob", "b:b", 200),
        ("eve", "é", 200),
        ("long", long.as_str(), 200),
        ("ann", "b", 401),
        ("nobody", "a", 401),
        ("ann", "", 401),
    ] {
        let login = basic(user, password);
        assert_eq!(judge.get("/v2/", Some(&login)).await.0, status, "{user} {password}");
        assert_eq!(ours(&gate, &[], Some(&login)).await.0, status, "{user} {password}");
    }
    assert!(judge.get("/v2/", None).await.1.starts_with("Basic realm="));
    assert!(ours(&gate, &[], None).await.1.starts_with("Basic realm="));
}

#[tokio::test]
async fn our_tokens_are_good_there_and_the_challenges_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("own");
    let config: AccessConfig = serde_json::from_str(
        r#"{"challenge": "token", "policy": [{"repositories": ["ann/**"], "users": ["*"], "actions": ["pull", "push"]}]}"#,
    )
    .unwrap();
    let gate = Gate::open(&config, &own, true).unwrap();
    let key = SigningKey::open(&own.join("token.key")).unwrap();
    // What an operator would do to let another registry take our tokens: a certificate for the token key.
    let pair = KeyPair::try_from(key.pkcs8()).unwrap();
    let certificate = CertificateParams::default().self_signed(&pair).unwrap();
    let bundle = dir.path().join("token.crt");
    naru_kernel::fs::write_atomic(&bundle, certificate.pem().as_bytes(), 0o600).unwrap();
    let auth = format!(
        "auth:\n  token:\n    realm: http://r.example/token\n    service: naru-registry\n    issuer: naru\n    rootcertbundle: {}\n",
        bundle.display()
    );
    let Some(judge) = judge(dir.path(), &auth).await else { return };
    let now = seconds_now();
    let good = claims(now);
    let bearer = |claims: &Claims| format!("Bearer {}", jwt::encode(&key, claims).unwrap());
    let foreign = Claims { aud: "another".into(), ..good.clone() };
    let expired = Claims { exp: now - 600, ..good.clone() };
    let forged = format!("{}x", bearer(&good).trim_end_matches('x'));
    let stranger = SigningKey::generate().unwrap();
    let stranger = format!("Bearer {}", jwt::encode(&stranger, &good).unwrap());
    let tags = |name: &str| format!("/v2/{name}/tags/list");
    for (what, repository, authorization, let_in) in [
        ("good", "ann/app", Some(bearer(&good)), true),
        ("no token", "ann/app", None, false),
        ("another repository", "ann/other", Some(bearer(&good)), false),
        ("another audience", "ann/app", Some(bearer(&foreign)), false),
        ("expired", "ann/app", Some(bearer(&expired)), false),
        ("forged", "ann/app", Some(forged), false),
        ("another key", "ann/app", Some(stranger), false),
    ] {
        let needs = [Need::new(repository, Action::Pull)];
        let (status, theirs) = judge.get(&tags(repository), authorization.as_deref()).await;
        let (own_status, ours) = ours(&gate, &needs, authorization.as_deref()).await;
        // Who is let in there finds no such repository.
        assert_eq!(
            (status, own_status),
            if let_in { (404, 200) } else { (401, 401) },
            "{what}: {theirs}"
        );
        assert_eq!(ours, theirs, "{what}");
    }
}
