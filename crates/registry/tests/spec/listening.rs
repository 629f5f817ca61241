//! A registry that listens: the real serving loop on a socket, over a store in a directory of its own. Acts.

use crate::wire::{Answer, Client, Headers};
use naru_oci::{Digest, media_type};
use naru_registry::Registry;
use naru_registry::config::RegistryConfig;
use naru_registry::edge::{Edge, ServeOptions, serve};
use naru_store::Store;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const OCTETS: Headers<'_> = &[("Content-Type", "application/octet-stream")];

/// What is not as it is by default.
pub struct How<'a> {
    pub config: RegistryConfig,
    pub options: ServeOptions,
    pub change: &'a dyn Fn(Registry, &Store) -> Registry,
}

impl Default for How<'_> {
    fn default() -> Self {
        How {
            config: RegistryConfig::default(),
            options: ServeOptions::default(),
            change: &|registry, _| registry,
        }
    }
}

pub struct Listening {
    pub address: SocketAddr,
    pub store: Store,
    runtime: Runtime,
    served: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// Lives as long as what lies in it.
    dir: Option<tempfile::TempDir>,
}

impl Listening {
    pub fn start() -> Listening {
        let dir = tempfile::tempdir().unwrap();
        let mut listening = Listening::at(dir.path(), How::default());
        listening.dir = Some(dir);
        listening
    }

    /// A registry whose root is in a directory that the caller keeps.
    pub fn at(dir: &Path, how: How<'_>) -> Listening {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
        let runtime = runtime.unwrap();
        let store = Store::open(&dir.join("root")).unwrap();
        let edge = Edge::open(&how.config, store.clone()).unwrap();
        let registry = (how.change)(Registry::new(&store, edge.gate.clone()), &store);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = runtime.spawn(serve(listener, edge, registry, how.options, async {
            stopped.await.ok();
        }));
        Listening { address, store, runtime, served: Some((stop, task)), dir: None }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, path: &str, headers: Headers<'_>, body: &[u8]) -> Answer {
        self.client().ask(method, path, headers, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], &[])
    }

    /// Stores a blob and gives its digest.
    pub fn push_blob(&self, name: &str, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes).to_string();
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        self.ask("POST", &path, OCTETS, bytes).with(201);
        digest
    }

    /// The path of a new upload session.
    pub fn begin(&self, name: &str) -> String {
        let answer = self.ask("POST", &format!("/v2/{name}/blobs/uploads/"), &[], &[]).with(202);
        answer.header("location").unwrap().to_owned()
    }

    /// Puts a manifest under its own media type.
    pub fn put(&self, name: &str, reference: &str, manifest: &[u8]) -> Answer {
        let value: Value = serde_json::from_slice(manifest).unwrap();
        let kind = value["mediaType"].as_str().unwrap();
        let path = format!("/v2/{name}/manifests/{reference}");
        self.ask("PUT", &path, &[("Content-Type", kind)], manifest)
    }

    /// Stores an image of one layer under a tag, with further fields, and gives its digest.
    pub fn push_image(&self, name: &str, tag: &str, fields: Value) -> String {
        self.push_blob(name, b"{}");
        self.push_blob(name, b"layer");
        let manifest = image(fields);
        self.put(name, tag, &manifest).with(201);
        Digest::of(&manifest).to_string()
    }

    /// What the store finds wrong with itself; at the end of every test it is nothing.
    fn damage(&self) -> Vec<String> {
        let mut found = Vec::new();
        let how =
            naru_store::Verify { repair: false, unpack: &|_, _, _| Ok(0), is_mounted: &|_| false };
        self.store.verify(&how, &mut |finding| found.push(finding.message)).unwrap();
        found
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some((stop, task)) = self.served.take() {
            stop.send(()).ok();
            let ended = self
                .runtime
                .block_on(async { tokio::time::timeout(Duration::from_secs(30), task).await });
            // A second panic would hide the first.
            if !std::thread::panicking() {
                ended.unwrap().unwrap();
                assert_eq!(self.damage(), [""; 0]);
            }
        }
    }
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len() })
}

/// An image manifest of the config `{}` and the layer `layer`, with further fields.
pub fn image(fields: Value) -> Vec<u8> {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", b"layer")],
    });
    add(&mut manifest, fields);
    manifest.to_string().into_bytes()
}

/// An index of some manifests, with further fields.
pub fn index(manifests: &[Value], fields: Value) -> Vec<u8> {
    let mut index = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": manifests,
    });
    add(&mut index, fields);
    index.to_string().into_bytes()
}

fn add(value: &mut Value, fields: Value) {
    if let (Value::Object(value), Value::Object(fields)) = (value, fields) {
        value.extend(fields);
    }
}
