//! Acts: the store as a whole, on real directories.

mod contract;
mod crash;
mod damage;
mod repositories;
mod scenario;
mod trouble;

use super::*;
use naru_oci::{
    ChainId, Config, ContainerDefaults, Descriptor, DiffId, Digest, ImageId, Manifest, Reference,
    RootFs, media_type,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn open(root: &Path) -> Store {
    Store::open(root).unwrap()
}

fn name(text: &str) -> Reference {
    text.parse::<Reference>().unwrap().or_latest()
}

/// The layers of these tests: a line `name=content` for each file.
fn unpack(
    mut layer: LayerSource,
    into: &Path,
    _lower: &[PathBuf],
) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let mut text = String::new();
    layer.file.read_to_string(&mut text)?;
    if DiffId(Digest::of(text.as_bytes())) != layer.diff_id {
        return Err("another diffID".into());
    }
    let mut size = 0;
    for line in text.lines() {
        let (name, content) = line.split_once('=').ok_or("no `=`")?;
        let mut file = naru_kernel::fs::create_new(&into.join(name), 0o644)?;
        file.write_all(content.as_bytes())?;
        file.set_modified(std::time::UNIX_EPOCH)?;
        size += u64::try_from(content.len())?;
    }
    Ok(size)
}

/// Makes an image of these layers under a lease, without recording it.
fn build(store: &Store, lease: &LeaseId, layers: &[&str]) -> ImageRecord {
    let mut descriptors = Vec::new();
    let mut diff_ids = Vec::new();
    let mut parent = None;
    for text in layers {
        let blob = store.content.put(lease, text.as_bytes()).unwrap();
        let diff_id = DiffId(blob.digest);
        let chain = parent.map_or(ChainId::first(diff_id), |parent: ChainId| parent.then(diff_id));
        let descriptor = Descriptor::new(media_type::OCI_LAYER, blob.digest, blob.size);
        if let Begin::Pending(pending) = store.snapshots.begin(chain, parent, lease).unwrap() {
            let file = store.content.open(&blob.digest).unwrap();
            let source = LayerSource { file, blob: descriptor.clone(), diff_id };
            let size = unpack(source, &pending.dir(), &[]).unwrap();
            pending.commit(size).unwrap();
        }
        parent = Some(chain);
        descriptors.push(descriptor);
        diff_ids.push(diff_id);
    }
    let config = Config {
        created: Some("2024-01-01T00:00:00Z".to_owned()),
        author: None,
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        variant: None,
        config: ContainerDefaults::default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
        history: Vec::new(),
        other: BTreeMap::new(),
    };
    let config = store.content.put(lease, &serde_json::to_vec(&config).unwrap()).unwrap();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        artifact_type: None,
        config: Descriptor::new(media_type::OCI_CONFIG, config.digest, config.size),
        layers: descriptors,
        subject: None,
        annotations: BTreeMap::new(),
    };
    let manifest = store.content.put(lease, &serde_json::to_vec(&manifest).unwrap()).unwrap();
    ImageRecord {
        target: Descriptor::new(media_type::OCI_MANIFEST, manifest.digest, manifest.size),
        manifest: manifest.digest,
        image_id: ImageId(config.digest),
        config: config.digest,
        chain: parent,
        size: 0,
        created: None,
        platform: None,
        parent: None,
        added: 0,
    }
}

/// Makes an image of these layers and names it.
fn image(store: &Store, text: &str, layers: &[&str]) -> ImageRecord {
    let lease = store.leases.create(MINUTE);
    let record = build(store, lease.id(), layers);
    store.images.put(&name(text), &record).unwrap();
    record
}

/// Every finding, in words.
fn verify(store: &Store, repair: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let how = Verify { repair, unpack: &unpack, is_mounted: &|_| false };
    store.verify(&how, &mut |finding| findings.push(finding)).unwrap();
    findings
}

#[track_caller]
fn assert_whole(store: &Store) {
    let findings = verify(store, false);
    assert!(findings.is_empty(), "{findings:#?}");
}

/// Files in the places where things are made or removed.
fn leftovers(root: &Path) -> Vec<String> {
    ["content/ingests", "snapshots/pending", "trash"]
        .iter()
        .flat_map(|directory| std::fs::read_dir(root.join(directory)).unwrap())
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect()
}
