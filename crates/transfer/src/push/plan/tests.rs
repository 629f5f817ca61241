use super::*;
use naru_oci::{Index, Manifest, media_type};

fn blob(name: &str) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER, Digest::of(name.as_bytes()), 1)
}

fn manifest(layers: &[&str], documents: &mut Documents) -> Descriptor {
    let layers: Vec<Descriptor> = layers.iter().map(|name| blob(name)).collect();
    let name: String = layers.iter().map(|layer| layer.digest.short()).collect();
    let config = Descriptor::new(media_type::OCI_CONFIG, Digest::of(name.as_bytes()), 2);
    add(&Manifest::oci(config, layers), media_type::OCI_MANIFEST, documents)
}

fn index(entries: &[&Descriptor], documents: &mut Documents) -> Descriptor {
    let entries = entries.iter().map(|entry| (*entry).clone()).collect();
    add(&Index::oci(entries), media_type::OCI_INDEX, documents)
}

fn add(value: &impl serde::Serialize, kind: &str, documents: &mut Documents) -> Descriptor {
    let bytes = serde_json::to_vec(value).unwrap();
    let digest = Digest::of(&bytes);
    let descriptor = Descriptor::new(kind, digest, bytes.len() as u64);
    documents.insert(digest, bytes);
    descriptor
}

fn digests(documents: &[Document]) -> Vec<Digest> {
    documents.iter().map(|document| document.descriptor.digest).collect()
}

#[test]
fn everything_is_sent_once_and_children_come_first() {
    let mut documents = Documents::new();
    let a = manifest(&["base", "a"], &mut documents);
    let b = manifest(&["base", "b", "base"], &mut documents);
    let inner = index(&[&b], &mut documents);
    let outer = index(&[&a, &inner, &a], &mut documents);
    let plan = Plan::of(&[outer.clone(), b.clone(), outer.clone()], &documents).unwrap();
    let sent: Vec<Digest> = plan.blobs.iter().map(|blob| blob.digest).collect();
    let mut sorted = sent.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sent.len(), 5, "two layers of their own, one shared, two configurations");
    assert_eq!(sorted.len(), sent.len());
    assert_eq!(plan.layers.len(), 3);
    assert_eq!(plan.bytes(), 3 + 2 * 2);
    assert_eq!(digests(&plan.manifests), [a.digest, b.digest, inner.digest]);
    assert_eq!(digests(&plan.roots), [outer.digest, b.digest]);
}

#[test]
fn manifests_travel_byte_for_byte() {
    let mut documents = Documents::new();
    let config = blob("config");
    let odd = format!(
        "{{ \"layers\" : [ ],\n\"schemaVersion\":2, \"config\": {} }}",
        serde_json::to_string(&config).unwrap()
    );
    let digest = Digest::of(odd.as_bytes());
    documents.insert(digest, odd.clone().into_bytes());
    let root = Descriptor::new(media_type::OCI_MANIFEST, digest, odd.len() as u64);
    let plan = Plan::of(std::slice::from_ref(&root), &documents).unwrap();
    assert_eq!(plan.roots, [Document { descriptor: root, bytes: odd.into_bytes() }]);
    assert!(plan.manifests.is_empty());
}

#[test]
fn foreign_layers_stay_where_they_are() {
    let mut documents = Documents::new();
    let mut layers: Vec<Descriptor> = vec![blob("ours")];
    for kind in FOREIGN {
        layers.push(Descriptor::new(kind, Digest::of(kind.as_bytes()), 9));
    }
    let manifest = Manifest::oci(blob("config"), layers);
    let root = add(&manifest, media_type::OCI_MANIFEST, &mut documents);
    let plan = Plan::of(&[root], &documents).unwrap();
    assert_eq!(plan.blobs.len(), 2);
    assert_eq!(plan.layers.len(), 1);
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut documents = Documents::new();
    let absent = blob("absent");
    assert_eq!(Plan::of(&[absent], &documents).unwrap_err().kind(), Kind::NotFound);
    let mut root = manifest(&["a"], &mut documents);
    root.size += 1;
    assert_eq!(Plan::of(&[root.clone()], &documents).unwrap_err().kind(), Kind::DataLoss);
    root.size -= 1;
    for _ in 0..=MOST_NESTED {
        root = index(&[&root], &mut documents);
    }
    assert_eq!(Plan::of(&[root], &documents).unwrap_err().kind(), Kind::InvalidInput);
}

fn part(platform: &str, is_whole: bool) -> Part {
    let mut entry = blob(platform);
    entry.platform = match platform {
        "unknown/unknown" => Some(Platform::new("unknown", "unknown")),
        _ => Some(platform.parse().unwrap()),
    };
    Part { entry, is_whole }
}

#[test]
fn what_of_an_index_is_sent() {
    let check = |parts: &[(&str, bool)], platform: Option<&str>, expected: Result<&str, Kind>| {
        let parts: Vec<Part> = parts.iter().map(|(name, whole)| part(name, *whole)).collect();
        let platform: Option<Platform> = platform.map(|text| text.parse().unwrap());
        let chosen = choose(Digest::of(b""), &parts, platform.as_ref());
        let chosen = chosen.map(|choice| match choice {
            Choice::Whole => "whole".to_owned(),
            Choice::Only(entry) => entry.platform.unwrap().to_string(),
        });
        assert_eq!(
            chosen.as_deref().map_err(Fault::kind),
            expected.as_deref().map_err(|kind| *kind),
            "{parts:?}"
        );
    };
    let attestation = ("unknown/unknown", false);
    check(&[("linux/amd64", true), ("linux/arm64", true)], None, Ok("whole"));
    check(&[("linux/amd64", true), ("linux/arm64", false)], None, Ok("linux/amd64"));
    check(&[("linux/amd64", true), attestation], None, Ok("linux/amd64"));
    check(&[("linux/amd64", false), ("unknown/unknown", true)], None, Err(Kind::NotFound));
    check(
        &[("linux/amd64", true), ("linux/arm64", true), ("linux/386", false)],
        None,
        Err(Kind::Conflict),
    );
    let arms = [("linux/arm/v6", true), ("linux/arm/v7", true)];
    check(&arms, Some("linux/arm/v7"), Ok("linux/arm/v7"));
    check(&arms, Some("linux/arm"), Ok("linux/arm/v6"));
    check(&arms, Some("linux/arm64"), Err(Kind::NotFound));
    check(&[("linux/arm64", false)], Some("linux/arm64"), Err(Kind::NotFound));
}
