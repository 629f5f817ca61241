//! A repository goes, as a whole or in part. Acts.

use naru_errdefs::{Failure as _, Kind};
use naru_oci::Digest;
use naru_store::{Batch, MemberKind, Store, StoreError};

/// How often a repository is read again because it changed meanwhile.
const PATIENCE: u32 = 8;

/// Takes a repository away with all its tags and members; their bytes go with the next collection. Says how many tags and members
/// it had; no members: there was no such repository.
pub fn remove_repository(store: &Store, repository: &str) -> Result<(usize, usize), StoreError> {
    let gone = carry_out(store, repository, |batch| {
        let (tags, members) =
            (store.repositories.tags(repository), store.repositories.members(repository)?);
        for tag in &tags {
            batch.remove_tag(repository, tag);
        }
        for (digest, member) in &members {
            batch.remove_member(repository, digest, member);
        }
        let is_something = !batch.is_empty();
        Ok(is_something.then_some((tags.len(), members.len())))
    })?;
    Ok(gone.unwrap_or_default())
}

/// Takes a tag, or a manifest by its digest with every tag that points to it, away. Says whether there was such a thing.
pub fn remove_reference(
    store: &Store,
    repository: &str,
    reference: &str,
) -> Result<bool, StoreError> {
    let gone = carry_out(store, repository, |batch| {
        if let Ok(digest) = reference.parse::<Digest>() {
            let member = store.repositories.member(repository, &digest)?;
            let Some(member) = member.filter(|member| member.kind == MemberKind::Manifest) else {
                return Ok(None);
            };
            for (tag, _) in store.repositories.tags_to(repository, &digest)? {
                batch.remove_tag(repository, &tag);
            }
            batch.remove_member(repository, &digest, &member);
        } else {
            if store.repositories.tag(repository, reference)?.is_none() {
                return Ok(None);
            }
            batch.remove_tag(repository, reference);
        }
        Ok(Some(()))
    })?;
    Ok(gone.is_some())
}

/// Carries out what is decided from a repository's rows, and decides again when they have changed meanwhile. Nothing is done where
/// nothing is decided.
fn carry_out<T>(
    store: &Store,
    repository: &str,
    decide: impl Fn(&mut Batch) -> Result<Option<T>, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut tries = 0;
    loop {
        // Before the rows: what comes between them and it would be left, such as a tag that is pointed to the manifest just now.
        let state = store.repositories.state(repository);
        let mut batch = Batch::new();
        let Some(decided) = decide(&mut batch)? else { return Ok(None) };
        batch.only_in_state(repository, state);
        match store.commit(batch) {
            Ok(()) => return Ok(Some(decided)),
            Err(error) if error.kind() == Kind::Conflict && tries < PATIENCE => tries += 1,
            Err(error) => return Err(error),
        }
    }
}
