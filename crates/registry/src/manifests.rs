//! Manifests: read, put, taken away.
//!
//! Acts. What is put is kept byte for byte; it is checked that everything it names is in the repository, and that is still so in
//! the moment in which it is recorded.

mod validate;

use crate::answer::Answer;
use crate::blobs::is_matched;
use crate::body;
use crate::documents::MANIFEST_LIMIT;
use crate::problem::{Code, Problem};
use crate::route::Target;
use crate::service::{Call, LEASE, Outcome, Service, blocking};
use crate::watch::{Claim, More, News};
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use naru_oci::{Descriptor, Digest, is_tag_name};
use naru_store::{Batch, Member, MemberKind, Store, StoreError};
use serde_json::json;
use std::io::Write;
use validate::{Checked, validate};

/// Tags that one request may set.
const MOST_TAGS: usize = 100;
/// Missing parts that an answer names; a manifest may name tens of thousands.
const MOST_MISSING: usize = 100;
/// How often a manifest is put or removed anew because what it needs, or a tag, moved meanwhile.
const PATIENCE: u32 = 20;
/// Of these, how often because anything else of the repository did: beside steady pushes it would never be done.
const STRICT: u32 = 8;

fn unknown(name: &str, reference: &Target) -> Problem {
    Problem::new(Code::ManifestUnknown, "manifest unknown")
        .with_detail(json!({ "name": name, "reference": reference.to_string() }))
}

/// The manifest that a reference means, with its row.
fn find(store: &Store, name: &str, reference: &Target) -> Result<(Digest, Member), Problem> {
    let digest = match reference {
        Target::Digest(digest) => Some(*digest),
        Target::Tag(tag) => store.repositories.tag(name, tag)?.map(|target| target.digest),
        Target::Neither(_) => None,
    };
    let digest = digest.ok_or_else(|| unknown(name, reference))?;
    match store.repositories.member(name, &digest)? {
        Some(member) if member.kind == MemberKind::Manifest => Ok((digest, member)),
        _ => Err(unknown(name, reference)),
    }
}

/// GET and HEAD.
pub(crate) fn get(service: &Service, name: &str, reference: &Target, call: &Call) -> Outcome {
    let (digest, member) = find(&service.store, name, reference)?;
    if call.is_head() && !service.is_there(name, &digest) {
        return Err(Box::new(unknown(name, reference)));
    }
    let etag = format!("\"{digest}\"");
    let text = digest.to_string();
    if is_matched(call.header(IF_NONE_MATCH), &etag) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED)
            .with(ETAG, &etag)
            .with("docker-content-digest", &text)
            .done());
    }
    let bytes = service.documents.read(&digest)?;
    let kind = match &member.media_type {
        Some(kind) => kind.clone(),
        None => validate::media_type_of(&bytes),
    };
    Ok(Answer::bytes(StatusCode::OK, &kind, bytes, call.is_head())
        .with(ETAG, &etag)
        .with("docker-content-digest", &text)
        .done())
}

/// PUT.
pub(crate) async fn put(
    service: &Service,
    name: &str,
    reference: &Target,
    mut call: Call,
) -> Outcome {
    if let Target::Neither(tag) = reference {
        return Err(Box::new(bad_tag(tag)));
    }
    let (parts, code) = (&call.parts, Code::ManifestInvalid);
    let Some(bytes) = body::whole(parts, &mut call.body, MANIFEST_LIMIT, code).await? else {
        return Err(Box::new(
            Problem::new(
                Code::ManifestInvalid,
                format!("the manifest is longer than {MANIFEST_LIMIT} bytes"),
            )
            .with_status(StatusCode::PAYLOAD_TOO_LARGE)
            .with_header("connection", "close"),
        ));
    };
    let digest = match reference {
        Target::Digest(expected) => {
            let found = Digest::of_as(expected.algorithm(), &bytes);
            if found != *expected {
                let error = StoreError::Mismatch { expected: *expected, found };
                return Err(Box::new(error.into()));
            }
            found
        }
        _ => Digest::of(&bytes),
    };
    let mut tags: Vec<String> = match reference {
        Target::Tag(tag) => vec![tag.clone()],
        _ => Vec::new(),
    };
    let by_digest = tags.is_empty();
    for tag in call.query.all("tag").filter(|_| by_digest) {
        if !is_tag_name(tag) {
            return Err(Box::new(bad_tag(tag)));
        }
        if tags.len() == MOST_TAGS {
            return Err(Box::new(
                Problem::new(Code::ManifestInvalid, format!("more than {MOST_TAGS} tags at once"))
                    .with_status(StatusCode::URI_TOO_LONG),
            ));
        }
        tags.push(tag.to_owned());
    }
    let checked = validate(call.header(CONTENT_TYPE), &bytes)?;
    let mut claim = Claim::default();
    let more = More { bytes: bytes.len() as u64, manifests: 1, tags: 0 };
    let news = News { more, digest: Some(digest), tags: tags.clone(), ..News::default() };
    service.claim(name, &news, &mut claim)?;
    let subject = checked.member.subject;
    let target = Descriptor::new(checked.media_type.clone(), digest, bytes.len() as u64);
    service.documents.keep(&digest, &bytes);
    let (store, repository, named) = (service.store.clone(), name.to_owned(), tags.clone());
    blocking(move || {
        record(&store, &repository, &named, &target, &checked, &bytes)?;
        drop(claim);
        Ok(())
    })
    .await?;
    let mut answer = Answer::empty(StatusCode::CREATED)
        .with(LOCATION, &format!("/v2/{name}/manifests/{digest}"))
        .with("docker-content-digest", &digest.to_string());
    if let Some(subject) = subject {
        answer = answer.with("oci-subject", &subject.to_string());
    }
    if by_digest && !tags.is_empty() {
        answer = answer.with("oci-tag", &tags.join(", "));
    }
    Ok(answer.done())
}

fn bad_tag(tag: &str) -> Problem {
    Problem::new(Code::ManifestInvalid, "manifest tag did not match the grammar of tags")
        .with_detail(json!({ "tag": tag.chars().take(160).collect::<String>() }))
}

/// Stores and records a manifest and its tags in one step, if everything that it names is there in that moment.
fn record(
    store: &Store,
    repository: &str,
    tags: &[String],
    target: &Descriptor,
    checked: &Checked,
    bytes: &[u8],
) -> Result<(), Problem> {
    let changes = |batch: &mut Batch| {
        for needed in &checked.needed {
            batch.require_member(repository, &needed.digest);
        }
        batch.put_member(repository, &target.digest, &checked.member);
        for tag in tags {
            batch.put_tag(repository, tag, target);
        }
    };
    let lease = store.leases.create(LEASE);
    for _ in 0..PATIENCE {
        missing(store, repository, checked)?;
        let mut ingest = store.content.ingest_as(lease.id(), target.digest.algorithm())?;
        ingest.write_all(bytes).map_err(|error| {
            Problem::from(naru_errdefs::Fault::io("cannot store a manifest", error))
        })?;
        match ingest.commit_with(Some(target.digest), |_, batch| changes(batch)) {
            Ok(_) => return Ok(()),
            // Somebody took a part away just now; it may be there again already.
            Err(StoreError::Absent { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::new(Code::Unavailable, "what the manifest names is taken away all the time"))
}

/// Says what a manifest names and what is not in the repository, or has another length.
fn missing(store: &Store, repository: &str, checked: &Checked) -> Result<(), Problem> {
    let mut problem: Option<Problem> = None;
    for needed in &checked.needed {
        let member = store.repositories.member(repository, &needed.digest)?;
        let (code, message) = match member {
            None => (Code::ManifestBlobUnknown, "blob unknown to registry"),
            Some(member) if needed.is_manifest && member.kind != MemberKind::Manifest => {
                (Code::ManifestBlobUnknown, "this is no manifest")
            }
            Some(_) if store.content.size(&needed.digest)? != needed.size => {
                (Code::SizeInvalid, "the blob has another length")
            }
            Some(_) => continue,
        };
        let detail = json!({ "digest": needed.digest.to_string() });
        match &mut problem {
            None => problem = Some(Problem::new(code, message).with_detail(detail)),
            Some(problem) if problem.errors.len() == MOST_MISSING => break,
            Some(problem) => problem.errors.push((code, message.to_owned(), detail)),
        }
    }
    problem.map_or(Ok(()), Err)
}

/// DELETE: a tag alone, or a manifest with every tag that points to it.
pub(crate) async fn delete(service: &Service, name: &str, reference: &Target) -> Outcome {
    let (store, repository, reference) =
        (service.store.clone(), name.to_owned(), reference.clone());
    let digest = blocking(move || {
        let mut tries = 0;
        loop {
            let done = remove(&store, &repository, &reference, tries < STRICT);
            match done {
                Err(RemoveError::Moved) if tries < PATIENCE => tries += 1,
                Err(RemoveError::Moved) => {
                    return Err(Problem::new(
                        Code::Unavailable,
                        "the tags of the manifest keep moving",
                    ));
                }
                Err(RemoveError::Problem(problem)) => return Err(*problem),
                Ok(digest) => return Ok(digest),
            }
        }
    })
    .await?;
    Ok(Answer::empty(StatusCode::ACCEPTED)
        .with("docker-content-digest", &digest.to_string())
        .done())
}

enum RemoveError {
    /// A tag was set or moved since it was read.
    Moved,
    Problem(Box<Problem>),
}

impl<E: Into<Problem>> From<E> for RemoveError {
    fn from(error: E) -> RemoveError {
        RemoveError::Problem(Box::new(error.into()))
    }
}

/// A removal that is planned: what it takes, and of which manifest every tag has to go with it.
struct Removal {
    batch: Batch,
    digest: Digest,
    whole: bool,
}

fn remove(
    store: &Store,
    name: &str,
    reference: &Target,
    strict: bool,
) -> Result<Digest, RemoveError> {
    let Removal { batch, digest, whole } = removal(store, name, reference, strict)?;
    match store.commit(batch) {
        Ok(()) => {}
        Err(StoreError::Stale | StoreError::Absent { .. }) => return Err(RemoveError::Moved),
        Err(error) => return Err(error.into()),
    }
    if whole && !strict {
        untag(store, name, &digest)?;
    }
    Ok(digest)
}

/// What goes with a tag or a manifest. A strict one goes only if nothing of the repository changed since: a tag that is pointed to
/// the manifest just now would be left.
fn removal(
    store: &Store,
    name: &str,
    reference: &Target,
    strict: bool,
) -> Result<Removal, Problem> {
    let mut batch = Batch::new();
    if let Target::Tag(tag) = reference {
        let tagged =
            store.repositories.tagged(name, tag)?.ok_or_else(|| unknown(name, reference))?;
        batch.require_tag(name, tag, Some(&tagged));
        batch.remove_tag(name, tag);
        return Ok(Removal { batch, digest: tagged.target.digest, whole: false });
    }
    let state = store.repositories.state(name);
    let (digest, member) = find(store, name, reference)?;
    for (tag, tagged) in store.repositories.tags_to(name, &digest)? {
        if !strict {
            batch.require_tag(name, &tag, Some(&tagged));
        }
        batch.remove_tag(name, &tag);
    }
    batch.require_member(name, &digest);
    batch.remove_member(name, &digest, &member);
    if strict {
        batch.only_in_state(name, state);
    }
    Ok(Removal { batch, digest, whole: true })
}

/// Takes tags away that were pointed to a manifest while it was taken away. No new ones come: a tag needs its manifest, and one that
/// was put again keeps its tags.
fn untag(store: &Store, name: &str, digest: &Digest) -> Result<(), RemoveError> {
    for _ in 0..PATIENCE {
        let mut batch = Batch::new();
        batch.require_member_as(name, digest, None);
        for (tag, tagged) in store.repositories.tags_to(name, digest)? {
            batch.require_tag(name, &tag, Some(&tagged));
            batch.remove_tag(name, &tag);
        }
        if batch.is_empty() {
            return Ok(());
        }
        match store.commit(batch) {
            // The manifest was put again.
            Ok(()) | Err(StoreError::Taken { .. }) => return Ok(()),
            // One of them moved.
            Err(StoreError::Stale | StoreError::Absent { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(RemoveError::Moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::media_type;
    use std::time::Duration;

    /// Puts the one manifest of these tests under a tag.
    fn put(store: &Store, tag: &str) -> Digest {
        let lease = store.leases.create(Duration::from_secs(60));
        let blob = store.content.put(lease.id(), b"{}").unwrap();
        let mut batch = Batch::new();
        let member = Member::manifest(media_type::OCI_INDEX, blob.size);
        batch.put_member("a", &blob.digest, &member);
        let target = Descriptor::new(media_type::OCI_INDEX, blob.digest, blob.size);
        batch.put_tag("a", tag, &target);
        store.commit(batch).unwrap();
        blob.digest
    }

    #[test]
    fn a_tag_that_comes_while_its_manifest_goes_is_not_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = put(&store, "one");
        let target = Target::Digest(digest);
        let planned = removal(&store, "a", &target, true).unwrap();
        put(&store, "two");
        assert!(matches!(store.commit(planned.batch), Err(StoreError::Stale)));
        assert_eq!(store.repositories.tags("a"), ["one", "two"]);
        // One that waited for too long goes all the same, and the tag goes after it.
        let planned = removal(&store, "a", &target, false).unwrap();
        let tagged = store.repositories.tag("a", "one").unwrap().unwrap();
        let mut batch = Batch::new();
        batch.put_tag("a", "three", &tagged);
        store.commit(batch).unwrap();
        store.commit(planned.batch).unwrap();
        assert_eq!(store.repositories.tags("a"), ["three"]);
        assert!(untag(&store, "a", &digest).is_ok());
        assert_eq!(store.repositories.tags("a"), [""; 0]);
        // Put again, it keeps its tags.
        put(&store, "four");
        assert!(untag(&store, "a", &digest).is_ok());
        assert_eq!(store.repositories.tags("a"), ["four"]);
        assert!(remove(&store, "a", &target, false).is_ok());
        assert_eq!(store.repositories.names(), [""; 0]);
    }
}
