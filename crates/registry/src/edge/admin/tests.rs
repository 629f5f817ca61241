//! Acts: administrators' requests over real sockets.

use super::super::tests::{Served, start, users};
use serde_json::Value;

fn json(body: &str) -> Value {
    // The answer of a collection comes in chunks.
    let from = body.find('{').unwrap();
    let to = body.rfind('}').unwrap();
    serde_json::from_str(&body[from..=to]).unwrap()
}

/// One blob in a repository.
async fn push(served: &Served, repository: &str, text: &str, who: &str) {
    let digest = naru_oci::Digest::of(text.as_bytes());
    let mut request = format!("POST /v2/{repository}/blobs/uploads/?digest={digest} HTTP/1.1\r\n");
    request += &format!("{who}Content-Length: 0\r\n");
    assert!(text.is_empty(), "the request has no body here");
    let (head, _) = served.get(&request).await;
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
}

async fn status(served: &Served, request: &str) -> u16 {
    served.get(&format!("{request}Content-Length: 0\r\n")).await.0[9..12].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_told_and_a_collection_is_done_at_once() {
    let served = start(|config, _| config.metrics.enabled = true).await;
    push(&served, "a/b", "", "").await;
    let usage = json(&served.get("GET /admin/usage HTTP/1.1\r\n").await.1);
    assert_eq!(usage["repositories"][0]["name"], "a/b");
    assert_eq!(usage["repositories"][0]["blobs"], 1);
    let ask = |query: &str| format!("POST /admin/gc{query} HTTP/1.1\r\nContent-Length: 0\r\n");
    let kept = json(&served.get(&ask("")).await.1);
    assert_eq!(
        (kept["blobs"].as_u64(), kept["repositories"].as_array().unwrap().len()),
        (Some(0), 0)
    );
    let told = json(&served.get(&ask("?dry-run=true&grace=0")).await.1);
    assert_eq!(told["repositories"][0]["members"].as_array().unwrap().len(), 1);
    let done = json(&served.get(&ask("?grace=0")).await.1);
    assert_eq!(done["blobs"], 1, "{done}");
    assert_eq!(status(&served, "HEAD /v2/a/b/tags/list HTTP/1.1\r\n").await, 404);
    let figures = served.get("GET /metrics HTTP/1.1\r\n").await.1;
    for line in [
        "naru_registry_gc_runs_total 2",
        "naru_registry_gc_freed_blobs_total 1",
        "naru_registry_upkeep_runs_total 2",
        "naru_registry_sweep_members_total 1",
        "naru_registry_requests_total{operation=\"admin\",status=\"200\"} 4",
    ] {
        assert!(figures.lines().any(|it| it == line), "{line}\n{figures}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused() {
    let served = start(|_, _| {}).await;
    for (request, expected) in [
        ("GET /admin/gc HTTP/1.1\r\n", 405),
        ("POST /admin/usage HTTP/1.1\r\n", 405),
        ("POST /admin/gc?grace=soon HTTP/1.1\r\n", 400),
        ("POST /admin/gc?dry-run=maybe HTTP/1.1\r\n", 400),
        ("GET /admin/ HTTP/1.1\r\n", 404),
        ("GET /admin/repositories/a HTTP/1.1\r\n", 405),
        ("DELETE /admin/repositories/a HTTP/1.1\r\n", 404),
        ("DELETE /admin/repositories/../a HTTP/1.1\r\n", 400),
        ("DELETE /admin/repositories/ HTTP/1.1\r\n", 400),
    ] {
        assert_eq!(status(&served, request).await, expected, "{request}");
    }
    let (head, _) = served.get("POST /admin/gc HTTP/1.1\r\nContent-Length: 5\r\n").await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_are_refused_on_loopback_too() {
    let served = start(|_, _| {}).await;
    push(&served, "a/b", "", "").await;
    for header in
        ["Origin: http://page.example\r\n", "sec-fetch-site: cross-site\r\n", "Origin: null\r\n"]
    {
        for request in [
            "POST /admin/gc?grace=0&delete-untagged=true HTTP/1.1\r\n",
            "GET /admin/usage HTTP/1.1\r\n",
            "DELETE /admin/repositories/a/b HTTP/1.1\r\n",
        ] {
            let request = format!("{request}{header}Content-Length: 0\r\n");
            let (head, body) = served.get(&request).await;
            assert!(head.starts_with("HTTP/1.1 403"), "{request}: {head}");
            assert_eq!(json(&body)["errors"][0]["code"], "DENIED");
        }
    }
    assert_eq!(status(&served, "GET /v2/a/b/tags/list HTTP/1.1\r\n").await, 200);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_made_to_lead_here_is_refused() {
    let served = start(|config, _| config.metrics.enabled = true).await;
    push(&served, "a/b", "", "").await;
    for request in [
        "GET /admin/usage HTTP/1.1\r\n",
        "GET /metrics HTTP/1.1\r\n",
        "POST /admin/gc?grace=0&delete-untagged=true HTTP/1.1\r\n",
        "DELETE /admin/repositories/a/b HTTP/1.1\r\n",
    ] {
        for host in ["page.example", "page.example:5000", "127.0.0.1.page.example", ""] {
            let (head, body) = served.by(host, &format!("{request}Content-Length: 0\r\n")).await;
            assert!(head.starts_with("HTTP/1.1 403"), "{host} {request}: {head}");
            assert!(body.contains(&format!("`{host}` is no name of this registry")), "{body}");
        }
    }
    assert_eq!(status(&served, "GET /v2/a/b/tags/list HTTP/1.1\r\n").await, 200);
    for host in ["127.0.0.1:5000", "[::1]:5000", "localhost", "10.0.0.5", "r.example:5000"] {
        for request in ["GET /admin/usage HTTP/1.1\r\n", "GET /metrics HTTP/1.1\r\n"] {
            let (head, _) = served.by(host, request).await;
            assert!(head.starts_with("HTTP/1.1 200"), "{host} {request}: {head}");
        }
    }
    // Whoever is asked for the health tells nothing.
    let (head, _) = served.by("page.example", "GET /healthz HTTP/1.1\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_logs_in_may_ask_by_any_name() {
    let served = start(|config, dir| {
        config.auth.htpasswd = Some(users(dir));
        config.auth.policy = serde_json::from_str(
            r#"[{"users": ["ann"], "actions": ["admin"]}, {"anonymous": true, "actions": ["admin"]}]"#,
        )
        .unwrap();
    })
    .await;
    // ann:ann-secret
    let ann = "Authorization: Basic YW5uOmFubi1zZWNyZXQ=\r\n";
    for (who, host, expected) in [
        (ann, "proxy.example", "HTTP/1.1 200"),
        ("", "proxy.example", "HTTP/1.1 403"),
        ("", "127.0.0.1", "HTTP/1.1 200"),
    ] {
        let (head, _) = served.by(host, &format!("GET /admin/usage HTTP/1.1\r\n{who}")).await;
        assert!(head.starts_with(expected), "{host}: {head}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_asked_for() {
    let served = start(|config, dir| {
        config.auth.htpasswd = Some(users(dir));
        config.auth.policy = serde_json::from_str(
            r#"[{"repositories": ["ann/**"], "users": ["ann"], "actions": ["pull", "push", "delete"]}]"#,
        )
        .unwrap();
        config.audit = Some(crate::access::audit::AuditConfig {
            file: dir.join("audit"),
            max_size: None,
            max_files: None,
        });
    })
    .await;
    // ann:ann-secret
    let ann = "Authorization: Basic YW5uOmFubi1zZWNyZXQ=\r\n";
    push(&served, "ann/a", "", ann).await;
    for (request, who, expected) in [
        ("POST /admin/gc HTTP/1.1\r\n", "", 401),
        ("POST /admin/gc HTTP/1.1\r\n", ann, 403),
        ("GET /admin/usage HTTP/1.1\r\n", ann, 403),
        ("DELETE /admin/repositories/bob/a HTTP/1.1\r\n", ann, 403),
        ("DELETE /admin/repositories/ann/a HTTP/1.1\r\n", "", 401),
        ("DELETE /admin/repositories/ann/a HTTP/1.1\r\n", ann, 200),
        ("DELETE /admin/repositories/ann/a HTTP/1.1\r\n", ann, 404),
        ("GET /v2/bob/a/tags/list HTTP/1.1\r\n", ann, 403),
    ] {
        assert_eq!(status(&served, &format!("{request}{who}")).await, expected, "{request}");
    }
    // The audit is written when the last one goes.
    let dir = served.end().await;
    let text = std::fs::read_to_string(dir.path().join("audit")).unwrap();
    let lines: Vec<Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let last = lines.iter().find(|it| it["status"] == 200 && it["action"] == "delete").unwrap();
    assert_eq!((&last["user"], &last["repository"]), (&"ann".into(), &"ann/a".into()));
    let refused: Vec<_> = lines.iter().filter(|it| it["status"] == 403).collect();
    assert_eq!((&refused[0]["action"], &refused[0]["reference"]), (&"admin".into(), &"gc".into()));
    assert_eq!(
        (&refused[3]["action"], &refused[3]["repository"]),
        (&"pull".into(), &"bob/a".into())
    );
    // Who was refused is known.
    assert!(refused.len() == 4 && refused.iter().all(|it| it["user"] == "ann"), "{text}");
}
