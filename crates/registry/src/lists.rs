//! Lists: repositories, tags, and what is about a manifest.
//!
//! Acts: on rows in memory, and referrers on manifests too; pages are walked by where the last one ended.

use crate::answer::Answer;
use crate::documents::Documents;
use crate::problem::{Code, Problem};
use crate::query::encode;
use crate::service::{Call, Outcome, Service, blocking};
use bytes::Bytes;
use http::StatusCode;
use naru_oci::{Descriptor, Digest, ManifestOrIndex, media_type};
use naru_store::Repositories;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one answer with referrers may cost.
#[derive(Clone, Copy)]
struct Most {
    /// Referrers that are looked at, whether they are meant or not.
    rows: usize,
    /// Bytes of manifests that are read, the last one apart.
    read: usize,
    /// Bytes of the answer, if it has more than one.
    length: usize,
}

/// An answer with referrers is no longer than a manifest may be (distribution-spec, "Listing referrers").
const MOST: Most = Most { rows: 10_000, read: 64 << 20, length: 4 << 20 };

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
pub(crate) async fn referrers(
    service: &Service,
    name: &str,
    digest: &Digest,
    // Exclusive, since a body cannot be shared among threads, and this waits.
    call: &mut Call,
) -> Outcome {
    let wanted = call.query.get("artifactType").filter(|kind| !kind.is_empty());
    let last: Option<Digest> = call.query.get("last").and_then(|last| last.parse().ok());
    let (repositories, documents) = (service.repositories.clone(), Arc::clone(&service.documents));
    let (repository, subject, kind) = (name.to_owned(), *digest, wanted.map(str::to_owned));
    let Page { found, next } = blocking(move || {
        let about = About { repository: &repository, subject: &subject, kind: kind.as_deref() };
        Ok(about.page((&repositories, &documents), last, MOST))
    })
    .await?;
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": found,
    });
    let bytes = Bytes::from(index.to_string());
    let mut answer = Answer::bytes(StatusCode::OK, media_type::OCI_INDEX, bytes, call.is_head());
    let mut filter = String::new();
    if let Some(wanted) = wanted {
        answer = answer.with("oci-filters-applied", "artifactType");
        filter = format!("artifactType={}&", encode(wanted));
    }
    if let Some(last) = next {
        let link = format!("</v2/{name}/referrers/{digest}?{filter}last={last}>; rel=\"next\"");
        answer = answer.with("link", &link);
    }
    Ok(answer.done())
}

/// Which referrers are meant.
struct About<'a> {
    repository: &'a str,
    subject: &'a Digest,
    /// Their artifact type.
    kind: Option<&'a str>,
}

/// Some of them, and after which one the rest is found.
struct Page {
    found: Vec<Descriptor>,
    next: Option<Digest>,
}

impl About<'_> {
    /// Those after `last`. Reads the manifests that are meant, and no others.
    fn page(
        &self,
        (repositories, documents): (&Repositories, &Documents),
        mut last: Option<Digest>,
        most: Most,
    ) -> Page {
        let rows = most.rows.saturating_add(1);
        let rows = repositories.referrers_after(self.repository, self.subject, last.as_ref(), rows);
        let (mut found, mut length, mut read) = (Vec::new(), 0, 0);
        for (at, referrer) in rows.into_iter().enumerate() {
            if at == most.rows || read >= most.read {
                return Page { found, next: last };
            }
            if let Some((entry, size)) = self.describe((repositories, documents), &referrer) {
                read += size;
                let size = serde_json::to_vec(&entry).map_or(0, |bytes| bytes.len());
                // One that is too long alone is given nevertheless: pages must come to their end.
                if length + size + 1024 > most.length && !found.is_empty() {
                    return Page { found, next: last };
                }
                length += size + 1;
                found.push(entry);
            }
            last = Some(referrer);
        }
        Page { found, next: None }
    }

    /// A referrer as the list shows it, with its artifact type and annotations, and how long its manifest is. None when it is not meant.
    fn describe(
        &self,
        (repositories, documents): (&Repositories, &Documents),
        digest: &Digest,
    ) -> Option<(Descriptor, usize)> {
        let member = repositories.member(self.repository, digest).ok().flatten()?;
        if self.kind.is_some_and(|kind| member.artifact_type.as_deref() != Some(kind)) {
            return None;
        }
        let bytes = documents.read(digest).ok()?;
        let mut entry = Descriptor::new(member.media_type?, *digest, bytes.len() as u64);
        entry.artifact_type = member.artifact_type;
        entry.annotations = match ManifestOrIndex::parse(&bytes) {
            Ok(ManifestOrIndex::Manifest(manifest)) => manifest.annotations,
            Ok(ManifestOrIndex::Index(index)) => index.annotations,
            Err(_) => BTreeMap::new(),
        };
        Some((entry, bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_store::{Batch, Member, Store};
    use std::collections::BTreeSet;
    use std::time::Duration;

    #[test]
    fn tags_stand_in_an_order_without_case() {
        let tags = || ["B", "Zz", "_x", "a", "b", "1.0"].map(str::to_owned).to_vec();
        assert_eq!(after(tags(), None), ["1.0", "_x", "a", "B", "b", "Zz"]);
        assert_eq!(after(tags(), Some("a")), ["B", "b", "Zz"]);
        assert_eq!(after(tags(), Some("B")), ["b", "Zz"]);
        assert_eq!(after(tags(), Some("zz")), [""; 0]);
    }

    #[test]
    fn referrers_come_in_pages_that_cost_no_more_than_they_may() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let lease = store.leases.create(Duration::from_secs(60));
        let subject = Digest::of(b"subject");
        let mut batch = Batch::new();
        for number in 0..7 {
            let blob =
                store.content.put(lease.id(), format!("{{\"n\":{number}}}").as_bytes()).unwrap();
            let member = Member {
                subject: Some(subject),
                artifact_type: (number < 3).then(|| "a/sbom".to_owned()),
                ..Member::manifest(media_type::OCI_MANIFEST, blob.size)
            };
            batch.put_member("a", &blob.digest, &member);
        }
        store.commit(batch).unwrap();
        let documents = Documents::new(store.content.clone());
        let walk = |kind: Option<&str>, most: Most| {
            let about = About { repository: "a", subject: &subject, kind };
            let (mut seen, mut pages, mut last) = (BTreeSet::new(), 0, None);
            loop {
                let page = about.page((&store.repositories, &documents), last, most);
                assert!(page.found.iter().all(|entry| seen.insert(entry.digest)));
                pages += 1;
                last = page.next;
                if last.is_none() {
                    return (seen.len(), pages);
                }
            }
        };
        assert_eq!(walk(None, MOST), (7, 1));
        assert_eq!(walk(Some("a/sbom"), MOST), (3, 1));
        assert_eq!(walk(None, Most { rows: 3, ..MOST }), (7, 3));
        assert_eq!(walk(None, Most { rows: 7, ..MOST }), (7, 1));
        assert_eq!(walk(Some("none"), Most { rows: 3, ..MOST }), (0, 3));
        assert_eq!(walk(None, Most { read: 10, ..MOST }), (7, 4));
        // What is not meant is not read.
        assert_eq!(walk(Some("none"), Most { read: 1, ..MOST }), (0, 1));
        assert_eq!(walk(None, Most { length: 1, ..MOST }), (7, 7));
    }
}
