//! "Listing Tags".

use crate::listening::{Listening, image};
use naru_oci::Digest;
use serde_json::json;

/// A repository with tags, pushed in this order.
fn tagged(tags: &[&str]) -> Listening {
    let registry = Listening::start();
    registry.push_image("a/b", tags[0], json!({}));
    for tag in &tags[1..] {
        registry.put("a/b", tag, &image(json!({}))).with(201);
    }
    registry
}

/// The tags of one answer, and the path that its link leads to.
fn list(registry: &Listening, path: &str) -> (Vec<String>, Option<String>) {
    let answer = registry.get(path).with(200);
    let value = answer.json();
    assert_eq!(value["name"], "a/b");
    assert_eq!(value.as_object().unwrap().len(), 2);
    let tags = value["tags"].as_array().unwrap();
    let tags = tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
    let next = answer.header("link").map(|link| {
        // RFC 5988 section 5: the target between angle brackets, then the relation.
        let (target, relation) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        assert_eq!(relation.replace(' ', ""), ";rel=\"next\"");
        target.to_owned()
    });
    (tags, next)
}

const SORTED: [&str; 8] = ["1.0", "1.10", "1.9", "_x", "alpha", "Beta", "gamma", "Gamma2"];
const PUSHED: [&str; 8] = ["gamma", "1.9", "Beta", "_x", "Gamma2", "1.0", "alpha", "1.10"];

#[test]
fn a_repository_that_is_there_is_200_in_the_format() {
    let registry = tagged(&["v1"]);
    let answer = registry.get("/v2/a/b/tags/list").with(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), json!({ "name": "a/b", "tags": ["v1"] }));
    registry.get("/v2/a/c/tags/list").refused(404, "NAME_UNKNOWN");
}

#[test]
fn a_repository_without_tags_has_an_empty_list() {
    let registry = tagged(&["v1"]);
    registry.ask("DELETE", "/v2/a/b/manifests/v1", &[], &[]).with(202);
    assert_eq!(
        registry.get("/v2/a/b/tags/list").with(200).json(),
        json!({ "name": "a/b", "tags": [] })
    );
}

#[test]
fn tags_are_in_lexical_order_without_regard_to_case() {
    let registry = tagged(&PUSHED);
    assert_eq!(list(&registry, "/v2/a/b/tags/list").0, SORTED);
}

#[test]
fn n_tags_are_given_and_a_link_when_there_are_more() {
    let registry = tagged(&PUSHED);
    for n in 1..=10 {
        let (tags, next) = list(&registry, &format!("/v2/a/b/tags/list?n={n}"));
        assert_eq!(tags, SORTED[..n.min(8)]);
        assert_eq!(next.is_some(), n < 8, "{n}");
    }
    registry.get("/v2/a/b/tags/list?n=-1").refused(400, "UNSUPPORTED");
    registry.get("/v2/a/b/tags/list?n=many").refused(400, "UNSUPPORTED");
}

#[test]
fn the_links_lead_through_all_tags_once() {
    let registry = tagged(&PUSHED);
    for n in 1..=4 {
        let (mut all, mut next) = list(&registry, &format!("/v2/a/b/tags/list?n={n}"));
        while let Some(path) = next {
            let (tags, then) = list(&registry, &path);
            assert!(!tags.is_empty() && tags.len() <= n, "{tags:?}");
            all.extend(tags);
            next = then;
        }
        assert_eq!(all, SORTED);
    }
}

#[test]
fn n_of_zero_is_an_empty_list_without_a_link() {
    let registry = tagged(&PUSHED);
    for path in ["/v2/a/b/tags/list?n=0", "/v2/a/b/tags/list?n=0&last=alpha"] {
        assert_eq!(list(&registry, path), (vec![], None));
    }
}

#[test]
fn last_is_not_included_and_what_follows_is_in_order() {
    let registry = tagged(&PUSHED);
    for (at, last) in SORTED.iter().enumerate() {
        let (tags, next) = list(&registry, &format!("/v2/a/b/tags/list?n=2&last={last}"));
        assert_eq!(tags, SORTED[at + 1..(at + 3).min(8)]);
        assert_eq!(next.is_some(), at + 3 < 8, "{last}");
    }
}

#[test]
fn last_needs_no_n() {
    let registry = tagged(&PUSHED);
    assert_eq!(list(&registry, "/v2/a/b/tags/list?last=alpha").0, SORTED[5..]);
    // One that is not there any more has its place nevertheless.
    assert_eq!(list(&registry, "/v2/a/b/tags/list?last=alphabet").0, SORTED[5..]);
    assert_eq!(list(&registry, "/v2/a/b/tags/list?last=zz").0, [""; 0]);
}

#[test]
fn last_is_a_tag_and_no_number() {
    let registry = tagged(&["1", "2", "3", "4"]);
    assert_eq!(list(&registry, "/v2/a/b/tags/list?n=2&last=3").0, ["4"]);
    let digest = Digest::of(&image(json!({})));
    registry.get(&format!("/v2/a/b/manifests/{digest}")).with(200);
}
