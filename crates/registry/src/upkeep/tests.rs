//! Acts: upkeep of real stores.

use super::*;
use crate::More;
use naru_oci::{Descriptor, Manifest, media_type};

const HOUR: u64 = 3600;

fn upkeep() -> Upkeep {
    Upkeep {
        retention: Vec::new(),
        sweep: Sweep { blobs_after: HOUR, untagged_after: None },
        uploads_after: Duration::from_secs(24 * HOUR),
        relied: Arc::default(),
    }
}

fn blob(store: &Store, repository: &str, bytes: &[u8]) -> Descriptor {
    let lease = store.leases.create(Duration::from_secs(60));
    let blob = store.content.put(lease.id(), bytes).unwrap();
    let mut batch = Batch::new();
    batch.put_member(repository, &blob.digest, &Member::blob(blob.size));
    store.commit(batch).unwrap();
    Descriptor::new(media_type::OCI_LAYER, blob.digest, blob.size)
}

fn push(store: &Store, repository: &str, tag: &str) -> Digest {
    let config = blob(store, repository, format!("config {tag}").as_bytes());
    let layer = blob(store, repository, format!("layer {tag}").as_bytes());
    let bytes = serde_json::to_vec(&Manifest::oci(config, vec![layer])).unwrap();
    let lease = store.leases.create(Duration::from_secs(60));
    let found = store.content.put(lease.id(), &bytes).unwrap();
    let mut batch = Batch::new();
    let member = Member::manifest(media_type::OCI_MANIFEST, found.size);
    batch.put_member(repository, &found.digest, &member);
    let target = Descriptor::new(media_type::OCI_MANIFEST, found.digest, found.size);
    batch.put_tag(repository, tag, &target);
    store.commit(batch).unwrap();
    found.digest
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

#[test]
fn what_nothing_names_goes_after_its_time_and_its_bytes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let loose = blob(&store, "a", b"loose");
    push(&store, "a", "v1");
    let never = |_: &str, _: &str| None;
    let early = upkeep().run(&store, now(), &never).unwrap();
    assert!(early.repositories.is_empty() && early.collected.blobs.is_empty());
    let late = now() + HOUR + 1;
    let told = upkeep().dry_run(&store, late, &never).unwrap();
    assert_eq!(told.repositories[0].members, [loose.digest]);
    assert!(store.content.has(&loose.digest), "a dry run takes nothing");
    let done = upkeep().run(&store, late, &never).unwrap();
    assert_eq!(done.repositories, told.repositories);
    assert_eq!(done.collected.blobs.len(), 1);
    assert!(!store.content.has(&loose.digest) && store.content.list().unwrap().len() == 3);
}

#[test]
fn tags_that_no_rule_keeps_go_and_their_images_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (old, new) = (push(&store, "team/app", "old"), push(&store, "team/app", "v1"));
    let rule = RetentionRule {
        repositories: vec!["team/**".to_owned()],
        keep_tags: vec!["v*".to_owned()],
        ..RetentionRule::default()
    };
    rule.validate().unwrap();
    let mut upkeep = Upkeep { retention: vec![rule], ..upkeep() };
    let never = |_: &str, _: &str| None;
    let late = now() + HOUR + 1;
    upkeep.run(&store, late, &never).unwrap();
    assert_eq!(store.repositories.tags("team/app"), ["v1"]);
    assert!(store.repositories.is_member("team/app", &old), "untagged manifests stay unless told");
    upkeep.sweep.untagged_after = Some(HOUR);
    upkeep.run(&store, late, &never).unwrap();
    assert!(!store.content.has(&old) && store.content.has(&new));
    assert_eq!(store.content.list().unwrap().len(), 3);
}

#[test]
fn a_change_after_the_look_makes_the_sweep_look_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let loose = blob(&store, "a", b"loose");
    let state = store.repositories.state("a");
    let member = store.repositories.member("a", &loose.digest).unwrap().unwrap();
    blob(&store, "a", b"another");
    let mut batch = Batch::new();
    batch.remove_member("a", &loose.digest, &member);
    batch.only_in_state("a", state);
    assert!(matches!(store.commit(batch), Err(StoreError::Stale)));
    assert!(store.repositories.is_member("a", &loose.digest));
}

#[test]
fn rules_that_say_nothing_are_refused() {
    assert!(RetentionRule::default().validate().is_err());
    let quota =
        rules::QuotaRule { repositories: vec!["**".to_owned()], ..rules::QuotaRule::default() };
    assert!(quota.validate().is_err());
    let parsed = serde_json::from_str::<rules::QuotaRule>(r#"{"repositories":["**"],"byte":1}"#);
    assert!(parsed.unwrap_err().to_string().contains("byte"));
}

/// Whether so much may be claimed; it is given back at once.
fn allow(quotas: &Quotas, repository: &str, more: More) -> Result<(), String> {
    use crate::Quota as _;
    quotas.claim(
        repository,
        &crate::News { more, ..crate::News::default() },
        &mut crate::Claim::default(),
    )
}

#[test]
fn a_repository_takes_up_to_its_quota_and_others_are_free() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let rule = rules::QuotaRule {
        repositories: vec!["a".to_owned()],
        bytes: Some(10),
        ..rules::QuotaRule::default()
    };
    let quotas = Quotas::new(&store, vec![rule]);
    let bytes = |bytes: u64| More { bytes, ..More::default() };
    assert_eq!(allow(&quotas, "a", bytes(10)), Ok(()));
    blob(&store, "a", b"1234567");
    assert_eq!((quotas.used("a").unwrap(), allow(&quotas, "a", bytes(3))), (bytes(7), Ok(())));
    assert!(allow(&quotas, "a", bytes(4)).unwrap_err().contains("10 bytes; 7 are used"));
    assert_eq!(allow(&quotas, "b", bytes(u64::MAX)), Ok(()));
    blob(&store, "a", b"1234567");
    assert_eq!(quotas.used("a").unwrap(), bytes(7), "the same blob counts once");
}

#[test]
fn tags_and_manifests_are_counted_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let rule = rules::QuotaRule {
        repositories: vec!["a".to_owned()],
        tags: Some(2),
        manifests: Some(1),
        ..rules::QuotaRule::default()
    };
    rule.validate().unwrap();
    let quotas = Quotas::new(&store, vec![rule]);
    push(&store, "a", "v1");
    let used = quotas.used("a").unwrap();
    assert_eq!((used.tags, used.manifests), (1, 1));
    assert_eq!(allow(&quotas, "a", More { tags: 1, ..More::default() }), Ok(()));
    let why = allow(&quotas, "a", More { tags: 2, ..More::default() }).unwrap_err();
    assert_eq!(why, "the quota of `a` is 2 tags; 1 are used, and 2 more do not fit");
    let why = allow(&quotas, "a", More { manifests: 1, ..More::default() }).unwrap_err();
    assert!(why.contains("1 manifests; 1 are used"), "{why}");
    // What is there already may be said again, and a tag may move.
    assert_eq!(allow(&quotas, "a", More { bytes: 1 << 40, ..More::default() }), Ok(()));
}

#[test]
fn whoever_was_told_of_a_blob_finds_it_until_the_grace_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let upkeep = upkeep();
    let told = blob(&store, "a", b"told");
    let other = blob(&store, "a", b"other");
    let late = now() + HOUR + 1;
    assert!(upkeep.relied.tell("a", &told.digest, late - 10, || true));
    let never = |_: &str, _: &str| None;
    upkeep.run(&store, late, &never).unwrap();
    assert!(store.content.has(&told.digest) && !store.content.has(&other.digest));
    // A manifest that somebody was told of stays, with what it names.
    let mut upkeep = Upkeep { retention: Vec::new(), ..upkeep };
    upkeep.sweep.untagged_after = Some(HOUR);
    let image = push(&store, "a", "v1");
    let mut batch = Batch::new();
    batch.remove_tag("a", "v1");
    store.commit(batch).unwrap();
    assert!(upkeep.relied.tell("a", &image, late, || true));
    upkeep.run(&store, late + HOUR - 1, &never).unwrap();
    assert!(!store.content.has(&told.digest));
    assert_eq!(store.repositories.members("a").unwrap().len(), 3);
    upkeep.run(&store, late + HOUR, &never).unwrap();
    assert!(store.content.list().unwrap().is_empty());
}

#[test]
fn a_keeper_notes_pulls_for_the_rules_that_ask_and_counts_what_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(Keeper::new(&store, Vec::new(), None).unwrap().pulls().is_none());
    push(&store, "a", "v1");
    push(&store, "a", "v2");
    let rule = RetentionRule {
        repositories: vec!["**".to_owned()],
        keep_pulled_within: crate::config::Period::parse("0s"),
        keep_tags: vec!["v2".to_owned()],
        ..RetentionRule::default()
    };
    let keeper = Keeper::new(&store, vec![rule], None).unwrap();
    keeper.pulls().unwrap().note("a", "v1", now());
    let how = How { dry_run: true, delete_untagged: true, grace: Duration::ZERO };
    let told = keeper.run(how).unwrap().told();
    assert_eq!(told["repositories"][0]["tags"][0]["tag"], "v1");
    assert_eq!(told["repositories"][0]["members"].as_array().unwrap().len(), 3);
    assert_eq!((keeper.kept(), store.repositories.tags("a").len()), (Kept::default(), 2));
    let report = keeper.run(How { dry_run: false, ..how }).unwrap();
    assert_eq!(report.collected.blobs.len(), 3);
    assert_eq!(keeper.kept(), Kept { runs: 1, tags: 1, members: 3, ..Kept::default() });
    assert_eq!(store.repositories.tags("a"), ["v2"]);
}

#[test]
fn usage_tells_what_is_shared_and_a_repository_goes_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let shared = blob(&store, "a", b"12345");
    blob(&store, "b", b"12345");
    push(&store, "b", "v1");
    let usage = Usage::of(&store).unwrap();
    let [a, b] = usage.repositories.as_slice() else { panic!("{usage:?}") };
    assert_eq!((a.bytes, a.unique, a.blobs, a.manifests, a.tags), (5, 0, 1, 0, 0));
    assert_eq!((b.bytes - b.unique, b.blobs, b.manifests, b.tags), (5, 3, 1, 1));
    assert_eq!(usage.bytes, b.bytes);
    let image = push(&store, "b", "v2");
    let gone = |reference: &str| remove_reference(&store, "b", reference).unwrap();
    assert!(!gone("v3") && !gone(&shared.digest.to_string()), "no tag, and no manifest");
    assert!(gone(&image.to_string()) && !gone("v2") && !gone(&image.to_string()));
    assert_eq!(remove_repository(&store, "b").unwrap(), (1, 6));
    assert_eq!(remove_repository(&store, "b").unwrap(), (0, 0));
    assert_eq!(store.repositories.names(), ["a"]);
    store.collect().unwrap();
    assert_eq!(store.content.list().unwrap().len(), 1);
    assert!(store.content.has(&shared.digest));
}
