use super::*;
use crate::access::{Action, Challenge};
use naru_errdefs::one_line;

const WHOLE: &str = r#"{
    "root": "/srv/registry",
    "listen": "0.0.0.0:5000",
    "tls": {"cert": "/c", "key": "/k", "client-ca": "/ca", "client-cert-optional": true},
    "auth": {
        "htpasswd": "/u", "challenge": "token", "anonymous": ["pull", "catalog"],
        "groups": {"ci": ["bot"]},
        "policy": [{"repositories": ["a/**"], "users": ["ann"], "groups": ["ci"], "anonymous": false, "actions": ["pull", "push", "delete"]}],
        "token": {"issuer": "i", "service": "s", "realm": "https://r/token", "lifetime": "10m", "refresh-lifetime": "0s"}
    },
    "audit": {"file": "/a", "max-size": "1m", "max-files": 9},
    "metrics": {"enabled": true, "listen": "9090"},
    "cache": {"upstreams": [{"name": "docker.io"}]}, "retention": [], "quotas": []
}"#;

#[test]
fn every_field_is_read() {
    let config = RegistryConfig::parse(WHOLE).unwrap();
    assert_eq!(config.root, Some("/srv/registry".into()));
    assert!(config.tls.client_cert_optional && config.metrics.enabled);
    assert_eq!(config.auth.challenge, Some(Challenge::Token));
    assert_eq!(config.auth.anonymous, Some(vec![Action::Pull, Action::Catalog]));
    assert_eq!((config.auth.token.lifetime(), config.auth.token.refresh_lifetime()), (600, 0));
    assert_eq!(config.audit.unwrap().max_size, Some(Bytes(1 << 20)));
    assert_eq!(RegistryConfig::parse("{}").unwrap(), RegistryConfig::default());
}

#[test]
fn what_is_wrong_is_named() {
    for (text, why) in [
        ("", "not valid JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        (r#"{"lisen": "5000"}"#, "`lisen`"),
        (r#"{"listen": 5000}"#, "invalid type"),
        (r#"{"listen": "x"}"#, "`x`"),
        (r#"{"metrics": {"listen": "x"}}"#, "`x`"),
        (r#"{"metrics": {"on": true}}"#, "`on`"),
        (r#"{"tls": {"certs": "/x"}}"#, "`certs`"),
        (r#"{"tls": {"cert": "/x"}}"#, "not its private key"),
        (r#"{"tls": {"auto": ["x:1"]}}"#, "`x:1`"),
        (r#"{"tls": {"cert": "x", "key": "/x"}}"#, "`tls.cert` must be an absolute path"),
        (r#"{"root": "x"}"#, "`root` must be an absolute path"),
        (r#"{"auth": {"users": []}}"#, "`users`"),
        (r#"{"auth": {"htpasswd": "u"}}"#, "`auth.htpasswd` must be"),
        (r#"{"auth": {"challenge": "digest"}}"#, "`digest`"),
        (r#"{"auth": {"anonymous": ["read"]}}"#, "`read`"),
        (r#"{"auth": {"policy": [{"repository": "x"}]}}"#, "`repository`"),
        (r#"{"auth": {"policy": {}}}"#, "invalid type"),
        (r#"{"auth": {"token": {"ttl": "5m"}}}"#, "`ttl`"),
        (r#"{"auth": {"token": {"lifetime": "5"}}}"#, "`5` is not a length of time"),
        (r#"{"auth": {"token": {"lifetime": "59s"}}}"#, "60s to 24h"),
        (r#"{"auth": {"token": {"lifetime": "25h"}}}"#, "60s to 24h"),
        (r#"{"auth": {"token": {"refresh-lifetime": "367d"}}}"#, "at most 366d"),
        (r#"{"auth": {"token": {"service": "a b"}}}"#, "`auth.token.service`"),
        (r#"{"auth": {"token": {"issuer": ""}}}"#, "`auth.token.issuer`"),
        (r#"{"auth": {"token": {"realm": "/token"}}}"#, "no URL"),
        (r#"{"audit": {}}"#, "`file`"),
        (r#"{"audit": {"file": "x"}}"#, "`audit.file` must be"),
        (r#"{"audit": {"file": "/x", "size": 1}}"#, "`size`"),
        (r#"{"audit": {"file": "/x", "max-size": "1x"}}"#, "`1x` is not a size"),
    ] {
        let said = one_line(&RegistryConfig::parse(text).unwrap_err());
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn places_to_listen_are_read() {
    let address = |text: &str| Listen(text.parse().unwrap());
    for (text, expected, loopback) in [
        ("5000", address("127.0.0.1:5000"), true),
        ("0", address("127.0.0.1:0"), true),
        ("127.0.0.1:5000", address("127.0.0.1:5000"), true),
        ("[::1]:5000", address("[::1]:5000"), true),
        ("[::ffff:127.0.0.1]:1", address("[::ffff:127.0.0.1]:1"), true),
        ("0.0.0.0:5000", address("0.0.0.0:5000"), false),
        ("10.0.0.5:5000", address("10.0.0.5:5000"), false),
        (":5000", address("[::]:5000"), false),
        ("localhost:5000", address("127.0.0.1:5000"), true),
    ] {
        let listen = Listen::parse(text).unwrap();
        assert_eq!(listen, expected, "{text}");
        assert_eq!(listen.is_loopback(), loopback, "{text}");
    }
    for text in [
        "",
        ":",
        "x",
        "65536",
        "-1",
        "x:",
        "registry.example:443",
        "x:65536",
        "::1:5000",
        "[::1]",
        "[x]:1",
        "1.2.3:5",
        "http://x:1",
        "a b:1",
        "x:+1",
    ] {
        assert!(Listen::parse(text).is_err(), "{text}");
    }
}
