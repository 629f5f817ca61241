//! Acts: repositories and upload sessions, as the registry uses them.

use super::*;
use crate::schema::Key;
use naru_oci::Algorithm;

#[test]
fn tags_repositories_and_referrers_are_listed_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let blob = store.content.put(lease.id(), b"{}").unwrap();
    let other = store.content.put(lease.id(), b"{ }").unwrap();
    let subject = Digest::of(b"not there");
    let target = Descriptor::new(media_type::OCI_MANIFEST, blob.digest, blob.size);
    let about =
        Member { subject: Some(subject), ..Member::manifest(media_type::OCI_MANIFEST, blob.size) };
    let mut batch = Batch::new();
    for name in ["a", "a-b", "a/b", "ab", "a0"] {
        batch.put_member(name, &blob.digest, &about);
        batch.put_member(name, &other.digest, &about);
    }
    for tag in ["b", "a", "B", "a.1", "_"] {
        batch.put_tag("a", tag, &target);
    }
    batch.put_tag("a-b", "zz", &target);
    store.commit(batch).unwrap();
    let repositories = &store.repositories;
    assert_eq!(repositories.names(), ["a", "a-b", "a/b", "a0", "ab"]);
    assert_eq!(repositories.names_after(Some("a-b"), 2), ["a/b", "a0"]);
    assert_eq!(repositories.tags("a"), ["B", "_", "a", "a.1", "b"]);
    assert_eq!(repositories.tags_after("a", Some("Z"), 2), ["_", "a"]);
    assert_eq!(repositories.tags_after("a", Some("b"), 2), [""; 0]);
    assert_eq!(repositories.tags_after("a", None, 0), [""; 0]);
    assert_eq!(repositories.tags_to("a", &blob.digest).unwrap().len(), 5);
    assert!(repositories.exists("a-b") && !repositories.exists("b"));
    let mut both = vec![blob.digest, other.digest];
    both.sort();
    assert_eq!(repositories.referrers("a", &subject), both);
    assert_eq!(repositories.referrers_after("a", &subject, Some(&both[0]), 9), both[1..]);
    let member = repositories.member("a", &blob.digest).unwrap().unwrap();
    let mut batch = Batch::new();
    batch.remove_member("a", &blob.digest, &member);
    store.commit(batch).unwrap();
    assert_eq!(repositories.referrers("a", &subject), [other.digest]);
    assert_eq!(repositories.referrers("a/b", &subject).len(), 2);
}

#[test]
fn a_change_of_a_repository_counts_only_on_what_it_relies() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let blob = store.content.put(lease.id(), b"{}").unwrap();
    let target = Descriptor::new(media_type::OCI_MANIFEST, blob.digest, blob.size);
    let member = Member::manifest(media_type::OCI_MANIFEST, blob.size);
    let mut batch = Batch::new();
    batch.require_member("a", &Digest::of(b"?"));
    batch.put_member("a", &blob.digest, &member);
    assert!(matches!(store.commit(batch), Err(StoreError::Absent { .. })));
    assert!(!store.repositories.exists("a"));
    let put = |was: Option<&Tagged>| {
        let mut batch = Batch::new();
        batch.require_tag("a", "t", was);
        batch.put_member("a", &blob.digest, &member);
        batch.put_tag("a", "t", &target);
        store.commit(batch)
    };
    put(None).unwrap();
    assert!(matches!(put(None), Err(StoreError::Taken { .. })));
    let was = store.repositories.tagged("a", "t").unwrap().unwrap();
    put(Some(&was)).unwrap();
    let stale = Tagged { tagged: 1, ..was };
    assert!(matches!(put(Some(&stale)), Err(StoreError::Stale)));
}

#[test]
fn rows_of_the_first_version_are_changed_as_they_were_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let blob = store.content.put(lease.id(), b"{}").unwrap();
    let target = Descriptor::new("m", blob.digest, blob.size);
    let mut old = vec![1];
    serde_json::to_writer(&mut old, &target).unwrap();
    let mut batch = Batch::new();
    batch.put_bytes(Key::member("a", &blob.digest), b"\x01\"manifest\"".to_vec());
    // As members were written before they had a moment at which they were added.
    batch.put_bytes(Key::member("b", &blob.digest), b"\x02{\"size\":2,\"kind\":\"blob\"}".to_vec());
    for tag in ["one", "two", "three"] {
        batch.put_bytes(Key::tag("a", tag), old.clone());
    }
    store.commit(batch).unwrap();
    drop((lease, store));
    let store = open(dir.path());
    // A tag that moved meanwhile stays.
    let was = store.repositories.tagged("a", "one").unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put_tag("a", "one", &target);
    store.commit(batch).unwrap();
    let remove = |tag: &str, was: &Tagged| {
        let mut batch = Batch::new();
        batch.require_tag("a", tag, Some(was));
        batch.remove_tag("a", tag);
        store.commit(batch)
    };
    assert!(matches!(remove("one", &was), Err(StoreError::Stale)));
    let other = Tagged { target: Descriptor::new("n", blob.digest, blob.size), ..was.clone() };
    assert!(matches!(remove("two", &other), Err(StoreError::Stale)));
    remove("two", &was).unwrap();
    // A manifest goes with the tags that lead to it.
    let tags = store.repositories.tags_to("a", &blob.digest).unwrap();
    assert_eq!(tags.len(), 2);
    for repository in ["a", "b"] {
        let member = store.repositories.member(repository, &blob.digest).unwrap().unwrap();
        let mut batch = Batch::new();
        batch.require_member_as(repository, &blob.digest, Some(&member));
        batch.remove_member(repository, &blob.digest, &member);
        for (tag, was) in tags.iter().filter(|_| repository == "a") {
            batch.require_tag("a", tag, Some(was));
            batch.remove_tag("a", tag);
        }
        store.commit(batch).unwrap();
    }
    assert_eq!(store.repositories.names(), [""; 0]);
    assert_eq!(store.repositories.tags("a"), [""; 0]);
}

#[test]
fn an_upload_outlives_its_writers_and_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut upload = store.content.begin_upload("a/b", Algorithm::Sha512).unwrap();
    let id = upload.id().to_owned();
    upload.write_all(b"one ").unwrap();
    assert!(matches!(store.content.open_upload("a/b", &id), Err(StoreError::UploadBusy { .. })));
    drop(upload);
    assert!(matches!(store.content.open_upload("a", &id), Err(StoreError::NoUpload { .. })));
    let mut upload = store.content.open_upload("a/b", &id).unwrap();
    upload.write_all(b"two ").unwrap();
    drop(upload);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.content.upload_size("a/b", &id).unwrap(), 8);
    let mut upload = store.content.open_upload("a/b", &id).unwrap();
    assert_eq!(upload.offset(), 8);
    upload.write_all(b"three").unwrap();
    let lease = store.leases.create(MINUTE);
    let digest = Digest::of_as(Algorithm::Sha512, b"one two three");
    let blob = upload
        .commit_with(lease.id(), digest, |blob, batch| {
            batch.put_member("a/b", &blob.digest, &Member::blob(blob.size));
        })
        .unwrap();
    assert_eq!((blob.digest, blob.size), (digest, 13));
    assert!(store.repositories.is_member("a/b", &digest));
    assert!(matches!(store.content.open_upload("a/b", &id), Err(StoreError::NoUpload { .. })));
    store.settle();
    assert_eq!(leftovers(dir.path()), [""; 0]);
}

#[test]
fn an_upload_with_other_bytes_than_promised_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let mut upload = store.content.begin_upload("a", Algorithm::Sha256).unwrap();
    upload.write_all(b"one").unwrap();
    let failed = upload.commit_with(lease.id(), Digest::of(b"two"), |_, _| ());
    assert!(matches!(failed, Err(StoreError::Mismatch { .. })));
    assert_eq!(store.content.uploads().unwrap(), []);
}

#[test]
fn abandoned_uploads_are_swept_and_busy_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let busy = store.content.begin_upload("a", Algorithm::Sha256).unwrap();
    let mut idle = store.content.begin_upload("a", Algorithm::Sha256).unwrap();
    idle.write_all(b"123").unwrap();
    let id = idle.id().to_owned();
    drop(idle);
    assert_eq!(store.content.sweep_uploads(MINUTE).unwrap(), (0, 0));
    assert_eq!(store.content.sweep_uploads(Duration::ZERO).unwrap(), (1, 3));
    assert!(matches!(store.content.open_upload("a", &id), Err(StoreError::NoUpload { .. })));
    assert_eq!(store.content.uploads().unwrap()[0].id, busy.id());
}

#[test]
fn uploads_that_race_for_one_blob_all_succeed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            std::thread::spawn(move || {
                let lease = store.leases.create(MINUTE);
                let repository = format!("r{number}");
                let mut upload =
                    store.content.begin_upload(&repository, Algorithm::Sha256).unwrap();
                upload.write_all(b"the same").unwrap();
                upload
                    .commit_with(lease.id(), Digest::of(b"the same"), |blob, batch| {
                        batch.put_member(&repository, &blob.digest, &Member::blob(blob.size));
                    })
                    .unwrap();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(store.repositories.names().len(), 8);
    assert_eq!(store.content.read(&Digest::of(b"the same"), 8).unwrap(), b"the same");
    assert_eq!(leftovers(dir.path()), [""; 0]);
}

/// A store with a manifest `{}` that two tags of `a` point to, about something else, and a second member that was taken away again.
fn with_repository(root: &Path) -> (Store, Descriptor) {
    let store = open(root);
    let lease = store.leases.create(MINUTE);
    let blob = store.content.put(lease.id(), b"{}").unwrap();
    let gone = store.content.put(lease.id(), b"gone").unwrap();
    let target = Descriptor::new(media_type::OCI_MANIFEST, blob.digest, blob.size);
    let manifest = Member {
        subject: Some(Digest::of(b"subject")),
        ..Member::manifest(media_type::OCI_MANIFEST, blob.size)
    };
    let member = Member::blob(gone.size);
    let mut batch = Batch::new();
    batch.put_member("a", &blob.digest, &manifest);
    batch.put_member("a", &gone.digest, &member);
    for tag in ["1", "2", "3"] {
        batch.put_tag("a", tag, &target);
    }
    store.commit(batch).unwrap();
    let mut batch = Batch::new();
    batch.remove_tag("a", "2");
    batch.remove_member("a", &gone.digest, &member);
    store.commit(batch).unwrap();
    drop(lease);
    (store, target)
}

fn assert_repository(store: &Store, target: &Descriptor) {
    let repositories = &store.repositories;
    assert_eq!(repositories.tags("a"), ["1", "3"]);
    assert_eq!(repositories.tag("a", "1").unwrap().as_ref(), Some(target));
    assert_eq!(repositories.members("a").unwrap().len(), 1);
    assert_eq!(repositories.referrers("a", &Digest::of(b"subject")), [target.digest]);
    store.collect().unwrap();
    assert!(store.content.has(&target.digest), "members are held");
    assert_whole(store);
}

#[test]
fn what_repositories_hold_outlives_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let (store, target) = with_repository(dir.path());
    drop(store);
    for _ in 0..2 {
        std::fs::remove_dir_all(dir.path().join("db")).unwrap();
        let store = open(dir.path());
        assert!(store.notices().iter().any(|notice| notice.contains("repositories")));
        assert_repository(&store, &target);
    }
}

#[test]
fn a_copy_of_repositories_that_lacks_its_end_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (store, target) = with_repository(dir.path());
    drop(store);
    let path = dir.path().join("repositories.log");
    let whole = std::fs::read(&path).unwrap();
    assert!(whole.ends_with(b"\nend\n"));
    // As after a power cut: nothing, half a line, a line but no end.
    for length in [0, 1, whole.len() / 2, whole.len() - 4] {
        naru_kernel::fs::write_atomic(&path, &whole[..length], 0o600).unwrap();
        drop(open(dir.path()));
        std::fs::remove_dir_all(dir.path().join("db")).unwrap();
        assert_repository(&open(dir.path()), &target);
    }
    std::fs::remove_file(&path).unwrap();
    drop(open(dir.path()));
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    // Lines that are damaged say nothing, and spoil no others.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.splice(0..0, *b"[\"tag/a:1\",\"\xff\n[1]\n[\"member/a@x\",\"\"]\n[\"blob/x\",\"\"]\n");
    naru_kernel::fs::write_atomic(&path, &bytes, 0o600).unwrap();
    assert_repository(&open(dir.path()), &target);
}

/// While a store is open its file must not look whole: what is added to it may not be on the disk when the power goes.
#[test]
fn the_copy_of_repositories_says_that_it_is_not_whole_while_the_store_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let (store, target) = with_repository(dir.path());
    drop(store);
    let path = dir.path().join("repositories.log");
    let before = std::fs::read(&path).unwrap();
    let store = open(dir.path());
    let mut batch = Batch::new();
    batch.put_tag("a", "new", &target);
    store.commit(batch).unwrap();
    // The copy follows the answer: when a second change is answered, the first one's copy is there.
    let mut batch = Batch::new();
    batch.put_tag("a", "newer", &target);
    store.commit(batch).unwrap();
    let open_now = std::fs::read(&path).unwrap();
    assert!(open_now.starts_with(&before[..before.len() - 4]));
    let added = &open_now[before.len() - 4..];
    assert!(added.starts_with(b"[\"tag/a:new\""), "{}", String::from_utf8_lossy(added));
}

#[test]
fn a_tag_without_its_manifest_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, target) = with_repository(dir.path());
    drop(store);
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    let blob = dir.path().join("content/blobs/sha256").join(target.digest.hex());
    std::fs::remove_file(blob).unwrap();
    let store = open(dir.path());
    assert!(store.repositories.names().is_empty());
    assert!(store.repositories.tags("a").is_empty());
}

#[test]
fn the_copy_of_repositories_does_not_grow_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let (store, target) = with_repository(dir.path());
    for _ in 0..200 {
        let mut batch = Batch::new();
        for number in 0..100 {
            batch.put_tag("a", &format!("n{number}"), &target);
        }
        store.commit(batch).unwrap();
    }
    let length = std::fs::metadata(dir.path().join("repositories.log")).unwrap().len();
    assert!(length < 3 << 20, "{length}");
    drop(store);
    std::fs::remove_dir_all(dir.path().join("db")).unwrap();
    assert_eq!(open(dir.path()).repositories.tags("a").len(), 102);
}
