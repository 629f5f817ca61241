//! "Listing Referrers", and "Enabling the Referrers API".

use crate::listening::{Listening, descriptor, image, index};
use crate::wire::Answer;
use naru_oci::{Digest, media_type};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SBOM: &str = "application/vnd.example.sbom.v1";

/// The descriptors of a list, and the path of its link.
fn entries(answer: &Answer) -> (Vec<Value>, Option<String>) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some(media_type::OCI_INDEX));
    let value = answer.json();
    assert_eq!(
        (&value["schemaVersion"], &value["mediaType"]),
        (&json!(2), &json!(media_type::OCI_INDEX))
    );
    let next = answer.header("link").map(|link| {
        let (target, relation) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        assert_eq!(relation.replace(' ', ""), ";rel=\"next\"");
        target.to_owned()
    });
    (value["manifests"].as_array().unwrap().clone(), next)
}

fn subject() -> Value {
    descriptor(media_type::OCI_MANIFEST, &image(json!({})))
}

fn path() -> String {
    format!("/v2/a/referrers/{}", subject()["digest"].as_str().unwrap())
}

#[test]
fn a_list_is_200_and_never_404() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let nobody = Digest::of(b"x");
    for path in
        [path(), format!("/v2/a/referrers/{nobody}"), format!("/v2/not/there/referrers/{nobody}")]
    {
        assert_eq!(entries(&registry.get(&path)), (vec![], None));
    }
}

#[test]
fn an_invalid_digest_is_400() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let hex = "0".repeat(64);
    for digest in [
        "x",
        "v1",
        "sha256:",
        "sha256:xyz",
        "%zz",
        "..",
        &hex,
        &format!("md5:{hex}"),
        &format!("sha256:{hex}0"),
    ] {
        registry.get(&format!("/v2/a/referrers/{digest}")).refused(400, "DIGEST_INVALID");
    }
}

#[test]
fn descriptors_are_of_manifests_with_this_subject_in_this_repository() {
    let registry = Listening::start();
    let referrer = image(json!({ "subject": subject(), "artifactType": SBOM }));
    for name in ["a", "b"] {
        registry.push_blob(name, b"{}");
        registry.push_blob(name, b"layer");
    }
    registry.put("a", "sbom", &referrer).with(201);
    registry
        .put("b", "other", &image(json!({ "subject": subject(), "annotations": { "of": "b" } })))
        .with(201);
    let another = descriptor(media_type::OCI_MANIFEST, b"another");
    registry.put("a", "another", &image(json!({ "subject": another }))).with(201);
    let expected = json!({
        "mediaType": media_type::OCI_MANIFEST,
        "digest": Digest::of(&referrer).to_string(),
        "size": referrer.len(),
        "artifactType": SBOM,
    });
    assert_eq!(entries(&registry.get(&path())).0, [expected]);
}

#[test]
fn the_artifact_type_is_that_of_the_manifest_or_of_its_config_or_left_out() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let config = "application/vnd.oci.image.config.v1+json";
    for (document, expected) in [
        (image(json!({ "subject": subject(), "artifactType": SBOM })), Some(SBOM)),
        (image(json!({ "subject": subject(), "artifactType": "" })), Some(config)),
        (image(json!({ "subject": subject() })), Some(config)),
        (index(&[], json!({ "subject": subject(), "artifactType": SBOM })), Some(SBOM)),
        (index(&[], json!({ "subject": subject(), "artifactType": "" })), None),
        (index(&[], json!({ "subject": subject() })), None),
    ] {
        registry.put("a", "x", &document).with(201);
        let digest = Digest::of(&document).to_string();
        let (list, _) = entries(&registry.get(&path()));
        let entry = list.iter().find(|entry| entry["digest"] == *digest).unwrap();
        assert_eq!(entry.get("artifactType").map(|kind| kind.as_str().unwrap()), expected);
    }
}

#[test]
fn descriptors_have_the_annotations_of_manifests_and_indexes() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let annotations = json!({ "org.example": "one", "empty": "" });
    let fields = json!({ "subject": subject(), "annotations": annotations });
    registry.put("a", "x", &image(fields.clone())).with(201);
    registry.put("a", "y", &index(&[], fields)).with(201);
    let (list, _) = entries(&registry.get(&path()));
    assert_eq!(list.len(), 2);
    assert!(list.iter().all(|entry| entry["annotations"] == annotations), "{list:?}");
}

#[test]
fn a_long_list_comes_in_pages_of_different_descriptors() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    let mut pushed = BTreeSet::new();
    // The last one is as long as a manifest can be, and so is its descriptor, or longer.
    let around = image(json!({ "subject": subject(), "annotations": { "k": "" } })).len();
    for size in
        [1 << 20, (1 << 20) + 1, (1 << 20) + 2, (1 << 20) + 3, (1 << 20) + 4, (4 << 20) - around]
    {
        let fields = json!({ "subject": subject(), "annotations": { "k": "x".repeat(size) } });
        let document = image(fields);
        registry.put("a", "x", &document).with(201);
        pushed.insert(Digest::of(&document).to_string());
    }
    for filter in ["", "?artifactType=application/vnd.oci.image.config.v1%2Bjson"] {
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut next = Some(path() + filter);
        while let Some(path) = next {
            let answer = registry.get(&path);
            assert_eq!(answer.header("oci-filters-applied").is_some(), !filter.is_empty());
            let (list, then) = entries(&answer);
            assert!(!list.is_empty());
            seen.extend(list.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()));
            next = then;
            pages += 1;
        }
        assert!(pages > 2, "{pages}");
        assert_eq!(seen.len(), pushed.len());
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), pushed);
    }
}

#[test]
fn a_list_is_filtered_by_artifact_type_and_says_so() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    for kind in [SBOM, "application/vnd.example.signature.v1"] {
        registry
            .put("a", "x", &image(json!({ "subject": subject(), "artifactType": kind })))
            .with(201);
    }
    let answer = registry.get(&format!("{}?artifactType={SBOM}", path()));
    assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
    let (list, _) = entries(&answer);
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["artifactType"], SBOM);
    let none = registry.get(&format!("{}?artifactType=no/such", path()));
    assert_eq!(none.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(entries(&none).0, [Value::Null; 0]);
    let all = registry.get(&path());
    assert_eq!(all.header("oci-filters-applied"), None);
    assert_eq!(entries(&all).0.len(), 2);
}

#[test]
fn manifests_in_an_index_by_the_tag_schema_are_in_the_list() {
    let registry = Listening::start();
    registry.push_image("a", "v1", json!({}));
    // What a client does that believes there is no referrers API.
    let referrer = image(json!({ "subject": subject(), "artifactType": SBOM }));
    registry.put("a", &Digest::of(&referrer).to_string(), &referrer).with(201);
    let schema = subject()["digest"].as_str().unwrap().replace(':', "-");
    let list = index(&[descriptor(media_type::OCI_MANIFEST, &referrer)], json!({}));
    registry.put("a", &schema, &list).with(201);
    let (found, _) = entries(&registry.get(&path()));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["digest"], Digest::of(&referrer).to_string());
    assert_eq!(registry.get(&format!("/v2/a/manifests/{schema}")).with(200).body, list);
}

#[test]
fn every_manifest_with_a_subject_that_is_pushed_is_in_the_list() {
    let registry = Listening::start();
    // By tag and by digest, before its subject and after it, and again when it was taken away.
    registry.push_blob("a", b"{}");
    registry.push_blob("a", b"layer");
    let numbered =
        |n: u32| image(json!({ "subject": subject(), "annotations": { "n": n.to_string() } }));
    registry.put("a", "one", &numbered(1)).with(201);
    registry.push_image("a", "v1", json!({}));
    let two = Digest::of(&numbered(2)).to_string();
    registry.put("a", &two, &numbered(2)).with(201);
    assert_eq!(entries(&registry.get(&path())).0.len(), 2);
    registry.ask("DELETE", &format!("/v2/a/manifests/{two}"), &[], &[]).with(202);
    assert_eq!(entries(&registry.get(&path())).0.len(), 1);
    registry.put("a", &two, &numbered(2)).with(201);
    assert_eq!(entries(&registry.get(&path())).0.len(), 2);
}
