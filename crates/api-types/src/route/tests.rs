use super::*;
use proptest::prelude::*;

fn check(method: &str, path: &str, want: Option<Route>) {
    assert_eq!(Route::parse(method, path).map(|(_, route)| route).ok(), want, "{method} {path}");
}

#[test]
fn paths_as_clients_write_them() {
    let name = |name: &str| name.to_owned();
    check("GET", "/_ping", Some(Route::Ping));
    check("HEAD", "/v1.41/_ping", Some(Route::PingHead));
    check("GET", "/v1.24/containers/json", Some(Route::ContainerList));
    check("GET", "/containers/json/json", Some(Route::ContainerInspect { name: name("json") }));
    check("GET", "/containers//web/json", Some(Route::ContainerInspect { name: name("web") }));
    check(
        "GET",
        "/v1.51/images/docker.io/library/a:1/json",
        Some(Route::ImageInspect { name: name("docker.io/library/a:1") }),
    );
    check(
        "GET",
        "/images/docker.io%2Flibrary%2Fa/json",
        Some(Route::ImageInspect { name: name("docker.io/library/a") }),
    );
    check("GET", "/images/json/json", Some(Route::ImageInspect { name: name("json") }));
    check("GET", "/images/get/get", Some(Route::ImageSave { name: name("get") }));
    check(
        "DELETE",
        "/images/r:5000/a/b@sha256:00",
        Some(Route::ImageRemove { name: name("r:5000/a/b@sha256:00") }),
    );
    check(
        "GET",
        "/containers/x/attach/ws",
        Some(Route::ContainerAttachWebsocket { name: name("x") }),
    );
    check("POST", "/containers/x/attach", Some(Route::ContainerAttach { name: name("x") }));
    check("PUT", "/containers/x/archive", Some(Route::ContainerArchivePut { name: name("x") }));
    check("GET", "/networks/none", Some(Route::NetworkInspect { name: name("none") }));
    check("GET", "/swarm", Some(Route::Foreign { method: Method::Get, path: name("/swarm") }));
    for (method, path) in [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/v1.41"),
        ("GET", "/nope"),
        ("POST", "/_ping"),
        ("PATCH", "/containers/json"),
        ("DELETE", "/containers/json/start"),
        ("GET", "/images/json/"),
        ("POST", "/containers/start"),
        ("GET", "/v/containers/json"),
        ("GET", "/%zz"),
        ("GET", "/containers/%ff/json"),
        ("GET", "/containers/%00/json"),
    ] {
        let want = match (method, path) {
            ("DELETE", "/containers/json/start") => {
                Some(Route::ContainerRemove { name: name("json/start") })
            }
            ("GET", "/images/json/") => Some(Route::ImageList),
            _ => None,
        };
        check(method, path, want);
    }
}

#[test]
fn a_version_is_judged_only_on_routes_that_exist() {
    assert_eq!(Route::parse("GET", "/v1.99/nope"), Err(RouteError::Unknown));
    assert_eq!(
        Route::parse("GET", "/v1.99/version").unwrap_err().to_string(),
        "client version 1.99 is too new. Maximum supported API version is 1.51"
    );
    assert!(Route::parse("GET", "/v1.2.3/version").is_err());
}

#[test]
fn every_route_without_a_name_comes_back() {
    for route in all_plain() {
        assert_eq!(Route::parse(route.method().as_str(), &route.path()), Ok((None, route.clone())));
    }
}

proptest! {
    #[test]
    fn every_route_with_a_name_comes_back(
        words in proptest::collection::vec("[^/\0]{1,8}", 1..4),
        minor in 24u32..=51,
    ) {
        let name = words.join("/");
        for route in all_named(&name) {
            let path = route.versioned_path(ApiVersion::v1(minor));
            let parsed = Route::parse(route.method().as_str(), &path);
            prop_assert_eq!(parsed, Ok((Some(ApiVersion::v1(minor)), route)));
        }
    }

    #[test]
    fn no_path_panics(path in ".{0,40}") {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "x"] {
            drop(Route::parse(method, &path));
        }
    }
}
