//! The cache behind the protocol, as clients see it.

use super::fake::{Mood, Script};
use super::scene::{Scene, TTL};
use crate::Registry;
use crate::access::Gate;
use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use naru_store::{Batch, Member};

async fn ask(
    registry: &Registry,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Response {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    registry.answer(request.body(Body::empty()).unwrap()).await
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_pulls_through_by_prefix_and_by_namespace_and_is_told_of_what_is_stale() {
    let scene = Scene::new();
    let registry = Registry::new(&scene.store, Gate::open_to_all()).caching(scene.cache.clone());
    let [manifest, config, layer] = scene.fake.put_image("latest", 1);
    let cold = ask(
        &registry,
        "GET",
        &format!("/v2/hub/debian/blobs/{layer}"),
        &[("range", "bytes=10-19")],
    )
    .await;
    assert_eq!(cold.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&cold, "content-range"), Some("bytes 10-19/50000"));
    assert_eq!(cold.into_body().collect().await.unwrap().to_bytes().len(), 10);
    let by_namespace = "/v2/library/debian/manifests/latest?ns=docker.io";
    for target in ["/v2/hub/debian/manifests/latest", by_namespace] {
        let got = ask(&registry, "GET", target, &[]).await;
        assert_eq!(got.status(), StatusCode::OK);
        assert_eq!(header(&got, "docker-content-digest"), Some(manifest.to_string().as_str()));
        assert_eq!(header(&got, "warning"), None);
    }
    let blob =
        ask(&registry, "GET", &format!("/v2/library/debian/blobs/{config}?ns=docker.io"), &[])
            .await;
    assert_eq!(header(&blob, "content-length"), Some("100"));
    assert_eq!(
        blob.into_body().collect().await.unwrap().to_bytes(),
        scene.fake.blobs.lock().unwrap()[&config]
    );
    scene.landed(&layer).await;
    scene.later(TTL);
    scene.fake.be(Mood::Away);
    let stale = ask(&registry, "GET", by_namespace, &[]).await;
    assert_eq!(stale.status(), StatusCode::OK);
    assert_eq!(stale.headers().get_all("warning").iter().count(), 1);
    assert_eq!(header(&stale, "age"), Some("600"));
    let stored = ask(&registry, "GET", &format!("/v2/hub/debian/blobs/{layer}"), &[]).await;
    assert_eq!(stored.into_body().collect().await.unwrap().to_bytes().len(), 50_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_have_their_codes() {
    let scene = Scene::new();
    let registry = Registry::new(&scene.store, Gate::open_to_all()).caching(scene.cache.clone());
    let [_, _, layer] = scene.fake.put_image("latest", 1);
    for (method, target) in [
        ("POST", "/v2/hub/debian/blobs/uploads/"),
        ("PUT", "/v2/hub/debian/manifests/x"),
        ("POST", "/v2/library/debian/blobs/uploads/?ns=docker.io"),
    ] {
        let refused = ask(&registry, method, target, &[]).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{method} {target}");
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("DENIED") && text.contains("a cache of `docker.io`"), "{text}");
    }
    let own = ask(&registry, "POST", "/v2/own/x/blobs/uploads/", &[]).await;
    assert_eq!(own.status(), StatusCode::ACCEPTED);
    let none = ask(&registry, "GET", "/v2/hub/debian/manifests/none", &[]).await;
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
    let tags = ask(&registry, "GET", "/v2/hub/debian/tags/list?n=1", &[]).await;
    assert_eq!(
        tags.into_body().collect().await.unwrap().to_bytes(),
        r#"{"name":"hub/library/debian","tags":["latest"]}"#
    );
    // A lie breaks the body off before its end.
    scene.fake.script(Script::Instead(vec![0; 50_000].into()));
    let lie = ask(&registry, "GET", &format!("/v2/hub/debian/blobs/{layer}"), &[]).await;
    // It may be found out before there is anything to break off.
    if lie.status() == StatusCode::OK {
        assert_eq!(header(&lie, "content-length"), Some("50000"));
        assert!(lie.into_body().collect().await.is_err());
    } else {
        assert_eq!(lie.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    scene.fake.be(Mood::Limited(42));
    let limited = ask(&registry, "GET", "/v2/hub/debian/manifests/latest", &[]).await;
    assert_eq!(
        (limited.status(), header(&limited, "retry-after")),
        (StatusCode::TOO_MANY_REQUESTS, Some("42"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_opens_no_other_way_to_what_lies_here() {
    let scene = Scene::with(None, |config| {
        config.local = vec!["hub/own".to_owned()];
        config.names = vec!["this.example".to_owned()];
    });
    let registry = Registry::new(&scene.store, Gate::open_to_all()).caching(scene.cache.clone());
    scene.fake.put_image("latest", 1);
    let lease = scene.store.leases.create(std::time::Duration::from_secs(60));
    let blob = scene.store.content.put(lease.id(), b"{}").unwrap();
    let digest = blob.digest;
    let mut batch = Batch::new();
    for name in ["org/app", "hub/own/x"] {
        batch.put_member(name, &digest, &Member::blob(blob.size));
    }
    scene.store.commit(batch).unwrap();
    // Content of this registry's own is nobody else's.
    for (name, namespace, status) in [
        ("org/app", "", 200),
        ("org/app", "this.example", 200),
        ("org/app", "ghcr.example", 404),
        ("hub/own/x", "", 200),
        ("own/x", "docker.io", 404),
    ] {
        for method in ["GET", "HEAD"] {
            let target = format!("/v2/{name}/blobs/{digest}?ns={namespace}");
            let answer = ask(&registry, method, &target, &[]).await;
            assert_eq!(answer.status(), status, "{method} {target}");
        }
    }
    for target in [
        "/v2/org/app/manifests/1?ns=ghcr.example",
        "/v2/hub/debian/manifests/latest?ns=ghcr.example",
        "/v2/org/app/tags/list?ns=ghcr.example",
        "/v2/own/x/tags/list?ns=docker.io",
    ] {
        let answer = ask(&registry, "GET", target, &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{target}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("NAME_UNKNOWN"), "{target} {body:?}");
    }
    assert_eq!(scene.fake.asked(), [""; 0]);
    // And nobody else's name makes what is cached writable.
    for namespace in ["x", "docker.io", "this.example", ""] {
        for (method, rest) in [("POST", "blobs/uploads/"), ("PUT", "manifests/12")] {
            let target = format!("/v2/hub/library/debian/{rest}?ns={namespace}");
            let answer = ask(&registry, method, &target, &[]).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method} {target}");
        }
    }
    let own = ask(&registry, "POST", "/v2/org/app/blobs/uploads/?ns=x", &[]).await;
    assert_eq!(own.status(), StatusCode::ACCEPTED);
    let upload = header(&own, "location").unwrap();
    let upload = format!("{}?ns=x", upload.split('?').next().unwrap());
    assert_eq!(ask(&registry, "GET", &upload, &[]).await.status(), StatusCode::NO_CONTENT);
}
