//! A repository goes, as a whole or in part. Acts.

use naru_errdefs::{Failure as _, Kind};
use naru_oci::Digest;
use naru_store::{Batch, MemberKind, Store, StoreError};

/// How often a repository is read again because it changed meanwhile.
const PATIENCE: u32 = 8;

/// Takes a repository away with all its tags and members; their bytes go with the next collection. Says how many tags and members
/// it had; no members: there was no such repository.
pub fn remove_repository(store: &Store, repository: &str) -> Result<(usize, usize), StoreError> {
    let mut tries = 0;
    loop {
        let state = store.repositories.state(repository);
        let (tags, members) =
            (store.repositories.tags(repository), store.repositories.members(repository)?);
        let mut batch = Batch::new();
        for tag in &tags {
            batch.remove_tag(repository, tag);
        }
        for (digest, member) in &members {
            batch.remove_member(repository, digest, member);
        }
        if batch.is_empty() {
            return Ok((0, 0));
        }
        batch.only_in_state(repository, state);
        match store.commit(batch) {
            Ok(()) => return Ok((tags.len(), members.len())),
            Err(error) if error.kind() == Kind::Conflict && tries < PATIENCE => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Takes a tag, or a manifest by its digest with every tag that points to it, away. Says whether there was such a thing.
pub fn remove_reference(
    store: &Store,
    repository: &str,
    reference: &str,
) -> Result<bool, StoreError> {
    let mut tries = 0;
    loop {
        // Before the rows: a tag that is pointed to the manifest just now would be left.
        let state = store.repositories.state(repository);
        let mut batch = Batch::new();
        if let Ok(digest) = reference.parse::<Digest>() {
            let member = store.repositories.member(repository, &digest)?;
            let Some(member) = member.filter(|member| member.kind == MemberKind::Manifest) else {
                return Ok(false);
            };
            for (tag, _) in store.repositories.tags_to(repository, &digest)? {
                batch.remove_tag(repository, &tag);
            }
            batch.remove_member(repository, &digest, &member);
        } else {
            if store.repositories.tag(repository, reference)?.is_none() {
                return Ok(false);
            }
            batch.remove_tag(repository, reference);
        }
        batch.only_in_state(repository, state);
        match store.commit(batch) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == Kind::Conflict && tries < PATIENCE => tries += 1,
            Err(error) => return Err(error),
        }
    }
}
