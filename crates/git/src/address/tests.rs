use super::*;

fn ssh_to(user: Option<&str>, host: &str, port: Option<u16>, path: &str) -> Transport {
    let (host, path) = (host.to_owned(), path.to_owned());
    Transport::Ssh { user: user.map(str::to_owned), host, port, path }
}

#[test]
fn addresses_of_repositories() {
    let web = |url: &str| Transport::Http(url.to_owned());
    for (text, transport, reference, directory) in [
        ("https://h/o/r.git", web("https://h/o/r.git"), None, ""),
        ("http://h:80/r.git#main", web("http://h:80/r.git"), Some("main"), ""),
        ("https://h/r.git#v1:a/./b/", web("https://h/r.git"), Some("v1"), "a/b"),
        ("https://h/r.git#:/sub", web("https://h/r.git"), None, "sub"),
        (
            "https://u:p@h/r.git#refs/pull/1/head",
            web("https://u:p@h/r.git"),
            Some("refs/pull/1/head"),
            "",
        ),
        ("github.com/o/r#main", web("https://github.com/o/r"), Some("main"), ""),
        ("git@h:o/r.git", ssh_to(Some("git"), "h", None, "o/r.git"), None, ""),
        ("git@h:o/r.git#b:d", ssh_to(Some("git"), "h", None, "o/r.git"), Some("b"), "d"),
        ("ssh://h/o/r", ssh_to(None, "h", None, "/o/r"), None, ""),
        ("ssh://me@h:2222/~me/r.git", ssh_to(Some("me"), "h", Some(2222), "~me/r.git"), None, ""),
        ("ssh://[::1]:22/r", ssh_to(None, "::1", Some(22), "/r"), None, ""),
        (
            "git://h/r.git#x",
            Transport::Git { host: "h".to_owned(), port: 9418, path: "/r.git".to_owned() },
            Some("x"),
            "",
        ),
    ] {
        let found = Address::parse(text).unwrap_or_else(|| panic!("{text}")).unwrap();
        let reference = reference.map(str::to_owned);
        assert_eq!(
            found,
            Address { transport, reference, directory: directory.to_owned(), commit: None },
            "{text}"
        );
    }
}

#[test]
fn a_query_says_the_same_as_a_fragment_and_more() {
    let parse = |text: &str| Address::parse(text).unwrap().unwrap();
    for (query, fragment) in [
        ("https://h/r.git?branch=main", "https://h/r.git#refs/heads/main"),
        ("https://h/r.git?ref=v1&subdir=/a/./b/", "https://h/r.git#v1:a/b"),
        ("git@h:o/r.git?tag=v1", "git@h:o/r.git#refs/tags/v1"),
        ("ssh://h/o/r?ref=x", "ssh://h/o/r#x"),
        ("github.com/o/r?subdir=a", "github.com/o/r#:a"),
    ] {
        assert_eq!(parse(query), parse(fragment), "{query}");
    }
    let commit = parse("https://h/r.git?tag=v1&checksum=be1f38e").commit;
    assert_eq!(commit.as_deref(), Some("be1f38e"));
}

#[test]
fn a_host_is_the_same_to_whoever_reads_it() {
    // A client of the web goes to `evil.example`.
    let text = "https://evil.example\\@good.example/r.git";
    assert!(Address::parse(text).unwrap().is_err());
    assert!(Address::at(text).is_err());
    let host = |text: &str| Address::at(text).unwrap().transport.host();
    assert_eq!(host("https://good.example@evil.example/r"), "evil.example");
    assert_eq!(host("https://evil.example/@good.example/r"), "evil.example");
    assert_eq!(host("https://evil.example#@good.example/r"), "evil.example");
    assert_eq!(host_of("https://evil.example\\@good.example/r.git"), "evil.example");
    assert_eq!(host_of("http://u:p@h:80/r?a@b"), "h:80");
}

#[test]
fn what_is_none_is_none_and_what_is_wrong_is_said() {
    for text in [
        "https://h/file",
        "https://h/r.git.txt",
        "a/b",
        "C:/x",
        "host:path",
        "./git@h:x",
        "ftp://h/r.git",
        "",
    ] {
        assert_eq!(Address::parse(text), None, "{text}");
    }
    for text in [
        "https://h/r.git#a:../b",
        "https://h/r.git#a b",
        "https://h/r.git#-upload",
        "https://h/r.git?ref=a b",
        "https://h/r.git?ref=a#b",
        "https://h/r.git?nope=x.git",
        "https://h/r.git?subdir=../b",
        "https://h/r.git?tag=-upload#",
        "ssh://-oProxyCommand=x/r",
        "ssh://h;id/r",
        "ssh://u:p@h/r",
        "ssh://h",
        "ssh://h:port/r",
        "git@-h:r",
        "git@h:-r",
        "git@h:",
        "git://u@h/r",
        "git://h",
    ] {
        assert!(Address::parse(text).is_none_or(|found| found.is_err()), "{text}");
    }
    for text in
        ["https://u:p@h:1/r.git", "git@h:o/r.git", "ssh://me@h:22/r", "ssh://h/r", "git://h:9418/r"]
    {
        let transport = Address::at(text).unwrap().transport;
        assert_eq!(transport.url(), text);
        assert!(matches!(transport.host().as_str(), "h" | "h:1"), "{text}");
    }
    assert!(Address::at("file:///etc").is_err() && Address::at("/etc").is_err());
    assert!(Address::at("https://h/without-suffix").is_ok());
}
