//! Lists: repositories, tags, and what is about a manifest.
//!
//! Acts: on rows in memory; pages are walked by where the last one ended.

use crate::answer::Answer;
use crate::problem::{Code, Problem};
use crate::query::encode;
use crate::service::{Call, Outcome, Service};
use bytes::Bytes;
use http::StatusCode;
use naru_oci::{Descriptor, Digest, ManifestOrIndex, media_type};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An answer with referrers is no longer than a manifest may be (distribution-spec, "Listing referrers").
const REFERRERS_LIMIT: usize = 4 << 20;
/// Referrers looked at for one answer.
const REFERRERS_PAGE: usize = 1000;

/// `/v2/_catalog`: those that may be read by whoever asks.
pub(crate) fn catalog(service: &Service, call: &Call) -> Outcome {
    let (number, last) = call.query.page()?;
    let mut names: Vec<String> = Vec::new();
    let mut more = false;
    for name in service.repositories.names_after(last, usize::MAX) {
        if !call.identity.sees(&name) {
            continue;
        }
        if names.len() == number {
            more = true;
            break;
        }
        names.push(name);
    }
    let link = (more && number > 0)
        .then(|| names.last())
        .flatten()
        .map(|last| format!("</v2/_catalog?n={number}&last={}>; rel=\"next\"", encode(last)));
    page(&json!({ "repositories": names }), link, call)
}

/// `/v2/<name>/tags/list`.
pub(crate) fn tags(service: &Service, name: &str, call: &Call) -> Outcome {
    let (number, last) = call.query.page()?;
    if !service.repositories.exists(name) {
        return Err(Box::new(
            Problem::new(Code::NameUnknown, "repository name not known to registry")
                .with_detail(json!({ "name": name })),
        ));
    }
    let capitals =
        last.is_some_and(has_capitals) || service.repositories.any_tag(name, has_capitals);
    let mut tags = if capitals {
        after(service.repositories.tags(name), last)
    } else {
        // Without capitals the order of the bytes is the same, and only the page is looked at.
        service.repositories.tags_after(name, last, number.saturating_add(1))
    };
    tag_page(name, &mut tags, call)
}

fn has_capitals(tag: &str) -> bool {
    tag.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Tags in the order of the specification, which looks at no case ("Listing Tags"), from the one after `last` on.
pub(crate) fn after(tags: Vec<String>, last: Option<&str>) -> Vec<String> {
    let key = |tag: &str| (tag.to_ascii_lowercase(), tag.to_owned());
    let last = last.map(key);
    let mut keys: Vec<_> = tags.iter().map(|tag| key(tag)).collect();
    keys.retain(|key| last.as_ref().is_none_or(|last| key > last));
    keys.sort_unstable();
    keys.into_iter().map(|(_, tag)| tag).collect()
}

/// The answer with one page of the sorted tags of a repository, of which there may be more.
pub(crate) fn tag_page(name: &str, tags: &mut Vec<String>, call: &Call) -> Outcome {
    let (number, _) = call.query.page()?;
    let more = tags.len() > number;
    tags.truncate(number);
    let link = (more && number > 0).then(|| tags.last()).flatten().map(|last| {
        format!("</v2/{name}/tags/list?n={number}&last={}>; rel=\"next\"", encode(last))
    });
    page(&json!({ "name": name, "tags": tags }), link, call)
}

fn page(value: &Value, link: Option<String>, call: &Call) -> Outcome {
    let mut answer = Answer::json(value, call.is_head());
    if let Some(link) = link {
        answer = answer.with("link", &link);
    }
    Ok(answer.done())
}

/// `/v2/<name>/referrers/<digest>`: an index, empty when there are none.
pub(crate) fn referrers(service: &Service, name: &str, digest: &Digest, call: &Call) -> Outcome {
    let wanted = call.query.get("artifactType").filter(|kind| !kind.is_empty());
    let mut last: Option<Digest> = call.query.get("last").and_then(|last| last.parse().ok());
    let (mut found, mut length, mut more) = (Vec::new(), 0, false);
    'pages: loop {
        let some =
            service.repositories.referrers_after(name, digest, last.as_ref(), REFERRERS_PAGE);
        let is_last = some.len() < REFERRERS_PAGE;
        for referrer in some {
            let entry = describe(service, name, &referrer);
            let entry = entry.filter(|entry| {
                wanted.is_none_or(|wanted| entry.artifact_type.as_deref() == Some(wanted))
            });
            if let Some(entry) = entry {
                let size = serde_json::to_vec(&entry).map_or(0, |bytes| bytes.len());
                // One that is too long alone is given nevertheless: pages must come to their end.
                if length + size + 1024 > REFERRERS_LIMIT && !found.is_empty() {
                    more = true;
                    break 'pages;
                }
                length += size + 1;
                found.push(entry);
            }
            last = Some(referrer);
        }
        if is_last {
            break;
        }
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": found,
    });
    let bytes = Bytes::from(index.to_string());
    let mut answer = Answer::bytes(StatusCode::OK, media_type::OCI_INDEX, bytes, call.is_head());
    if let Some(wanted) = wanted {
        answer = answer.with("oci-filters-applied", "artifactType");
        if let Some(last) = last.filter(|_| more) {
            let link = format!(
                "</v2/{name}/referrers/{digest}?artifactType={}&last={last}>; rel=\"next\"",
                encode(wanted)
            );
            answer = answer.with("link", &link);
        }
    } else if let Some(last) = last.filter(|_| more) {
        answer = answer
            .with("link", &format!("</v2/{name}/referrers/{digest}?last={last}>; rel=\"next\""));
    }
    Ok(answer.done())
}

/// A referrer as the list shows it: with its artifact type and annotations.
fn describe(service: &Service, name: &str, digest: &Digest) -> Option<Descriptor> {
    let member = service.repositories.member(name, digest).ok().flatten()?;
    let bytes = service.documents.read(digest).ok()?;
    let mut entry = Descriptor::new(member.media_type?, *digest, bytes.len() as u64);
    entry.artifact_type = member.artifact_type;
    entry.annotations = match ManifestOrIndex::parse(&bytes) {
        Ok(ManifestOrIndex::Manifest(manifest)) => manifest.annotations,
        Ok(ManifestOrIndex::Index(index)) => index.annotations,
        Err(_) => BTreeMap::new(),
    };
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::after;

    #[test]
    fn tags_stand_in_an_order_without_case() {
        let tags = || ["B", "Zz", "_x", "a", "b", "1.0"].map(str::to_owned).to_vec();
        assert_eq!(after(tags(), None), ["1.0", "_x", "a", "B", "b", "Zz"]);
        assert_eq!(after(tags(), Some("a")), ["B", "b", "Zz"]);
        assert_eq!(after(tags(), Some("B")), ["b", "Zz"]);
        assert_eq!(after(tags(), Some("zz")), [""; 0]);
    }
}
