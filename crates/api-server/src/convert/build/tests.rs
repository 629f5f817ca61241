use super::*;
use naru_api_types::build::{Base64, DockerfileText};
use naru_errdefs::Kind;

fn of(query: &str) -> Result<BuildOptions, Fault> {
    options(&Query::parse(query), |_| None, BuildExtras::default())
}

#[test]
fn what_docker_s_client_sends() {
    // As its version 28 sends it.
    let options = of("buildargs=%7B%22X%22%3A%222%22%2C%22ZZ%22%3Anull%7D&dockerfile=Dockerfile&extrahosts=h%3A1.2.3.4\
        &labels=%7B%22a%22%3A%22b%22%7D&memory=1073741824&t=cli%3A1&t=two\
        &ulimits=%5B%7B%22Name%22%3A%22nofile%22%2C%22Hard%22%3A6%2C%22Soft%22%3A5%7D%5D&version=1&rm=1&cpusetcpus=0-1")
    .unwrap();
    assert_eq!(options.build_args["X"].as_deref(), Some("2"));
    assert_eq!(options.build_args["ZZ"], None);
    assert_eq!(options.labels["a"], "b");
    assert_eq!(options.limits.extra_hosts, ["h:1.2.3.4"]);
    assert_eq!(options.limits.memory, 1 << 30);
    assert_eq!(options.limits.cpuset_cpus, "0-1");
    let limit = Ulimit { name: "nofile".to_owned(), soft: 5, hard: 6 };
    assert_eq!(options.limits.ulimits, [limit]);
    let tags: Vec<String> = options.tags.iter().map(Reference::familiar).collect();
    assert_eq!(tags, ["cli:1", "two:latest"]);
}

#[test]
fn what_old_clients_send() {
    let options =
        of("buildargs=null&cachefrom=null&labels=&ulimits=null&cgroupparent=&cpuperiod=0&networkmode=default&target=&memory=0")
            .unwrap();
    assert!(options.build_args.is_empty() && options.target.is_none() && options.tags.is_empty());
    assert_eq!(options.network, NetworkChoice::Default);
}

#[test]
fn networks() {
    for (mode, network) in [
        ("bridge", NetworkChoice::Default),
        ("none", NetworkChoice::None),
        ("host", NetworkChoice::Host),
        ("mine", NetworkChoice::Named("mine".to_owned())),
    ] {
        assert_eq!(of(&format!("networkmode={mode}")).unwrap().network, network);
    }
    assert_eq!(of("networkmode=container:x").unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    for (query, kind, words) in [
        ("version=2", Kind::Unsupported, "BuildKit session"),
        ("version=7", Kind::InvalidInput, "invalid version \"7\""),
        ("squash=1", Kind::Unsupported, "`squash`"),
        ("session=abc", Kind::Unsupported, "`session`"),
        ("outputs=[{\"Type\":\"local\"}]", Kind::Unsupported, "`outputs`"),
        ("isolation=hyperv", Kind::Unsupported, "`isolation`"),
        ("securityopt=seccomp%3Dx", Kind::Unsupported, "`securityopt`"),
        ("buildargs=zz", Kind::InvalidInput, "error reading build args"),
        ("labels=[1]", Kind::InvalidInput, "error reading labels"),
        ("ulimits={}", Kind::InvalidInput, "error reading ulimits"),
        ("memory=much", Kind::InvalidInput, "`memory`"),
        ("shmsize=-1", Kind::InvalidInput, "`shmsize`"),
        ("t=UPPER", Kind::InvalidInput, "must be lowercase"),
        ("platform=a/b/c/d/e", Kind::InvalidInput, "a/b/c/d/e"),
        ("buildargs={\"SOURCE_DATE_EPOCH\":\"today\"}", Kind::InvalidInput, "SOURCE_DATE_EPOCH"),
    ] {
        let fault = of(query).unwrap_err();
        assert_eq!(fault.kind(), kind, "{query}: {fault:?}");
        assert!(fault.message().contains(words), "{query}: {}", fault.message());
    }
    for query in ["squash=0", "isolation=default", "outputs=[]", "version=1"] {
        assert!(of(query).is_ok(), "{query}");
    }
}

#[test]
fn what_ours_adds() {
    let mut extras = BuildExtras {
        dockerfile: Some(DockerfileText {
            name: "x.Dockerfile".to_owned(),
            text: Base64::new(b"FROM a"),
        }),
        cache_from: vec!["type=registry,ref=r/c".to_owned(), "r/d".to_owned()],
        cache_to: vec!["type=inline".to_owned()],
        compression: Some("zstd".to_owned()),
        compression_level: Some(9),
        ..BuildExtras::default()
    };
    extras.secrets.insert("t".to_owned(), Base64::new(b"s"));
    let got = options(
        &Query::parse("cachefrom=[\"r/a\"]&platform=linux/amd64,linux/arm64"),
        |_| None,
        extras,
    )
    .unwrap();
    let text = DockerfileSource::Text { name: "x.Dockerfile".to_owned(), text: "FROM a".into() };
    assert_eq!(got.dockerfile, text);
    assert_eq!(got.cache_from.len(), 3);
    assert_eq!((got.cache_to, got.inline_cache), (Vec::new(), true));
    assert_eq!(got.compression, LayerCompression::Zstd { level: 9 });
    assert_eq!(got.platforms.len(), 2);
    assert_eq!(got.secrets["t"].0, b"s"[..]);
    for extras in [
        BuildExtras { cache_from: vec!["type=gha".to_owned()], ..BuildExtras::default() },
        BuildExtras { cache_to: vec!["type=local,dest=x".to_owned()], ..BuildExtras::default() },
        BuildExtras { compression: Some("xz".to_owned()), ..BuildExtras::default() },
    ] {
        assert_eq!(options(&Query::new(), |_| None, extras).unwrap_err().kind(), Kind::Unsupported);
    }
}

#[test]
fn files_of_a_context() {
    let file = |mode: u32| ContextFile {
        path: "a".to_owned(),
        mode,
        digest: naru_oci::Digest::of(b"x").to_string(),
        size: 1,
        target: "b".to_owned(),
        ..ContextFile::default()
    };
    assert_eq!(node(file(0o040_755)).unwrap().1.content, Content::Directory);
    assert_eq!(node(file(0o120_777)).unwrap().1.content, Content::Link(b"b".to_vec()));
    let (path, found) = node(file(0o104_755)).unwrap();
    assert!(
        path == b"a"
            && matches!(found.content, Content::File { size: 1, .. })
            && found.mode == 0o4755
    );
    assert!(node(file(0o060_600)).is_err());
    assert!(node(ContextFile { digest: "sha256:x".to_owned(), ..file(0o100_644) }).is_err());
    assert!(node(ContextFile { target: String::new(), ..file(0o120_777) }).is_err());
    for path in ["", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a\0b"] {
        assert!(
            node(ContextFile { path: path.to_owned(), ..file(0o100_644) }).is_err(),
            "{path:?}"
        );
    }
}

#[test]
fn prunes() {
    let now = Timestamp::from_seconds(100_000);
    let of = |text: &str| prune(&Query::parse(text), now);
    let got =
        of("all=1&keep-storage=7&filters={\"until\":[\"24h\"],\"id\":[\"ab\"],\"inuse\":[\"1\"]}")
            .unwrap();
    assert_eq!((got.all, got.keep_bytes, got.max_bytes), (true, 7, 0));
    assert_eq!(got.unused_for, Some(Duration::from_secs(24 * 3600)));
    assert_eq!(got.ids, ["ab"]);
    assert_eq!(got.filters["inuse"], ["1"]);
    let got = of("reserved-space=5&keep-storage=7&max-used-space=9").unwrap();
    assert_eq!((got.keep_bytes, got.max_bytes), (5, 9));
    for text in [
        "keep-storage=-1",
        "min-free-space=1",
        "filters={\"x\":[\"y\"]}",
        "filters={\"until\":[\"soon\"]}",
    ] {
        assert!(of(text).is_err(), "{text}");
    }
}

#[test]
fn credentials_are_found_by_host() {
    let header = AuthConfig::encode_all(&Map::from([
        (
            "https://index.docker.io/v1/".to_owned(),
            AuthConfig { auth: "YTpi".to_owned(), ..AuthConfig::default() },
        ),
        (
            "r.example:5000".to_owned(),
            AuthConfig { identitytoken: "t".to_owned(), ..AuthConfig::default() },
        ),
    ]));
    let all = registry_auth(Some(&header));
    assert_eq!((all["docker.io"].user.as_str(), all["docker.io"].password.as_str()), ("a", "b"));
    assert_eq!(all["r.example:5000"].identity_token, "t");
    assert!(registry_auth(Some("junk")).is_empty() && registry_auth(None).is_empty());
}

#[test]
fn a_further_context_has_a_name_of_its_own() {
    let image = |name: &str| NamedContext::Image(name.to_owned());
    let mut all = BTreeMap::new();
    name_context(&mut all, "box", image("a")).unwrap();
    for name in ["box:latest", "docker.io/library/box", "scratch", "Context"] {
        let fault = name_context(&mut all, name, image("b")).unwrap_err();
        assert!(fault.to_string().contains(name), "{fault}");
    }
    name_context(&mut all, "box:v2", image("c")).unwrap();
    assert_eq!(all.len(), 2);
}
