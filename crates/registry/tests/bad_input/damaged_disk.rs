//! A blob whose file cannot be read to its end: one connection ends, and nothing else. Acts.

use crate::goes_on;
use crate::listening::{How, Listening};
use crate::wire::Client;
use naru_oci::Digest;
use naru_registry::access::tls::CA_FILE;
use naru_registry::config::RegistryConfig;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const SIZE: usize = 24 << 20;

fn bytes() -> Vec<u8> {
    (0..SIZE).map(|n| n.to_le_bytes()[2]).collect()
}

/// A connection over TLS, by the registry's own authority.
fn tls(address: SocketAddr, dir: &Path) -> StreamOwned<ClientConnection, TcpStream> {
    let ca = std::fs::read(dir.join("root/registry/tls").join(CA_FILE)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

fn with_tls(dir: &Path) -> Listening {
    let text = json!({ "tls": { "auto": ["localhost", "127.0.0.1"] } }).to_string();
    let config = RegistryConfig::parse(&text).unwrap();
    Listening::at(dir, How { config, ..How::default() })
}

/// Everything that comes after a request, until the end or a failure.
fn everything(stream: &mut (impl Read + Write), request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).ok();
    let body = all.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    all.split_off(body)
}

/// The file of a blob below a directory.
fn file_of(dir: &Path, digest: &Digest) -> PathBuf {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().contains(&digest.hex()))
            {
                return path;
            }
        }
    }
    panic!("there is no file of {digest}");
}

fn request(path: &str, range: &str) -> Vec<u8> {
    Client::head("GET", path, &[("Connection", "close"), ("Range", range)])
}

#[test]
fn over_tls_a_blob_comes_whole_and_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Listening::at(dir.path(), How::default());
    let bytes = bytes();
    let path = format!("/v2/a/blobs/{}", plain.push_blob("a", &bytes));
    drop(plain);
    let registry = with_tls(dir.path());
    for (range, part) in [
        ("none", &bytes[..]),
        ("bytes=1-", &bytes[1..]),
        ("bytes=1000000-13333333", &bytes[1_000_000..13_333_334]),
        ("bytes=-1", &bytes[SIZE - 1..]),
    ] {
        let got = everything(&mut tls(registry.address, dir.path()), &request(&path, range));
        assert!(got == part, "{range}: {} bytes", got.len());
    }
}

#[test]
fn a_blob_that_ends_early_ends_one_connection() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Listening::at(dir.path(), How::default());
    let bytes = bytes();
    let digest = Digest::of(&bytes);
    let path = format!("/v2/a/blobs/{}", plain.push_blob("a", &bytes));
    let file = file_of(dir.path(), &digest);
    let truncate = || OpenOptions::new().write(true).open(&file).unwrap().set_len(100_000).unwrap();
    let mend = || OpenOptions::new().write(true).open(&file).unwrap().write_all(&bytes).unwrap();
    // It is on its way when its file is cut: what is mapped or opened is not there any more.
    let half = |stream: &mut dyn ReadWrite| {
        stream.write_all(&request(&path, "none")).unwrap();
        let mut start = [0; 1000];
        stream.read_exact(&mut start).unwrap();
        truncate();
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(ended.is_err() || rest.len() < SIZE, "{} bytes", rest.len());
        mend();
    };
    half(&mut plain.client().stream);
    // And when it was cut before.
    truncate();
    let refused = plain.get(&path).with(500);
    assert_eq!(refused.codes(), ["UNKNOWN"]);
    mend();
    assert!(plain.get(&path).with(200).body == bytes);
    goes_on(&plain);
    drop(plain);
    let registry = with_tls(dir.path());
    half(&mut tls(registry.address, dir.path()));
    let got = everything(&mut tls(registry.address, dir.path()), &request(&path, "none"));
    assert!(got == bytes);
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}
