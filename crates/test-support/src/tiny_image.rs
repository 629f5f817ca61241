//! Pure: small images in memory, in the forms that other tools write them.

use crate::tar_file::{Item, TarFile};
use naru_oci::Digest;
use serde_json::{Value, json};
use std::io::Write;

/// A small image.
#[derive(Debug, Clone)]
pub struct TinyImage {
    /// Its names, such as `tiny:1`.
    pub names: Vec<String>,
    /// The uncompressed layers, bottom first.
    pub layers: Vec<Vec<u8>>,
    /// The `config` object of its configuration.
    pub config: Value,
    /// The architecture, in Go's words.
    pub architecture: String,
}

impl TinyImage {
    /// An image of one layer per list of entries.
    pub fn new(name: &str, layers: impl IntoIterator<Item = Vec<Item>>) -> TinyImage {
        TinyImage {
            names: vec![name.to_owned()],
            layers: layers.into_iter().map(|items| TarFile::of(items).finish()).collect(),
            config: json!({"Cmd": ["/hello"], "Env": ["PATH=/bin"]}),
            architecture: match std::env::consts::ARCH {
                "aarch64" => "arm64".to_owned(),
                _ => "amd64".to_owned(),
            },
        }
    }

    /// An image with one static program of the test's machine at `/bin/<name>`.
    pub fn with_program(name: &str, program: &[u8], path: &str) -> TinyImage {
        let mut image = TinyImage::new(
            name,
            [vec![
                Item::dir("bin/"),
                Item::file(path.trim_start_matches('/'), program).mode(0o755),
            ]],
        );
        image.config = json!({"Cmd": [path], "Env": ["PATH=/bin"]});
        image
    }

    /// The bytes of its configuration.
    pub fn config_bytes(&self) -> Vec<u8> {
        let diff_ids: Vec<String> =
            self.layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
        let config = json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": "2024-01-02T03:04:05Z",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": diff_ids.iter().map(|_| json!({"created_by": "test"})).collect::<Vec<_>>(),
        });
        config.to_string().into_bytes()
    }

    /// As `docker save` wrote it before version 25.
    pub fn docker_archive(&self) -> Vec<u8> {
        let mut items = Vec::new();
        let mut paths = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let id = Digest::of(format!("{number} {}", Digest::of(layer)).as_bytes()).hex();
            items.push(Item::dir(format!("{id}/")));
            items.push(Item::file(format!("{id}/VERSION"), "1.0"));
            items.push(Item::file(format!("{id}/json"), json!({"id": id}).to_string()));
            items.push(Item::file(format!("{id}/layer.tar"), layer));
            paths.push(format!("{id}/layer.tar"));
        }
        let config = self.config_bytes();
        let config_name = format!("{}.json", Digest::of(&config).hex());
        items.push(Item::file(&config_name, &config));
        let manifest = json!([{"Config": config_name, "RepoTags": self.names, "Layers": paths}]);
        items.push(Item::file("manifest.json", manifest.to_string()));
        TarFile::of(items).finish()
    }

    /// The files of an OCI layout with gzip-compressed layers: name and bytes.
    pub fn oci_files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files =
            vec![("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())];
        let mut blob = |media_type: &str, bytes: Vec<u8>| {
            let digest = Digest::of(&bytes);
            let descriptor =
                json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()});
            files.push((format!("blobs/sha256/{}", digest.hex()), bytes));
            descriptor
        };
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip(layer)))
            .collect();
        let config = blob("application/vnd.oci.image.config.v1+json", self.config_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": layers,
        });
        let manifest =
            blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().into_bytes());
        let entries: Vec<Value> = self
            .names
            .iter()
            .map(|name| {
                let mut entry = manifest.clone();
                if let Some(entry) = entry.as_object_mut() {
                    entry.insert(
                        "annotations".to_owned(),
                        json!({"io.containerd.image.name": name}),
                    );
                    entry.insert(
                        "platform".to_owned(),
                        json!({"os": "linux", "architecture": self.architecture}),
                    );
                }
                entry
            })
            .collect();
        let entries = if entries.is_empty() { vec![manifest] } else { entries };
        let index = json!({"schemaVersion": 2, "manifests": entries});
        files.push(("index.json".to_owned(), index.to_string().into_bytes()));
        files
    }

    /// An OCI layout as a tar archive.
    pub fn oci_archive(&self) -> Vec<u8> {
        TarFile::of(self.oci_files().into_iter().map(|(name, bytes)| Item::file(name, bytes)))
            .finish()
    }
}

/// Compresses bytes; always to the same.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    // Writing to memory cannot fail.
    drop(encoder.write_all(bytes));
    encoder.finish().unwrap_or_default()
}
