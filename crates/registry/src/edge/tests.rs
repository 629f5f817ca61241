mod counted;

use super::*;
use crate::Registry;
use crate::access::tls::CA_FILE;
use futures_util::FutureExt as _;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::{Command, Output};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(super) struct Served {
    pub(super) dir: tempfile::TempDir,
    address: SocketAddr,
    edge: Edge,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

pub(super) fn users(dir: &Path) -> PathBuf {
    let path = dir.join("users");
    let text = format!("ann:{}\n", bcrypt::hash("ann-secret", 4).unwrap());
    naru_kernel::fs::write_atomic(&path, text.as_bytes(), 0o600).unwrap();
    path
}

pub(super) async fn start(change: impl FnOnce(&mut RegistryConfig, &Path)) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let mut config =
        RegistryConfig { names: vec!["r.example".to_owned()], ..RegistryConfig::default() };
    change(&mut config, dir.path());
    let store = Store::open(&dir.path().join("root")).unwrap();
    let keeper = Arc::new(Keeper::new(&store, Vec::new(), None).unwrap());
    let edge = Edge::open(&config, store.clone()).unwrap().kept(Arc::clone(&keeper));
    let registry = Registry::new(&store, edge.gate.clone())
        .watched(Arc::new(edge.clone()))
        .kept(keeper.relied());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = serve(listener, edge.clone(), registry, ServeOptions::default(), async {
        stopped.await.ok();
    });
    Served { dir, address, edge, stop, task: tokio::spawn(served) }
}

impl Served {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn store(&self) -> &Store {
        &self.edge.store
    }

    /// One request over plain HTTP: status line and headers, body.
    pub(super) async fn get(&self, request: &str) -> (String, String) {
        self.by("r.example", request).await
    }

    /// The same by another name of the registry.
    pub(super) async fn by(&self, host: &str, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let text = format!("{request}Host: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    pub(super) async fn end(self) -> tempfile::TempDir {
        self.stop.send(()).ok();
        self.task.await.unwrap();
        self.dir
    }
}

async fn run(mut command: Command) -> Option<Output> {
    command.stdin(std::process::Stdio::null());
    let name = command.get_program().to_owned();
    match tokio::task::spawn_blocking(move || command.output()).await.unwrap() {
        Ok(output) => Some(output),
        Err(_absent) => {
            eprintln!("skipped: no `{}` here", name.display());
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_figures_are_served_when_asked_for() {
    let served = start(|config, _| config.metrics.enabled = true).await;
    let (head, body) = served.get("GET /healthz HTTP/1.1\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, "{\"status\":\"ok\"}");
    assert!(served.get("GET /v2/ HTTP/1.1\r\n").await.0.starts_with("HTTP/1.1 200"));
    let (head, body) = served.get("GET /metrics HTTP/1.1\r\n").await;
    assert!(head.contains("version=0.0.4"), "{head}");
    assert!(body.contains("naru_registry_requests_total{operation=\"base\",status=\"200\"} 1\n"));
    assert!(
        served
            .get("POST /healthz HTTP/1.1\r\nContent-Length: 0\r\n")
            .await
            .0
            .starts_with("HTTP/1.1 405")
    );
    // Without its directory nothing can be written there.
    std::fs::remove_dir_all(served.dir.path().join("root/registry")).unwrap();
    let since = Instant::now();
    let (head, body) = loop {
        let (head, body) = served.get("GET /healthz HTTP/1.1\r\n").await;
        // What was found out before holds for a moment.
        if !head.starts_with("HTTP/1.1 200") {
            break (head, body);
        }
        assert!(since.elapsed() < Duration::from_secs(20), "it is called healthy for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert_eq!(body, "{\"status\":\"failing\"}");
    served.end().await;
    let without = start(|_, _| {}).await;
    assert!(!without.edge.is_own("/metrics"));
    without.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_for_the_health_at_once_are_all_told_that_it_is_well() {
    let served = start(|_, _| {}).await;
    for _ in 0..10 {
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let edge = served.edge.clone();
            asking.spawn(async move { edge.health().await.status() });
        }
        assert!(asking.join_all().await.iter().all(|status| *status == StatusCode::OK));
        *served.edge.probed.lock().await = None;
    }
    assert!(!served.dir.path().join("root/registry").join(PROBE).exists());
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_have_a_listener_of_their_own() {
    let served = start(|_, _| {}).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve_figures(listener, served.edge.clone(), async {
        stopped.await.ok();
    }));
    let there = Served { address, ..start(|_, _| {}).await };
    assert!(
        there.get("GET /metrics HTTP/1.1\r\n").await.1.contains("naru_registry_uploads_open 0")
    );
    assert!(there.get("GET /healthz HTTP/1.1\r\n").await.0.starts_with("HTTP/1.1 200"));
    assert!(there.get("GET /v2/ HTTP/1.1\r\n").await.0.starts_with("HTTP/1.1 404"));
    stop.send(()).unwrap();
    task.await.unwrap();
    there.end().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_had_and_used_and_the_audit_says_so() {
    let served = start(|config, dir| {
        config.auth.htpasswd = Some(users(dir));
        config.auth.challenge = Some(crate::access::Challenge::Token);
        let file = dir.join("audit.log");
        config.audit =
            Some(crate::access::audit::AuditConfig { file, max_size: None, max_files: None });
    })
    .await;
    let (head, _) = served.get("GET /v2/ann/app/manifests/v1 HTTP/1.1\r\n").await;
    let challenge = "www-authenticate: Bearer realm=\"http://r.example/token\",service=\"naru-registry\",scope=\"repository:ann/app:pull\"";
    assert!(head.starts_with("HTTP/1.1 401") && head.contains(challenge), "{head}");
    let login = "Authorization: Basic YW5uOmFubi1zZWNyZXQ=\r\n";
    let (_, body) =
        served.get(&format!("GET /token?scope=repository:ann/app:pull HTTP/1.1\r\n{login}")).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let bearer = format!("Authorization: Bearer {}\r\n", body["token"].as_str().unwrap());
    let (head, _) = served.get(&format!("GET /v2/ann/app/manifests/v1 HTTP/1.1\r\n{bearer}")).await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    let form = "grant_type=password&username=ann&password=ann-secret";
    let posted = format!("POST /token HTTP/1.1\r\nContent-Length: {}\r\n", form.len());
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream
        .write_all(format!("{posted}Connection: close\r\nHost: x\r\n\r\n{form}").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // A body without end is not waited for.
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream
        .write_all(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&vec![b'x'; 200_000]).await.ok();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    drop(stream);
    let wrong = "Authorization: Basic YW5uOndyb25n\r\n";
    for _ in 0..5 {
        served.get(&format!("GET /v2/ HTTP/1.1\r\n{wrong}")).await;
    }
    let (head, _) = served.get(&format!("GET /v2/ HTTP/1.1\r\n{wrong}")).await;
    assert!(head.starts_with("HTTP/1.1 429") && head.contains("retry-after: 1"), "{head}");
    let dir = served.end().await;
    let text = std::fs::read_to_string(dir.path().join("audit.log")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |action: &str, user: Option<&str>, status: u64| {
        lines
            .iter()
            .filter(|it| {
                it["action"] == action && it["user"].as_str() == user && it["status"] == status
            })
            .count()
    };
    assert_eq!(has("pull", Some("ann"), 404), 1, "{text}");
    assert_eq!(
        (has("token", Some("ann"), 200), has("login", None, 401), has("login", None, 429)),
        (2, 6, 1),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_has_what_nobody_waited_for_and_calls_nothing_else_a_login() {
    let served = start(|config, dir| {
        let file = dir.join("audit.log");
        config.audit =
            Some(crate::access::audit::AuditConfig { file, max_size: None, max_files: None });
    })
    .await;
    // A manifest of which nothing comes, from a client that goes away.
    let never = futures_util::stream::pending::<Result<Bytes, io::Error>>();
    let request = http::Request::put("/v2/ann/app/manifests/v1")
        .body(axum::body::Body::from_stream(never))
        .unwrap();
    let registry = Registry::new(&served.edge.store, Gate::open_to_all());
    let registry = registry.watched(Arc::new(served.edge.clone()));
    assert!(registry.answer(request).now_or_never().is_none());
    // A limit of an upstream.
    served.edge.done(&Done {
        operation: "manifest.get",
        user: None,
        is_login: false,
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        action: Some(Action::Pull),
        repository: Some("hub/x".to_owned()),
        reference: Some("v1".to_owned()),
        digest: None,
        status: StatusCode::TOO_MANY_REQUESTS,
        received: 0,
        sent: 0,
        took: Duration::ZERO,
    });
    drop(registry);
    let dir = served.end().await;
    let text = std::fs::read_to_string(dir.path().join("audit.log")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("action"), text("repository"), text("reference"), line["status"].as_u64().unwrap())
    };
    let line = |action: &str, repository: &str, status| {
        (action.to_owned(), repository.to_owned(), "v1".to_owned(), status)
    };
    let expected = [line("push", "ann/app", 499), line("pull", "hub/x", 429)];
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_finish_at_the_end() {
    let served = start(|_, _| {}).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    // The server has the connection once it has answered somebody who came later.
    served.get("GET /v2/ HTTP/1.1\r\n").await;
    served.stop.send(()).unwrap();
    stream.write_all(b"\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 200"), "{answer}");
    served.task.await.unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

/// Docker's, skopeo's and podman's own login, over TLS with certificates of our own.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_clients_log_in() {
    for challenge in [crate::access::Challenge::Basic, crate::access::Challenge::Token] {
        let served = start(|config, dir| {
            config.auth.htpasswd = Some(users(dir));
            config.auth.challenge = Some(challenge);
            config.tls.auto = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        })
        .await;
        let certs = served.dir.path().join("root/registry/tls");
        assert!(certs.join(CA_FILE).exists());
        for (client, own) in
            [("skopeo", &["--cert-dir"][..]), ("podman", &["--cert-dir"]), ("curl", &[])]
        {
            for (password, good) in [("ann-secret", true), ("wrong", false)] {
                let mut command = Command::new("timeout");
                command.args(["60", client]);
                let auth = served.dir.path().join(format!("{client}.json"));
                // Only the authority: a key beside a certificate of that directory would be a client's.
                let trust = served.dir.path().join("trust");
                std::fs::create_dir_all(&trust).unwrap();
                std::fs::copy(certs.join(CA_FILE), trust.join(CA_FILE)).unwrap();
                if client == "curl" {
                    command.args(["-sf", "-u", &format!("ann:{password}"), "--cacert"]);
                    command.arg(certs.join(CA_FILE)).arg(format!("https://{}/v2/", served.address));
                } else {
                    command.arg("login").args(own).arg(&trust);
                    command.args(["--authfile".as_ref(), auth.as_os_str()]);
                    command.args(["-u", "ann", "-p", password, &served.address.to_string()]);
                }
                let Some(output) = run(command).await else { return };
                if output.status.code() == Some(127) {
                    eprintln!("skipped: no `{client}` here");
                    continue;
                }
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(
                    output.status.success(),
                    good,
                    "{client} {challenge:?} {password}: {said}"
                );
            }
        }
        served.end().await;
    }
}
