//! An image as people have them, of many layers and hundreds of megabytes: it goes everywhere and stays the same, and what is in it
//! runs. Acts: as root, with the built binary; every daemon has a network of its own.

use integration_tests::debian;
use serde_json::Value;
use std::path::Path;

/// A JSON document of a layout.
#[track_caller]
fn document(path: &Path) -> Value {
    let bytes = std::fs::read(path).expect("a document");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn blob(layout: &Path, digest: &str) -> std::path::PathBuf {
    layout.join("blobs").join(digest.replacen(':', "/", 1))
}

#[test]
fn it_is_as_large_as_it_is_said_to_be() {
    let layout = debian::layered_layout();
    let index = document(&layout.join("index.json"));
    let manifest = &index["manifests"][0];
    assert_eq!(manifest["annotations"]["org.opencontainers.image.ref.name"], debian::LAYERED_TAG);
    let manifest = document(&blob(&layout, manifest["digest"].as_str().expect("a digest")));
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), debian::LAYER_COUNT);
    let size: u64 = layers.iter().filter_map(|layer| layer["size"].as_u64()).sum();
    assert!(size > 300_000_000, "{size} bytes in layers");
}
