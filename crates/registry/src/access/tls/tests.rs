use super::*;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::os::unix::fs::PermissionsExt as _;
use tokio_rustls::TlsConnector;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn auto(names: &[&str]) -> TlsConfig {
    TlsConfig { auto: self::names(names), ..TlsConfig::default() }
}

/// Shakes hands over a pipe; what the client saw of the server, and the server of the client.
async fn shake(
    tls: &Tls,
    ca: &Path,
    name: &str,
    own: Option<(CertificateDer<'static>, &KeyPair)>,
) -> Result<(Vec<u8>, Option<Arc<str>>), String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca).unwrap() {
        roots.add(certificate).unwrap();
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let client = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivatePkcs8KeyDer::from(key.serialize_der());
            builder.with_client_auth_cert(vec![certificate], key.into()).unwrap()
        }
    };
    let (here, there) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let (server, client) = tokio::join!(tls.accept(there), connector.connect(name, here));
    let (server, client) =
        (server.map_err(|it| it.to_string())?, client.map_err(|it| it.to_string())?);
    let seen = client.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    Ok((seen, certificate_user(&server)))
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_our_own_is_made_once_and_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let config = auto(&["registry.example", "127.0.0.1", "::1"]);
    let tls = Tls::open(&config, dir.path()).unwrap();
    let ca = tls.authority().unwrap();
    let (first, user) = shake(&tls, &ca, "registry.example", None).await.unwrap();
    assert!(user.is_none());
    for name in ["127.0.0.1", "::1"] {
        assert_eq!(shake(&tls, &ca, name, None).await.unwrap().0, first);
    }
    assert!(shake(&tls, &ca, "other.example", None).await.is_err());
    for key in ["tls/ca.key", "tls/server.key"] {
        let mode = std::fs::metadata(dir.path().join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let again = Tls::open(&config, dir.path()).unwrap();
    assert_eq!(shake(&again, &ca, "registry.example", None).await.unwrap().0, first);
    // Other names: another certificate, by the same authority.
    let other = Tls::open(&auto(&["other.example"]), dir.path()).unwrap();
    assert_ne!(shake(&other, &ca, "other.example", None).await.unwrap().0, first);
    // It ends soon: the next connection has a new one.
    let note = dir.path().join("tls/server.json");
    let before = shake(&other, &ca, "other.example", None).await.unwrap().0;
    let ends = r#"{"names":["other.example"],"ends":1}"#;
    naru_kernel::fs::write_atomic(&note, ends.as_bytes(), 0o644).unwrap();
    tokio::time::advance(LOOK_AGAIN).await;
    assert_ne!(shake(&other, &ca, "other.example", None).await.unwrap().0, before);
}

#[tokio::test(start_paused = true)]
async fn given_certificates_are_read_again_when_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let made = Tls::open(&auto(&["registry.example"]), dir.path()).unwrap();
    let ca = made.authority().unwrap();
    let own = dir.path().join("tls");
    let given = |name: &str| dir.path().join(name);
    let copy = |from: &str, to: &str| {
        let bytes = std::fs::read(own.join(from)).unwrap();
        naru_kernel::fs::write_atomic(&given(to), &bytes, 0o600).unwrap();
    };
    copy("server.crt", "c");
    copy("server.key", "k");
    let config =
        TlsConfig { cert: Some(given("c")), key: Some(given("k")), ..TlsConfig::default() };
    let tls = Tls::open(&config, dir.path()).unwrap();
    assert!(tls.authority().is_none());
    let first = shake(&tls, &ca, "registry.example", None).await.unwrap().0;
    std::fs::remove_file(own.join("server.json")).unwrap();
    Tls::open(&auto(&["registry.example"]), dir.path()).unwrap();
    copy("server.crt", "c");
    tokio::time::advance(LOOK_AGAIN).await;
    // The certificate is new, the key is not yet: what was there goes on.
    assert_eq!(shake(&tls, &ca, "registry.example", None).await.unwrap().0, first);
    copy("server.key", "k");
    tokio::time::advance(LOOK_AGAIN).await;
    assert_ne!(shake(&tls, &ca, "registry.example", None).await.unwrap().0, first);
}

#[tokio::test(start_paused = true)]
async fn a_client_certificate_names_the_user() {
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap(), Issuer::new(params, key))
    };
    let client = |issuer: &Issuer<'_, KeyPair>| {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "ann");
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, issuer).unwrap().der().clone(), key)
    };
    let (authority, issuer) = made("ours");
    let (_, stranger) = made("theirs");
    let client_ca = dir.path().join("clients.crt");
    naru_kernel::fs::write_atomic(&client_ca, authority.pem().as_bytes(), 0o644).unwrap();
    let config = TlsConfig { client_ca: Some(client_ca), ..auto(&["r.example"]) };
    let tls = Tls::open(&config, dir.path()).unwrap();
    let ca = tls.authority().unwrap();
    assert!(tls.takes_certificates());
    let (certificate, key) = client(&issuer);
    let seen = shake(&tls, &ca, "r.example", Some((certificate.clone(), &key))).await.unwrap();
    assert_eq!(seen.1.as_deref(), Some("ann"));
    assert!(shake(&tls, &ca, "r.example", None).await.is_err());
    let (foreign, foreign_key) = client(&stranger);
    assert!(shake(&tls, &ca, "r.example", Some((foreign, &foreign_key))).await.is_err());
    let config = TlsConfig { client_cert_optional: true, ..config };
    let tls = Tls::open(&config, dir.path()).unwrap();
    assert_eq!(shake(&tls, &ca, "r.example", None).await.unwrap().1, None);
    let seen = shake(&tls, &ca, "r.example", Some((certificate, &key))).await.unwrap();
    assert_eq!(seen.1.as_deref(), Some("ann"));
}

#[test]
fn contradictions_and_nonsense_are_refused() {
    let path = || Some(PathBuf::from("/x"));
    let none = TlsConfig::default;
    assert!(!none().validate().unwrap());
    for (config, why) in [
        (TlsConfig { cert: path(), ..none() }, "not its private key"),
        (TlsConfig { key: path(), ..none() }, "not its certificate"),
        (TlsConfig { cert: path(), key: path(), ..auto(&["x"]) }, "another is to be made"),
        (TlsConfig { client_ca: path(), ..none() }, "there is no TLS"),
        (TlsConfig { client_cert_optional: true, ..auto(&["x"]) }, "says nothing"),
        (auto(&["x:5000"]), "neither a host name nor an address"),
        (auto(&[""]), "neither"),
        (auto(&["a..b"]), "neither"),
        (auto(&["https://x"]), "neither"),
    ] {
        let fault = config.validate().unwrap_err();
        assert!(fault.message().contains(why), "{config:?}: {}", fault.message());
    }
    for good in ["localhost", "*.example.com", "10.0.0.1", "fe80::1", "a-b.c_d"] {
        assert!(auto(&[good]).validate().unwrap(), "{good}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    naru_kernel::fs::write_atomic(&file, b"nothing", 0o600).unwrap();
    let config = TlsConfig { cert: Some(file.clone()), key: Some(file), ..none() };
    assert!(Tls::open(&config, dir.path()).unwrap_err().message().contains("no certificate"));
}
