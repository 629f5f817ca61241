//! Blobs: read whole or in part, and taken away.
//!
//! Acts. A blob is readable through a repository only if it is a member of it. Its bytes go from the page cache to the socket:
//! what is mapped is sent from its file; over TLS it is read through a buffer.

use crate::answer::Answer;
use crate::edge::Mappings;
use crate::problem::{Code, Problem};
use crate::range::{Asked, asked};
use crate::service::{Call, Outcome, Service, blocking};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE};
use naru_oci::Digest;
use naru_store::{Batch, MemberKind, Store, StoreError};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Shorter ones are read: mapping costs more than copying them.
const SHORT: u64 = 128 << 10;
/// Pieces in which a blob is read.
const BUFFER: usize = 256 << 10;
/// How often a removal is begun anew because the blob changed meanwhile.
const TRIES: u32 = 20;
pub(crate) const MEDIA_TYPE: &str = "application/octet-stream";

pub(crate) fn unknown(name: &str, digest: &Digest) -> Problem {
    Problem::new(Code::BlobUnknown, "blob unknown to registry")
        .with_detail(json!({ "name": name, "digest": digest.to_string() }))
}

/// GET and HEAD.
pub(crate) fn get(service: &Service, name: &str, digest: &Digest, call: &Call) -> Outcome {
    // A manifest is a blob like others, as docker's registry has it.
    let is_there = match call.is_head() {
        true => service.is_there(name, digest),
        false => service.repositories.is_member(name, digest),
    };
    if !is_there {
        return Err(Box::new(unknown(name, digest)));
    }
    let size = service.content.size(digest).map_err(|error| Box::new(error.into()))?;
    give(digest, size, call, |first, length| part(service, digest, (first, length), call))
}

/// The answer with a blob of a length, or with the part of it that is asked for; `part` gives the bytes.
pub(crate) fn give(
    digest: &Digest,
    size: u64,
    call: &Call,
    part: impl FnOnce(u64, u64) -> Result<Body, Box<Problem>>,
) -> Outcome {
    let etag = format!("\"{digest}\"");
    let text = digest.to_string();
    let common = |answer: Answer| {
        answer
            .with(ETAG, &etag)
            .with("docker-content-digest", &text)
            .with(ACCEPT_RANGES, "bytes")
            // What a digest names never changes.
            .with("cache-control", "max-age=31536000, immutable")
    };
    if is_matched(call.header(IF_NONE_MATCH), &etag) {
        return Ok(common(Answer::empty(StatusCode::NOT_MODIFIED)).done());
    }
    // A range that holds only for another version of the blob is no range; and only GET has ranges (RFC 9110 section 14.2).
    let holds = !call.is_head() && call.header(IF_RANGE).is_none_or(|wanted| wanted.trim() == etag);
    match asked(call.header(RANGE).filter(|_| holds), size) {
        Asked::Whole if call.is_head() => {
            Ok(common(Answer::body(StatusCode::OK, MEDIA_TYPE, &size.to_string(), Body::empty()))
                .done())
        }
        Asked::Whole => {
            let body = part(0, size)?;
            Ok(common(Answer::body(StatusCode::OK, MEDIA_TYPE, &size.to_string(), body)).done())
        }
        Asked::Part(first, last) => {
            let length = last - first + 1;
            let body = part(first, length)?;
            let answer =
                Answer::body(StatusCode::PARTIAL_CONTENT, MEDIA_TYPE, &length.to_string(), body)
                    .with(CONTENT_RANGE, &format!("bytes {first}-{last}/{size}"));
            Ok(common(answer).done())
        }
        Asked::Nothing => Err(Box::new(
            Problem::new(Code::SizeInvalid, "the range is not in the blob")
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
                .with_header("content-range", format!("bytes */{size}")),
        )),
    }
}

/// Whether one of the tags of `If-None-Match` is this one.
pub(crate) fn is_matched(header: Option<&str>, etag: &str) -> bool {
    header.is_some_and(|header| {
        header.split(',').map(str::trim).any(|tag| {
            tag == "*"
                || tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"') == etag.trim_matches('"')
        })
    })
}

/// A part of a blob as a body.
fn part(
    service: &Service,
    digest: &Digest,
    (first, length): (u64, u64),
    call: &Call,
) -> Result<Body, Box<Problem>> {
    let failed = |error: StoreError| Box::new(Problem::from(error));
    if length <= SHORT {
        let mut file = service.content.open(digest).map_err(failed)?;
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        let read = (if first > 0 { file.seek(SeekFrom::Start(first)) } else { Ok(0) })
            .and_then(|_| file.take(length).read_to_end(&mut bytes));
        if read.ok().map(|count| count as u64) != Some(length) {
            tracing::error!(%digest, "a blob cannot be read");
            return Err(Box::new(Problem::new(Code::Unknown, "the blob cannot be read")));
        }
        return Ok(Body::from(bytes));
    }
    let Some(mappings) = call.parts.extensions.get::<Mappings>() else {
        let file = service.content.open(digest).map_err(failed)?;
        return Ok(buffered(file, first, length));
    };
    let mapped = mappings.bytes(service.content.map(digest).map_err(failed)?);
    let bound = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(mapped.len());
    let bytes = mapped.slice(bound(first)..bound(first + length));
    if bytes.len() as u64 != length {
        tracing::error!(%digest, "the file of a blob is shorter than its record says");
        return Err(Box::new(Problem::new(Code::Unknown, "the blob cannot be read")));
    }
    Ok(Body::from(bytes))
}

/// A part that is read piece by piece. Over TLS our own code touches the bytes, and a page of a mapping that the disk cannot give
/// would end the process; a failed read ends one connection. Without TLS only the kernel touches them, and its `write` fails then.
fn buffered(file: File, first: u64, length: u64) -> Body {
    Body::from_stream(stream::try_unfold((file, first, length), |(file, at, left)| async move {
        if left == 0 {
            return Ok::<_, io::Error>(None);
        }
        let count = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; count];
            file.read_exact_at(&mut bytes, at)?;
            Ok::<_, io::Error>((bytes, file))
        });
        let (bytes, file) = read.await.map_err(io::Error::other)??;
        Ok(Some((Bytes::from(bytes), (file, at + count as u64, left - count as u64))))
    }))
}

/// DELETE: it is no member any more; its bytes go when nobody holds them.
pub(crate) async fn delete(service: &Service, name: &str, digest: &Digest) -> Outcome {
    let (store, repository, digest) = (service.store.clone(), name.to_owned(), *digest);
    blocking(move || {
        for _ in 0..TRIES {
            match store.commit(removal(&store, &repository, &digest)?) {
                Ok(()) => return Ok(()),
                Err(StoreError::Stale | StoreError::Absent { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::new(Code::Unavailable, "the blob keeps changing"))
    })
    .await?;
    Ok(Answer::empty(StatusCode::ACCEPTED)
        .with("docker-content-digest", &digest.to_string())
        .done())
}

/// What takes a blob away, unless it changes meanwhile: it may become a manifest, with tags.
fn removal(store: &Store, repository: &str, digest: &Digest) -> Result<Batch, Problem> {
    let state = store.repositories.state(repository);
    let Some(member) = store.repositories.member(repository, digest)? else {
        return Err(unknown(repository, digest));
    };
    if member.kind == MemberKind::Manifest {
        let text = "this is a manifest; delete it at `/manifests/`";
        return Err(Problem::new(Code::Unsupported, text));
    }
    let mut batch = Batch::new();
    match member.added {
        // Rows of the first version are not what we would write.
        0 => batch.only_in_state(repository, state),
        _ => batch.require_member_as(repository, digest, Some(&member)),
    }
    batch.remove_member(repository, digest, &member);
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::{Descriptor, media_type};
    use naru_store::Member;
    use std::time::Duration;

    #[test]
    fn a_blob_that_becomes_a_manifest_while_it_is_deleted_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let lease = store.leases.create(Duration::from_secs(60));
        let blob = store.content.put(lease.id(), b"{}").unwrap();
        let put = |member: Member, tag: Option<&str>| {
            let mut batch = Batch::new();
            batch.put_member("a", &blob.digest, &member);
            let target = Descriptor::new(media_type::OCI_INDEX, blob.digest, blob.size);
            tag.into_iter().for_each(|tag| batch.put_tag("a", tag, &target));
            store.commit(batch).unwrap();
        };
        put(Member::blob(blob.size), None);
        let planned = removal(&store, "a", &blob.digest).unwrap();
        put(Member::manifest(media_type::OCI_INDEX, blob.size), Some("v1"));
        assert!(matches!(store.commit(planned), Err(StoreError::Stale)));
        assert!(store.repositories.is_member("a", &blob.digest));
        assert!(removal(&store, "a", &blob.digest).is_err(), "it is a manifest now");
    }

    #[test]
    fn entity_tags_are_compared() {
        let etag = "\"sha256:a\"";
        for (header, expected) in [
            (None, false),
            (Some("\"sha256:a\""), true),
            (Some("W/\"sha256:a\""), true),
            (Some("\"x\", \"sha256:a\""), true),
            (Some("*"), true),
            (Some("sha256:a"), true),
            (Some("\"sha256:b\""), false),
        ] {
            assert_eq!(is_matched(header, etag), expected, "{header:?}");
        }
    }
}
