//! The Rust crate `oci-client`: what it pushes runs here, by tag and by digest, from a registry that asks for a password, for a
//! token, or for nothing.

use super::{ADDRESS, Site};
use ::oci_client::client::{
    Certificate, CertificateEncoding, ClientConfig, ClientProtocol, Config, ImageLayer,
};
use ::oci_client::manifest::{IMAGE_LAYER_GZIP_MEDIA_TYPE, IMAGE_LAYER_MEDIA_TYPE};
use ::oci_client::secrets::RegistryAuth;
use ::oci_client::{Client, Reference};
use integration_tests::own_registry::Challenge;
use integration_tests::peer_registry::{PASSWORD, USER};
use integration_tests::{Daemon, binary, image, run, until};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

/// Where a registry for everybody listens.
const OPEN: &str = "127.0.0.1:5000";

/// Its steps on the daemon's network, each within a bound of time.
#[track_caller]
fn on_site<T: Send, F: Future<Output = T>>(daemon: &Daemon, work: impl FnOnce() -> F + Send) -> T {
    daemon.nearby(|| {
        // The crate leaves it to whoever uses it; another test of this process may have done it.
        rustls::crypto::ring::default_provider().install_default().ok();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let work = async { tokio::time::timeout(Duration::from_secs(60), work()).await };
        runtime.expect("a runtime").block_on(work).expect("the registry answers in time")
    })
}

/// An image of one layer with busybox, and its configuration.
fn busybox() -> (ImageLayer, Config) {
    let layer = ImageLayer::oci_v1(image::busybox_tar(), None);
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["echo", "made by a crate"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.sha256_digest()]},
    });
    (layer, Config::oci_v1(config.to_string().into_bytes(), None))
}

/// Pushes under three tags, lists them, and pulls by tag and by digest; answers the digest.
async fn comes_and_goes(client: &Client, address: &str, auth: &RegistryAuth) -> String {
    let name =
        |rest: &str| format!("{address}/crate/busybox{rest}").parse::<Reference>().expect("a name");
    let (layer, config) = busybox();
    for tag in [":one", ":three", ":two"] {
        let done =
            client.push(&name(tag), std::slice::from_ref(&layer), config.clone(), auth, None).await;
        let done = done.unwrap_or_else(|error| panic!("{tag}: {error}"));
        assert!(
            done.manifest_url.contains("/v2/crate/busybox/manifests/"),
            "{}",
            done.manifest_url
        );
    }
    let tags = client.list_tags(&name(""), auth, None, None).await.expect("a list");
    assert_eq!(
        (tags.name.as_str(), tags.tags.join(" ")),
        ("crate/busybox", "one three two".to_owned())
    );
    let page = client.list_tags(&name(""), auth, Some(1), Some("one")).await.expect("a list");
    assert_eq!(page.tags, ["three"]);
    let digest = client.fetch_manifest_digest(&name(":two"), auth).await.expect("a digest");
    let accepted = || vec![IMAGE_LAYER_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE];
    for rest in [":two".to_owned(), format!("@{digest}")] {
        let pulled = client.pull(&name(&rest), auth, accepted()).await.expect("the image");
        assert_eq!(pulled.digest.as_deref(), Some(digest.as_str()), "{rest}");
        assert_eq!(pulled.layers, std::slice::from_ref(&layer), "{rest}");
        assert_eq!(pulled.config.data, config.data, "{rest}");
    }
    assert!(client.blob_exists(&name(":two"), &layer.sha256_digest()).await.expect("an answer"));
    assert!(
        !client
            .blob_exists(&name(":two"), &format!("sha256:{}", "0".repeat(64)))
            .await
            .expect("an answer")
    );
    let nothing =
        client.pull(&name(":nothing"), auth, accepted()).await.err().expect("no such tag");
    assert!(nothing.to_string().to_lowercase().contains("manifest unknown"), "{nothing}");
    digest
}

fn with_passwords(challenge: Challenge) {
    let site = Site::new(challenge);
    let authority = std::fs::read(site.registry.authority()).expect("a certificate");
    let client = || {
        let certificate =
            Certificate { encoding: CertificateEncoding::Pem, data: authority.clone() };
        Client::new(ClientConfig { tls_certs_only: vec![certificate], ..ClientConfig::default() })
    };
    let digest = on_site(&site.daemon, || async {
        let auth = RegistryAuth::Basic(USER.to_owned(), PASSWORD.to_owned());
        let digest = comes_and_goes(&client(), ADDRESS, &auth).await;
        let (layer, config) = busybox();
        let name: Reference = format!("{ADDRESS}/crate/stranger:1").parse().expect("a name");
        for auth in
            [RegistryAuth::Anonymous, RegistryAuth::Basic(USER.to_owned(), "wrong".to_owned())]
        {
            let refused = client()
                .push(&name, std::slice::from_ref(&layer), config.clone(), &auth, None)
                .await;
            assert!(refused.is_err(), "{auth:?}");
        }
        digest
    });
    site.login();
    site.naru(&["pull", "-q", &site.name(&format!("crate/busybox@{digest}"))]).ok();
    let ran = site.naru(&["run", "--rm", "--network", "none", &site.name("crate/busybox:one")]);
    assert_eq!(ran.ok().text(), "made by a crate");
}

#[test]
fn with_a_password() {
    with_passwords(Challenge::Basic);
}

#[test]
fn with_a_token() {
    with_passwords(Challenge::Token);
}

/// Ends with the test.
struct Open(Child);

impl Drop for Open {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn without_either() {
    let daemon = Daemon::start_apart(&[]);
    let child = daemon
        .neighbour(binary().to_str().expect("a path"))
        .args(["registry", "serve", "--listen", OPEN, "--root"])
        .arg(daemon.dir().join("registry"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the built binary");
    let _open = Open(child);
    let target: SocketAddr = OPEN.parse().expect("an address");
    let ready =
        daemon.nearby(|| until(Duration::from_secs(30), || TcpStream::connect(target).ok()));
    assert!(ready.is_some(), "the registry does not answer");
    let protocol = ClientProtocol::HttpsExcept(vec![OPEN.to_owned()]);
    on_site(&daemon, || async {
        let client = Client::new(ClientConfig {
            protocol,
            tls_certs_only: Vec::new(),
            ..ClientConfig::default()
        });
        comes_and_goes(&client, OPEN, &RegistryAuth::Anonymous).await
    });
    let ran = run(&mut daemon.command(&[
        "run",
        "--rm",
        "--network",
        "none",
        &format!("{OPEN}/crate/busybox:one"),
    ]));
    assert_eq!(ran.ok().text(), "made by a crate");
}
